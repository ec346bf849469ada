"""Turns with a draw and a head start, and how many wait."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.draw import Draw, commitment_to, permute
from gateway.domain.events import EventPolicy, EventSnapshot, EventState, turn_of
from gateway.domain.holes import Holes
from gateway.domain.positions import Position
from tests.support.reads import event

SEED = b"s" * 32
HELD = Draw(commitment_to(SEED), SEED.hex(), 50)
SEALED = Draw(commitment_to(SEED))


def snapshot(issued: int, served: int, holes: Holes) -> EventSnapshot:
    return event(issued, served, holes=holes)


def test_without_a_draw_and_a_head_start_the_turn_is_the_position() -> None:
    assert turn_of(Position(42), 0, None) == 42


def test_a_head_start_lowers_the_turn_and_never_below_the_first() -> None:
    assert turn_of(Position(42), 10, None) == 32
    assert turn_of(Position(42), 41, None) == 1
    assert turn_of(Position(42), 1000, None) == 1


def test_a_head_start_counts_from_the_drawn_turn() -> None:
    drawn = permute(7, 50, SEED)
    assert turn_of(Position(7), 0, HELD) == drawn
    assert turn_of(Position(7), 3, HELD) == max(1, drawn - 3)


def test_before_the_draw_a_head_start_gives_no_turn_either() -> None:
    assert turn_of(Position(7), 0, SEALED) is None
    assert turn_of(Position(7), 1000, SEALED) is None


@pytest.mark.parametrize(
    ("issued", "served", "waiting"),
    [(0, 0, 0), (5, 0, 5), (5, 5, 0), (5, 9, 0), (30, 0, 19), (30, 15, 10), (20, 9, 0)],
)
def test_waiting_counts_who_was_dealt_a_turn_and_not_let_in(
    issued: int, served: int, waiting: int
) -> None:
    assert snapshot(issued, served, Holes(((10, 20),))).waiting == waiting


@pytest.mark.parametrize(
    ("policy", "changes", "may"),
    [
        (EventPolicy(fill=True, max_sessions=2), {}, True),
        (EventPolicy(fill=True), {"active_sessions": 99}, True),
        (EventPolicy(schedule_people=1), {}, True),
        (EventPolicy(max_sessions=2), {}, False),
        (EventPolicy(fill=True, max_sessions=2), {"active_sessions": 2}, False),
        (EventPolicy(fill=True, max_sessions=2), {"issued": 6}, False),
        (EventPolicy(fill=True, max_sessions=2), {"state": EventState.PAUSED}, False),
    ],
)
def test_who_joins_may_be_let_in_at_once_where_nobody_waits_and_there_is_room(
    policy: EventPolicy, changes: dict[str, Any], may: bool
) -> None:
    event = replace(snapshot(5, 5, Holes(())), policy=policy)
    assert replace(event, **changes).may_admit_at_once is may


def test_a_snapshot_alone_knows_no_ended_sessions() -> None:
    one, other = snapshot(1, 1, Holes()), snapshot(1, 1, Holes())
    assert one.ended == {}
    assert one.ended is not other.ended
