"""How many people the release schedule lets in: from a rate, free places, and how many come.

The ledger decides, in `schedule.lua`; this says the same in Python, for whoever shows or foretells what it
does, and a test holds the two together.

*The rate.* Time adds credit, a person takes some away, all in whole numbers, so nothing drifts however
often the schedule is called. Credit is never more than one interval's: idle time does not store up a flood.

*The limit of sessions.* Sessions, and those of whom it is expected that they come (`turnout.py`), fill the
limit; and whatever is expected, those with a session or a turn in an open window are never more than the
limit and the overshoot.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.backoff import ILL_SHARE, RECOVERY_MS, next_pace
from gateway.domain.turnout import Turnout

GONE_MEMORY_MS: Final = 60_000
LEAST_GONE_SPAN_MS: Final = 1_000

SPARED_MS: Final = 200
"""Where not everybody waiting is let in, no two movements are closer together than this."""

_SCHEDULE = re.compile(r"(\d+) (\d+) (\d+) (\d+) (\d+) (\d+) ([\d.]+) (\d+) (\S+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """What the schedule last did.

    Attributes:
        at_open_ms: The open clock up to which time has been counted.
        cost: What a person costs of the credit; 0 without a rate.
        credit: What time has added and releases have not used, in people x ms x percent.
        pace_ms: The pace, as so much of the minute that a recovery takes.
        gone: Sessions that had ended when that was last looked at, at `gone_at_ms`.
        gone_per_s: How many ended a second lately.
        moved_at_ms: The open clock when it last moved the pointer, or 0.
        reason: Why it went no further: `nobody-waits`, `rate`, `full`, `overshoot` or `ill`.
    """

    at_open_ms: int
    cost: int
    credit: int
    pace_ms: int
    gone: int
    gone_at_ms: int
    gone_per_s: float
    moved_at_ms: int
    reason: str

    @classmethod
    def parse(cls, text: str) -> "ScheduleState | None":
        """Read what the ledger keeps; None where it keeps nothing that can be read."""
        match = _SCHEDULE.fullmatch(text)
        if match is None:
            return None
        at, cost, credit, pace, gone, gone_at, gone_per_s, moved_at, reason = match.groups()
        try:
            return cls(
                int(at),
                int(cost),
                int(credit),
                int(pace),
                int(gone),
                int(gone_at),
                float(gone_per_s),
                int(moved_at),
                reason,
            )
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Rules:
    """What of an event's policy the schedule goes by."""

    people: int
    every_s: int
    max_sessions: int
    overshoot: int
    """With `AS_MANY_AGAIN` already read as `max_sessions`."""

    @property
    def cost(self) -> int:
        """What a person costs of the credit."""
        return self.every_s * 1000 * 100 if self.people else 0

    @property
    def most_credit(self) -> int:
        """An interval's worth, and what there is of the next person.

        Without the latter, calls that are nearly an interval apart would lose fractions.
        """
        return max(self.people * self.cost + self.cost - 1, 0)


@dataclass(frozen=True, slots=True)
class Moment:
    """What the schedule finds when it is called.

    Attributes:
        waiting: People whom the pointer may still let in.
        active: Sessions that run.
        gone: Sessions that have ended so far.
        ending_soon: Those that end within the mean time from a turn to its claim.
        ill_share: The part of the gateways that see the backend ill, of those that see anything.
    """

    open_ms: int
    waiting: int
    active: int
    gone: int
    ending_soon: int = 0
    ill_share: float = 0.0


def begin(moment: Moment) -> ScheduleState:
    """Return the state of a schedule before its first call: it has no credit yet."""
    at = moment.open_ms
    return ScheduleState(at, 0, 0, RECOVERY_MS, moment.gone, at, 0.0, 0, "")


def follow(
    state: ScheduleState, rules: Rules, turnout: Turnout, moment: Moment
) -> tuple[ScheduleState, int]:
    """Decide how many are let in now, as `schedule.lua` does.

    Returns:
        The state after it, and the people.
    """
    is_ill = moment.ill_share >= ILL_SHARE
    elapsed_ms = moment.open_ms - state.at_open_ms
    # Time that has passed counts at the pace that it had.
    percent = state.pace_ms * 100 // RECOVERY_MS
    credit = min(state.credit + elapsed_ms * rules.people * percent, rules.most_credit)
    pace_ms = next_pace(state.pace_ms, 1.0 if is_ill else moment.ill_share, elapsed_ms)
    state = replace(
        _look_at_gone(state, moment),
        at_open_ms=moment.open_ms,
        cost=rules.cost,
        credit=0 if is_ill else credit,
        pace_ms=pace_ms,
    )
    people, reason = moment.waiting, "nobody-waits"
    if is_ill:
        people, reason = 0, "ill"
    elif rules.people and state.credit // rules.cost < people:
        people, reason = state.credit // rules.cost, "rate"
    if rules.max_sessions and people:
        fits, why = _room(state, rules, turnout, moment)
        if fits < people:
            people, reason = fits, why
    moved_at_ms = state.moved_at_ms
    if people < moment.waiting and moved_at_ms > 0 and moment.open_ms - moved_at_ms < SPARED_MS:
        people = 0
    if people:
        moved_at_ms = moment.open_ms
    credit = state.credit - people * rules.cost
    return replace(state, credit=credit, moved_at_ms=moved_at_ms, reason=reason), people


def _look_at_gone(state: ScheduleState, moment: Moment) -> ScheduleState:
    span_ms = moment.open_ms - state.gone_at_ms
    if span_ms < LEAST_GONE_SPAN_MS:
        return state
    lately = max(moment.gone - state.gone, 0) / span_ms * 1000
    weight = span_ms / (span_ms + GONE_MEMORY_MS)
    return replace(
        state,
        gone=moment.gone,
        gone_at_ms=moment.open_ms,
        gone_per_s=state.gone_per_s + (lately - state.gone_per_s) * weight,
    )


def _room(state: ScheduleState, rules: Rules, turnout: Turnout, moment: Moment) -> tuple[int, str]:
    """Return how many more the limit of sessions leaves room for, and what bounds them."""
    people, will_come = turnout.at_the_door()
    limit = rules.max_sessions * state.pace_ms // RECOVERY_MS
    # Those whose turn comes now come a little later: until then some sessions end, and those that are
    # left early end before their time.
    soon = max(float(moment.ending_soon), state.gone_per_s * turnout.delay_ms / 1000)
    free = limit - moment.active + min(soon, moment.active) - will_come
    expected = math.floor(free / turnout.chances()[0])
    bound = rules.max_sessions + rules.overshoot - moment.active - people
    if bound < expected:
        return max(bound, 0), "overshoot"
    return max(expected, 0), "full"
