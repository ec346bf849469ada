"""How the shown waiting time moves; the waiting page's JavaScript runs the same stories."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.shown_wait import LEAST_REST_S, Move, Shown, show_next
from gateway.domain.waiting import Wait

VECTORS = Path(__file__).parents[2] / "vectors" / "shown_wait.json"
STORIES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["stories"]


@pytest.mark.parametrize("story", STORIES, ids=[story["name"] for story in STORIES])
def test_what_is_shown_moves_as_the_stories_say(story: dict[str, Any]) -> None:
    shown: Shown | None = None
    for step in story["steps"]:
        fresh = None if step["fresh"] is None else Wait(*step["fresh"])
        shown = show_next(shown, fresh, step["now_s"])
        if shown is None:
            assert step["move"] is step["span"] is step["left"] is None
            continue
        left = shown.left_at(step["now_s"])
        assert {
            "move": shown.move.value,
            "span": [shown.from_s, shown.until_s],
            "left": [left.low_s, left.high_s],
        } == {name: step[name] for name in ("move", "span", "left")}


def test_the_stories_tell_every_move() -> None:
    told = {step["move"] for story in STORIES for step in story["steps"]}
    assert told == {move.value for move in Move} | {None}


@st.composite
def visits(draw: st.DrawFn) -> list[tuple[int, Wait | None]]:
    """What one visitor's device gets: ever later, an estimate or none."""
    now_s = draw(st.integers(-10_000, 10_000))
    visit: list[tuple[int, Wait | None]] = []
    ends = st.one_of(st.integers(0, 300), st.integers(0, 100_000))
    for _ in range(draw(st.integers(1, 30))):
        now_s += draw(st.one_of(st.integers(0, 5), st.integers(0, 2_000)))
        low_s, high_s = sorted((draw(ends), draw(ends)))
        visit.append((now_s, draw(st.sampled_from([Wait(low_s, high_s)] * 9 + [None]))))
    return visit


@given(visits())
def test_the_shown_end_rises_only_by_a_step_that_is_called_later(
    visit: list[tuple[int, Wait | None]],
) -> None:
    before: Shown | None = None
    end_before = 0
    for now_s, fresh in visit:
        shown = show_next(before, fresh, now_s)
        if shown is not None:
            end = shown.left_at(now_s).high_s
            if before is not None:
                # Against what was shown a moment ago, not what the clock has made of it.
                assert (end > before.left_at(now_s).high_s) == (shown.move is Move.LATER)
                assert end <= end_before or shown.move is Move.LATER
            end_before = end
        before = shown


@given(visits())
def test_it_never_rises_twice_within_the_rest(visit: list[tuple[int, Wait | None]]) -> None:
    shown: Shown | None = None
    begun_s: int | None = None
    shown_for_s = 0
    for now_s, fresh in visit:
        shown = show_next(shown, fresh, now_s)
        if shown is None:
            begun_s = None
        elif shown.move in (Move.BEGUN, Move.LATER):
            if shown.move is Move.LATER and begun_s is not None:
                assert now_s - begun_s >= max(LEAST_REST_S, shown_for_s // 10)
            begun_s = now_s
            shown_for_s = shown.until_s - now_s


@given(visits())
def test_it_never_rises_while_the_middle_of_the_estimate_lies_within(
    visit: list[tuple[int, Wait | None]],
) -> None:
    before: Shown | None = None
    for now_s, fresh in visit:
        shown = show_next(before, fresh, now_s)
        if before is not None and shown is not None and fresh is not None:
            middle_s = now_s + (fresh.low_s + fresh.high_s) / 2
            if before.from_s <= middle_s <= before.until_s:
                assert shown.move in (Move.KEPT, Move.NARROWED)
        before = shown


@given(visits(), st.integers(0, 100_000))
def test_what_is_shown_counts_down_by_itself(
    visit: list[tuple[int, Wait | None]], later_s: int
) -> None:
    shown: Shown | None = None
    for now_s, fresh in visit:
        shown = show_next(shown, fresh, now_s)
        if shown is not None:
            now, then = shown.left_at(now_s), shown.left_at(now_s + later_s)
            assert then.low_s <= now.low_s
            assert then.high_s <= now.high_s
            assert 0 <= now.low_s <= shown.from_s - now_s or now.low_s == 0
            assert now.high_s >= max(shown.until_s - now_s, 60)
            assert shown.from_s <= shown.until_s


@given(visits(), st.integers(-(10**9), 10**9))
def test_the_zero_of_the_clock_does_not_matter(
    visit: list[tuple[int, Wait | None]], zero_s: int
) -> None:
    here: Shown | None = None
    there: Shown | None = None
    for now_s, fresh in visit:
        here, there = show_next(here, fresh, now_s), show_next(there, fresh, now_s + zero_s)
        if here is None or there is None:
            assert here is there
        else:
            assert here.move is there.move
            assert here.left_at(now_s) == there.left_at(now_s + zero_s)
