"""Forged tokens, and tokens of our own key that say something no token of ours would say.

The catalogue: RFC 8725, jwt_tool, PortSwigger's labs, and the CVEs of JWT libraries. Each attack is
refused with the fault that one would guess, by the same verifier that takes the genuine token.
"""

import base64
import hashlib
import hmac
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.domain.claims import QueueClaims
from gateway.domain.positions import EventId, Generation, Position
from gateway.errors import TokenFault, TokenRejected
from gateway.tokens import codec
from gateway.tokens.codec import Signer, Verifier
from gateway.tokens.compact import encode_segment
from gateway.tokens.jwks import jwks_document, thumbprint
from gateway.tokens.keys import PublicKey, SigningKey

ISSUER = "admission-gateway"
NOW = 1_790_000_000
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CLAIMS: dict[str, object] = {
    "iss": ISSUER,
    "aud": "sale",
    "sub": "visitor",
    "pos": 7,
    "gen": 1,
    "iat": NOW,
    "exp": NOW + 600,
}


@dataclass(frozen=True)
class OneKey:
    """A ring of one key, and the ways to sign something odd with it."""

    private_key: EllipticCurvePrivateKey
    public: Mapping[str, PublicKey]

    @property
    def kid(self) -> str:
        return next(iter(self.public))

    @property
    def active_signing_key(self) -> SigningKey:
        return SigningKey(self.kid, self.private_key)

    def public_keys(self) -> Mapping[str, PublicKey]:
        return self.public

    def header(self, **changes: object) -> bytes:
        members = {"alg": "ES256", "kid": self.kid, "typ": "queue+jwt"} | changes
        present = {name: value for name, value in members.items() if value is not None}
        return encode_segment(json.dumps(present).encode())

    def signed(self, payload: bytes, header: bytes | None = None) -> str:
        signing_input = (header or self.header()) + b"." + encode_segment(payload)
        r, s = decode_dss_signature(self.private_key.sign(signing_input, ECDSA(SHA256())))
        return with_signature(signing_input, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def with_signature(signing_input: bytes, signature: bytes) -> str:
    return (signing_input + b"." + encode_segment(signature)).decode()


def with_claims(**changes: object) -> bytes:
    return json.dumps(CLAIMS | changes).encode()


@pytest.fixture(scope="module")
def ring() -> OneKey:
    key = generate_private_key(SECP256R1())
    return OneKey(key, {thumbprint(key.public_key()): key.public_key()})


@pytest.fixture
def verifier(ring: OneKey) -> Verifier:
    return Verifier(ring, ISSUER)


def fault_of(verifier: Verifier, token: str) -> TokenFault:
    with pytest.raises(TokenRejected) as caught:
        verifier.verify(token, NOW)
    assert str(caught.value) == caught.value.fault.value, "something of the token was echoed"
    assert verifier.cached == 0
    return caught.value.fault


def test_the_genuine_token_beside_all_these_is_good(ring: OneKey, verifier: Verifier) -> None:
    claims = verifier.verify(ring.signed(with_claims()), NOW)
    assert isinstance(claims, QueueClaims)
    assert claims.position == 7


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", "null"])
@pytest.mark.parametrize("tail", ["", "A" * 86])
def test_no_spelling_of_none_is_an_algorithm(
    ring: OneKey, verifier: Verifier, alg: str, tail: str
) -> None:
    segments = (ring.header(alg=alg).decode(), encode_segment(with_claims()).decode(), tail)
    assert fault_of(verifier, ".".join(segments)) is TokenFault.MALFORMED


def spellings_of(public_key: PublicKey) -> dict[str, bytes]:
    """Every form in which an attacker finds the public key, each tried as the HMAC secret."""
    pem = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    kid = thumbprint(public_key)
    jwks = jwks_document({kid: public_key})
    jwk = json.loads(jwks)["keys"][0]
    return {
        "pem": pem,
        "pem without its last newline": pem.rstrip(b"\n"),
        "pem with crlf": pem.replace(b"\n", b"\r\n"),
        "pem on one line": pem.replace(b"\n", b""),
        "pem body": b"".join(pem.splitlines()[1:-1]),
        "der": der,
        "der in base64": base64.b64encode(der),
        "der in hex": der.hex().encode(),
        "point": point,
        "point in hex": point.hex().encode(),
        "point without its type": point[1:],
        "compressed point": public_key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
        "openssh": public_key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        "jwks": jwks,
        "jwk": json.dumps(jwk).encode(),
        "compact jwk": json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        "x": point[1:33],
        "y": point[33:],
        "kid": kid.encode(),
        "nothing": b"",
    }


@pytest.mark.parametrize(
    ("alg", "hash_name"), [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")]
)
def test_the_public_key_is_no_hmac_secret_in_any_spelling(
    ring: OneKey, verifier: Verifier, alg: str, hash_name: str
) -> None:
    for secret in spellings_of(ring.private_key.public_key()).values():
        for claimed in (alg, "ES256"):
            signing_input = ring.header(alg=claimed) + b"." + encode_segment(with_claims())
            mac = hmac.digest(secret, signing_input, hash_name)
            for signature in (mac, (mac * 2)[:64], hashlib.sha512(mac).digest()):
                forged = with_signature(signing_input, signature)
                assert fault_of(verifier, forged) in {
                    TokenFault.MALFORMED,
                    TokenFault.BAD_SIGNATURE,
                }


def test_other_algorithms_are_refused_even_when_their_signature_is_good(
    ring: OneKey, verifier: Verifier
) -> None:
    payload = encode_segment(with_claims())
    big = generate_private_key(SECP384R1())
    signing_input = ring.header(alg="ES384") + b"." + payload
    r, s = decode_dss_signature(big.sign(signing_input, ECDSA(SHA384())))
    es384 = with_signature(signing_input, r.to_bytes(48, "big") + s.to_bytes(48, "big"))
    signing_input = ring.header(alg="RS256") + b"." + payload
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    rs256 = with_signature(signing_input, rsa_key.sign(signing_input, PKCS1v15(), SHA256()))
    # Our own key, and SHA-384 under it.
    signing_input = ring.header(alg="ES384") + b"." + payload
    r, s = decode_dss_signature(ring.private_key.sign(signing_input, ECDSA(SHA384())))
    own = with_signature(signing_input, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    for token in (es384, rs256, own):
        assert fault_of(verifier, token) is TokenFault.MALFORMED


def test_a_key_that_the_token_brings_along_is_not_used(
    ring: OneKey, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("the verifier opened a socket")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    mine = generate_private_key(SECP256R1())
    kid = thumbprint(mine.public_key())
    attacker = OneKey(mine, {kid: mine.public_key()})
    jwk = json.loads(jwks_document(attacker.public))["keys"][0]
    for header in (
        attacker.header(jwk=jwk),
        attacker.header(jwk=jwk, kid=ring.kid),
        attacker.header(jku="https://evil.example/jwks.json"),
        attacker.header(x5u="https://evil.example/key.pem"),
        attacker.header(x5c=["MIIB"], x5t="AAAA"),
    ):
        token = attacker.signed(with_claims(), header)
        assert fault_of(verifier, token) is TokenFault.MALFORMED
    assert fault_of(verifier, attacker.signed(with_claims())) is TokenFault.UNKNOWN_KEY
    impersonating = attacker.signed(with_claims(), attacker.header(kid=ring.kid))
    assert fault_of(verifier, impersonating) is TokenFault.BAD_SIGNATURE


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "/dev/null",
        "../../../../dev/null",
        "..\\..\\windows\\win.ini",
        "keys/../keys/a.pem",
        "file:///etc/passwd",
        "https://evil.example/key",
        "' OR '1'='1",
        "x' UNION SELECT 'key",
        "a\0b",
        "a\r\nX-Injected: 1",
        "$(id)",
        "; sleep 10",
        "%2e%2e%2f",
        "{{7*7}}",
        "__class__",
        "\u202e",
        "a" * 700,
    ],
)
def test_a_hostile_kid_is_a_name_that_nobody_has(
    ring: OneKey, verifier: Verifier, kid: str
) -> None:
    token = ring.signed(with_claims(), ring.header(kid=kid))
    assert fault_of(verifier, token) is TokenFault.UNKNOWN_KEY


def test_a_kid_that_resembles_ours_is_not_ours(ring: OneKey, verifier: Verifier) -> None:
    for kid in (ring.kid + " ", " " + ring.kid, ring.kid.swapcase(), ring.kid[:-1], ring.kid + "="):
        token = ring.signed(with_claims(), ring.header(kid=kid))
        assert fault_of(verifier, token) is TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"pos": True},
        {"pos": 0},
        {"pos": -1},
        {"pos": "1"},
        {"pos": None},
        {"pos": 2**53},
        {"gen": 0},
        {"gen": True},
        {"gen": "1"},
        {"iat": "1790000000"},
        {"iat": -1},
        {"iat": True},
        {"exp": str(NOW + 600)},
        {"exp": f" {NOW + 600} "},
        {"exp": "1_790_000_600"},
        {"exp": None},
        {"exp": True},
        {"exp": 2**53},
        {"aud": ""},
        {"aud": None},
        {"aud": 7},
        {"aud": "Sale"},
        {"aud": "sale "},
        {"aud": "../sale"},
        {"iss": 1},
        {"iss": ""},
        {"iss": "x" * 257},
        {"sub": ""},
        {"sub": 5},
        {"sub": "x" * 65},
        {"clk": -1},
        {"clk": "0"},
        {"adv": -1},
        {"adv": True},
        {"cnf": "x" * 43},
        {"cnf": None},
        {"cnf": {}},
        {"cnf": {"jkt": "short"}},
        {"cnf": {"jkt": 1}},
        {"cnf": {"jkt": "x" * 43, "jwk": "y"}},
        {"nbf": NOW},
        {"jti": "x"},
        {"admin": True},
        {"Pos": 1},
        {"": 1},
    ],
    ids=str,
)
def test_an_ill_typed_claim_is_refused_though_our_key_signed_it(
    ring: OneKey, verifier: Verifier, changes: dict[str, object]
) -> None:
    assert fault_of(verifier, ring.signed(with_claims(**changes))) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize("missing", sorted(CLAIMS))
