"""What a release does, said before it is done; and what is asked about first."""

from dataclasses import replace

import pytest

from gateway.domain.backoff import RECOVERY_MS
from gateway.domain.events import EventPolicy, EventSnapshot, LetIn, Release
from gateway.domain.holes import Holes
from gateway.domain.pacing import ScheduleState
from gateway.domain.positions import ServedUpTo
from gateway.domain.turnout import AGES, Turnout
from gateway.operating.releases import Effects, Unusual, effects_of, question, unusual
from gateway.ports import Released
from tests.support.reads import event


def would(snapshot: EventSnapshot, people: int, *, after: int | None = None) -> Released:
    to = snapshot.served_up_to + people if after is None else after
    return Released(snapshot.served_up_to, ServedUpTo(to), people, False, False, True)


def effects(snapshot: EventSnapshot, people: int) -> Effects:
    return effects_of(snapshot, would(snapshot, people))


def codes(snapshot: EventSnapshot, people: int, asked: int | None = None) -> set[Unusual]:
    by = people if asked is None else asked
    reasons = unusual(snapshot, effects(snapshot, people), by=by, to=None)
    return {reason.code for reason in reasons}


def half_come(at_the_door: int = 0) -> Turnout:
    """Return what is known after so many people that a half of them coming is certain."""
    turnout = Turnout.for_window(160)
    turnout.note_released(100_000, 100_000)
    turnout.cohorts[0].came = 50_000
    turnout.catch_up(AGES * turnout.width_ms)
    if at_the_door:
        turnout.note_released(100_000 + at_the_door, at_the_door)
    return turnout


def limited(max_sessions: int, **policy: int | bool) -> EventPolicy:
    return EventPolicy(max_sessions=max_sessions, **policy)  # type: ignore[arg-type]


def scheduled(reason: str, *, pace_ms: int = RECOVERY_MS, gone_per_s: float = 0) -> ScheduleState:
    return ScheduleState(60_000, 0, 0, pace_ms, 0, 0, gone_per_s, 0, reason)


def test_all_count_as_coming_before_anything_was_seen() -> None:
    told = effects(event(900, 0, policy=limited(500)), 300)
    assert (told.show_rate, told.expected) == (None, 300)
    assert (told.sessions_expected, told.sessions_at_most, told.wait_at_most) == (300, 300, 0)


def test_those_expected_go_by_who_came_so_far() -> None:
    sale = event(900, 0, policy=limited(500), active_sessions=400, turnout=half_come(100))

    told = effects(sale, 300)

    assert told.show_rate == pytest.approx(0.5, abs=0.001)
    assert (told.expected, told.at_the_door) == (150, 100)
    assert told.sessions_expected == 400 + 50 + 150
    assert told.sessions_at_most == 400 + 100 + 300
    assert (told.wait_expected, told.wait_at_most) == (100, 300)


def test_the_wait_at_the_door_is_as_long_as_places_take_to_become_free() -> None:
    full = event(900, 0, policy=limited(600, session_s=600), active_sessions=600)
    told = effects(full, 120)
    assert (told.frees_per_min, told.wait_s) == (60.0, 120)

    leaving = replace(
        full,
        policy=limited(600, session_s=600, fill=True),
        schedule=scheduled("full", gone_per_s=4),
        open_ms=60_000,
    )
    assert effects(leaving, 120).wait_s == 30
    # No gateway has called the schedule for an hour: what it saw then says nothing of now.
    assert effects(replace(leaving, open_ms=3_660_000), 120).wait_s == 120


def test_without_a_limit_nobody_waits_at_the_door() -> None:
    told = effects(event(90_000, 0), 50_000)
    assert (told.max_sessions, told.wait_at_most, told.wait_s, told.frees_per_min) == (
        None,
        0,
        None,
        None,
    )


def test_it_is_compared_with_the_rate_lately() -> None:
    sale = event(
        900,
        60,
        active_ms=120_000,
        releases=(Release(20, 0, 20), Release(40, 60_000, 20), Release(60, 120_000, 20)),
    )
    told = effects(sale, 300)
    assert (told.rate_per_min, told.usual_min) == (20.0, 15.0)


def test_turns_of_nobody_and_people_to_come_are_told_apart() -> None:
    sale = event(100, 50, holes=Holes(((61, 90),)))
    told = effects_of(sale, would(sale, 30, after=110))
    assert (told.people, told.holes_crossed, told.not_joined) == (30, 30, 10)


@pytest.mark.parametrize(
    ("waiting", "asked", "is_asked"),
    [
        (100, 1000, False),
        (99, 1000, True),
        (99, 999, False),
        (0, 1000, True),
        (5000, 50_000, False),
    ],
)
def test_more_than_ten_times_the_waiting_is_asked_about(
    waiting: int, asked: int, is_asked: bool
) -> None:
    found = codes(event(waiting, 0), 0, asked)
    assert (Unusual.BEYOND_WAITING in found) is is_asked


