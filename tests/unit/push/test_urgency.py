"""What is worth a frame to everybody, and when it goes out."""

from typing import Any

import pytest

from gateway.domain.positions import Generation
from gateway.pointer import pointer_document
from gateway.push.urgency import AT_ONCE, Pace, Urgency, urgency_of
from tests.support.reads import event

SNAPSHOT = event(100, 50, generation=Generation(7))
TOLD = pointer_document(SNAPSHOT)
# What a client has once, or what follows from the rest.
NEVER_URGENT = {"event", "issued", "rate", "wait", "window", "poll", "updated_at"}


def test_nothing_new_is_not_told() -> None:
    assert urgency_of(TOLD, dict(TOLD)) is Urgency.NONE


@pytest.mark.parametrize("key", sorted(AT_ONCE))
def test_what_changes_a_turn_or_a_state_is_told_at_once(key: str) -> None:
    assert urgency_of(TOLD, {**TOLD, key: "changed"}) is Urgency.AT_ONCE


@pytest.mark.parametrize("key", sorted(NEVER_URGENT))
def test_what_strangers_behind_or_the_clock_change_is_told_later(key: str) -> None:
    assert urgency_of(TOLD, {**TOLD, key: "changed"}) is Urgency.LATER


def test_every_part_of_the_document_has_its_urgency() -> None:
    assert TOLD.keys() == AT_ONCE | NEVER_URGENT


@pytest.mark.parametrize(
    ("urgency", "due_at"),
    [(Urgency.AT_ONCE, 100.25), (Urgency.LATER, 105.0), (Urgency.NONE, 115.0)],
)
def test_each_waits_its_time_since_the_last_frame(urgency: Urgency, due_at: float) -> None:
    assert Pace(0.25, 5.0, 15.0).due_at(100.0, urgency) == due_at


@pytest.mark.parametrize("urgency", list(Urgency))
def test_nothing_is_faster_than_the_least(urgency: Urgency) -> None:
    assert Pace(1.0, 0.1, 0.1).due_at(0.0, urgency) == 1.0


def test_a_client_may_count_on_the_heartbeat_that_the_document_names() -> None:
    promised: Any = TOLD["poll"]["heartbeat"]
    assert Pace().due_at(0.0, Urgency.NONE) <= promised