def test_a_missing_claim_is_refused_though_our_key_signed_it(
    ring: OneKey, verifier: Verifier, missing: str
) -> None:
    payload = {name: value for name, value in CLAIMS.items() if name != missing}
    token = ring.signed(json.dumps(payload).encode())
    assert fault_of(verifier, token) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize("name", ["clk", "adv", "nbf"])
def test_a_pass_has_no_claims_of_a_queue_token(ring: OneKey, verifier: Verifier, name: str) -> None:
    token = ring.signed(with_claims(**{name: 1}), ring.header(typ="pass+jwt"))
    assert fault_of(verifier, token) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize(
    "payload",
    [
        with_claims().replace(b'"pos": 7', b'"pos": 1.0'),
        with_claims().replace(b'"pos": 7', b'"pos": 0.5'),
        with_claims().replace(b'"pos": 7', b'"pos": 1e3'),
        with_claims().replace(b'"pos": 7', b'"pos": NaN'),
        with_claims().replace(b'"pos": 7', b'"pos": -Infinity'),
        with_claims().replace(b'"pos": 7', b'"pos": 7, "pos": 1'),
        with_claims().replace(b'"pos": 7', b'"pos": 7, "\\u0070os": 1'),
        with_claims().replace(b'"pos": 7', b'"pos": ' + b"1" * 19),
        with_claims().replace(b'"pos": 7', b'"pos": 0x7'),
        with_claims().replace(b'"pos": 7', '"pos": \u0667'.encode()),
        with_claims().decode().encode("utf-16"),
        with_claims().decode().encode("utf-16-be"),
        b"\xef\xbb\xbf" + with_claims(),
        with_claims(aud=["sale"]),
        with_claims(aud={"sale": 1}),
        with_claims(pos=[1]),
        with_claims(cnf={"jkt": {"jkt": "x" * 43}}),
        with_claims(sub="\ud800"),
        b"[" + with_claims() + b"]",
        b'"text"',
        b"null",
        b"\0",
    ],
)
def test_odd_json_is_malformed_though_our_key_signed_it(
    ring: OneKey, verifier: Verifier, payload: bytes
) -> None:
    assert fault_of(verifier, ring.signed(payload)) is TokenFault.MALFORMED


