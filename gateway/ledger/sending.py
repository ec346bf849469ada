"""How every command reaches the ledger: in time or not at all, so many at once, and counted."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any

from gateway.errors import LedgerUnavailable
from gateway.ledger.breaker import CIRCUIT_OPEN, Breaker
from gateway.ledger.failures import translated

# Calls under way at one time. When a release lets a thousand visitors in, their claims arrive within a
# second: those beyond this number wait for a connection, within their time limit.
CALLS_AT_ONCE = 64

# What says that the server, or the way to it, is away; anything else is an answer.
_AWAY = frozenset({"unreachable", "timeout"})


class Sender:
    """Sends commands to one ledger.

    Args:
        timeout_s: How long one command may take, waiting for a connection included.
        on_call: Told the name of each call and how it ended, for metrics.
    """

    def __init__(self, timeout_s: float, on_call: Callable[[str, str], None] | None = None) -> None:
        self.timeout_s = timeout_s
        self._breakers: defaultdict[str, Breaker] = defaultdict(Breaker)
        self._turnstile = asyncio.Semaphore(CALLS_AT_ONCE)
        self._on_call = on_call

    async def call(
        self,
        name: str,
        send: Callable[[], Awaitable[Any]],
        *,
        may_repeat: bool = False,
        server: str = "",
    ) -> Any:
        """Send a command within the time limit, once more if the connection was dead.

        A connection that the server closed while it was idle is only noticed by using it, so one
        repetition is the rule after every restart of the server; to the breaker both are one call.

        Args:
            server: Which of the ledger's servers is asked; each has a breaker of its own.

        Raises:
            LedgerUnavailable: There was no answer in time; at once while the breaker is open.
        """
        with self._told_when_refused(name), self._breakers[server].guarding(is_away=_is_away):
            try:
                return await self._send(name, send)
            except LedgerUnavailable as exc:
                if exc.cause != "unreachable" or not may_repeat:
                    raise
            return await self._send(name, send)

    @contextmanager
    def _told_when_refused(self, name: str) -> Generator[None]:
        try:
            yield
        except LedgerUnavailable as exc:
            if exc.cause == CIRCUIT_OPEN and self._on_call is not None:
                self._on_call(name, exc.cause)
            raise

    async def _send(self, name: str, send: Callable[[], Awaitable[Any]]) -> Any:
        outcome = "ok"
        try:
            with translated():
                async with asyncio.timeout(self.timeout_s), self._turnstile:
                    return await send()
        except LedgerUnavailable as exc:
            outcome = exc.cause
            raise
        finally:
            if self._on_call is not None:
                self._on_call(name, outcome)


def _is_away(exc: BaseException) -> bool:
    return isinstance(exc, LedgerUnavailable) and exc.cause in _AWAY
