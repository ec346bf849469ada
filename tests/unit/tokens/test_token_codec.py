"""Signing and verifying: the ordinary life of a token."""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from jwt.algorithms import ECAlgorithm

from gateway.domain.claims import LEEWAY_S, PassClaims, QueueClaims
from gateway.domain.positions import EventId, Generation, Position
from gateway.errors import BadInput, TokenFault, TokenRejected
from gateway.ports import TokenSigner
from gateway.tokens.codec import REFRESH_GRACE_S, Signer, Verifier, verify_es256
from gateway.tokens.compact import encode_segment
from gateway.tokens.jwks import thumbprint
from gateway.tokens.keys import PublicKey, SigningKey

ISSUER = "admission-gateway"
NOW = 1_790_000_000
SALE = EventId("sale")
QUEUE = QueueClaims(
    issuer=ISSUER,
    event=SALE,
    visitor="q8Tn5sCqJ1mG0bq0mZ8m0w",
    position=Position(4711),
    generation=Generation(1_789_999_000),
    issued_at=NOW,
    expires_at=NOW + 86_400,
    joined_active_ms=12_345,
    head_start=3,
    key_thumbprint="x" * 43,
)
PASS = PassClaims(
    issuer=ISSUER,
    event=SALE,
    visitor=QUEUE.visitor,
    position=QUEUE.position,
    generation=QUEUE.generation,
    issued_at=NOW,
    expires_at=NOW + 600,
)


class Ring:
    """A key ring in memory; the key added last signs."""

    def __init__(self) -> None:
        self._public: Mapping[str, PublicKey] = {}
        self.add(generate_private_key(SECP256R1()))

    def add(self, key: EllipticCurvePrivateKey) -> str:
        kid = thumbprint(key.public_key())
        self._public = {**self._public, kid: key.public_key()}
        self._active = SigningKey(kid, key)
        return kid

    def drop(self, kid: str) -> None:
        self._public = {name: key for name, key in self._public.items() if name != kid}

    def put(self, kid: str, key: PublicKey) -> None:
        self._public = {**self._public, kid: key}

    def public_keys(self) -> Mapping[str, PublicKey]:
        return self._public

    @property
    def active_signing_key(self) -> SigningKey:
        return self._active


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.fixture
def signer(ring: Ring) -> Signer:
    return Signer(ring)


@pytest.fixture
def verifier(ring: Ring) -> Verifier:
    return Verifier(ring, ISSUER)


def fault_of(verifier: Verifier, token: str | bytes, now_s: float = NOW) -> TokenFault:
    with pytest.raises(TokenRejected) as caught:
        verifier.verify(token, now_s)
    return caught.value.fault


def test_what_was_signed_is_what_is_read(signer: Signer, verifier: Verifier) -> None:
    for _ in range(2):  # at first sight, and from memory
        assert verifier.verify(signer.sign_queue(QUEUE), NOW) == QUEUE
        assert verifier.verify(signer.sign_pass(PASS).encode(), NOW) == PASS


def test_the_signer_is_what_the_use_cases_ask_for(signer: Signer) -> None:
    port: TokenSigner = signer
    assert port.sign_queue(QUEUE).count(".") == 2


def test_the_header_is_compact_and_sorted(ring: Ring, signer: Signer) -> None:
    segment = signer.sign_pass(PASS).split(".")[0]
    header = urlsafe_b64decode(segment + "=" * (-len(segment) % 4)).decode()
    assert header == f'{{"alg":"ES256","kid":"{ring.active_signing_key.kid}","typ":"pass+jwt"}}'


def test_no_two_signatures_share_their_nonce(signer: Signer) -> None:
    tokens = {signer.sign_queue(QUEUE).split(".")[2][:43] for _ in range(200)}
    assert len(tokens) == 200


def test_processes_that_were_forked_share_no_nonce(signer: Signer) -> None:
    """Two signatures with one nonce give the key away; a forked worker must not repeat its parent's."""
    signer.sign_queue(QUEUE)
    firsts: list[str] = []
    for _ in range(4):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, signer.sign_queue(QUEUE).encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader) as said:
            firsts.append(said.read().split(".")[2][:43])
    firsts.append(signer.sign_queue(QUEUE).split(".")[2][:43])
    assert len(set(firsts)) == 5


def test_a_signature_of_other_than_64_bytes_is_no_signature(ring: Ring, signer: Signer) -> None:
    token = signer.sign_queue(QUEUE)
    message, _, tail = token.rpartition(".")
    signature = urlsafe_b64decode(tail + "==")
    public = ring.active_signing_key.private_key.public_key()
    assert verify_es256(message.encode(), signature, public)
    for wrong in (b"", signature[:-1], signature + b"\0", b"\0" + signature, signature * 2):
        assert not verify_es256(message.encode(), wrong, public)


