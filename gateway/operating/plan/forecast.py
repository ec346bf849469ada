"""One sale, run to its end, and what can be read off it."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Final

from gateway.domain.events import EventPolicy
from gateway.errors import BadInput
from gateway.operating.durations import describe_duration
from gateway.operating.plan.assumed import Assumed, check, rough_length_s, scenario_of
from gateway.operating.simulated_sale import Look, ModelEvent, Outcome, Scenario, run

LONGEST_SALE_S: Final = 31 * 86_400
"""A plan that takes longer is no plan."""

SAMPLED_WAITS: Final = 10_000

MOST_POINTS: Final = 240
"""More points than that are not seen in a plot."""

Tell = Callable[[str, float], None]
"""Told what is being run, and which part of the people has been let in there."""


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
    roughly_s = rough_length_s(scenario, assumed, no_show)
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
