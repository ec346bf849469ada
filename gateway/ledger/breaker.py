"""A circuit breaker: while the ledger is away, callers are told at once instead of one time-out each.

A call that fails by silence costs its caller the whole time limit and holds one of few connections. After
some in a row nobody is sent any more but one probe at a time, at growing intervals with jitter, so that a
server which comes back is not met by everybody at once.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from gateway.chance import CHANCE
from gateway.errors import LedgerUnavailable

CIRCUIT_OPEN = "circuit-open"
"""The cause that callers are told while nobody is sent."""

TRIPS_AFTER = 5
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0


class Breaker:
    """Counts failures in a row; for one event loop.

    Args:
        monotonic_s: The clock.
        jitter: Returns a number from 0 to 1.
    """

    def __init__(
        self,
        monotonic_s: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = CHANCE.random,
    ) -> None:
        self._monotonic_s = monotonic_s
        self._jitter = jitter
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._next_probe_s = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._failures >= TRIPS_AFTER

    @contextmanager
    def guarding(self, is_away: Callable[[BaseException], bool]) -> Generator[None]:
        """Let one call through, and learn from how it ends.

        Args:
            is_away: Whether an exception says that the ledger is away. Any other is an answer.

        Raises:
            LedgerUnavailable: The circuit is open, and this call is not the probe.
        """
        probing = self._enter()
        try:
            yield
        except BaseException as exc:
            if is_away(exc):
                self._failed(probing=probing)
            elif isinstance(exc, Exception):
                self._answered()
            # Else the caller was cancelled: nothing was learned.
            raise
        else:
            self._answered()
        finally:
            if probing:
                self._probing = False

    def _enter(self) -> bool:
        if not self.is_open:
            return False
        if self._probing or self._monotonic_s() < self._next_probe_s:
            raise LedgerUnavailable(CIRCUIT_OPEN, "the ledger was away a moment ago")
        self._probing = True
        return True

    def _failed(self, *, probing: bool) -> None:
        was_open = self.is_open
        self._failures += 1
        if not self.is_open or (was_open and not probing):
            # A call from before it opened tells nothing new.
            return
        if probing:
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
        self._next_probe_s = self._monotonic_s() + self._pause_s * (0.5 + self._jitter() / 2)

    def _answered(self) -> None:
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
