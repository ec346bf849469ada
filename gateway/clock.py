"""The process's clocks: monotonic time, and from it the wall clock of the ledger's server."""

import time

# A read this quick tells the server's time to a few milliseconds; a slower one only if none was quick.
_QUICK_S = 0.05


class LedgerClock:
    """`now_s` is monotonic time plus the offset to the ledger's clock.

    Until the ledger was read, the machine's own clock stands in: tokens can be checked, and nothing
    that needs the ledger's time can be asked for anyway.
    """

    def __init__(self) -> None:
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
        self._offset_s = server_ms / 1000 - (before_s + after_s) / 2
        self._synchronised = True

    @property
    def skew_s(self) -> float:
        """How far the machine's own clock is off; for operators."""
        return time.time() - self.now_s()
