"""Notes how every event stands, every few seconds; whichever gateway asks first writes it down."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.domain.samples import EVERY_S, Sample
from gateway.domain.waiting import Wait, estimate_wait
from gateway.errors import GatewayError

_UNREADABLE = frozenset({EventState.SUSPENDED, EventState.DELETED})


class SampleLedger(Protocol):
    async def sample(self, event: EventId, promised: Wait | None) -> Sample | None: ...


class Sampler:
    """One a process; several are no harm, since an interval is noted once.

    Args:
        known: Returns what is known of every event now.
    """

    def __init__(
        self,
        ledger: SampleLedger,
        known: Callable[[], Sequence[EventSnapshot]],
        *,
        every_s: float = EVERY_S,
    ) -> None:
        self._ledger = ledger
        self._known = known
        self._every_s = every_s

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.take()

    async def take(self) -> None:
        """Take a sample of every event that can be read; what fails is left out, and not missed."""
        for snapshot in self._known():
            if snapshot.state in _UNREADABLE:
                continue
            promised = estimate_wait(snapshot, snapshot.waiting)
            # The watcher reads the same event from the same ledger, and tells of every trouble.
            with contextlib.suppress(GatewayError):
                await self._ledger.sample(snapshot.event, promised)
