"""A visitor's place, held by their own device.

What is known for good is one record in the app's storage. Every step is written there before it counts, so
a process that is ended anywhere goes on from the last one: the key of a join is kept before it is sent, and
repeating a join, a claim or a refresh gives what the lost answer gave. Everything else (who is ahead, how
long it takes) is worked out from the token and the newest signed pointer document, with or without a
network.

`clients/js` does the same in JavaScript; `tests/vectors` holds both, and the gateway, to one behaviour.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Self

from gateway.chance import CHANCE
from gateway.client.holder import Holder
from gateway.client.push import Listener
from gateway.client.storage import MemoryStorage, Storage
from gateway.client.timetable import NEVER, Timetable
from gateway.client.transport import Channel, ServerClock, Transport
from gateway.client.trust import Trust
from gateway.client.view import View
from gateway.domain.positions import parse_event_id


class QueueClient:
    """Holds one place at one event.

    Args:
        url: The gateway's origin, such as `https://tickets.example`.
        keys: A JWK set to trust instead of the one that the gateway publishes.
        issuer: The `iss` to insist on; by default the first token's.
        push: Over what news come; polling goes on wherever that fails.
        auto_claim: Whether a turn is claimed as soon as it has come; else `claim` does.
        headers: Sent with every call, such as a User-Agent.
    """

    def __init__(
        self,
        url: str,
        event: str,
        storage: Storage | None = None,
        *,
        keys: bytes | None = None,
        issuer: str | None = None,
        push: Channel = "events",
        auto_claim: bool = True,
        headers: Mapping[str, str] | None = None,
        chance: Callable[[], float] = CHANCE.random,
    ) -> None:
        self._event = parse_event_id(event)
        self._chance = chance
        self._channel: Channel = push
        clock = ServerClock(time.monotonic)
        self._transport = Transport(url, self._event, clock, headers or {})
        self._timetable = Timetable(chance)
        self._holder = Holder(
            storage or MemoryStorage(),
            self._transport,
            clock,
            Trust(self._event, self._transport, pinned=keys, issuer=issuer),
            self._timetable,
            auto_claim=auto_claim,
            chance=chance,
        )
        self._one_at_a_time = asyncio.Lock()
        self._news = asyncio.Event()
        self._listener = Listener(
            self._event,
            push,
            self._transport,
            self._holder,
            self._timetable,
            chance=chance,
            news=self._news,
            tell=self._tell,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> View:
        """Read what was kept, and go on from there; return the view as it is without any network."""
        if not self._tasks:
            async with self._one_at_a_time:
                await self._holder.load()
            self._tasks.append(asyncio.create_task(self._go(), name="queue client"))
            if self._channel != "none":
                listening = self._listener.run()
                self._tasks.append(asyncio.create_task(listening, name="queue client's push"))
            for task in self._tasks:
                task.add_done_callback(lambda _: self._news.set())
        return self.view

    async def stop(self) -> None:
        """End all that is under way; what was kept stays."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._transport.aclose()

    async def join(self, *, voucher: str | None = None, challenge: str | None = None) -> View:
        """Ask for a place. Does nothing for who has one; after an end, asks for a new one."""
        given = {"voucher": voucher, "challenge": challenge}
        fields = {name: text for name, text in given.items() if text is not None}
        async with self._one_at_a_time:
            record = self._holder.record
            if record.stage not in ("none", "over"):
                return self.view
            await self._holder.begin(record.join_key or secrets.token_urlsafe(18), fields)
        self._tell()
        return self.view

    def look_again(self) -> None:
        """Ask soon: for apps that know that somebody looks again, or that the network is back."""
        self._timetable.forget_failures()
        for name in ("join", "pointer"):
            self._timetable.sooner(name, self._chance())

    def claim(self) -> None:
        """Claim now: for apps that have `auto_claim=False` and ask their visitor first."""
        self._holder.claim_wanted = True
        self._timetable.at_once("claim")

    async def leave(self) -> bool:
        """Give the place or the session back, and forget it.

        Returns:
            Whether the server was told; where it was not, nothing is forgotten.
        """
        async with self._one_at_a_time:
            if not await self._holder.leave():
                return False
        self._tell()
        return True

    async def until(self, holds: Callable[[View], bool]) -> View:
        """Return the first view for which `holds`."""
        while not holds(view := self.view):
            for task in self._tasks:
                if task.done():
                    # Nothing will change any more: what ended it is raised here.
                    task.result()
            self._news.clear()
            await self._news.wait()
        return view

    @property
    def view(self) -> View:
        holder, record, standing = self._holder, self._holder.record, self._holder.standing
        document, claims = standing.document, standing.claims
        is_waiting = record.stage == "waiting"
        has_turn = is_waiting and standing.has_turn()
        return View(
            status="idle"
            if record.stage == "none"
            else ("full" if standing.refusals else "turn")
            if has_turn
            else record.stage,
            event=self._event,
            generation=None if claims is None else claims.generation,
            position=None if claims is None else claims.position,
            turn=standing.turn,
            ahead=standing.ahead() if is_waiting else None,
            served_up_to=None if document is None else document.served_up_to,
            state=None if document is None else document.state,
            message="" if document is None else document.message,
            wait=standing.wait_left(),
            wait_move=None if standing.shown is None else standing.shown.move.value,
            earliest_turn_at=standing.earliest_turn_at(record)
            if is_waiting and not has_turn
            else None,
            age=holder.age(),
            connection=("poll" if holder.hinted_up_to is None else "push")
            if self._transport.online
            else "offline",
            token=record.token,
            pass_=record.pass_,
            session_ends_at=record.session_ends_at,
            why=record.why,
            problem=holder.problem,
        )

    async def _go(self) -> None:
        """Do one thing after the other, each when it is due."""
        while True:
            self._timetable.wake.clear()
            name, at = self._holder.next()
            pause_s = at - time.monotonic()
            if pause_s > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if pause_s == NEVER else pause_s):
                        await self._timetable.wake.wait()
                continue
            async with self._one_at_a_time:
                await self._holder.act(name)
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._timetable.wake.set()
