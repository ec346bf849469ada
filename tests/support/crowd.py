"""A crowd that wants to book, and an operator who lets it in; all that they see is noted in a history.

Everything is bounded in number and in time. `Crowd.run` lasts as long as its pace says; `Crowd.settle` is
for when all faults are healed: it shows every token that was ever given once more.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.domain.positions import EventId
from gateway.errors import Conflict, GatewayError
from gateway.ledger.redis import RedisLedger
from tests.support.history import CONFLICT, OK, Count, History, Release
from tests.support.noted_calls import Door, NotedCalls, Ticket

# After a fault a gateway connects again, subscribes and reads: for so long it may still be behind.
RECOVERY_S = 3.0

# Well above what healing takes (SECURITY.md, I15), since nothing is measured here.
SETTLE_S = 30.0
AT_ONCE = 16
CANCEL_AGAIN_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much a crowd does.

    Attributes:
        lasts_s: How long visitors come.
        joins_per_s: How many come in a second, at all gateways together.
        most: No more come than this.
        watching: The share of visitors who look at their own place while they wait.
        doubting: The share who join once more with the same key, as a second tab does.
        pushing: The share who try to get in again and again before their turn.
        impatient: The share who give up their first attempt to join at a random instant. Half of them
            try again with the same key, the others go away.
        leaving: The share of admitted visitors who give their session back.
        pages: How many pages an admitted visitor asks for.
        release_every_s: How often the operator lets people in.
        let_in: How many at a time, at least and at most.
        patience_s: How long anybody waits for an answer.
    """

    lasts_s: float = 2.8
    joins_per_s: float = 100.0
    most: int = 1000
    watching: float = 0.1
    doubting: float = 0.1
    pushing: float = 0.1
    impatient: float = 0.0
    leaving: float = 0.1
    pages: int = 2
    release_every_s: float = 0.3
    let_in: tuple[int, int] = (5, 20)
    patience_s: float = 4.0


