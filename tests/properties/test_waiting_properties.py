"""What holds of every curve of waiting times, whatever the pointer has done."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import EventPolicy, EventSnapshot, EventState, LetIn, Release
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo
from gateway.domain.waiting import (
    FARTHEST_POLL_S,
    MAX_POINTS,
    NEAREST_POLL_S,
    TICK_S,
    estimate_wait,
    retry_after_s,
    wait_curve,
)

MOST = 2**53 - 1

people_let_in = st.one_of(st.integers(0, 3), st.integers(0, 5_000), st.integers(0, MOST))
gaps_s = st.one_of(st.integers(0, 3), st.integers(0, 4_000), st.integers(0, 10**9))
aheads = st.one_of(st.integers(0, 50), st.integers(0, 10**6), st.integers(0, MOST))


def event_with(
    history: list[LetIn], silent_ms: int, releases: tuple[Release, ...] = ()
) -> EventSnapshot:
    return EventSnapshot(
        event=EventId("sale"),
        state=EventState.OPEN,
        generation=Generation(1),
        issued=0,
        served_up_to=ServedUpTo(0),
        policy=EventPolicy(),
        active_ms=releases[-1].active_ms + silent_ms if releases else silent_ms,
        active_sessions=0,
        claims=0,
        read_at_s=0.0,
        updated_at_ms=0,
        releases=releases,
        open_ms=(history[-1].open_s * 1000 if history else 0) + silent_ms,
        history=tuple(history),
    )


@st.composite
def events(draw: st.DrawFn) -> EventSnapshot:
    at_s = 0
    history: list[LetIn] = []
    for gap_s in draw(st.lists(gaps_s, max_size=120)):
        at_s += gap_s
        history.append(LetIn(at_s, draw(people_let_in), draw(st.integers(1, 500))))
    releases = tuple(
        Release(i, entry.open_s * 1000, entry.people) for i, entry in enumerate(history)
    )
    kept = history if draw(st.booleans()) else []
    return event_with(kept, draw(st.integers(-5_000, 10**8)), releases)


@given(events(), st.lists(aheads, min_size=2, max_size=10))
def test_a_range_is_never_negative_nor_upside_down_and_never_nearer_for_who_is_farther(
    event: EventSnapshot, places: list[int]
) -> None:
    curve = wait_curve(event)
    if curve is None:
        return
    waits = [curve.at(ahead) for ahead in sorted(places)]
    assert all(0 <= wait.low_s <= wait.high_s for wait in waits)
    assert [wait.low_s for wait in waits] == sorted(wait.low_s for wait in waits)
    assert [wait.high_s for wait in waits] == sorted(wait.high_s for wait in waits)


@given(events())
def test_a_curve_is_a_small_table_that_begins_at_the_front(event: EventSnapshot) -> None:
    curve = wait_curve(event)
    if curve is None:
        return
    aheads_of = [ahead for ahead, _, _ in curve.points]
    assert 2 <= len(curve.points) <= MAX_POINTS
    assert aheads_of[0] == 0
    assert all(a < b for a, b in pairwise(aheads_of))


@given(events(), aheads)
def test_gateways_that_read_the_same_tell_the_same(event: EventSnapshot, ahead: int) -> None:
    again = replace(event, read_at_s=event.read_at_s + 17, history=tuple(event.history))
    assert estimate_wait(event, ahead) == estimate_wait(again, ahead)


@given(events(), aheads, st.integers(1, MOST))
def test_a_poll_is_never_sooner_nor_later_than_its_bounds(
    event: EventSnapshot, ahead: int, position: int
) -> None:
    after_s = retry_after_s(event, ahead, Position(position))
    assert NEAREST_POLL_S <= after_s <= FARTHEST_POLL_S + FARTHEST_POLL_S // 4


MINUTES = st.lists(
    st.tuples(st.integers(20, 3_000), st.integers(1, 5_000)), min_size=3, max_size=60
)


@given(MINUTES, st.integers(2, 5), st.integers(0, 50_000))
def test_a_slower_clock_tells_longer_waits_in_proportion(
    movements: list[tuple[int, int]], times: int, ahead: int
) -> None:
    plain, slow = (
        event_with(
            [
                LetIn(sum(gap for gap, _ in movements[: i + 1]) * factor, people, 1)
                for i, (_, people) in enumerate(movements)
            ],
            0,
        )
        for factor in (1, times)
    )
    one, other = estimate_wait(plain, ahead), estimate_wait(slow, ahead)
    assert one is not None
    assert other is not None
    # Both are rounded outwards by less than a second at each point, lines make no more of it inside; and
    # the nearer end is that of a tick's end, whose length is not in proportion.
    if ahead <= wait_reach(plain):
        assert abs(other.low_s - times * one.low_s) <= 2 * times + 1 + 2 * TICK_S * times
        assert abs(other.high_s - times * one.high_s) <= 2 * times + 1


def wait_reach(event: EventSnapshot) -> int:
    curve = wait_curve(event)
    return 0 if curve is None else curve.points[-1][0]


@given(
    st.lists(st.integers(20, 3_000), min_size=3, max_size=60),
    st.integers(1, 500),
    st.integers(2, 9),
    st.integers(1, 3),
)
def test_a_movement_twice_as_large_lets_in_twice_as_many_at_its_time(
    gaps: list[int], people: int, times: int, movement: int
) -> None:
    small, large = (
        event_with(
            [LetIn(sum(gaps[: i + 1]), people * factor, 1) for i in range(len(gaps))], 10_000
        )
        for factor in (1, times)
    )
    last_of_it = movement * people - 1
    assert estimate_wait(small, last_of_it) == estimate_wait(large, movement * people * times - 1)
