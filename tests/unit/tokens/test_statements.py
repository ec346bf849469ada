"""Signed pointer documents: what is taken for one, and what never is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jwt.algorithms import ECAlgorithm

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.events import EventSnapshot
from gateway.domain.positions import EventId, Generation, Position
from gateway.errors import KeyRingError, TokenFault, TokenRejected
from gateway.pointer import PointerDocuments, SignedPointers
from gateway.tokens.codec import MAX_STATEMENT_BYTES, POINTER_TYP, Signer, Verifier
from gateway.tokens.compact import encode_segment, write_header
from gateway.tokens.keyring import KeyRing, activate, new_key
from gateway.tokens.statements import verify_pointer
from gateway.tokens.vouchers import VoucherVerifier
from tests.support.reads import event

NOW_S = 1_800_000_000
SALE = EventId("sale")
PAYLOAD: dict[str, object] = {
    "event": "sale",
    "generation": 7,
    "rate": 1.5,
    "holes": [[1, 2]],
    "iss": "us",
    "aud": "sale",
    "gen": 7,
    "iat": NOW_S,
}


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    new_key(tmp_path, now_s=NOW_S)
    return KeyRing.load(tmp_path)


def fault_of(statement: str, ring: KeyRing, **options: Any) -> TokenFault:
    with pytest.raises(TokenRejected) as rejected:
        verify_pointer(statement, ring.public_keys(), **{"expect_event": SALE, **options})
    return rejected.value.fault


def test_a_genuine_statement_is_read(ring: KeyRing) -> None:
    statement = Signer(ring).sign_pointer(PAYLOAD)
    read = verify_pointer(statement, ring.public_keys(), expect_event=SALE, expect_issuer="us")
    assert (read.issuer, read.event, read.generation, read.issued_at) == ("us", "sale", 7, NOW_S)
    assert read.document == {"event": "sale", "generation": 7, "rate": 1.5, "holes": [[1, 2]]}


def test_it_may_be_longer_than_a_token(ring: KeyRing) -> None:
    holes = [[2**40 + 2 * n, 2**40 + 2 * n] for n in range(64)]
    statement = Signer(ring).sign_pointer({**PAYLOAD, "holes": holes, "message": "ü" * 500})
    assert verify_pointer(statement, ring.public_keys(), expect_event=SALE).document["holes"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"aud": "other", "event": "other"}, TokenFault.WRONG_EVENT),
        ({"event": "other"}, TokenFault.BAD_CLAIMS),
        ({"generation": 8}, TokenFault.BAD_CLAIMS),
        ({"gen": True, "generation": True}, TokenFault.BAD_CLAIMS),
        ({"gen": 0, "generation": 0}, TokenFault.BAD_CLAIMS),
        ({"gen": 7.0}, TokenFault.BAD_CLAIMS),
        ({"iat": "now"}, TokenFault.BAD_CLAIMS),
        ({"iss": None}, TokenFault.BAD_CLAIMS),
        ({"aud": ["sale"]}, TokenFault.BAD_CLAIMS),
        ({"iss": "them"}, TokenFault.WRONG_ISSUER),
    ],
)
def test_what_was_signed_may_still_be_wrong(
    ring: KeyRing, changes: Mapping[str, object], fault: TokenFault
) -> None:
    statement = Signer(ring).sign_pointer({**PAYLOAD, **changes})
    assert fault_of(statement, ring, expect_issuer="us") is fault


def test_other_keys_and_other_bytes_are_refused(ring: KeyRing, tmp_path: Path) -> None:
    new_key(tmp_path / "theirs", now_s=NOW_S)
    theirs = Signer(KeyRing.load(tmp_path / "theirs")).sign_pointer(PAYLOAD)
    assert fault_of(theirs, ring) is TokenFault.UNKNOWN_KEY
    ours = Signer(ring).sign_pointer(PAYLOAD)
    header, payload, signature = ours.split(".")
    more = encode_segment(json.dumps({**PAYLOAD, "served_up_to": 9}).encode()).decode()
    assert fault_of(f"{header}.{more}.{signature}", ring) is TokenFault.BAD_SIGNATURE
    for text in (
        "",
        "..",
        f"{header}.{payload}",
        f"{ours}.",
        f"{header}.{payload}=.{signature}",
        f"{header}.{payload}.{signature[:-4]}é",
        "x" * (MAX_STATEMENT_BYTES + 1),
        f"{header}.{payload}.{signature[:-4]}",
    ):
        assert fault_of(text, ring) in (TokenFault.MALFORMED, TokenFault.BAD_SIGNATURE)


def test_json_that_could_be_read_in_two_ways_is_refused(ring: KeyRing) -> None:
    for content in (b'{"iss":"us","iss":"us"}', b'{"rate":NaN}', b"[]", b"\xff", b"{"):
        # Signed by our key all the same: what is refused is how it is written.
        statement = signed_as_it_is(ring, content)
        assert fault_of(statement, ring) is TokenFault.MALFORMED


def signed_as_it_is(ring: KeyRing, content: bytes) -> str:
    key = ring.active_signing_key
    signing_input = write_header(key.kid, POINTER_TYP) + b"." + encode_segment(content)
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    signature = encode_segment(algorithm.sign(signing_input, key.private_key))
    return (signing_input + b"." + signature).decode()


def test_no_token_is_a_statement_and_no_statement_a_token(ring: KeyRing) -> None:
    signer = Signer(ring)
    place = QueueClaims(
        "us", SALE, "visitor", Position(1), Generation(7), NOW_S, NOW_S + 60, 0, 0, None
    )
    held = PassClaims("us", SALE, "visitor", Position(1), Generation(7), NOW_S, NOW_S + 60, None)
    for token in (signer.sign_queue(place), signer.sign_pass(held)):
        assert fault_of(token, ring) is TokenFault.WRONG_TYPE
    # Even with all that a token needs to say.
    small = signer.sign_pointer({**place.to_payload()})
    verifier = Verifier(ring, "us")
    for statement in (small, signer.sign_pointer(PAYLOAD)):
        with pytest.raises(TokenRejected, match="wrong-type"):
            verifier.verify(statement, NOW_S)
        with pytest.raises(TokenRejected, match="wrong-type"):
            VoucherVerifier(ring).verify(statement, NOW_S, expect_event=SALE)
    # The same words under the type of a token are one: the type is what tells them apart.
    assert verifier.verify(signer.sign("queue+jwt", place.to_payload()), NOW_S)


class _Counting(Signer):
    signed = 0

    def sign_pointer(self, payload: Mapping[str, object]) -> str:
        self.signed += 1
        return super().sign_pointer(payload)


class Signed:
    """Statements by a clock that the test moves."""

    def __init__(self, ring: KeyRing) -> None:
        self.now_s = float(NOW_S)
        self.signer = _Counting(ring)
        self.pointers = SignedPointers(PointerDocuments(), self.signer, "us", lambda: self.now_s)

    def ask(self, snapshot: EventSnapshot) -> bytes:
        return self.pointers.answer(snapshot, None).body

    def count_after(self, seconds: float, snapshot: EventSnapshot) -> int:
        self.now_s += seconds
        self.ask(snapshot)
        return self.signer.signed


def test_one_signature_serves_all_and_is_made_anew_before_it_is_old(ring: KeyRing) -> None:
    signed, snapshot = Signed(ring), event(0, 0)
    for _ in range(50):
        signed.ask(snapshot)
    assert signed.signer.signed == 1
    assert signed.count_after(29.9, snapshot) == 1
    assert signed.count_after(0.2, snapshot) == 2
    # The ledger's clock may be set back.
    assert signed.count_after(-3600, snapshot) == 3


def test_a_pointer_that_moves_fast_is_signed_once_a_second(ring: KeyRing) -> None:
    signed = Signed(ring)
    first = signed.ask(event(9, 1))
    assert signed.ask(event(9, 2)) == first
    assert signed.count_after(0.9, event(9, 3)) == 1
    assert signed.count_after(0.2, event(9, 4)) == 2


def test_another_key_is_another_statement(ring: KeyRing, tmp_path: Path) -> None:
    signed, snapshot = Signed(ring), event(0, 0)
    before = signed.pointers.answer(snapshot, None)
    activate(tmp_path, new_key(tmp_path, now_s=NOW_S).kid, now_s=NOW_S)
    assert ring.reload_if_changed()
    assert signed.count_after(1, snapshot) == 2
    etag = dict(before.headers)[b"etag"]
    assert signed.pointers.answer(snapshot, etag).status == 200


def test_a_ring_without_an_active_key_signs_nothing(tmp_path: Path) -> None:
    class Silent(_Counting):
        @property
        def kid(self) -> str:
            raise KeyRingError("no key is active")

    new_key(tmp_path, now_s=NOW_S)
    pointers = SignedPointers(
        PointerDocuments(), Silent(KeyRing.load(tmp_path)), "us", lambda: float(NOW_S)
    )
    assert pointers.answer(event(0, 0), None).status == 404
