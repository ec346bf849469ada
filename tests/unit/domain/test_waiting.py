"""Waiting times from how the pointer has really moved, and when to ask again."""

from collections.abc import Sequence

import pytest

from gateway.domain.events import EventPolicy, EventSnapshot, EventState, Release
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo
from gateway.domain.waiting import (
    FARTHEST_POLL_S,
    NEAREST_POLL_S,
    RATE_WINDOW_MS,
    UNKNOWN_POLL_S,
    Wait,
    estimate_wait,
    release_rate_per_s,
    retry_after_s,
)


def snapshot(
    movements: Sequence[tuple[int, int]],
    *,
    active_ms: int,
    state: EventState = EventState.OPEN,
) -> EventSnapshot:
    """Make an event whose pointer moved by (`people`, at second) each."""
    releases = []
    turn = 0
    for people, at_s in movements:
        turn += people
        releases.append(Release(turn=turn, active_ms=at_s * 1000, people=people))
    return EventSnapshot(
        event=EventId("sale"),
        state=state,
        generation=Generation(1),
        issued=10_000,
        served_up_to=ServedUpTo(turn),
        policy=EventPolicy(),
        active_ms=active_ms,
        active_sessions=0,
        claims=0,
        read_at_s=0.0,
        updated_at_ms=0,
        releases=tuple(releases),
    )


STEADY = [(100, 0), (100, 60), (100, 120)]
"""A hundred people a minute; the first movement only marks the start."""


def test_the_rate_is_people_over_the_time_since_the_first_movement() -> None:
    assert release_rate_per_s(snapshot(STEADY, active_ms=120_000)) == pytest.approx(200 / 120)


def test_the_rate_falls_while_the_pointer_stands_still() -> None:
    assert release_rate_per_s(snapshot(STEADY, active_ms=240_000)) == pytest.approx(200 / 240)


@pytest.mark.parametrize("movements", [[], [(100, 0)]])
def test_fewer_than_two_movements_are_no_rate(movements: list[tuple[int, int]]) -> None:
    assert release_rate_per_s(snapshot(movements, active_ms=120_000)) is None


def test_movements_within_one_instant_are_no_rate() -> None:
    assert release_rate_per_s(snapshot([(100, 5), (100, 5)], active_ms=5_000)) is None


def test_movements_across_holes_alone_are_no_rate() -> None:
    assert release_rate_per_s(snapshot([(100, 0), (0, 60)], active_ms=60_000)) is None


def test_a_movement_older_than_the_window_is_forgotten() -> None:
    movements = [(9_000, 0), (100, 60), (100, 120)]
    within = snapshot(movements, active_ms=RATE_WINDOW_MS)
    beyond = snapshot(movements, active_ms=RATE_WINDOW_MS + 1)
    assert release_rate_per_s(within) == pytest.approx(200 / (RATE_WINDOW_MS / 1000))
    assert release_rate_per_s(beyond) == pytest.approx(100 / ((RATE_WINDOW_MS + 1) / 1000 - 60))


def test_a_history_from_ahead_of_the_clock_does_no_harm() -> None:
    rate = release_rate_per_s(snapshot(STEADY, active_ms=30_000))
    assert rate == pytest.approx(200 / 120)


def test_the_wait_is_a_range_around_the_line_over_the_rate() -> None:
    steady = snapshot(STEADY, active_ms=120_000)
    # 100 ahead and oneself, at 100 people a minute: 60.6 s.
    assert estimate_wait(steady, 100) == Wait(low_s=42, high_s=97)
    assert estimate_wait(steady, 0) == Wait(low_s=0, high_s=1)


@pytest.mark.parametrize("state", [s for s in EventState if s is not EventState.OPEN])
def test_no_wait_is_named_while_the_queue_stands_still(state: EventState) -> None:
    assert estimate_wait(snapshot(STEADY, active_ms=120_000, state=state), 10) is None


def test_no_wait_is_named_without_a_history() -> None:
    assert estimate_wait(snapshot([], active_ms=120_000), 10) is None


def test_who_has_no_turn_yet_asks_again_after_a_fixed_time_and_a_spread() -> None:
    asked = {
        retry_after_s(snapshot([], active_ms=0), None, Position(position))
        for position in range(1, 100)
    }
    assert min(asked) == UNKNOWN_POLL_S
    assert max(asked) == UNKNOWN_POLL_S + UNKNOWN_POLL_S // 4


@pytest.mark.parametrize(
    ("ahead", "base"),
    [(0, NEAREST_POLL_S), (199, 2), (300, 3), (1_000, 10), (6_000, 60), (10**9, FARTHEST_POLL_S)],
)
def test_without_a_rate_the_distance_decides_when_to_ask_again(ahead: int, base: int) -> None:
    assert retry_after_s(snapshot([], active_ms=0), ahead, Position(4 * 16 * 9 * 2)) >= base
    least = min(
        retry_after_s(snapshot([], active_ms=0), ahead, Position(position))
        for position in range(1, 40)
    )
    assert least == base


def test_with_a_rate_the_wait_decides_when_to_ask_again() -> None:
    steady = snapshot(STEADY, active_ms=120_000)
    wait = estimate_wait(steady, 500)
    assert wait is not None
    least = min(retry_after_s(steady, 500, Position(position)) for position in range(1, 40))
    assert least == wait.low_s // 10


def test_a_visitor_is_told_the_same_time_whenever_they_ask() -> None:
    steady = snapshot(STEADY, active_ms=120_000)
    assert len({retry_after_s(steady, 500, Position(77)) for _ in range(10)}) == 1


def test_neighbours_do_not_all_come_back_in_the_same_second() -> None:
    far = snapshot([], active_ms=0)
    asked = {retry_after_s(far, 10**6, Position(position)) for position in range(1, 17)}
    assert len(asked) == FARTHEST_POLL_S // 4 + 1
