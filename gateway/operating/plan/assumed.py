"""What is assumed about the people and the backend, and the sale that a policy makes of it."""

import math
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from gateway.domain.events import AS_MANY_AGAIN, EventPolicy
from gateway.errors import BadInput
from gateway.operating.durations import describe_duration
from gateway.operating.simulated_sale import LONGEST_STEP_S, Scenario

MOST_PEOPLE: Final = 10_000_000

FINE_STEPS_FOR_S: Final = 3 * 3600
"""A sale that is likely to take longer goes in longer steps."""

RUSH: Final = 4.0
"""How steep the rush is: in the last second, e to this times fewer join than in the first."""


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
    steps = int(rough_length_s(scenario, assumed, no_show) / FINE_STEPS_FOR_S) + 1
    return replace(scenario, step_s=min(steps, LONGEST_STEP_S))


def rough_length_s(scenario: Scenario, assumed: Assumed, no_show: float) -> float:
    """Return how long a sale takes at least, about: by its rate, by its limit, by who still comes."""
    by_rate = by_limit = 0.0
    if scenario.rate_people:
        by_rate = scenario.people * scenario.rate_every_s / scenario.rate_people
    if scenario.limit:
        by_limit = scenario.people * (1 - no_show) * assumed.stay_s / scenario.limit
    return max(by_rate, by_limit, assumed.arrive_over_s)