def test_a_token_of_another_type_can_be_signed_but_is_neither_of_ours(
    signer: Signer, verifier: Verifier
) -> None:
    token = signer.sign("voucher+jwt", QUEUE.to_payload())
    assert fault_of(verifier, token) is TokenFault.WRONG_TYPE


@pytest.mark.parametrize("typ", ["JWT", "jwt", "", "QUEUE+JWT", "application/queue+jwt", "queue"])
def test_the_type_is_ours_to_the_letter(signer: Signer, verifier: Verifier, typ: str) -> None:
    assert fault_of(verifier, signer.sign(typ, QUEUE.to_payload())) is TokenFault.WRONG_TYPE


def test_a_queue_token_is_no_pass_and_a_pass_no_queue_token(
    signer: Signer, verifier: Verifier
) -> None:
    assert isinstance(verifier.verify(signer.sign_queue(QUEUE), NOW), QueueClaims)
    assert isinstance(verifier.verify(signer.sign_pass(PASS), NOW), PassClaims)
    # A queue token's claims under a pass's type have names that no pass has.
    disguised = signer.sign("pass+jwt", QUEUE.to_payload())
    assert fault_of(verifier, disguised) is TokenFault.BAD_CLAIMS


def test_a_header_in_another_order_is_the_same_token(ring: Ring, signer: Signer) -> None:
    key = ring.active_signing_key
    header = json.dumps({"typ": "queue+jwt", "alg": "ES256", "kid": key.kid}, indent=1)
    payload = signer.sign_queue(QUEUE).split(".")[1]
    signed = encode_segment(header.encode()) + b"." + payload.encode()
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(signed, key.private_key)
    assert Verifier(ring, ISSUER).verify(signed + b"." + encode_segment(signature), NOW) == QUEUE


def test_a_foreign_issuer_is_refused(signer: Signer, verifier: Verifier) -> None:
    for issuer in ("admission-gateway2", "admission", "Admission-Gateway", "x"):
        token = signer.sign_queue(replace(QUEUE, issuer=issuer))
        assert fault_of(verifier, token) is TokenFault.WRONG_ISSUER


def test_an_issuer_of_any_script_is_good(ring: Ring, signer: Signer) -> None:
    for issuer in ("https://[2001:db8::1]/queue", "Kartenbüro 🎫", 'a"b\\c'):
        claims = replace(QUEUE, issuer=issuer)
        assert Verifier(ring, issuer).verify(signer.sign_queue(claims), NOW) == claims


def test_a_token_too_long_for_any_verifier_is_not_signed(signer: Signer) -> None:
    with pytest.raises(BadInput, match="2048"):
        signer.sign("pointer+jwt", {"text": "x" * 1500})


def test_a_token_for_another_event_is_refused_where_one_is_expected(
    signer: Signer, verifier: Verifier
) -> None:
    token = signer.sign_queue(QUEUE)
    for _ in range(2):
        with pytest.raises(TokenRejected) as caught:
            verifier.verify(token, NOW, expect_event=EventId("other"))
        assert caught.value.fault is TokenFault.WRONG_EVENT
        assert verifier.verify(token, NOW, expect_event=SALE) == QUEUE


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_queue_token_is_good_before_its_end_and_not_at_it(
    signer: Signer, verifier: Verifier, seen_before: bool
) -> None:
    token = signer.sign_queue(QUEUE)
    end = QUEUE.expires_at
    if seen_before:
        verifier.verify(token, NOW)
    assert verifier.verify(token, end - 1) == QUEUE
    assert verifier.verify(token, end - 0.001) == QUEUE
    assert fault_of(verifier, token, end) is TokenFault.EXPIRED
    assert fault_of(verifier, token, end + 1) is TokenFault.EXPIRED


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_token_may_be_issued_a_leeway_ahead_and_not_more(
    signer: Signer, verifier: Verifier, seen_before: bool
) -> None:
    for token, claims in ((signer.sign_queue(QUEUE), QUEUE), (signer.sign_pass(PASS), PASS)):
        if seen_before:
            verifier.verify(token, NOW)
        assert verifier.verify(token, NOW - LEEWAY_S + 1) == claims
        assert verifier.verify(token, NOW - LEEWAY_S) == claims
        assert fault_of(verifier, token, NOW - LEEWAY_S - 1) is TokenFault.NOT_YET_VALID


def test_a_token_that_ends_before_it_begins_is_refused(signer: Signer, verifier: Verifier) -> None:
    for end in (NOW, NOW - 1):
        token = signer.sign_queue(replace(QUEUE, expires_at=end))
        assert fault_of(verifier, token, NOW - 30) is TokenFault.BAD_CLAIMS


