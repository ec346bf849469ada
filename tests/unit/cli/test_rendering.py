from dataclasses import replace
from typing import Any

import pytest

from gateway.cli.rendering import pairs, people, policy_text, release_text, status_text, table
from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.pacing import ScheduleState
from gateway.domain.positions import EventId, Generation, ServedUpTo
from gateway.domain.turnout import Turnout
from gateway.operating.documents import policy_document, status_document
from gateway.operating.releases import effects_of
from gateway.ports import Released
from tests.support.reads import event

BY_HAND = {"schedule_people": 0, "schedule_every_s": 60, "fill": False, "overshoot": -1}


def test_texts_stand_to_the_left_and_numbers_to_the_right() -> None:
    assert table(("EVENT", "N"), [("a", "5"), ("long-name", "1200"), ("c", "-")]).splitlines()[
        1:
    ] == ["a             5", "long-name  1200", "c             -"]


def test_a_row_without_a_value_is_left_out() -> None:
    assert pairs([("a", "1"), ("message", ""), ("long", "2")]) == "a     1\nlong  2"


def test_one_person_is_not_people() -> None:
    assert (people(0), people(1), people(2)) == ("0 people", "1 person", "2 people")


def test_rules_are_said_in_words() -> None:
    text = policy_text(
        {
            "window_s": 900,
            "session_s": 600,
            "max_sessions": 0,
            "headroom": 0,
            "late_for_s": -1,
            "extend_times": 1,
            "extend_s": 600,
            "finish_grace_s": 0,
            "token_life_s": 604_800,
            "opens_at": 1_893_456_000,
            "closes_at": 0,
            "one_place_per_sub": False,
            "voucher_required": True,
            "draw": False,
            "durability": "replicas",
            "replicas": 2,
            **BY_HAND,
        }
    )

    assert "max sessions       no limit" in text
    assert "late for           the token's life" in text
    assert "opens at           2030-01-01" in text
    assert "closes at          no time set" in text
    assert "voucher required   yes" in text
    assert "durability         replicas, 2" in text
    assert "releases           by hand" in text


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "by hand"),
        ({"max_sessions": 50}, "by hand"),
        ({"schedule_people": 100}, "100 every 1 min"),
        ({"fill": True}, "everybody at once"),
        (
            {"fill": True, "max_sessions": 50},
            "as 50 sessions have room, 50 more at the door at most",
        ),
        (
            {"schedule_people": 9, "schedule_every_s": 5, "max_sessions": 50, "overshoot": 0},
            "9 every 5 s; as 50 sessions have room, 0 more at the door at most",
        ),
    ],
)
def test_who_lets_people_in_is_said_in_words(rules: dict[str, int], said: str) -> None:
    text = policy_text(policy_document(replace(EventPolicy(), **rules)))  # type: ignore[arg-type]
    assert f"releases           {said}" in text.splitlines()[-1]


def opened(**changes: Any) -> EventSnapshot:
    return EventSnapshot(
        event=EventId("sale"),
        state=EventState.OPEN,
        generation=Generation(1),
        issued=10,
        served_up_to=ServedUpTo(5),
        policy=EventPolicy(fill=True, max_sessions=5),
        active_ms=0,
        active_sessions=0,
        claims=0,
        read_at_s=0.0,
        updated_at_ms=0,
        **changes,
    )


def schedule_line(snapshot: EventSnapshot) -> str:
    lines = status_text(status_document(snapshot)).splitlines()
    return next(line for line in lines if line.strip().startswith("schedule")).strip()


def test_the_status_says_why_the_schedule_holds_back() -> None:
    turnout = Turnout(1000)
    turnout.note_released(5, 5)
    state = ScheduleState(0, 0, 0, 30_000, 0, 0, 0.0, 0, "full")
    assert schedule_line(opened(schedule=state, turnout=turnout)) == (
        "schedule         the places are taken, or those expected will take them; "
        "pace 50% after an illness of the backend; 5 at the door, 5 expected"
    )


def test_the_status_says_that_a_schedule_waits_for_its_event() -> None:
    assert "it has not run yet" in schedule_line(opened())
    paused = replace(opened(), state=EventState.PAUSED)
    assert "the event is paused" in schedule_line(paused)


def test_the_status_says_that_there_is_no_schedule() -> None:
    by_hand = replace(opened(), policy=EventPolicy())
    assert schedule_line(by_hand) == "schedule         none: people are let in by hand"


def test_a_release_is_said_for_what_it_did() -> None:
    document = {
        "before": 3,
        "after": 5,
        "people": 2,
        "capped": True,
        "repeated": False,
        "dry_run": False,
        "unusual": [],
        "effects": effects_of(
            event(9, 3), Released(ServedUpTo(3), ServedUpTo(5), 2, True, False, False)
        ).document(),
    }

    assert release_text(document).startswith("Let in 2 people: the pointer went from 3 to 5.")
    assert "it asked for more" in release_text(document)
    assert release_text({**document, "dry_run": True}).startswith("Would let in 2 people")
    assert "Nothing moved now" in release_text({**document, "repeated": True})
    assert "nobody else is waiting" in release_text({**document, "after": 3, "people": 0})
