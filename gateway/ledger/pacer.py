"""Asks the ledger, several times a second, to let in whom the events' schedules allow by now.

Every gateway does so, and none of them leads: the script reckons on the ledger's clock, so it comes to the
same whoever asks, however often.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from gateway.chance import CHANCE
from gateway.domain.backoff import Seen
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.errors import GatewayError
from gateway.ledger.redis import RedisLedger

BEAT_S = 0.25

# Where nobody waits there is nothing to do but to keep time, and to tell what is seen of the site.
IDLE_BEATS = 4

# A join is answered with a turn, where it can have one at once; else soon, and the turn a moment later.
PATIENCE_S = 1.0


class Board(Protocol):
    """What was last read of every event."""

    def get(self, event: EventId) -> EventSnapshot | None: ...

    def all(self) -> Iterable[EventSnapshot]: ...


class SchedulePacer:
    """One a process. Implements `gateway.ports.Schedules`.

    Args:
        read: Reads an event onto the board, as durably as it asks.
        seen: What this gateway sees of the site behind it.
    """

    def __init__(
        self,
        ledger: RedisLedger,
        board: Board,
        read: Callable[[EventId], Awaitable[None]],
        seen: Callable[[], Seen] = lambda: Seen.NOTHING,
    ) -> None:
        self._ledger = ledger
        self._board = board
        self._read = read
        self._seen = seen
        self._calls: dict[EventId, asyncio.Task[None]] = {}
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._beating = asyncio.create_task(self._beat(), name="schedule-beat")

    async def aclose(self) -> None:
        tasks = [*self._calls.values()]
        if self._beating is not None:
            tasks.append(self._beating)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def let_in_now(self, event: EventId) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                # A call under way may have been decided before who asks had a place.
                under_way = self._calls.get(event)
                if under_way is not None:
                    await asyncio.wait({under_way})
                await asyncio.wait({self._call_soon(event)})

    async def _beat(self) -> None:
        for beat in itertools.count():
            # With jitter, so that the beats of many gateways spread out.
            await asyncio.sleep(BEAT_S * CHANCE.uniform(0.8, 1.2))
            for snapshot in self._board.all():
                if snapshot.state is EventState.OPEN and snapshot.policy.has_schedule:
                    reaches_on = snapshot.waiting > 0 or snapshot.policy.headroom > 0
                    if reaches_on or beat % IDLE_BEATS == 0:
                        self._call_soon(snapshot.event)

    def _call_soon(self, event: EventId) -> "asyncio.Task[None]":
        call = self._calls.get(event)
        if call is None:
            call = self._calls[event] = asyncio.create_task(self._call(event), name="schedule")
            call.add_done_callback(lambda _: self._calls.pop(event, None))
        return call

    async def _call(self, event: EventId) -> None:
        # A ledger that is away is told of by the watcher, which reads the same event every second.
        with contextlib.suppress(GatewayError):
            done = await self._ledger.follow_schedule(event, self._seen())
            shown = self._board.get(event)
            if shown is None or shown.served_up_to < done.after:
                await self._read(event)
