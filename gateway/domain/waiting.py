"""How long visitors wait, from how the pointer has really moved, and when to ask again.

All that is clever happens once for each read of an event: `wait_curve` turns the history of releases into a
small table that any client evaluates by linear interpolation. The time is that of the open clock: what a
visitor feels while the event is open, full or not. Pauses and outages are left out of it.

While the pointer stands still the table is that of the last tick of the silence, so that the document which
carries it stays the same for some seconds, and is the same at every gateway; its nearer end is that of the
tick's end.

The range is that of the next movement and of the pace beyond it (`release_pace.py`). Their deviations are
independent, so on either side of the middle their squares add up. How well it holds is measured by
`loadtests/waiting_time.py`.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from gateway.domain.events import EventSnapshot, EventState, LetIn
from gateway.domain.positions import EventId, Position
from gateway.domain.release_pace import NextMovement, Pace, gaps_between

COVERAGE: Final = 0.9
"""The part of all waits that is meant to end within the range."""

DEVIATIONS: Final = 1.645
"""So many standard deviations of a normal distribution cover that part."""

MAX_POINTS: Final = 12

# The rate that operators are shown is that of the recent past: a change of pace shows within this time.
RATE_WINDOW_MS: Final = 10 * 60_000

# Fewer movements than this are no rate: a number would be invented.
LEAST_MOVEMENTS: Final = 2

# Movements closer together than this are taken for one: whole minutes are shown.
LEAST_GAP_S: Final = 20

# A silence goes in ticks of this length, and from so many of them on in ticks of twice the length.
TICK_S: Final = 10
TICKS_OF_A_LENGTH: Final = 16

# The history is tried on itself in about so many spans: the more, the dearer and the finer.
SPANS: Final = 40

# So many movements ahead the curve follows the steps in which people are let in, where sizes differ by
# less than this part of them.
EXACT_MOVEMENTS: Final = 3
ALIKE: Final = 0.01

# The latest curve of so many events is kept, as thousands of visitors ask between two reads.
MOST_RECKONED: Final = 256
_reckoned: dict[EventId, tuple[EventSnapshot, "WaitCurve | None"]] = {}

# When to ask again: a part of the nearer end of the range, or without one of the people ahead, within
# bounds; and on top a spread of up to a part of that.
NEAREST_POLL_S: Final = 2
FARTHEST_POLL_S: Final = 60
UNKNOWN_POLL_S: Final = 10
POLLS_A_WAIT: Final = 10
PEOPLE_A_SECOND: Final = 100
SPREAD_PART: Final = 4


@dataclass(frozen=True, slots=True)
class Wait:
    """An honest range, whole seconds, of how long a visitor still waits."""

    low_s: int
    high_s: int


@dataclass(frozen=True, slots=True)
class WaitCurve:
    """The range for any number of people ahead.

    Attributes:
        points: `(ahead, low_s, high_s)`, from two to `MAX_POINTS`. The first is for nobody ahead; `ahead`
            grows from one to the next, and the seconds never fall.
    """

    points: tuple[tuple[int, int, int], ...]

    def at(self, ahead: int) -> Wait:
        """Return the range for someone with `ahead` visitors before them.

        Between two points, and beyond the last two, it lies on the line through them.
        """
        second = bisect_left(self.points, (ahead, 0, 0), lo=1, hi=len(self.points) - 1)
        (from_ahead, low, high), (to_ahead, low_there, high_there) = self.points[
            second - 1 : second + 1
        ]
        # The same steps in the same order give the same number in every language (IEEE 754).
        part = (ahead - from_ahead) / (to_ahead - from_ahead)
        return Wait(
            low_s=math.floor(low + (low_there - low) * part),
            high_s=math.ceil(high + (high_there - high) * part),
        )


def release_rate_per_s(snapshot: EventSnapshot) -> float | None:
    """Measure how many people per second the pointer has let in lately.

    Returns:
        People per second of the event clock, or None while the history says nothing.
    """
    horizon = snapshot.active_ms - RATE_WINDOW_MS
    recent = [release for release in snapshot.releases if release.active_ms >= horizon]
    if len(recent) < LEAST_MOVEMENTS:
        return None
    # The first movement marks the start of the span: what it let in came before.
    span_ms = max(snapshot.active_ms, recent[-1].active_ms) - recent[0].active_ms
    people = sum(release.people for release in recent[1:])
    if span_ms <= 0 or people <= 0:
        return None
    return people * 1000 / span_ms


def wait_curve(snapshot: EventSnapshot) -> WaitCurve | None:
    """Tell how long anyone waits, as of this read.

    Returns:
        The curve, or None while the queue stands still, before the opening, or without a history.
    """
    held = _reckoned.get(snapshot.event)
    if held is None or held[0] is not snapshot:
        if len(_reckoned) >= MOST_RECKONED:
            _reckoned.clear()
        held = _reckoned[snapshot.event] = (snapshot, _reckon(snapshot))
    return held[1]


def _reckon(snapshot: EventSnapshot) -> WaitCurve | None:
    if snapshot.state is not EventState.OPEN:
        return None
    entries, now_s = _movements(snapshot)
    if len(entries) < LEAST_MOVEMENTS:
        return None
    near = gaps_between(entries, LEAST_GAP_S)
    if not near:
        return None
    span_s = entries[-1].open_s - entries[0].open_s
    far = gaps_between(entries, max(LEAST_GAP_S, span_s / SPANS))
    silent_s, tick_s = _tick(now_s - entries[-1].open_s)
    upcoming = NextMovement.after(near, silent_s, COVERAGE)
    upcoming = replace(upcoming, low_s=max(upcoming.low_s - tick_s, 0.0))
    pace = Pace(far, upcoming.variance)
    points: list[tuple[int, int, int]] = []
    low_s = high_s = 0
    for ahead in _places(upcoming):
        low, high = _range(upcoming, pace, ahead)
        low_s = max(math.floor(low), low_s)
        high_s = max(math.ceil(high), high_s)
        points.append((ahead, low_s, high_s))
    return WaitCurve(tuple(points))


def estimate_wait(snapshot: EventSnapshot, ahead: int) -> Wait | None:
    """Estimate the wait of someone with `ahead` visitors before them.

    Returns:
        A range, or None where `wait_curve` has none.
    """
    curve = wait_curve(snapshot)
    return None if curve is None else curve.at(ahead)


def poll_interval_s(low_s: int | None, ahead: int | None) -> int:
    """Return when to ask again, without the spread: the later, the farther from the front.

    Args:
        low_s: The nearer end of the range; None without one.
        ahead: The people ahead; None while there is no turn yet.
    """
    if ahead is None:
        return UNKNOWN_POLL_S
    # Without a range, distance alone decides: a thousand people are not let in within a second.
    interval_s = ahead // PEOPLE_A_SECOND if low_s is None else low_s // POLLS_A_WAIT
    return min(max(interval_s, NEAREST_POLL_S), FARTHEST_POLL_S)


def poll_spread_s(interval_s: int, position: Position) -> int:
    """Return what a visitor adds to the interval, so that neighbours do not ask in step.

    It is the same each time, so that nobody is sent back to the end of the spread.
    """
    return position % (max(1, interval_s // SPREAD_PART) + 1)


def retry_after_s(snapshot: EventSnapshot, ahead: int | None, position: Position) -> int:
    """Tell a waiting visitor when to ask again.

    Returns:
        Whole seconds, at least `NEAREST_POLL_S` (Retry-After, RFC 9110, section 10.2.3).
    """
    wait = None if ahead is None else estimate_wait(snapshot, ahead)
    interval_s = poll_interval_s(None if wait is None else wait.low_s, ahead)
    return interval_s + poll_spread_s(interval_s, position)


def _movements(snapshot: EventSnapshot) -> tuple[Sequence[LetIn], float]:
    """Return the movements that let somebody in, and the time now on their clock."""
    if len(snapshot.history) >= LEAST_MOVEMENTS:
        entries, now_s = snapshot.history, snapshot.open_ms / 1000
    else:
        entries, now_s = (
            tuple(LetIn(move.active_ms // 1000, move.people, 1) for move in snapshot.releases),
            snapshot.active_ms / 1000,
        )
    return [entry for entry in entries if entry.people > 0], now_s


def _tick(silent_s: float) -> tuple[int, int]:
    """Return when the present tick of a silence began, and how long it is: the longer, the later."""
    tick_s = TICK_S
    while silent_s >= TICKS_OF_A_LENGTH * tick_s:
        tick_s *= 2
    return max(int(silent_s), 0) // tick_s * tick_s, tick_s


def _places(upcoming: NextMovement) -> list[int]:
    """Return where the curve has its points: around the next movements, then ever farther apart."""
    batch = max(round(upcoming.people), 1)
    if upcoming.flows:
        return [0, *(batch * 4**power for power in range(1, 8))]
    edges = {
        ahead
        for movement in range(EXACT_MOVEMENTS)
        for ahead in (movement * batch, (movement + 1) * batch - 1)
    }
    return sorted(edges) + [batch * times for times in (EXACT_MOVEMENTS, 6, 15, 40, 120, 400)]


def _range(upcoming: NextMovement, pace: Pace, ahead: int) -> tuple[float, float]:
    """Return the range for one place, in seconds."""
    fewest, most = _after_the_next(upcoming, ahead)
    seconds, deviation = pace.over(most * pace.now_s)
    nearer = 1 - math.exp(-DEVIATIONS * deviation)
    farther = math.exp(DEVIATIONS * deviation) - 1
    under_s = math.hypot(upcoming.middle_s - upcoming.low_s, fewest * seconds * nearer)
    over_s = math.hypot(upcoming.high_s - upcoming.middle_s, most * seconds * farther)
    return (
        max(upcoming.middle_s + fewest * seconds - under_s, 0.0),
        upcoming.middle_s + most * seconds + over_s,
    )


def _after_the_next(upcoming: NextMovement, ahead: int) -> tuple[float, float]:
    """Return how many people's time passes after the next movement: at least, and at most.

    Those of one movement go in together, so this goes in steps. Where sizes vary, or the point stands for
    all places up to the next one, the steps lie between two lines.
    """
    needed = ahead + 1.0
    if upcoming.flows:
        return needed, needed
    batch = max(upcoming.people, 1.0)
    # A whole number of movements is found to be one, whatever the rounding.
    movements = round(needed / batch, 9)
    if upcoming.size_deviation < ALIKE and movements <= EXACT_MOVEMENTS:
        later = batch * (math.ceil(movements) - 1)
        return later, later
    slack = upcoming.size_deviation * min(math.sqrt(movements), 2.0)
    if movements + DEVIATIONS * slack < 1:
        return 0.0, 0.0
    return batch * max(movements - 1 - slack, 0.0), batch * (movements + slack)
