"""What must hold of any bytes that come as a token, a voucher or a key set."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from jwt.algorithms import ECAlgorithm

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.positions import MAX_POSITION, EventId, Generation, Position
from gateway.errors import KeyRingError, TokenRejected
from gateway.tokens.codec import Signer, Verifier
from gateway.tokens.compact import encode_segment, parse_object
from gateway.tokens.jwks import jwks_document, parse_jwk_set, thumbprint
from gateway.tokens.keys import PublicKey, SigningKey
from gateway.tokens.vouchers import Voucher, VoucherVerifier
from tests.support.fuzzing import guided

ISSUER = "admission-gateway"
NOW_S = 1_790_000_000
SALE = EventId("sale")
VISITOR = "dmlzaXRvci12aXNpdG9yIQ"

# A made-up key, the same in every run, so that what a fuzzer kept from the last one is of use.
PRIVATE = derive_private_key(0xC0FFEE, SECP256R1())
KID = thumbprint(PRIVATE.public_key())
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class _OneKey:
    @property
    def active_signing_key(self) -> SigningKey:
        return SigningKey(KID, PRIVATE)

    def public_keys(self) -> Mapping[str, PublicKey]:
        return _PUBLIC


_PUBLIC: Mapping[str, PublicKey] = {KID: PRIVATE.public_key()}
KEYS = _OneKey()
SIGNER = Signer(KEYS)

PLACE = QueueClaims(
    ISSUER, SALE, VISITOR, Position(7), Generation(3), NOW_S, NOW_S + 600, joined_active_ms=5
)
HELD = PassClaims(ISSUER, SALE, VISITOR, Position(7), Generation(3), NOW_S, NOW_S + 600)
VOUCHED = {"iss": "shop", "aud": SALE, "sub": "customer", "iat": NOW_S, "exp": NOW_S + 60, "adv": 2}

PLACE_TOKEN = SIGNER.sign_queue(PLACE).encode()
HELD_TOKEN = SIGNER.sign_pass(HELD).encode()
OTHER_TOKEN = SIGNER.sign_queue(replace(PLACE, position=Position(8))).encode()
VOUCHER_TOKEN = SIGNER.sign("voucher+jwt", VOUCHED).encode()


def other_form_of(token: bytes) -> bytes:
    """Return the second byte form of a genuine token: with r and n - s (ECDSA has two)."""
    head, _, tail = token.rpartition(b".")
    raw = base64.urlsafe_b64decode(tail + b"==")
    s = _ORDER - int.from_bytes(raw[32:], "big")
    return head + b"." + encode_segment(raw[:32] + s.to_bytes(32, "big"))


_GENUINE: Mapping[bytes, QueueClaims | PassClaims] = {
    form: claims
    for token, claims in (
        (PLACE_TOKEN, PLACE),
        (HELD_TOKEN, HELD),
        (OTHER_TOKEN, replace(PLACE, position=Position(8))),
    )
    for form in (token, other_form_of(token))
}
_GENUINE_VOUCHERS: Mapping[bytes, Voucher] = {
    form: Voucher(SALE, "customer", 2, NOW_S + 60)
    for form in (VOUCHER_TOKEN, other_form_of(VOUCHER_TOKEN))
}

SEEDS = (*_GENUINE, *_GENUINE_VOUCHERS)

_remembering = Verifier(KEYS, ISSUER)


def verified(verifier: Verifier, raw: str | bytes) -> QueueClaims | PassClaims | None:
    """Verify. Nothing but TokenRejected may be raised, and it must quote nothing."""
    try:
        return verifier.verify(raw, NOW_S, judge_pass_end=True)
    except TokenRejected as rejected:
        assert str(rejected) == rejected.fault.value
        return None


@guided
def token(raw: bytes) -> bool:
    """Nothing but the genuine tokens is one, also for a verifier that has seen them before."""
    expected = _GENUINE.get(raw)
    assert verified(Verifier(KEYS, ISSUER, cache_entries=0), raw) == expected
    assert verified(_remembering, raw) == expected
    assert verified(_remembering, raw.decode("latin-1")) == expected
    return expected is not None


@guided
def voucher(raw: bytes) -> bool:
    """Nothing but the genuine voucher is one."""
    try:
        said = VoucherVerifier(KEYS).verify(raw, NOW_S, expect_event=SALE)
    except TokenRejected:
        said = None
    assert said == _GENUINE_VOUCHERS.get(raw)
    return said is not None


def signed(typ: str, payload: bytes) -> bytes:
    header = json.dumps({"alg": "ES256", "kid": KID, "typ": typ}, separators=(",", ":"))
    signing_input = encode_segment(header.encode()) + b"." + encode_segment(payload)
    return (
        signing_input
        + b"."
        + encode_segment(ECAlgorithm(ECAlgorithm.SHA256).sign(signing_input, PRIVATE))
    )


def once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object, and fail on a name that comes twice."""
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), names
    return dict(pairs)


@guided
def signed_payload(payload: bytes) -> bool:
    """A payload under our own signature is believed only where every claim is what it must be."""
    accepted = False
    for typ in ("queue+jwt", "pass+jwt"):
        claims = verified(Verifier(KEYS, ISSUER, cache_entries=0), signed(typ, payload))
        if claims is None:
            continue
        accepted = True
        said: dict[str, Any] = json.loads(payload.decode("utf-8"), object_pairs_hook=once_each)
        assert isinstance(claims, QueueClaims) == (typ == "queue+jwt")
        for name in ("pos", "gen", "iat", "exp", "clk", "adv"):
            assert name not in said or type(said[name]) is int
        assert {"iss": ISSUER, "aud": claims.event, "sub": claims.visitor}.items() <= said.items()
        assert (claims.position, claims.generation) == (said["pos"], said["gen"])
        assert 1 <= claims.position <= MAX_POSITION
        assert said["iat"] - 60 <= NOW_S < said["exp"]
    return accepted


@guided
def strict_json(content: bytes) -> bool:
    """What is read is what Python reads in it, once and without any second reading."""
    try:
        members = parse_object(content)
    except TokenRejected:
        return False
    assert members == json.loads(content.decode("utf-8"), object_pairs_hook=once_each)
    assert parse_object(json.dumps(members).encode()) == members
    return True


@guided
def key_set(document: bytes) -> bool:
    """A document is refused with KeyRingError, or is a set that says the same when written anew."""
    try:
        keys = parse_jwk_set(document)
    except KeyRingError:
        keys = {}
    try:
        foreign = parse_jwk_set(document, any_kid=True)
    except KeyRingError:
        assert not keys
        return False
    assert keys in ({}, foreign)
    said: dict[str, Any] = json.loads(document, object_pairs_hook=once_each)
    for entry in said["keys"]:
        assert "d" not in entry
        assert (entry["kty"], entry["crv"], entry.get("use", "sig")) == ("EC", "P-256", "sig")
        assert entry["kid"] in foreign
    if keys:
        assert parse_jwk_set(jwks_document(keys)) == keys
    assert b'"d"' not in jwks_document(foreign)
    return True