def test_a_refresh_takes_a_queue_token_for_seven_days_after_its_end(
    signer: Signer, verifier: Verifier
) -> None:
    token = signer.sign_queue(QUEUE)
    last = QUEUE.expires_at + 7 * 86_400
    assert verifier.verify(token, last - 1, queue_grace_s=REFRESH_GRACE_S) == QUEUE
    for too_late in (last, last + 1):
        with pytest.raises(TokenRejected) as caught:
            verifier.verify(token, too_late, queue_grace_s=REFRESH_GRACE_S)
        assert caught.value.fault is TokenFault.EXPIRED


def test_a_token_let_in_by_the_grace_is_still_expired_without_it(
    signer: Signer, verifier: Verifier
) -> None:
    token = signer.sign_queue(QUEUE)
    late = QUEUE.expires_at + 5
    verifier.verify(token, late, queue_grace_s=REFRESH_GRACE_S)
    assert verifier.cached == 1
    assert fault_of(verifier, token, late) is TokenFault.EXPIRED


def test_the_end_of_a_pass_is_left_to_the_decision_unless_asked(
    signer: Signer, verifier: Verifier
) -> None:
    token = signer.sign_pass(PASS)
    end = PASS.expires_at
    assert verifier.verify(token, end + 500) == PASS
    assert verifier.verify(token, end - 1, judge_pass_end=True) == PASS
    for late in (end, end + 1):
        with pytest.raises(TokenRejected) as caught:
            verifier.verify(token, late, judge_pass_end=True)
        assert caught.value.fault is TokenFault.EXPIRED


def test_the_grace_of_a_refresh_is_for_queue_tokens_alone(
    signer: Signer, verifier: Verifier
) -> None:
    with pytest.raises(TokenRejected):
        verifier.verify(
            signer.sign_pass(PASS),
            PASS.expires_at,
            queue_grace_s=REFRESH_GRACE_S,
            judge_pass_end=True,
        )


def test_only_full_successes_are_remembered(signer: Signer, verifier: Verifier) -> None:
    token = signer.sign_queue(QUEUE)
    forged = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    for bad in (forged, "", "x.y.z", signer.sign_queue(replace(QUEUE, issuer="other"))):
        fault_of(verifier, bad)
    fault_of(verifier, token, QUEUE.expires_at)
    fault_of(verifier, token, NOW - 3600)
    with pytest.raises(TokenRejected):
        verifier.verify(token, NOW, expect_event=EventId("other"))
    assert verifier.cached == 0
    verifier.verify(token, NOW)
    verifier.verify(token, NOW)
    assert verifier.cached == 1


def test_a_token_seen_before_costs_no_signature(
    signer: Signer, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signer.sign_queue(QUEUE)
    verifier.verify(token, NOW)
    monkeypatch.setattr("gateway.tokens.codec.check_signature", None)
    assert verifier.verify(token, NOW) == QUEUE
    assert verifier.verify(token.encode(), NOW) == QUEUE


def test_a_key_that_comes_is_known_at_the_next_call(
    ring: Ring, signer: Signer, verifier: Verifier
) -> None:
    old = signer.sign_queue(QUEUE)
    verifier.verify(old, NOW)
    ring.add(generate_private_key(SECP256R1()))
    new = signer.sign_queue(QUEUE)
    assert old.split(".")[0] != new.split(".")[0]
    assert verifier.verify(new, NOW) == QUEUE
    assert verifier.verify(old, NOW) == QUEUE
    assert verifier.cached == 2


def test_a_key_that_leaves_takes_its_remembered_tokens_along(
    ring: Ring, signer: Signer, verifier: Verifier
) -> None:
    old = signer.sign_queue(QUEUE)
    old_kid = ring.active_signing_key.kid
    ring.add(generate_private_key(SECP256R1()))
    new = signer.sign_queue(QUEUE)
    verifier.verify(old, NOW)
    verifier.verify(new, NOW)
    ring.drop(old_kid)
    assert fault_of(verifier, old) is TokenFault.UNKNOWN_KEY
    assert verifier.cached == 1
    assert verifier.verify(new, NOW) == QUEUE


def test_a_name_that_now_means_another_key_vouches_for_nothing_old(
    ring: Ring, signer: Signer, verifier: Verifier
) -> None:
    token = signer.sign_queue(QUEUE)
    verifier.verify(token, NOW)
    ring.put(ring.active_signing_key.kid, generate_private_key(SECP256R1()).public_key())
    assert fault_of(verifier, token) is TokenFault.BAD_SIGNATURE
    assert verifier.cached == 0


def test_a_key_ring_without_keys_knows_no_token(ring: Ring, signer: Signer) -> None:
    token = signer.sign_queue(QUEUE)
    ring.drop(ring.active_signing_key.kid)
    assert fault_of(Verifier(ring, ISSUER), token) is TokenFault.UNKNOWN_KEY
