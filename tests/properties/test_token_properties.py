"""Tokens against everything at once: round trips, bit flips, PyJWT as the oracle, key rotation."""

import base64
import json
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from jwt.algorithms import ECAlgorithm

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.positions import MAX_POSITION, EventId, Generation, Position
from gateway.errors import KeyRingError, TokenFault, TokenRejected
from gateway.tokens import keyring
from gateway.tokens.codec import Signer, Verifier
from gateway.tokens.compact import encode_segment, parse_object
from gateway.tokens.jwks import JwksFile, jwks_document, thumbprint
from gateway.tokens.keyring import KeyRing, KeyState
from gateway.tokens.keys import PublicKey, SigningKey
from gateway.tokens.vouchers import VoucherVerifier

# The same examples at every run: a failure here is a finding, never the weather.
FIXED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow],
)

ISSUER = "admission-gateway"
NOW = 1_790_000_000
SALE = EventId("sale")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRIVATE = generate_private_key(SECP256R1())
KID = thumbprint(PRIVATE.public_key())
PUBLIC: Mapping[str, PublicKey] = {KID: PRIVATE.public_key()}


@dataclass(frozen=True)
class OneKey:
    @property
    def active_signing_key(self) -> SigningKey:
        return SigningKey(KID, PRIVATE)

    def public_keys(self) -> Mapping[str, PublicKey]:
        return PUBLIC


KEYS = OneKey()
SIGNER = Signer(KEYS)
QUEUE = QueueClaims(
    ISSUER, SALE, "visitor", Position(7), Generation(1), NOW, NOW + 600, joined_active_ms=5
)
PASS = PassClaims(ISSUER, SALE, "visitor", Position(7), Generation(1), NOW, NOW + 600)


def signed(header: bytes, payload: bytes, key: EllipticCurvePrivateKey = PRIVATE) -> str:
    signing_input = encode_segment(header) + b"." + encode_segment(payload)
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signing_input, key)
    return (signing_input + b"." + encode_segment(signature)).decode()


def outcome(
    verifier: Verifier, token: str | bytes, now_s: float = NOW, event: EventId | None = None
) -> QueueClaims | PassClaims | TokenFault:
    """Verify; anything raised but TokenRejected fails the test that asked."""
    try:
        return verifier.verify(token, now_s, expect_event=event, judge_pass_end=True)
    except TokenRejected as rejected:
        return rejected.fault


# Round trip

instants = st.integers(0, 2**40)
numbers = st.integers(1, MAX_POSITION)
names = st.text(st.characters(codec="utf-8", exclude_characters="[{"), min_size=1, max_size=64)
slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
thumbprints = st.none() | st.text(st.sampled_from("abcXYZ019-_"), min_size=43, max_size=43)


@st.composite
def queue_claims(draw: st.DrawFn) -> QueueClaims:
    issued_at = draw(instants)
    return QueueClaims(
        issuer=draw(names),
        event=EventId(draw(slugs)),
        visitor=draw(names),
        position=Position(draw(numbers)),
        generation=Generation(draw(numbers)),
        issued_at=issued_at,
        expires_at=issued_at + draw(st.integers(1, 2**30)),
        joined_active_ms=draw(st.integers(0, MAX_POSITION)),
        head_start=draw(st.integers(0, MAX_POSITION)),
        key_thumbprint=draw(thumbprints),
    )


@FIXED
@given(queue_claims())
def test_whatever_we_sign_we_read_back(claims: QueueClaims) -> None:
    verifier = Verifier(KEYS, claims.issuer)
    as_pass = PassClaims(
        claims.issuer,
        claims.event,
        claims.visitor,
        claims.position,
        claims.generation,
        claims.issued_at,
        claims.expires_at,
        claims.key_thumbprint,
    )
    for _ in range(2):
        assert outcome(verifier, SIGNER.sign_queue(claims), claims.issued_at) == claims
        assert outcome(verifier, SIGNER.sign_pass(as_pass), claims.issued_at) == as_pass


# Forgery