@pytest.mark.parametrize(
    ("policy", "people", "is_asked"),
    [
        (limited(500), 1000, False),
        (limited(500), 1001, True),
        (limited(500, overshoot=0), 500, False),
        (limited(500, overshoot=0), 501, True),
        (limited(500, overshoot=200), 701, True),
        (limited(20), 99, False),
        (limited(20), 100, True),
        (EventPolicy(), 50_000, False),
    ],
)
def test_more_than_the_room_and_the_overshoot_is_asked_about(
    policy: EventPolicy, people: int, is_asked: bool
) -> None:
    assert codes(event(90_000, 0, policy=policy), people) == (
        {Unusual.BEYOND_ROOM} if is_asked else set()
    )


def test_a_turn_counts_from_the_pointer() -> None:
    sale = event(5000, 4950)
    assert unusual(sale, effects(sale, 50), by=None, to=5949) == ()
    (reason,) = unusual(sale, effects(sale, 50), by=None, to=5950)
    assert reason.text == "50 people wait, and it asks for 1000"


def test_who_will_not_come_takes_no_room() -> None:
    sale = event(90_000, 0, policy=limited(500))
    assert codes(sale, 1500) == {Unusual.BEYOND_ROOM}
    assert codes(replace(sale, turnout=half_come()), 1500) == set()


def of_sizes(*sizes: int) -> EventSnapshot:
    history = tuple(LetIn(60 * n, people, 1) for n, people in enumerate(sizes))
    return event(90_000, sum(sizes), history=history)


@pytest.mark.parametrize(
    ("history", "people", "is_asked"),
    [
        ((200, 100, 100), 2000, False),
        ((200, 100, 100), 2001, True),
        ((1, 1, 1), 2000, False),  # trials before the sale are no habit
        ((200, 200), 5000, False),
        ((), 50_000, False),
        ((4, 4, *[4] * 30), 99, False),  # too few to harm
    ],
)
def test_a_digit_more_than_the_largest_release_is_asked_about(
    history: tuple[int, ...], people: int, is_asked: bool
) -> None:
    assert codes(of_sizes(*history), people) == ({Unusual.BEYOND_HABIT} if is_asked else set())


def test_a_crowd_beside_a_schedule_is_compared_with_what_it_lets_in() -> None:
    by_the_clock = EventPolicy(schedule_people=20, schedule_every_s=30)
    assert codes(event(90_000, 0, policy=by_the_clock), 400) == set()
    assert codes(event(90_000, 0, policy=by_the_clock), 401) == {Unusual.BEYOND_HABIT}


def test_going_on_by_hand_where_a_schedule_let_in_one_by_one_is_usual() -> None:
    one_by_one = replace(
        of_sizes(*[2] * 100),
        active_ms=100_000,
        releases=tuple(Release(2 * n, n * 1000, 2) for n in range(1, 101)),
    )
    assert codes(one_by_one, 1000) == set()
    assert codes(replace(one_by_one, releases=()), 1000) == {Unusual.BEYOND_HABIT}


@pytest.mark.parametrize(
    ("state", "people", "is_asked"),
    [
        (scheduled("ill"), 10, True),
        (scheduled("ill"), 9, False),
        (scheduled("rate", pace_ms=30_000), 100, True),
        (scheduled("rate", pace_ms=30_000), 99, False),
        (scheduled("rate"), 100, False),
    ],
)
def test_a_crowd_while_the_backend_is_ill_is_asked_about(
    state: ScheduleState, people: int, is_asked: bool
) -> None:
    policy = EventPolicy(schedule_people=100)
    sale = event(900, 0, policy=policy, schedule=state, open_ms=61_000)

    assert codes(sale, people) == ({Unusual.BACKEND_ILL} if is_asked else set())
    # What was seen long ago, or by a schedule that was taken away since, says nothing.
    assert codes(replace(sale, open_ms=3_600_000), people) == set()
    assert codes(replace(sale, policy=EventPolicy()), people) == set()


def test_the_question_names_the_reason_and_the_effects() -> None:
    sale = event(90_000, 0, policy=limited(500), active_sessions=20)
    told = effects(sale, 2000)

    asked = question(sale, told, unusual(sale, told, by=2000, to=None))

    assert asked.splitlines() == [
        "At 'sale' about 1520 people would find none of the 500 places free and wait at the door, "
        "the last for about 30 min 24 s.",
        "Really let in 2000 people, who can claim for 15 min: 20 sessions run now, about 2020 of 500 "
        "then?",
    ]
