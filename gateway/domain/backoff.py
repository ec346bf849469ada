"""Whether the backend is ill, as one gateway sees it, and how gently the schedule comes back.

Each gateway judges from its own proxied requests (`BackendHealth`) and tells the ledger; there the part of
gateways that see illness sets the pace (`next_pace`, which `schedule.lua` repeats in Lua).
"""

from collections import deque
from enum import StrEnum
from typing import Final

REMEMBERED_S: Final = 10.0
"""What the backend did longer ago says nothing of it any more."""

LEAST_ANSWERS: Final = 10
"""Fewer are no judgement: one failed request of three is not an ill backend."""

ILL_SHARE: Final = 0.5
"""From this part of failures on, a backend that was well counts as ill."""

WELL_SHARE: Final = 0.2
"""Up to this part, one that was ill counts as well again."""

RECOVERY_MS: Final = 60_000
LEAST_PACE_MS: Final = 6_000


class Seen(StrEnum):
    """What a gateway sees of the backend; the value is what the ledger is told."""

    NOTHING = ""
    HEALTHY = "healthy"
    ILL = "ill"


def is_failure(status: int) -> bool:
    """Whether an answer of this status means that the backend cannot cope.

    501 and 505 say that a request is of a kind it does not know (RFC 9110, section 15.6).
    """
    return status >= 500 and status not in {501, 505}


class BackendHealth:
    """Judges the backend by what it answered in the last `REMEMBERED_S`.

    Args:
        least_answers: Fewer are no judgement.
    """

    def __init__(self, least_answers: int = LEAST_ANSWERS) -> None:
        self._least_answers = least_answers
        # (second, answers, failures), the latest last.
        self._seconds: deque[tuple[int, int, int]] = deque()
        self._is_ill = False

    def note(self, *, failed: bool, now_s: float) -> None:
        """Note one request: answered, or failed by its status, its time or the connection."""
        second = int(now_s)
        answers = failures = 0
        if self._seconds and self._seconds[-1][0] == second:
            _, answers, failures = self._seconds.pop()
        self._seconds.append((second, answers + 1, failures + int(failed)))
        self._forget(now_s)

    def seen(self, now_s: float) -> Seen:
        self._forget(now_s)
        answers = sum(count for _, count, _ in self._seconds)
        failures = sum(count for _, _, count in self._seconds)
        if answers < self._least_answers:
            # Too few to call a backend ill; but one that was ill is not well for want of requests.
            return Seen.ILL if self._is_ill and failures else Seen.NOTHING
        share = failures / answers
        self._is_ill = share > WELL_SHARE if self._is_ill else share >= ILL_SHARE
        return Seen.ILL if self._is_ill else Seen.HEALTHY

    def _forget(self, now_s: float) -> None:
        while self._seconds and self._seconds[0][0] < now_s - REMEMBERED_S:
            self._seconds.popleft()
        if not self._seconds:
            self._is_ill = False


def next_pace(pace_ms: int, ill_share: float, elapsed_ms: int) -> int:
    """Return the pace after `elapsed_ms`, as so much of the minute that a recovery takes.

    It falls at once, to the part of gateways that see no illness, and grows back linearly. It never falls
    to nothing: where nobody is let in, nobody finds out that the backend is well.
    """
    if ill_share > 0:
        return max(min(pace_ms, int(RECOVERY_MS * (1 - ill_share))), LEAST_PACE_MS)
    return min(pace_ms + elapsed_ms, RECOVERY_MS)