@pytest.mark.parametrize(
    "signature",
    [
        bytes(64),
        bytes(31) + b"\1" + bytes(31) + b"\1",
        bytes(32) + b"\1" * 32,
        b"\1" * 32 + bytes(32),
        ORDER.to_bytes(32, "big") * 2,
        (ORDER - 1).to_bytes(32, "big") * 2,
        b"\xff" * 64,
    ],
)
def test_a_psychic_signature_is_refused(ring: OneKey, verifier: Verifier, signature: bytes) -> None:
    """CVE-2022-21449: r = s = 0 passed where nobody compared them with the range."""
    signing_input = ring.header() + b"." + encode_segment(with_claims())
    assert fault_of(verifier, with_signature(signing_input, signature)) is TokenFault.BAD_SIGNATURE


def other_form_of(token: str) -> str:
    """Return the second signature that ECDSA knows for every first: (r, n - s)."""
    head, _, tail = token.rpartition(".")
    raw = base64.urlsafe_b64decode(tail + "==")
    s = ORDER - int.from_bytes(raw[32:], "big")
    return with_signature(head.encode(), raw[:32] + s.to_bytes(32, "big"))


def test_both_forms_of_a_signature_are_the_same_identity(ring: OneKey, verifier: Verifier) -> None:
    """Wycheproof calls (r, n - s) valid, and so do we: nothing is keyed by a token's bytes.

    Both forms give equal claims, so claim, revocation and limits see one visitor; in the memory of
    verified tokens they are two entries that say the same and leave together.
    """
    token = ring.signed(with_claims())
    other = other_form_of(token)
    assert other != token
    assert other_form_of(other) == token
    first, second = verifier.verify(token, NOW), verifier.verify(other, NOW)
    assert first == second
    assert (first.event, first.generation, first.position) == (
        EventId("sale"),
        Generation(1),
        Position(7),
    )
    for late in (token, other):
        with pytest.raises(TokenRejected):
            verifier.verify(late, NOW + 600)


