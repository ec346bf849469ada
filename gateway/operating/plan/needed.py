"""What it takes that everybody is in by a time: searched for by running the sale with other numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.events import AS_MANY_AGAIN, EventPolicy
from gateway.errors import BadInput
from gateway.operating.durations import describe_duration
from gateway.operating.plan.assumed import Assumed, scenario_of
from gateway.operating.plan.forecast import Tell
from gateway.operating.policies import BY_NAME
from gateway.operating.simulated_sale import ModelEvent, run

PRECISION: Final = 100
"""A number that is searched for is at most one in so many too large."""

SEARCH_STEP: Final = 1.1

CLOSE_STEP: Final = 1.015

LIKENESS: Final = 5_000
"""People of a sale that stands for a larger one while a number is searched for."""


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
