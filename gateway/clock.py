"""The process's clocks: monotonic time, and from it the wall clock of the ledger's server."""

import time
from collections.abc import Callable

# A read this quick tells the server's time to a few milliseconds; a slower one only if none was quick.
_QUICK_S = 0.05

# A clock that is set right by slewing moves by less than this between two reads, and passes need no more.
LEAST_JUMP_S = 5.0

# The longest that a pass lives: who holds one from before a jump may show it for so long.
JUMP_COUNTS_S = 86_400.0


class LedgerClock:
    """`now_s` is monotonic time plus the offset to the ledger's clock.

    Until the ledger was read, the machine's own clock stands in: tokens can be checked, and nothing
    that needs the ledger's time can be asked for anyway.

    Args:
        on_jump: Told by how many seconds the ledger's clock has jumped, ahead or back.
    """

    def __init__(self, on_jump: Callable[[float], None] = lambda _: None) -> None:
        self._on_jump = on_jump
        self._reading_took_s = 0.0
        self._ahead_s = 0.0
        self._ahead_until_s = 0.0
        self._offset_s = time.time() - time.monotonic()
        self._synchronised = False

    def now_s(self) -> float:
        return time.monotonic() + self._offset_s

    def monotonic_s(self) -> float:
        return time.monotonic()

    def observe(self, server_ms: int, before_s: float, after_s: float) -> None:
        """Take the server's clock from one read.

        Args:
            server_ms: What the server's clock showed, Unix ms.
            before_s: The monotonic clock before the read; `after_s` after it.
        """
        if self._synchronised and after_s - before_s > _QUICK_S:
            return
        offset_s = server_ms / 1000 - (before_s + after_s) / 2
        step_s = offset_s - self._offset_s if self._synchronised else 0.0
        # The two may be wrong by half of what each took.
        doubt_s = (self._reading_took_s + after_s - before_s) / 2
        self._offset_s, self._reading_took_s = offset_s, after_s - before_s
        self._synchronised = True
        if abs(step_s) >= LEAST_JUMP_S + doubt_s:
            self._note_jump(step_s)

    def ahead_s(self) -> float:
        """Return by how much the ledger's clock has jumped ahead of even time within the last day.

        This machine's own clock is not asked: that may be the wrong one, and its steps are no jumps.
        """
        return self._ahead_s if time.monotonic() < self._ahead_until_s else 0.0

    def _note_jump(self, step_s: float) -> None:
        self._ahead_s = max(self.ahead_s() + step_s, 0.0)
        self._ahead_until_s = time.monotonic() + JUMP_COUNTS_S
        self._on_jump(step_s)

    @property
    def skew_s(self) -> float:
        """How far the machine's own clock is off; for operators."""
        return time.time() - self.now_s()
