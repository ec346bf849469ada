"""How the waiting time that one visitor is shown may move.

What is shown is a span of the clock in which the turn is expected, so that the time left counts down by
itself. A fresh estimate changes it in four cases only:

1. There is nothing shown: the estimate is shown.
2. The middle of the estimate lies before the span: the span moves there, sooner. Its end never moves later.
3. The middle lies within the span, and the estimate is at most half as wide: the span narrows to what both
   have in common.
4. The middle lies past the end: the span becomes the estimate, in one step, which is called `later` so that
   the page can say so. At most once in a tenth of the time then shown, and in a minute; and only where the
   rounded time would rise.

So the shown end rises by a step called `later` and by nothing else. Where there is no estimate nothing is
shown, and the next one begins anew. Times are rounded outwards: to minutes below an hour, 5 minutes below
3 hours, a quarter of an hour below 12 hours, else hours; never less than one minute at the end.

Everything is whole seconds of one monotonic clock of the visitor's device, whatever its zero. The waiting
page does the same in JavaScript; `tests/vectors/shown_wait.json` holds both to one behaviour.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.domain.waiting import Wait

ROUNDING: tuple[tuple[int, int], ...] = ((3_600, 60), (10_800, 300), (43_200, 900))
"""Below so many seconds times are shown in steps of so many. Each bound is a multiple of both steps beside
it, so that a time which falls is never rounded to one that rises."""

LONG_ROUNDING_S = 3_600

LEAST_SHOWN_S = 60

# How long a shown time stands before it may rise again: this part of itself, and never less than that.
REST_PART = 10
LEAST_REST_S = 60


class Move(StrEnum):
    """How what is shown differs from what was shown before."""

    BEGUN = "begun"
    KEPT = "kept"
    NARROWED = "narrowed"
    SOONER = "sooner"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Shown:
    """What one visitor is shown: the turn is expected from `from_s` to `until_s`.

    Attributes:
        may_rise_from_s: Until then the shown end does not rise.
        move: How it came from what was shown before.
    """

    from_s: int
    until_s: int
    may_rise_from_s: int
    move: Move = Move.BEGUN

    def left_at(self, now_s: int) -> Wait:
        """Return the time left as it is shown: rounded outwards."""
        return Wait(
            low_s=_rounded_down(max(self.from_s - now_s, 0)),
            high_s=_rounded_up(max(self.until_s - now_s, LEAST_SHOWN_S)),
        )


def show_next(shown: Shown | None, fresh: Wait | None, now_s: int) -> Shown | None:
    """Return what to show from `now_s` on, given a fresh estimate, or None where nothing is known."""
    if fresh is None:
        return None
    first, last = now_s + fresh.low_s, now_s + fresh.high_s
    if shown is None:
        return _begun(fresh, now_s, Move.BEGUN)
    if first + last < 2 * shown.from_s:
        return replace(shown, from_s=first, until_s=min(last, shown.until_s), move=Move.SOONER)
    if first + last > 2 * shown.until_s:
        would_rise = _rounded_up(max(fresh.high_s, LEAST_SHOWN_S)) > shown.left_at(now_s).high_s
        if would_rise and now_s >= shown.may_rise_from_s:
            return _begun(fresh, now_s, Move.LATER)
        return replace(shown, move=Move.KEPT)
    if 2 * (last - first) <= shown.until_s - shown.from_s:
        return replace(
            shown,
            from_s=max(first, shown.from_s),
            until_s=min(last, shown.until_s),
            move=Move.NARROWED,
        )
    return replace(shown, move=Move.KEPT)


def _begun(fresh: Wait, now_s: int, move: Move) -> Shown:
    rest_s = max(fresh.high_s // REST_PART, LEAST_REST_S)
    return Shown(now_s + fresh.low_s, now_s + fresh.high_s, now_s + rest_s, move)


def _step(seconds: int) -> int:
    return next((step for below, step in ROUNDING if seconds < below), LONG_ROUNDING_S)


def _rounded_down(seconds: int) -> int:
    return seconds // _step(seconds) * _step(seconds)


def _rounded_up(seconds: int) -> int:
    return -(-seconds // _step(seconds)) * _step(seconds)
