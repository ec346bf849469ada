"""How long a visitor waits, from how the pointer has really moved, and when to ask again.

Little's law, W = L / lambda (Little 1961): the visitors ahead over the rate at which the pointer let
people in, on the event clock, which leaves pauses and outages out.
"""

import math
from dataclasses import dataclass

from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import Position

# The rate is that of the recent past: an operator's change of pace shows within this time.
RATE_WINDOW_MS = 10 * 60_000

# Fewer movements than this are no rate: a number would be invented.
LEAST_RELEASES = 2

# The range is wide on purpose: bursts by hand make the rate uncertain, and a visitor forgives an
# early call but not a late one.
LOW_FACTOR = 0.7
HIGH_FACTOR = 1.6

NEAREST_POLL_S = 2
FARTHEST_POLL_S = 60
UNKNOWN_POLL_S = 10


@dataclass(frozen=True, slots=True)
class Wait:
    """An honest range, whole seconds, of how long a visitor still waits."""

    low_s: int
    high_s: int


def release_rate_per_s(snapshot: EventSnapshot) -> float | None:
    """Measure how many people per second the pointer has let in lately.

    Returns:
        People per second of the event clock, or None while the history says nothing.
    """
    horizon = snapshot.active_ms - RATE_WINDOW_MS
    recent = [release for release in snapshot.releases if release.active_ms >= horizon]
    if len(recent) < LEAST_RELEASES:
        return None
    # The first movement marks the start of the span: what it let in came before.
    span_ms = max(snapshot.active_ms, recent[-1].active_ms) - recent[0].active_ms
    people = sum(release.people for release in recent[1:])
    if span_ms <= 0 or people <= 0:
        return None
    return people * 1000 / span_ms


def estimate_wait(snapshot: EventSnapshot, ahead: int) -> Wait | None:
    """Estimate the wait of someone with `ahead` visitors before them.

    Returns:
        A range, or None while the queue stands still, before the opening, or without a history.
    """
    if snapshot.state is not EventState.OPEN:
        return None
    rate = release_rate_per_s(snapshot)
    if rate is None:
        return None
    middle_s = (ahead + 1) / rate
    return Wait(low_s=math.floor(middle_s * LOW_FACTOR), high_s=math.ceil(middle_s * HIGH_FACTOR))


def retry_after_s(snapshot: EventSnapshot, ahead: int | None, position: Position) -> int:
    """Tell a waiting visitor when to ask again: later the farther from the front, never in step.

    Returns:
        Whole seconds, at least `NEAREST_POLL_S` (Retry-After, RFC 9110, section 10.2.3).
    """
    if ahead is None:
        base = UNKNOWN_POLL_S
    else:
        wait = estimate_wait(snapshot, ahead)
        # Without a rate, distance alone decides: a thousand people are not let in within a second.
        base = wait.low_s // 10 if wait is not None else ahead // 100
    base = min(max(base, NEAREST_POLL_S), FARTHEST_POLL_S)
    # Neighbours joined in the same second; spread them by a quarter of the interval, the same way
    # each time, so that nobody is sent back to the end of the spread.
    spread = max(1, base // 4)
    return base + position % (spread + 1)