class Crowd:
    """The visitors and the operator of one event.

    Args:
        doors: The gateways; every call picks one of them.
        host: The event's host, as browsers send it.
        ledger_url: How the operator reaches the ledger.
        seed: Of everything that happens by chance.

    Attributes:
        tickets: What was ever given to anybody.
    """

    def __init__(
        self,
        doors: Sequence[Door],
        event: str,
        host: str,
        ledger_url: str,
        *,
        pace: Pace | None = None,
        seed: int = 1,
    ) -> None:
        self.pace = pace or Pace()
        self.history = History(unix_minus_monotonic_s=time.time() - time.monotonic())
        self.tickets: list[Ticket] = []
        self._doors = doors
        self._event = event
        self._ledger_url = ledger_url
        self._chance = random.Random(seed)
        self._calls = NotedCalls(
            self.history,
            doors,
            event,
            host,
            chance=self._chance,
            patience_s=self.pace.patience_s,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._releasing: asyncio.Task[None] | None = None
        self._is_over = False
        self._served_up_to = 0
        self._released_to = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self._unfinished: list[tuple[str, int]] = []

    @asynccontextmanager
    async def gathered(self) -> AsyncIterator["Crowd"]:
        """Hold the connections of all visitors and of the operator; at the end nothing runs any more."""
        self._operator = RedisLedger(self._ledger_url)
        try:
            async with self._calls.connected():
                try:
                    # What is lost before anybody has read it is lost for good, and proves nothing.
                    await self._until(self._all_gateways_answer)
                    yield self
                finally:
                    await self.stop()
        finally:
            await self._operator.aclose()

    async def run(self) -> None:
        """Let visitors come and be let in for as long as the pace says, then stop."""
        self._releasing = asyncio.create_task(self._release_again_and_again())
        for door in self._doors:
            self._start(self._watch_the_pointer(door))
        pace, began_s = self.pace, time.monotonic()
        for number in range(min(pace.most, int(pace.lasts_s * pace.joins_per_s))):
            due_s = began_s + number / pace.joins_per_s
            await asyncio.sleep(max(due_s - time.monotonic(), 0))
            self._start(self._visit(f"visitor-{number}"))
        await asyncio.sleep(max(began_s + pace.lasts_s - time.monotonic(), 0))
        await self.stop()

    async def stop(self) -> None:
        """Cancel what visitors have under way: they do not learn what comes of it.

        The operator finishes the attempt that is under way.
        """
        self._is_over = True
        if self._releasing is not None:
            await self._releasing
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # On Python 3.11 a cancellation may be swallowed (python/cpython#86296): again, then.
            done, _ = await asyncio.wait(self._tasks, timeout=CANCEL_AGAIN_S)
            self._tasks -= done
            for task in done:
                if not task.cancelled() and (failure := task.exception()):
                    raise failure

    @asynccontextmanager
    async def fault(self) -> AsyncIterator[None]:
        """Note that the ledger is not healthy while the body runs, and until all have recovered."""
        began_s = time.monotonic()
        try:
            yield
        finally:
            self.history.faults.append((began_s, time.monotonic() + RECOVERY_S))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._drop)

    def _drop(self, task: "asyncio.Task[None]") -> None:
        # One that failed is kept, to be found by whoever stops the crowd.
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)

    # --- Visitors --------------------------------------------------------------------------------

    async def _visit(self, client: str) -> None:
        ticket = await self._join_until_answered(client)
        if ticket is None:
            return
        if self._chance.random() < self.pace.watching:
            self._start(self._watch_my_place(ticket))
        if self._chance.random() < self.pace.doubting:
            await self._join(client, ticket.key)
        if self._chance.random() < self.pace.pushing:
            self._start(self._push(ticket))
        await self._until_served(ticket.place.position)
        while ticket.held is None:
            await self._enter(ticket)
            await asyncio.sleep(0.3)
        for _ in range(self.pace.pages):
            await self._calls.page(ticket)
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))
        if self._chance.random() < self.pace.leaving:
            await self._calls.leave(ticket)

    async def _join_until_answered(self, client: str) -> Ticket | None:
        key = secrets.token_urlsafe(24)
        if self._chance.random() < self.pace.impatient:
            attempt = asyncio.create_task(self._join(client, key))
            try:
                await asyncio.wait([attempt], timeout=self._chance.uniform(0, 0.03))
            finally:
                attempt.cancel()
                await asyncio.gather(attempt, return_exceptions=True)
            if self._chance.random() < 0.5:
                return None
        while True:
            ticket = await self._join(client, key)
            if ticket is not None:
                return ticket
            await asyncio.sleep(self._chance.uniform(0.1, 0.5))

    async def _join(self, client: str, key: str) -> Ticket | None:
        ticket = await self._calls.join(client, key)
        if ticket is not None:
            self.tickets.append(ticket)
        return ticket

    async def _enter(self, ticket: Ticket) -> None:
        """Claim, or go straight to the page, where the turn is claimed on the spot."""
        if self._chance.random() < 0.5:
            await self._calls.claim(ticket)
        else:
            await self._calls.page(ticket)

    async def _watch_my_place(self, ticket: Ticket) -> None:
        while ticket.held is None:
            await self._calls.position(ticket)
            await asyncio.sleep(self._chance.uniform(0.2, 0.5))

    async def _push(self, ticket: Ticket) -> None:
        while ticket.held is None:
            await self._enter(ticket)
            await asyncio.sleep(self._chance.uniform(0.2, 0.5))

    async def _watch_the_pointer(self, door: Door) -> None:
        while True:
            served_up_to = await self._calls.pointer(door)
            if served_up_to is not None:
                self._served_up_to = max(self._served_up_to, served_up_to)
                self._wake_the_served()
            await asyncio.sleep(0.1)

    async def _until_served(self, position: int) -> None:
        if position > self._served_up_to:
            turn_has_come = asyncio.Event()
            self._waiting.append((position, turn_has_come))
            await turn_has_come.wait()

    def _wake_the_served(self) -> None:
        still_waiting = []
        for position, turn_has_come in self._waiting:
            if position <= self._served_up_to:
                turn_has_come.set()
            else:
                still_waiting.append((position, turn_has_come))
        self._waiting = still_waiting

    # --- The operator ----------------------------------------------------------------------------

    async def _release_again_and_again(self) -> None:
        while not self._is_over:
            await asyncio.sleep(self.pace.release_every_s)
            self._unfinished.append((secrets.token_hex(8), self._chance.randint(*self.pace.let_in)))
            await self._finish_releases()

    async def _finish_releases(self) -> None:
        """Ask for every release that was not answered yet, under its own name."""
        while self._unfinished:
            request_id, people = self._unfinished[0]
            if not await self._release(request_id, people):
                return
            del self._unfinished[0]

    async def _release(self, request_id: str, people: int) -> bool:
        """Try once; return whether there was an answer."""
        began_s = time.monotonic()
        status, told = None, None
        try:
            told = await self._operator.release(
                EventId(self._event), by=people, request_id=request_id
            )
            status = OK
            self._released_to = max(self._released_to, told.after)
        except Conflict:
            status = CONFLICT
        except GatewayError:
            # Whatever it was, it may have been carried out.
            pass
        finally:
            self.history.note(
                Release(
                    began_s=began_s,
                    ended_s=time.monotonic(),
                    event=self._event,
                    client="operator",
                    status=status,
                    request_id=request_id,
                    by=people,
                    people=None if told is None else told.people,
                    after=None if told is None else told.after,
                    repeated=told is not None and told.repeated,
                )
            )
        return status is not None

    # --- Afterwards ------------------------------------------------------------------------------

    async def settle(self, *, sample: int = 40) -> None:
        """Show every token once more, let people in once more, and count, when all is healed.

        Args:
            sample: How many join once more with the same key, and how many of those whose turn has come
                and who are not in yet try to enter.
        """
        await self._until(self._all_gateways_answer)
        await _at_most_at_once([self._calls.position(ticket, last=True) for ticket in self.tickets])
        await _at_most_at_once(
            [self._calls.join(ticket.client, ticket.key) for ticket in self.tickets[-sample:]]
        )
        self._unfinished.append((secrets.token_hex(8), sample))
        await self._until(self._releases_are_answered)
        await self._until(self._all_gateways_show_the_releases)
        for door in self._doors:
            await self._calls.pointer(door, last=True)
        held = [ticket for ticket in self.tickets if ticket.held and not ticket.has_left]
        await _at_most_at_once([self._calls.page(ticket) for ticket in held])
        await _at_most_at_once(
            [self._enter_at_last(ticket) for ticket in self._served_outside()[:sample]]
        )
        await self._count()

    def _served_outside(self) -> list[Ticket]:
        """Return those whose turn has come and who are not in yet, the last first."""
        # A place that was given twice to the same key has two tickets.
        tickets = {ticket.place: ticket for ticket in self.tickets}
        entered = {ticket.place for ticket in self.tickets if ticket.held or ticket.has_left}
        return [
            tickets[place]
            for place in sorted(tickets.keys() - entered, reverse=True)
            if place.position <= self._served_up_to
        ]

    async def _enter_at_last(self, ticket: Ticket) -> None:
        async def is_in() -> bool:
            await self._calls.page(ticket)
            return ticket.held is not None

        if not await self._until(is_in):
            await self._calls.page(ticket, last=True)

    async def _all_gateways_answer(self) -> bool:
        # Each twice: one that is being brought back may answer once and refuse then.
        found = [await self._calls.pointer(door) for door in self._doors for _ in range(2)]
        return None not in found

    async def _all_gateways_show_the_releases(self) -> bool:
        found = [await self._calls.pointer(door) for door in self._doors]
        self._served_up_to = max(pointer or 0 for pointer in found)
        return min(pointer or 0 for pointer in found) >= self._released_to

    async def _releases_are_answered(self) -> bool:
        await self._finish_releases()
        return not self._unfinished

    async def _count(self) -> None:
        began_s = time.monotonic()
        snapshot = await self._operator.read(EventId(self._event))
        self.history.note(
            Count(
                began_s=began_s,
                ended_s=time.monotonic(),
                event=self._event,
                generation=snapshot.generation,
                claims=snapshot.claims,
            )
        )

    async def _until(self, holds: Callable[[], Awaitable[bool]]) -> bool:
        """Try again and again; what does not hold in the end is for the judge to find."""
        deadline_s = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline_s:
            if await holds():
                return True
            await asyncio.sleep(0.1)
        return False


async def _at_most_at_once(calls: Sequence[Awaitable[object]]) -> None:
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[object]) -> None:
        async with turnstile:
            await call

    await asyncio.gather(*map(one, calls))