@pytest.mark.parametrize("token", [SIGNER.sign_queue(QUEUE), SIGNER.sign_pass(PASS)])
@pytest.mark.parametrize("seen_before", [False, True])
def test_every_one_bit_flip_of_a_token_is_refused(token: str, seen_before: bool) -> None:
    verifier = Verifier(KEYS, ISSUER)
    if seen_before:
        verifier.verify(token, NOW)
    genuine = token.encode()
    for bit in range(len(genuine) * 8):
        flipped = bytearray(genuine)
        flipped[bit // 8] ^= 1 << bit % 8
        assert isinstance(outcome(verifier, bytes(flipped)), TokenFault), f"bit {bit}"
    assert verifier.cached == seen_before


texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=200)
segments = st.one_of(
    st.binary(max_size=120).map(encode_segment),
    st.text(st.sampled_from("AQgwz09-_"), max_size=90).map(str.encode),
    st.sampled_from(SIGNER.sign_queue(QUEUE).encode().split(b".")),
)
anything = st.one_of(
    texts,
    st.binary(max_size=3000),
    st.lists(segments, max_size=5).map(b".".join),
    st.lists(segments, min_size=3, max_size=3).map(b".".join),
)


@FIXED
@given(anything)
def test_no_text_or_bytes_raise_anything_but_a_refusal(token: str | bytes) -> None:
    assert isinstance(outcome(Verifier(KEYS, ISSUER), token), TokenFault | QueueClaims)
    with pytest.raises(TokenRejected):
        VoucherVerifier(KEYS).verify(token, NOW, expect_event=SALE)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters() | st.characters(categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["jkt", "a", "b"]), inner, max_size=3)
    ),
    max_leaves=6,
)
claim_names = st.sampled_from(
    ["iss", "aud", "sub", "pos", "gen", "iat", "exp", "clk", "adv", "cnf", "nbf", "alg", "typ", "x"]
)


@FIXED
@given(
    st.dictionaries(claim_names, json_values, max_size=3),
    st.sampled_from(["queue+jwt", "pass+jwt", "voucher+jwt", "x"]),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
)
def test_nothing_our_key_signs_raises_anything_but_a_refusal(
    changes: dict[str, object], typ: str, encoding: str
) -> None:
    header = json.dumps({"alg": "ES256", "kid": KID, "typ": typ}).encode()
    payload = json.dumps(QUEUE.to_payload() | changes).encode(encoding)
    token = signed(header, payload)
    outcome(Verifier(KEYS, ISSUER), token)
    with suppress(TokenRejected):
        VoucherVerifier(KEYS).verify(token, NOW, expect_event=SALE)


@FIXED
@given(st.binary(max_size=400) | json_values.map(lambda value: json.dumps(value).encode()))
def test_strict_json_reads_nothing_that_python_does_not(content: bytes) -> None:
    try:
        members = parse_object(content)
    except TokenRejected:
        return
    assert members == json.loads(content)
    assert parse_object(json.dumps(members).encode()) == members


# Never laxer than PyJWT


