"""When a client asks again. `place.js` says the same; `tests/vectors/back_off.json` holds both to it.

Seconds everywhere; `chance` is from 0 to 1, so that nobody goes in step with others.
"""

from typing import Final

from gateway.client.documents import Poll
from gateway.domain.waiting import POLLS_A_WAIT, SPREAD_PART, Wait

_PEOPLE_A_SECOND: Final = 100
_FIRST_RETRY: Final = 2
_LONGEST_RETRY: Final = 60
_CLAIMS_A_SECOND: Final = 500
_LONGEST_DELAY: Final = 60
_FULL_GROWTH: Final = 1.25
_LONGEST_FULL: Final = 60


def poll_after(poll: Poll, ahead: int | None, wait: Wait | None, chance: float) -> float:
    """Say when to poll next: the later, the farther from the front."""
    base: float = poll.unknown
    if ahead is not None:
        told = ahead / _PEOPLE_A_SECOND if wait is None else wait.low_s / POLLS_A_WAIT
        base = min(max(told, poll.nearest), poll.farthest)
    return base * (1 + chance / SPREAD_PART)


def retry_after(failures: int, chance: float) -> float:
    """Say when to try again after so many failures in a row."""
    # Beyond that the power is a number without an end, and the bound the same.
    longest = min(_FIRST_RETRY * 2.0 ** (min(failures, 32) - 1), _LONGEST_RETRY)
    return (longest * (1 + chance)) / 2


def may_hold_for(window: float, since_turn: float, margin: float) -> float:
    """Say for how long a claim may be put off."""
    return max(window - since_turn - margin, 0)


def enter_delay(turn: int, served_before: int, served_up_to: int, most: float) -> float:
    """Say for how long a turn lets others of the same release go first."""
    released = served_up_to - served_before
    if released <= 0:
        return 0
    before = min(max(turn - served_before - 1, 0), released)
    return min(released / _CLAIMS_A_SECOND, _LONGEST_DELAY, most) * (before / released)


def when_full(times: int, least: float, left: float, chance: float) -> float:
    """Say when to claim again from a site that was full so many times."""
    shortest = max(least, _FIRST_RETRY)
    grown = min(shortest * _FULL_GROWTH ** min(times, 64), _LONGEST_FULL, left)
    return max(grown, shortest) * (1 + chance / SPREAD_PART)
