"""What a sale is going to be like, before it begins: how long people wait, and how full the backend is.

Everything is read off a simulated sale (`simulated_sale.py`), also what is needed to be done in time: that
is searched for by running the sale with other numbers. Pure: the same question has the same answer.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from random import Random
from typing import Any, Final

from gateway.domain.events import AS_MANY_AGAIN, EventPolicy
from gateway.errors import BadInput
from gateway.operating.durations import describe_duration
from gateway.operating.policies import BY_NAME
from gateway.operating.simulated_sale import (
    LONGEST_STEP_S,
    Look,
    ModelEvent,
    Outcome,
    Scenario,
    run,
)

MOST_PEOPLE: Final = 10_000_000

LONGEST_SALE_S: Final = 31 * 86_400
"""A plan that takes longer is no plan."""

FINE_STEPS_FOR_S: Final = 3 * 3600
"""A sale that is likely to take longer goes in longer steps."""

RUSH: Final = 4.0
"""How steep the rush is: in the last second, e to this times fewer join than in the first."""

SAMPLED_WAITS: Final = 10_000
MOST_POINTS: Final = 240
"""More points than that are not seen in a plot."""

PRECISION: Final = 100
"""A number that is searched for is at most one in so many too large."""

SEARCH_STEP: Final = 1.1
CLOSE_STEP: Final = 1.015

LIKENESS: Final = 5_000
"""People of a sale that stands for a larger one while a number is searched for."""

Tell = Callable[[str, float], None]
"""Told what is being run, and which part of the people has been let in there."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What an operator takes for given about the people, and the backend.

    Attributes:
        people: All that join, those who wait already among them.
        waiting: Those who are there when it opens, or wait now.
        arrive_over_s: Over which the others come, most of them at first.
        stay_s: How long a session is used, in the mean.
        come_after_s: How long who is let in takes to come, in the mean.
        failure: From which second on the backend fails, and for how long; None for never.
        seated: Sessions that run already.
    """

    people: int
    stay_s: int
    waiting: int = 0
    arrive_over_s: int = 0
    come_after_s: int = 20
    failure: tuple[int, int] | None = None
    seated: int = 0
    seed: int = 1

    def arrivals(self, _scenario: Scenario, _dice: Random) -> dict[int, int]:
        """Return how many join in which second."""
        coming = self.people - self.waiting
        if not self.arrive_over_s:
            return {0: self.people}
        joins = {0: self.waiting}
        before = 0
        for second in range(1, self.arrive_over_s + 1):
            part = -math.expm1(-RUSH * second / self.arrive_over_s) / -math.expm1(-RUSH)
            until = coming if second == self.arrive_over_s else int(coming * part)
            joins[second] = until - before
            before = until
        return joins


def check(policy: EventPolicy, assumed: Assumed) -> None:
    """Refuse what has no answer.

    Raises:
        BadInput: The sale would never end, or contradicts itself.
    """
    if not policy.has_schedule:
        raise BadInput(
            "nobody would be let in: without a schedule a sale never ends. Add --release-people N, "
            "or --fill with --max-sessions N"
        )
    if not 1 <= assumed.people <= MOST_PEOPLE:
        raise BadInput(f"a plan is for 1 to {MOST_PEOPLE:,} people")
    if assumed.stay_s > policy.session_s:
        raise BadInput(
            f"nobody stays for {describe_duration(assumed.stay_s)} where a pass lasts "
            f"{describe_duration(policy.session_s)}: give a longer --session or a shorter --stay"
        )


def mean_before_the_end(mean_s: float, end_s: int) -> float:
    """Return the mean of sessions whose mean is `mean_s` once they are cut off at `end_s`.

    Their lengths are spread as a gamma distribution of shape 2 is, of which the mean of the lesser of
    length and `end_s` is known in closed form.
    """
    low, high = mean_s / 2, end_s * 1e4
    for _ in range(80):
        scale = math.sqrt(low * high)
        cut = 2 * scale - math.exp(-end_s / scale) * (2 * scale + end_s)
        low, high = (scale, high) if cut < mean_s else (low, scale)
    return 2 * high


def scenario_of(policy: EventPolicy, assumed: Assumed, no_show: float) -> Scenario:
    """Return the sale that a policy makes of it, `no_show` being the part that never comes."""
    limit = policy.max_sessions
    if assumed.failure is None:
        fails = (0, 0)
    else:
        fails_s, for_s = assumed.failure
        fails = (fails_s, fails_s + for_s)
    scenario = Scenario(
        people=assumed.people,
        limit=limit,
        overshoot=limit if policy.overshoot == AS_MANY_AGAIN else policy.overshoot,
        window_s=policy.window_s,
        session_s=policy.session_s,
        middle_s=mean_before_the_end(assumed.stay_s, policy.session_s),
        delay_s=assumed.come_after_s,
        no_show=lambda _: no_show,
        fails=fails,
        seed=assumed.seed,
        rate_people=policy.schedule_people,
        rate_every_s=policy.schedule_every_s,
        seated=assumed.seated,
        arrive=assumed.arrivals,
    )
    steps = int(_roughly_s(scenario, assumed, no_show) / FINE_STEPS_FOR_S) + 1
    return replace(scenario, step_s=min(steps, LONGEST_STEP_S))


def _roughly_s(scenario: Scenario, assumed: Assumed, no_show: float) -> float:
    by_rate = by_limit = 0.0
    if scenario.rate_people:
        by_rate = scenario.people * scenario.rate_every_s / scenario.rate_people
    if scenario.limit:
        by_limit = scenario.people * (1 - no_show) * assumed.stay_s / scenario.limit
    return max(by_rate, by_limit, assumed.arrive_over_s)


@dataclass(frozen=True)
class Forecast:
    """One sale, run to its end, and what can be read off it. People are numbered from the front."""

    scenario: Scenario
    outcome: Outcome
    no_show: float

    def let_in_s(self, person: int) -> int:
        """Return the second in which somebody's turn comes."""
        return self._when("served", person)

    def wait_s(self, person: int) -> int:
        """Return how long somebody waits, from joining or the opening to their turn."""
        return self.let_in_s(person) - self._when("issued", person)

    def let_in_by(self, second: int) -> int:
        """Return how many have been let in by then."""
        course = self.outcome.course
        seen = bisect_left(course, second, key=attrgetter("second"))
        return course[min(seen, len(course) - 1)].served

    def _when(self, number: str, person: int) -> int:
        course = self.outcome.course
        return course[bisect_left(course, person, key=attrgetter(number))].second

    @cached_property
    def waits_s(self) -> list[int]:
        """The waits of people evenly spread over the line, shortest first."""
        people = self.scenario.people
        count = min(people, SAMPLED_WAITS)
        # The first and the last are always among them.
        numbers = {1 + index * (people - 1) // max(count - 1, 1) for index in range(count)}
        return sorted(self.wait_s(number) for number in numbers)

    @cached_property
    def use(self) -> float | None:
        """The mean share of places in use while somebody waits; None without a limit, or a wait."""
        waited = [look.active for look in self.outcome.course if look.served < look.issued]
        limit = self.scenario.limit
        return sum(waited) / len(waited) / limit if waited and limit else None

    @property
    def nearly_full_after_s(self) -> int | None:
        """When nine tenths of the places were in use for the first time."""
        limit = self.scenario.limit
        full = (look.second for look in self.outcome.course if look.active >= 0.9 * limit)
        return next(full, None) if limit else None

    @property
    def no_shows(self) -> int:
        return self.scenario.people - self.outcome.came

    @property
    def no_shows_filled(self) -> int | None:
        """How many of those who do not come had their place used by somebody else, at least.

        A place kept for one of them is empty for a claim window. What was empty for any reason while people
        waited, the filling up at first among them, is taken off from that; and for those of the last window
        nobody is left. None without a limit.
        """
        if not self.scenario.limit:
            return None
        step_s = self.scenario.step_s
        before = self.let_in_by(max(self.outcome.took_s - self.scenario.window_s, 0))
        could_be = self.no_shows * before / self.scenario.people
        empty_s = sum(
            (self.scenario.limit - look.active) * step_s
            for look in self.outcome.course
            if look.served < look.issued
        )
        return max(round(could_be - empty_s / self.scenario.window_s), 0)

    def points(self) -> list[Look]:
        """Return the course at even distances, at most `MOST_POINTS` and one."""
        course = self.outcome.course
        every = max(-(-len(course) // MOST_POINTS), 1)
        kept = course[::every]
        return kept if kept[-1] is course[-1] else [*kept, course[-1]]


def foretell(
    policy: EventPolicy, assumed: Assumed, no_show: float, tell: Tell = lambda _what, _part: None
) -> Forecast:
    """Run one sale to its end.

    Raises:
        BadInput: It has no end, or none within `LONGEST_SALE_S`.
    """
    check(policy, assumed)
    scenario = scenario_of(policy, assumed, no_show)
    roughly_s = _roughly_s(scenario, assumed, no_show)
    outcome = None
    if roughly_s <= LONGEST_SALE_S:
        outcome = run(
            scenario,
            ModelEvent(scenario),
            longest_s=LONGEST_SALE_S,
            tell=lambda _, served: tell(f"{no_show:.0%} no-shows", served / assumed.people),
        )
    if outcome is None or not outcome.took_s:
        raise BadInput(
            f"it would take more than {describe_duration(LONGEST_SALE_S)}: let in more people at a "
            "time (--release-people, --release-every), or give more --max-sessions"
        )
    return Forecast(scenario, outcome, no_show)


@dataclass(frozen=True, slots=True)
class Needed:
    """The least numbers with which everybody is in by a time; each was tried in a sale of its own.

    Attributes:
        release_people: With the limit as it is; None where no rate is enough, or there is none to change.
        max_sessions: With the rate as it is; likewise.
        both: Rate and limit together, where either alone is not enough.
    """

    release_people: int | None = None
    max_sessions: int | None = None
    both: tuple[int, int] | None = None


def check_by(assumed: Assumed, by_s: int) -> None:
    """Refuse a time by which not all can be in.

    Raises:
        BadInput: It lies before the last one has come, or within a failure of the backend.
    """
    if by_s <= assumed.arrive_over_s:
        raise BadInput(
            f"the last one joins {describe_duration(assumed.arrive_over_s)} after the opening, so not "
            f"all can be in after {describe_duration(by_s)}: give a later --by"
        )


def needed_by(
    policy: EventPolicy,
    assumed: Assumed,
    no_show: float,
    by_s: int,
    tell: Tell = lambda _what, _part: None,
) -> Needed:
    """Search for what it takes that everybody has been let in `by_s` after the opening."""

    # A small likeness of a large sale says about where to look, in a fraction of the time.
    likeness = max(assumed.people // LIKENESS, 1)

    def search(tried: Callable[[int], EventPolicy], guess: float, most: int) -> int | None:
        def is_enough_at(scale: int) -> Callable[[int], bool]:
            return lambda number: _is_in_time(tried(number), assumed, no_show, by_s, scale, tell)

        is_enough = is_enough_at(1)
        if likeness == 1:
            return _least(is_enough, guess, most)
        about = _least(is_enough_at(likeness), guess, most)
        # Where no number is enough in the likeness, the sale itself has the last word.
        return _least(is_enough, most if about is None else about, most, CLOSE_STEP)

    def rate_with(limit: int) -> int | None:
        return search(
            lambda people: replace(policy, schedule_people=people, max_sessions=limit),
            assumed.people * policy.schedule_every_s / by_s,
            BY_NAME["release_people"].most,
        )

    def limit_with(people: int) -> int | None:
        return search(
            lambda limit: replace(policy, schedule_people=people, max_sessions=limit, fill=True),
            assumed.people * (1 - no_show) * assumed.stay_s / by_s,
            2 * assumed.people,
        )

    rate = rate_with(policy.max_sessions) if policy.schedule_people else None
    limit = limit_with(policy.schedule_people) if policy.max_sessions else None
    if (
        rate is not None
        or limit is not None
        or not (policy.schedule_people and policy.max_sessions)
    ):
        return Needed(rate, limit)
    # Neither alone: as fast as is needed without a limit, and then as many places as that needs.
    rate = rate_with(0)
    # A tenth more: a rate that is only just enough leaves no time to fill the places in.
    rate = None if rate is None else min(-(-rate * 11 // 10), BY_NAME["release_people"].most)
    limit = None if rate is None else limit_with(rate)
    return Needed(both=None if rate is None or limit is None else (rate, limit))


def _is_in_time(
    policy: EventPolicy, assumed: Assumed, no_show: float, by_s: int, scale: int, tell: Tell
) -> bool:
    """Whether all are let in by then, in a sale of which everything is so many times smaller."""
    if scale > 1:
        assumed = replace(
            assumed,
            people=assumed.people // scale,
            waiting=assumed.waiting // scale,
            seated=assumed.seated // scale,
        )
        policy = replace(
            policy,
            schedule_every_s=policy.schedule_every_s * scale,
            max_sessions=-(-policy.max_sessions // scale),
            overshoot=max(policy.overshoot // scale, AS_MANY_AGAIN),
        )
    scenario = scenario_of(policy, assumed, no_show)
    outcome = run(
        scenario,
        ModelEvent(scenario),
        longest_s=by_s,
        to_the_last_claim=False,
        tell=lambda _, served: tell("what would be enough", served / assumed.people),
    )
    return 0 < outcome.took_s <= by_s


def _least(
    is_enough: Callable[[int], bool], guess: float, most: int, step: float = SEARCH_STEP
) -> int | None:
    """Return about the least number that is enough, searching from a guess; None where `most` is not."""
    known: dict[int, bool] = {}

    def tried(number: int) -> bool:
        if number not in known:
            known[number] = is_enough(number)
        return known[number]

    low, high = 0, min(max(math.ceil(guess), 1), most)
    while not tried(high):
        if high == most:
            return None
        low = high
        # Farther each time: a number that is off by much is reached soon.
        step *= step
        high = min(math.ceil(high * step), most)
    while low == 0 and high > 1:
        lower = max(min(int(high / step), high - 1), 1)
        step *= step
        if tried(lower):
            high = lower
        else:
            low = lower
    while high - low > max(high // PRECISION, 1):
        middle = (low + high) // 2
        low, high = (low, middle) if tried(middle) else (middle, high)
    return high


def forecast_document(
    forecast: Forecast,
    *,
    persons: tuple[int, ...],
    by_s: int | None,
    needed: Needed | None,
    opens_at: int,
) -> dict[str, Any]:
    """Return what is told of one sale; lengths are seconds from the opening, or of waiting."""
    outcome, waits = forecast.outcome, forecast.waits_s
    by: dict[str, Any] | None = None
    if by_s is not None:
        let_in = forecast.let_in_by(by_s)
        by = {
            "let_in": let_in,
            "all": outcome.took_s <= by_s,
            "needs": None if needed is None else _needed_document(needed),
        }
    return {
        "no_show_share": forecast.no_show,
        "backend_fails": forecast.scenario.fails != (0, 0),
        "all_in_after_s": outcome.took_s,
        "all_in_at": opens_at + outcome.took_s if opens_at else None,
        "wait_half_s": waits[(len(waits) - 1) // 2],
        "wait_nine_of_ten_s": waits[(len(waits) - 1) * 9 // 10],
        "wait_longest_s": waits[-1],
        "wait_last_s": forecast.wait_s(forecast.scenario.people),
        "persons": [
            {
                "person": person,
                "let_in_after_s": forecast.let_in_s(person),
                "wait_s": forecast.wait_s(person),
            }
            for person in persons
        ],
        "by": by,
        "sessions": outcome.seated,
        "no_shows": forecast.no_shows,
        "no_shows_filled": forecast.no_shows_filled,
        "places_used": forecast.use,
        "nearly_full_after_s": forecast.nearly_full_after_s,
        "most_sessions": outcome.most_active,
        "most_with_open_turns": outcome.most_exposed,
        "most_at_a_full_door": outcome.most_turned_away,
        "well_again_after_s": outcome.back_after_s,
        "course": [_point(look) for look in forecast.points()],
    }


def _needed_document(needed: Needed) -> Mapping[str, Any]:
    both = needed.both
    return {
        "release_people": needed.release_people,
        "max_sessions": needed.max_sessions,
        "both": None if both is None else {"release_people": both[0], "max_sessions": both[1]},
    }


def _point(look: Look) -> Mapping[str, int]:
    return {
        "at_s": look.second,
        "issued": look.issued,
        "served_up_to": look.served,
        "waiting": look.issued - look.served,
        "active_sessions": look.active,
        "with_open_turns": look.exposed,
    }