def assert_never_laxer(token: str) -> None:
    """What we take, PyJWT takes too, and reads the same in it."""
    ours = outcome(Verifier(KEYS, ISSUER), token)
    if isinstance(ours, TokenFault):
        return
    theirs = jwt.decode(
        token,
        PRIVATE.public_key(),
        algorithms=["ES256"],
        issuer=ISSUER,
        audience=ours.event,
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    # Written by us, a claim with its default value may be there or not.
    assert type(ours).parse(theirs) == ours


header_texts = st.sampled_from(
    [
        f'{{"alg":"ES256","kid":"{KID}","typ":"queue+jwt"}}',
        f'{{ "typ" : "queue+jwt" ,\n"kid":"{KID}","alg":"ES256"}}',
        f'{{"alg":"ES256","kid":"{KID}","typ":"pass+jwt"}}',
        f'{{"alg":"\\u0045S256","kid":"{KID}","typ":"queue+jwt"}}',
        f'{{"alg":"ES256","kid":"{KID}","typ":"queue+jwt","crit":["x"]}}',
        f'{{"alg":"ES256","kid":"{KID}","typ":"queue+jwt","b64":true}}',
        f'{{"alg":"none","alg":"ES256","kid":"{KID}","typ":"queue+jwt"}}',
        f'{{"alg":"ES256","kid":"{KID}"}}',
        f'{{"alg":"es256","kid":"{KID}","typ":"queue+jwt"}}',
        f'{{"alg":"ES384","kid":"{KID}","typ":"queue+jwt"}}',
        f'{{"alg":"none","kid":"{KID}","typ":"queue+jwt"}}',
    ]
)
odd_values = st.sampled_from(
    [
        *("7", "1", "0", "-1", "-0", "1.0", "1e3", "NaN", "true", "null", "9007199254740992"),
        *('"7"', '"x"', '""', '"sale"', "[]", '["sale"]', '{"jkt":"' + "x" * 43 + '"}'),
        str(NOW + 9),
    ]
)


@FIXED
@given(
    header_texts,
    st.lists(st.tuples(claim_names, odd_values), max_size=2),
    st.sampled_from([",", " , ", ",\n"]),
    st.booleans(),
)
def test_what_our_key_signed_is_read_no_more_laxly_than_by_pyjwt(
    header: str, oddities: list[tuple[str, str]], comma: str, replacing: bool
) -> None:
    claims = [(name, json.dumps(value)) for name, value in QUEUE.to_payload().items()]
    if replacing:
        odd_names = {name for name, _ in oddities}
        claims = [claim for claim in claims if claim[0] not in odd_names]
    payload = comma.join(f'"{name}":{value}' for name, value in claims + oddities)
    assert_never_laxer(signed(header.encode(), f"{{{payload}}}".encode()))


def other_form_of(token: str) -> str:
    head, _, tail = token.rpartition(".")
    raw = base64.urlsafe_b64decode(tail + "==")
    s = ORDER - int.from_bytes(raw[32:], "big")
    return head + "." + encode_segment(raw[:32] + s.to_bytes(32, "big")).decode()


@st.composite
def mutated_tokens(draw: st.DrawFn) -> str:
    other = SIGNER.sign_queue(replace(QUEUE, position=Position(8)))
    token = draw(st.sampled_from([SIGNER.sign_queue(QUEUE), SIGNER.sign_pass(PASS)]))
    for _ in range(draw(st.integers(1, 2))):
        kind = draw(st.sampled_from(["form", "cut", "insert", "replace", "swap", "pad", "double"]))
        at = draw(st.integers(0, len(token)))
        char = draw(st.sampled_from("A=.-_+/ \n\0é"))
        match kind:
            case "form":
                parts = token.split(".")
                if (
                    len(parts) == 3
                    and len(parts[2]) == 86
                    and set(parts[2]).isdisjoint("=+/ \n\0é")
                ):
                    token = other_form_of(token)
            case "cut":
                token = token[:at] + token[at + 1 :]
            case "insert":
                token = token[:at] + char + token[at:]
            case "replace":
                token = token[:at] + char + token[at + 1 :]
            case "swap":
                parts = token.split(".")
                part = draw(st.integers(0, min(2, len(parts) - 1)))
                parts[part] = other.split(".")[part]
                token = ".".join(parts)
            case "pad":
                token += draw(st.sampled_from(["=", "==", "\n", " "]))
            case _:
                token = token + "." + token
    return token


@FIXED
@given(mutated_tokens())
def test_a_changed_token_is_read_no_more_laxly_than_by_pyjwt(token: str) -> None:
    assert_never_laxer(token)


def test_both_readers_take_both_forms_of_a_signature() -> None:
    for token in (SIGNER.sign_queue(QUEUE), other_form_of(SIGNER.sign_queue(QUEUE))):
        assert outcome(Verifier(KEYS, ISSUER), token) == QUEUE
        assert_never_laxer(token)


# Memory


@FIXED
@given(
    st.lists(
        st.tuples(
            st.sampled_from(range(6)),
            st.sampled_from([-3600, -61, -60, -1, 0, 1, 599, 600, 601, 86_400]),
            st.sampled_from([None, SALE, EventId("other")]),
        ),
        max_size=25,
    ),
    st.sampled_from([0, 1, 2, 100]),
)
def test_a_verifier_with_a_memory_answers_as_one_without(
    calls: list[tuple[int, int, EventId | None]], entries: int
) -> None:
    genuine = [SIGNER.sign_queue(QUEUE), SIGNER.sign_pass(PASS)]
    tokens = [*genuine, other_form_of(genuine[0]), genuine[0] + "=", genuine[1][:-2] + "AA", ""]
    remembering = Verifier(KEYS, ISSUER, cache_entries=entries)
    for number, offset_s, event in calls:
        forgetful = Verifier(KEYS, ISSUER, cache_entries=0)
        token, now_s = tokens[number], NOW + offset_s
        expected = outcome(forgetful, token, now_s, event)
        assert outcome(remembering, token, now_s, event) == expected
        assert remembering.cached <= entries


# Rotation


class KeyRotation(RuleBasedStateMachine):
    """Any order of issuing, rotating, retiring and removing strands no token of a key still there.

    Two verifiers look on: the gateway with the folder, and an edge with the JWK set that it fetched
    some time ago. A model of the ring in a dict says what each must answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.folder = self.home / "keys"
        self.jwks = self.home / "jwks.json"
        self.now_s = NOW
        self.model: dict[str, KeyState] = {}
        self.at_edge: set[str] = set()
        self.issued: list[tuple[str, str]] = []
        self.rings: list[KeyRing] = []

    def teardown(self) -> None:
        shutil.rmtree(self.home)

    @initialize()
    def start(self) -> None:
        self.make_a_key()
        self.ring = KeyRing.load(self.folder)
        self.signer = Signer(self.ring)
        self.verifier = Verifier(self.ring, ISSUER)
        self.publish()
        self.edge_keys = JwksFile(self.jwks)
        self.edge = Verifier(self.edge_keys, ISSUER)
        self.at_edge = set(self.model)

    def publish(self) -> None:
        draft = self.home / "draft"
        draft.write_bytes(jwks_document(self.ring.public_keys()))
        draft.replace(self.jwks)

    def later(self) -> float:
        self.now_s += 1
        return self.now_s

    def kids(self, *states: KeyState) -> list[str]:
        return [kid for kid, state in self.model.items() if state in states]

    @precondition(lambda self: len(self.model) < 6)
    @rule()
    def make_a_key(self) -> None:
        entry = keyring.new_key(self.folder, now_s=self.later())
        assert entry.kid not in self.model
        self.model[entry.kid] = KeyState.NEXT if self.model else KeyState.ACTIVE
        assert entry.state is self.model[entry.kid]

    @rule(data=st.data())
    def activate(self, data: st.DataObject) -> None:
        kid = data.draw(st.sampled_from(list(self.model)))
        if self.model[kid] is KeyState.RETIRED:
            with pytest.raises(KeyRingError):
                keyring.activate(self.folder, kid, now_s=self.later())
            return
        keyring.activate(self.folder, kid, now_s=self.later())
        for other in self.kids(KeyState.ACTIVE):
            self.model[other] = KeyState.RETIRED
        self.model[kid] = KeyState.ACTIVE

    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        kid = data.draw(st.sampled_from(list(self.model)))
        if self.model[kid] is KeyState.ACTIVE:
            with pytest.raises(KeyRingError):
                keyring.retire(self.folder, kid, now_s=self.later())
            return
        keyring.retire(self.folder, kid, now_s=self.later())
        self.model[kid] = KeyState.RETIRED

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        kid = data.draw(st.sampled_from(list(self.model)))
        if self.model[kid] is KeyState.ACTIVE:
            with pytest.raises(KeyRingError):
                keyring.remove(self.folder, kid)
            return
        keyring.remove(self.folder, kid)
        del self.model[kid]

    @rule()
    def issue(self) -> None:
        self.ring.reload_if_changed()
        (active,) = self.kids(KeyState.ACTIVE)
        assert self.ring.active_signing_key.kid == active
        self.issued = [*self.issued[-8:], (active, self.signer.sign_queue(QUEUE))]

    @rule()
    def edge_fetches_the_keys(self) -> None:
        self.ring.reload_if_changed()
        self.publish()
        self.edge_keys.reload_if_changed()
        assert self.edge_keys.trouble is None
        self.at_edge = set(self.model)

    @rule()
    def restart_the_gateway(self) -> None:
        self.ring = KeyRing.load(self.folder)
        self.signer = Signer(self.ring)
        self.verifier = Verifier(self.ring, ISSUER)

    @invariant()
    def the_folder_is_as_the_model(self) -> None:
        listed = {entry.kid: entry.state for entry in keyring.list_keys(self.folder)}
        assert listed == self.model

    @invariant()
    def every_token_is_judged_by_whether_its_key_is_there(self) -> None:
        self.ring.reload_if_changed()
        assert self.ring.trouble is None
        for kid, token in self.issued:
            expected = QUEUE if kid in self.model else TokenFault.UNKNOWN_KEY
            assert outcome(self.verifier, token) == expected
            at_edge = QUEUE if kid in self.at_edge else TokenFault.UNKNOWN_KEY
            assert outcome(self.edge, token) == at_edge


TestKeyRotation = KeyRotation.TestCase
TestKeyRotation.settings = settings(FIXED, max_examples=30, stateful_step_count=25)
