"""Waiting times from how the pointer has really moved, and when to ask again."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.domain.events import EventPolicy, EventSnapshot, EventState, LetIn, Release
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo
from gateway.domain.waiting import (
    FARTHEST_POLL_S,
    MAX_POINTS,
    NEAREST_POLL_S,
    RATE_WINDOW_MS,
    UNKNOWN_POLL_S,
    Wait,
    WaitCurve,
    estimate_wait,
    poll_interval_s,
    poll_spread_s,
    release_rate_per_s,
    retry_after_s,
    wait_curve,
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


# --- The curve -------------------------------------------------------------------------------------


def opened(movements: Sequence[tuple[int, int]], *, at_s: float) -> EventSnapshot:
    """Make an open event whose history is of (`people`, at second of the open clock) each."""
    return replace(
        snapshot([], active_ms=0),
        open_ms=round(at_s * 1000),
        history=tuple(LetIn(open_s, people, 1) for people, open_s in movements),
    )


def every(seconds: int, people: int, times: int) -> list[tuple[int, int]]:
    return [(people, seconds * (i + 1)) for i in range(times)]


def told(event: EventSnapshot, ahead: int) -> Wait:
    wait = estimate_wait(event, ahead)
    assert wait is not None
    return wait


def width(wait: Wait) -> int:
    return wait.high_s - wait.low_s


HOUR_OF_SCHEDULE = every(60, 100, 60)


def test_a_steady_schedule_is_told_to_the_step() -> None:
    event = opened(HOUR_OF_SCHEDULE, at_s=3_620)
    front, second = told(event, 99), told(event, 100)
    assert front.low_s <= 40 <= front.high_s
    assert width(front) <= 20
    # One more ahead than the next step takes: 60 seconds later.
    assert second.low_s <= 100 <= second.high_s
    assert width(second) <= 60
    assert second.low_s - front.low_s > 40
    far = told(event, 2_950)
    assert far.low_s <= 29 * 60 + 40 <= far.high_s
    assert width(far) < 0.4 * 29 * 60


def test_the_range_of_a_schedule_gets_nearer_as_its_next_step_does() -> None:
    waits = [told(opened(HOUR_OF_SCHEDULE, at_s=3_600 + past), 0) for past in (0, 20, 50)]
    assert all(
        wait.low_s <= left <= wait.high_s <= 1.3 * left
        for wait, left in zip(waits, (60, 40, 10), strict=True)
    )


def test_bursts_by_hand_are_told_more_widely_than_a_schedule_of_the_same_pace() -> None:
    sizes = [500, 1_000, 250, 1_000, 500, 750] * 2
    uneven_s = [0, 200, 1_500, 1_800, 2_900, 3_000, 3_700, 4_900, 5_000, 5_900, 6_400, 6_600]
    by_hand = opened(list(zip(sizes, range(0, 7_200, 600), strict=True)), at_s=6_700)
    uneven = opened(list(zip(sizes, uneven_s, strict=True)), at_s=6_700)
    schedule = opened(every(60, 66, 110), at_s=6_700)
    widths = [width(told(event, 3_000)) for event in (schedule, by_hand, uneven)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2] / 2


def test_a_burst_half_an_hour_ago_is_remembered() -> None:
    event = opened(every(1_800, 500, 6), at_s=6 * 1_800 + 900)
    wait = told(event, 499)
    assert wait.low_s <= 900 <= wait.high_s
    assert told(event, 999).high_s > 1_800


def test_a_silence_makes_the_range_wider_and_later() -> None:
    silences = [0, 120, 600, 1_800]
    waits = [told(opened(HOUR_OF_SCHEDULE, at_s=3_600 + past), 0) for past in silences]
    highs = [wait.high_s for wait in waits[1:]]
    assert highs == sorted(highs)
    assert highs[-1] > 1_800
    assert width(waits[-1]) > 10 * width(waits[0])


def test_a_table_stays_the_same_for_some_seconds_of_a_silence() -> None:
    curves = {wait_curve(opened(HOUR_OF_SCHEDULE, at_s=3_620 + past)) for past in range(10)}
    assert len(curves) == 1
    stalled = [wait_curve(opened(HOUR_OF_SCHEDULE, at_s=3_600 + past)) for past in range(3_600)]
    assert len(set(stalled)) < 60


def test_a_curve_is_reckoned_once_for_each_read_and_never_told_of_another() -> None:
    one = opened(HOUR_OF_SCHEDULE, at_s=3_620)
    curve = wait_curve(one)
    assert wait_curve(one) is curve
    slower = opened(every(120, 100, 30), at_s=3_620)
    assert wait_curve(slower) != curve
    assert wait_curve(replace(one, state=EventState.PAUSED)) is None
    assert wait_curve(one) == curve


def test_a_point_farther_back_never_waits_less() -> None:
    """Where exact steps end and lines begin, the nearer end of this one would fall."""
    times = [849, 1628, 2447, 3260, 4228, 5101, 5962, 6768, 7593, 8341, 9165, 10026]
    curve = wait_curve(opened([(200, open_s) for open_s in times], at_s=10_138))
    assert curve is not None
    for column in (1, 2):
        seconds = [point[column] for point in curve.points]
        assert seconds == sorted(seconds)


def test_a_change_of_pace_is_followed() -> None:
    slower = [*HOUR_OF_SCHEDULE, *((25, 3_600 + 60 * i) for i in range(1, 21))]
    wait = told(opened(slower, at_s=4_800), 1_000)
    # 25 a minute now, 100 a minute before: 40 minutes, and 10 no more.
    assert 600 < wait.low_s <= 2_400 <= wait.high_s


def test_few_movements_are_told_more_widely_than_many() -> None:
    few, many = every(60, 100, 3), every(60, 100, 60)
    assert width(told(opened(few, at_s=180), 2_000)) > width(told(opened(many, at_s=3_600), 2_000))


def test_a_flow_is_told_by_its_pace_alone() -> None:
    event = opened(every(1, 20, 120), at_s=120)
    near, far = told(event, 0), told(event, 19_999)
    assert near == Wait(low_s=0, high_s=1)
    assert far.low_s <= 1_000 <= far.high_s


def test_without_a_history_the_releases_of_the_claim_window_are_read() -> None:
    steady = snapshot(STEADY, active_ms=140_000)
    wait = told(steady, 99)
    assert wait.low_s <= 40 <= wait.high_s


def test_a_history_goes_before_the_releases() -> None:
    both = replace(
        opened(HOUR_OF_SCHEDULE, at_s=3_620),
        releases=snapshot(every(5, 1_000, 50), active_ms=0).releases,
        active_ms=250_000,
    )
    assert told(both, 2_950) == told(opened(HOUR_OF_SCHEDULE, at_s=3_620), 2_950)


def test_movements_across_holes_alone_count_for_nothing() -> None:
    with_holes = [move for p, s in HOUR_OF_SCHEDULE for move in ((0, s - 30), (p, s))]
    assert told(opened(with_holes, at_s=3_620), 500) == told(
        opened(HOUR_OF_SCHEDULE, at_s=3_620), 500
    )


@pytest.mark.parametrize("state", [s for s in EventState if s is not EventState.OPEN])
def test_no_wait_is_named_while_the_queue_stands_still(state: EventState) -> None:
    assert wait_curve(replace(opened(HOUR_OF_SCHEDULE, at_s=3_620), state=state)) is None
    assert estimate_wait(snapshot(STEADY, active_ms=120_000, state=state), 10) is None


@pytest.mark.parametrize(
    "movements", [[], [(100, 30)], [(100, 30), (0, 90)], [(0, 30), (0, 90)], [(5, 30), (5, 30)]]
)
def test_no_wait_is_named_without_a_history(movements: list[tuple[int, int]]) -> None:
    assert wait_curve(opened(movements, at_s=120)) is None


@pytest.mark.parametrize("people", [1, 2, 3, 7, 100, 12_345])
def test_the_curve_is_a_small_table(people: int) -> None:
    curve = wait_curve(opened(every(60, people, 30), at_s=1_830))
    assert curve is not None
    aheads = [ahead for ahead, _, _ in curve.points]
    assert 2 <= len(aheads) <= MAX_POINTS
    assert aheads[0] == 0
    assert aheads == sorted(set(aheads))
    assert aheads[-1] >= 100 * people


def test_between_and_beyond_its_points_a_curve_is_straight() -> None:
    curve = WaitCurve(((0, 10, 20), (100, 30, 50), (200, 30, 120)))
    assert curve.at(0) == Wait(10, 20)
    assert curve.at(50) == Wait(20, 35)
    assert curve.at(100) == Wait(30, 50)
    assert curve.at(1) == Wait(10, 21), "rounded outwards"
    assert curve.at(200) == Wait(30, 120)
    assert curve.at(1_200) == Wait(30, 820)


# --- When to ask again ------------------------------------------------------------------------------


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
    assert NEAREST_POLL_S < wait.low_s // 10 < FARTHEST_POLL_S
    least = min(retry_after_s(steady, 500, Position(position)) for position in range(1, 40))
    assert least == wait.low_s // 10


def test_a_visitor_is_told_the_same_time_whenever_they_ask() -> None:
    steady = snapshot(STEADY, active_ms=120_000)
    assert len({retry_after_s(steady, 500, Position(77)) for _ in range(10)}) == 1


def test_neighbours_do_not_all_come_back_in_the_same_second() -> None:
    far = snapshot([], active_ms=0)
    asked = {retry_after_s(far, 10**6, Position(position)) for position in range(1, 17)}
    assert len(asked) == FARTHEST_POLL_S // 4 + 1


@pytest.mark.parametrize(
    ("low_s", "ahead", "interval_s"),
    [
        (None, None, UNKNOWN_POLL_S),
        (None, 0, NEAREST_POLL_S),
        (None, 1_000, 10),
        (None, 10**9, FARTHEST_POLL_S),
        (0, 10**9, NEAREST_POLL_S),
        (305, 10**9, 30),
        (10**6, 0, FARTHEST_POLL_S),
    ],
)
def test_the_poll_interval_follows_the_nearer_end_of_the_range(
    low_s: int | None, ahead: int | None, interval_s: int
) -> None:
    assert poll_interval_s(low_s, ahead) == interval_s


@pytest.mark.parametrize("interval_s", [2, 3, 10, 60])
def test_the_spread_is_at_most_a_quarter_and_at_least_a_second(interval_s: int) -> None:
    spreads = {poll_spread_s(interval_s, Position(position)) for position in range(1, 100)}
    assert spreads == set(range(max(1, interval_s // 4) + 1))
