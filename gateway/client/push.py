"""What is pushed: hints to ask for the signed document, soon where that decides something.

What is pushed is signed by nobody, and believed by nobody.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.client.documents import PointerDocument
from gateway.client.holder import Holder
from gateway.client.pace import retry_after
from gateway.client.timetable import Timetable
from gateway.client.transport import Channel, NoPush, Transport
from gateway.domain.positions import EventId


class Listener:
    """Stays connected while a place waits, and tells the timetable what it hears.

    Args:
        news: Set whenever something about the place has changed.
        tell: Called when the connection, or what is heard over it, has changed.
    """

    def __init__(
        self,
        event: EventId,
        channel: Channel,
        transport: Transport,
        holder: Holder,
        timetable: Timetable,
        *,
        chance: Callable[[], float],
        news: asyncio.Event,
        tell: Callable[[], None],
    ) -> None:
        self._event = event
        self._channel: Channel = channel
        self._transport = transport
        self._holder = holder
        self._timetable = timetable
        self._chance = chance
        self._news = news
        self._tell = tell

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            while self._holder.record.stage != "waiting":
                self._news.clear()
                await self._news.wait()
            pause_s: float | None = None
            try:
                async with contextlib.aclosing(self._transport.documents(self._channel)) as pushed:
                    async for found in pushed:
                        failures = 0
                        self._hinted(found)
                        if self._holder.record.stage != "waiting":
                            break
            except NoPush as exc:
                pause_s = exc.pause_s
            failures += 1
            if self._holder.hinted_up_to is not None:
                self._holder.hinted_up_to = None
                alone_s = self._holder.standing.poll_alone_s(0)
                self._timetable.sooner("pointer", alone_s * self._chance())
                self._tell()
            await asyncio.sleep(
                retry_after(failures, self._chance()) if pause_s is None else pause_s
            )

    def _hinted(self, found: Any) -> None:
        """Something moved, it is said."""
        try:
            hint = msgspec.convert(found, PointerDocument)
        except msgspec.ValidationError:
            return
        if hint.event != self._event:
            return
        self._holder.hinted_up_to = hint.served_up_to
        self._tell()
        standing = self._holder.standing
        known = standing.document
        if known is None:
            return
        is_news = (hint.generation, hint.state) != (known.generation, known.state)
        may_have_come = standing.turn is not None and hint.served_up_to >= standing.turn
        if is_news or (may_have_come and not standing.has_turn()):
            # A second later, the statement that caches hold has it too.
            self._timetable.sooner("pointer", 1 + self._chance())
        elif hint.served_up_to > known.served_up_to:
            at = self._holder.asked_at + standing.poll_alone_s(self._chance())
            self._timetable.sooner("pointer", at - time.monotonic())