def test_padding_and_spare_bits_give_no_further_spelling(ring: OneKey, verifier: Verifier) -> None:
    token = ring.signed(with_claims(sub="visitor7"))
    header, payload, signature = token.split(".")
    spare = {"A": "B", "Q": "R", "g": "h", "w": "x"}[signature[-1]]
    for other in (
        token + "=",
        token + "==",
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}==.{signature}",
        f"{header}.{payload}.{signature[:-1]}{spare}",
        token.replace("-", "+").replace("_", "/") + "==",
        token + "\n",
        " " + token,
    ):
        assert fault_of(verifier, other) is TokenFault.MALFORMED


def test_a_json_serialization_is_no_token(ring: OneKey, verifier: Verifier) -> None:
    """Format confusion: one part of a program verifies the JSON form, another reads the compact."""
    header, payload, signature = ring.signed(with_claims()).split(".")
    forms = (
        {"protected": header, "payload": payload, "signature": signature},
        {"payload": payload, "signatures": [{"protected": header, "signature": signature}]},
    )
    for form in forms:
        assert fault_of(verifier, json.dumps(form)) is TokenFault.MALFORMED


def test_five_segments_of_a_jwe_are_no_token(ring: OneKey, verifier: Verifier) -> None:
    token = ring.signed(with_claims())
    assert fault_of(verifier, token + ".AAAA.AAAA") is TokenFault.MALFORMED


def test_a_segment_of_another_token_does_not_fit(ring: OneKey, verifier: Verifier) -> None:
    signer = Signer(ring)
    queue = signer.sign("queue+jwt", CLAIMS).split(".")
    other = signer.sign("queue+jwt", CLAIMS | {"pos": 1}).split(".")
    as_pass = signer.sign("pass+jwt", CLAIMS).split(".")
    for mixed in (
        [queue[0], other[1], queue[2]],
        [queue[0], queue[1], other[2]],
        [as_pass[0], queue[1], queue[2]],
    ):
        assert fault_of(verifier, ".".join(mixed)) is TokenFault.BAD_SIGNATURE


def test_what_its_shape_or_header_refuses_costs_no_signature(
    ring: OneKey, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dear part comes last: who sends rubbish makes us compare bytes and nothing more."""

    def too_dear(*_: object) -> bool:
        raise AssertionError("a signature was computed for a token without a chance")

    good = ring.signed(with_claims())
    head, payload, tail = good.split(".")
    deep = encode_segment(b"[" * 1000).decode()
    monkeypatch.setattr(codec, "verify_es256", too_dear)
    for token in (
        "a" * 2048,
        "a" * 10_000_000,
        "." * 2048,
        f"{head}.{'A' * 100_000}.{tail}",
        f"{deep}.{payload}.{tail}",
        f"{head}.{payload}.{tail}{tail}",
        f"{head}.{payload}.{tail[:-1]}",
        f"{head}.{payload}",
        good + "=",
        ring.signed(with_claims(), ring.header(typ="JWT")),
        ring.signed(with_claims(), ring.header(alg="none")),
        ring.signed(with_claims(), ring.header(kid="x" * 700)),
        ring.signed(with_claims(), ring.header(zip="DEF")),
    ):
        assert fault_of(verifier, token) in {
            TokenFault.MALFORMED,
            TokenFault.UNKNOWN_KEY,
            TokenFault.WRONG_TYPE,
        }
