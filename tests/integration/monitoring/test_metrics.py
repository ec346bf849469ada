"""What `/metrics` says of a sale, taken from a real gateway."""

import time

import pytest

from gateway.domain.events import EventState
from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.staging import OpenStage, Stage


def value(stage: Stage, name: str, **labels: str) -> float | None:
    """Return one value of the exposition; None where there is no such series."""
    metrics = stage.gateway.opened.metrics
    metrics.flush()
    return metrics.registry.get_sample_value(f"gateway_{name}", labels)


def of_event(stage: Stage, name: str, **labels: str) -> float | None:
    return value(stage, name, event=stage.event, **labels)


def test_an_events_numbers_are_those_of_the_ledger(stage: Stage) -> None:
    for _ in range(3):
        stage.waiting()
    stage.admitted()
    stage.waiting()

    eventually(lambda: of_event(stage, "sessions_opened_total") == 1)
    assert of_event(stage, "issued") == 5
    assert of_event(stage, "served_up_to") == 4
    assert of_event(stage, "let_in_total") == 4
    assert of_event(stage, "releases_total") == 1
    assert of_event(stage, "waiting") == 1
    assert of_event(stage, "active_sessions") == 1
    assert of_event(stage, "at_the_door") == 3
    assert of_event(stage, "no_shows") == 0


def test_a_limit_of_sessions_is_shown_where_there_is_one(open_stage: OpenStage) -> None:
    assert of_event(open_stage(), "max_sessions") is None
    assert of_event(open_stage(max_sessions=7), "max_sessions") == 7


def test_who_lets_the_window_pass_is_a_no_show(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=8)
    for _ in range(2):
        stage.waiting()
    stage.admitted()

    for _ in range(3):
        stage.elapse(5)

    eventually(lambda: of_event(stage, "no_shows") == 2)
    assert of_event(stage, "at_the_door") == 0


@pytest.mark.parametrize("state", [EventState.OPEN, EventState.PAUSED])
def test_one_state_of_an_event_is_1_and_the_others_are_0(stage: Stage, state: EventState) -> None:
    if state is EventState.PAUSED:
        stage.change(StateChange.PAUSE)
    shown = {word.value: of_event(stage, "event_state", state=word.value) for word in EventState}
    assert shown == {word.value: float(word is state) for word in EventState}


def test_reads_are_young_and_a_deleted_event_does_not_grow_old(stage: Stage) -> None:
    def is_read_after(moment_s: float) -> bool:
        return all(
            (of_event(stage, f"{what}_read_timestamp_seconds") or 0) > moment_s
            for what in ("pointer", "numbers")
        )

    before_s = time.time()
    eventually(lambda: is_read_after(before_s))
    stage.delete()
    deleted_s = time.time()
    eventually(lambda: is_read_after(deleted_s))


def test_joins_are_timed_and_refusals_are_counted_by_their_reason(stage: Stage) -> None:
    placed = value(stage, "join_seconds_count", outcome="placed") or 0
    refused = value(stage, "join_seconds_count", outcome="refused") or 0

    stage.waiting()
    stage.change(StateChange.CLOSE)
    assert stage.visitor().call("join").verdict == (410, "event-closed")

    assert value(stage, "join_seconds_count", outcome="placed") == placed + 1
    assert value(stage, "join_seconds_count", outcome="refused") == refused + 1
    assert of_event(stage, "joins_refused_total", reason="event-closed") == 1


def test_checks_are_timed_by_how_they_end(stage: Stage) -> None:
    def timed(outcome: str) -> float:
        return value(stage, "check_seconds_count", outcome=outcome) or 0

    before = {word: timed(word) for word in ("admitted", "claimed", "refused", "unreadable")}

    stage.visitor().get("/book")
    visitor = stage.served()
    visitor.get("/book")
    visitor.get("/book/../x")
    # Told apart from one before by its query, or it would be remembered and not judged.
    visitor.get("/book?again")

    gained = {word: timed(word) - count for word, count in before.items()}
    assert gained == {"admitted": 1, "claimed": 1, "refused": 1, "unreadable": 1}


def test_what_is_remembered_is_counted_and_not_timed(stage: Stage) -> None:
    visitor = stage.admitted()
    visitor.get("/book")
    timed = value(stage, "check_seconds_count", outcome="admitted")
    counted = of_event(stage, "decisions_total", outcome="admitted") or 0

    visitor.get("/book")

    assert value(stage, "check_seconds_count", outcome="admitted") == timed
    assert of_event(stage, "decisions_total", outcome="admitted") == counted + 1


def test_the_keys_are_shown_by_state_and_never_by_name(stage: Stage) -> None:
    assert value(stage, "keys", state="active") == 1
    since_s = value(stage, "key_since_timestamp_seconds", state="active")
    assert since_s is not None
    assert since_s <= time.time()
    text = stage.gateway.opened.metrics.exposition().decode()
    assert not any(kid in text for kid in stage.mint.kids)
