"""A draw is checked by what is public, against an implementation that shares nothing with ours."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from gateway.domain.draw import commitment_to
from gateway.domain.operator_log import Logged
from gateway.domain.positions import Position
from gateway.errors import BadInput
from gateway.operating.draw_check import (
    NotedDraw,
    ToldDraw,
    faults_of,
    is_permutation,
    noted_in,
)

SEED = bytes(range(32))
PROMISED = commitment_to(SEED)
HELD = ToldDraw(PROMISED, SEED.hex(), 100)
NOTHING = NotedDraw()


def written_down(position: int, seed: str, count: int) -> int:
    """Compute a turn as the text of `gateway/domain/draw.py` says, with nothing of ours."""
    if position > count:
        return position
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    value = position - 1
    while True:
        left, right = value >> half, value & (1 << half) - 1
        for i in range(10):
            message = bytes([i]) + right.to_bytes(8, "big")
            digest = hmac.digest(bytes.fromhex(seed), message, "sha256")
            left, right = right, left ^ int.from_bytes(digest[:8], "big") & (1 << half) - 1
        value = left << half | right
        if value < count:
            return value + 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 64, 1000])
def test_turns_are_those_that_anybody_computes(count: int) -> None:
    told = ToldDraw(PROMISED, SEED.hex(), count)
    for position in range(1, count + 3):
        assert told.turn_of(Position(position), 0) == written_down(position, SEED.hex(), count)
    assert told.order() == [written_down(p, SEED.hex(), count) for p in range(1, count + 1)]
    assert is_permutation(told.order())


def test_a_head_start_counts_from_the_drawn_turn_and_never_before_the_first() -> None:
    turn = HELD.turn_of(Position(3), 0)
    assert HELD.turn_of(Position(3), 2) == max(1, turn - 2)
    assert HELD.turn_of(Position(3), 5000) == 1


def test_an_order_that_gives_a_turn_twice_or_not_at_all_is_none() -> None:
    assert not is_permutation([1, 1, 3])
    assert not is_permutation([2, 3, 4])


def test_a_draw_as_promised_has_no_fault() -> None:
    assert faults_of(HELD, (PROMISED,), NotedDraw(PROMISED, 100)) == []
    assert faults_of(ToldDraw(PROMISED, None, None), (PROMISED,), NOTHING) == []
    assert hashlib.sha256(SEED).hexdigest() == PROMISED


OTHER = commitment_to(bytes(32))


@pytest.mark.parametrize(
    ("told", "kept", "noted", "fault"),
    [
        (ToldDraw(OTHER, SEED.hex(), 100), (), NOTHING, "SHA-256 differs"),
        (ToldDraw(PROMISED, "zz", 100), (), NOTHING, "not 32 bytes"),
        (ToldDraw(PROMISED, SEED.hex().upper(), 100), (), NOTHING, "not 32 bytes"),
        (HELD, (PROMISED, OTHER), NOTHING, f"{OTHER} was kept from before the opening"),
        (HELD, (), NotedDraw(OTHER, 100), "noted " + OTHER),
        (HELD, (), NotedDraw(PROMISED, 99), "the operator log noted 99"),
    ],
)
def test_what_differs_is_a_fault(
    told: ToldDraw, kept: tuple[str, ...], noted: NotedDraw, fault: str
) -> None:
    (found,) = faults_of(told, kept, noted)
    assert fault in found


def pointer_document(**changes: Any) -> str:
    held = {"commitment": PROMISED, "seed": SEED.hex(), "count": 100}
    return json.dumps({"event": "sale", "generation": 7, "draw": held, "issued": 120} | changes)


def test_a_pointer_document_tells_a_draw() -> None:
    assert ToldDraw.from_pointer_document(pointer_document()) == (HELD, "sale", 7)
    before = {"commitment": PROMISED, "seed": None, "count": None}
    told, _, _ = ToldDraw.from_pointer_document(pointer_document(draw=before))
    assert not told.is_held


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        pointer_document(draw=7),
        pointer_document(draw={"commitment": PROMISED, "seed": SEED.hex(), "count": True}),
        pointer_document(draw={"commitment": PROMISED, "seed": SEED.hex(), "count": -1}),
        pointer_document(draw={"commitment": PROMISED, "seed": 5, "count": 1}),
        pointer_document(generation="7"),
    ],
)
def test_what_is_no_pointer_document_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no pointer document"):
        ToldDraw.from_pointer_document(text)


def test_an_event_without_a_draw_has_none_to_check() -> None:
    with pytest.raises(BadInput, match="has no draw"):
        ToldDraw.from_pointer_document(pointer_document(draw=None))


def entry(generation: int, **after: Any) -> Logged:
    held = {
        "act": "create", "after": after, "at": 1, "before": {}, "by": "ada", "event": "sale",
        "generation": generation, "prev": "0" * 64, "reason": "", "seq": 1,
    }  # fmt: skip
    return Logged(json.dumps(held, separators=(",", ":"), sort_keys=True), "hash")


def test_of_the_log_only_this_generation_counts() -> None:
    entries = [
        entry(6, draw_commitment=OTHER, draw_count=5),
        entry(7, draw_commitment=PROMISED),
        entry(7, draw_count=100),
        Logged("unreadable", "hash"),
    ]
    assert noted_in(entries, 7) == NotedDraw(PROMISED, 100)
    assert noted_in(entries, 8) == NOTHING
