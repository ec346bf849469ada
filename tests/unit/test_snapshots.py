"""The board: the pointer never goes back, and its epoch tells when a pass may admit no longer."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.events import EventPolicy, EventState
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo
from gateway.snapshots import SnapshotBoard
from tests.support.reads import event

EVENT = EventId("sale")
READ = event(100, 50, generation=Generation(7))


@pytest.fixture
def board() -> SnapshotBoard:
    held = SnapshotBoard()
    held.put(READ)
    return held


def test_a_stale_read_moves_neither_pointer_nor_count_back(board: SnapshotBoard) -> None:
    board.put(replace(READ, served_up_to=ServedUpTo(40), issued=90, read_at_s=1.0))
    held = board.get(EVENT)
    assert held is not None
    assert (held.served_up_to, held.issued, held.read_at_s) == (50, 100, 1.0)


def test_an_older_generation_suspends_and_changes_nothing_else(board: SnapshotBoard) -> None:
    board.put(replace(READ, generation=Generation(6), served_up_to=ServedUpTo(99)))
    held = board.get(EVENT)
    assert held is not None
    assert (held.state, held.generation, held.served_up_to) == (EventState.SUSPENDED, 7, 50)


@pytest.mark.parametrize(
    "changes",
    [
        {"served_up_to": ServedUpTo(60)},
        {"issued": 200},
        {"active_ms": 5, "read_at_s": 9.0, "active_sessions": 3, "claims": 4},
        {"message": "hello"},
    ],
)
def test_what_takes_no_pass_away_leaves_the_epoch(
    board: SnapshotBoard, changes: dict[str, Any]
) -> None:
    before = board.epoch(EVENT)
    board.put(replace(READ, **changes))
    assert board.epoch(EVENT) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"state": EventState.PAUSED},
        {"state": EventState.DELETED},
        {"generation": Generation(8)},
        {"ended": {Position(3): 99}},
        {"policy": EventPolicy(finish_grace_s=1)},
    ],
)
def test_what_may_take_a_pass_away_changes_the_epoch(
    board: SnapshotBoard, changes: dict[str, Any]
) -> None:
    before = board.epoch(EVENT)
    board.put(replace(READ, **changes))
    assert board.epoch(EVENT) != before


def test_lost_state_and_deletion_change_the_epoch(board: SnapshotBoard) -> None:
    epochs = [board.epoch(EVENT)]
    board.suspend(EVENT)
    epochs.append(board.epoch(EVENT))
    board.mark_deleted(EVENT)
    epochs.append(board.epoch(EVENT))
    assert len(set(epochs)) == 3
