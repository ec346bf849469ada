"""Keeps the pointers of all events fresh in memory: messages for speed, polling for truth.

redis-py reconnects a subscription without a word, and what was said meanwhile is lost; so a message is
a hint to read now, and every event is read at least once a poll interval in any case.
"""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Protocol

from gateway.chance import CHANCE
from gateway.domain.events import EventSnapshot
from gateway.domain.positions import EventId, is_event_id
from gateway.errors import (
    EventGone,
    EventHealing,
    GatewayError,
    LedgerUnavailable,
    StateLost,
    UnknownEvent,
)
from gateway.ledger import keyspace
from gateway.ledger.breaker import CIRCUIT_OPEN
from gateway.ledger.redis import RedisLedger

logger = logging.getLogger(__name__)

# Changes that come in a burst are read once.
COALESCE_S = 0.02
RECONNECT_S = 0.5
_CANCEL_AGAIN_S = 0.1


class Board(Protocol):
    """Where good reads are put; the latest one wins, a pointer never goes back."""

    complete: bool

    def get(self, event: EventId) -> EventSnapshot | None: ...

    def put(self, snapshot: EventSnapshot) -> None: ...

    def suspend(self, event: EventId) -> None: ...

    def mark_deleted(self, event: EventId) -> None: ...

    def mark_missing(self, event: EventId) -> None: ...


class LedgerWatcher:
    """One a process. Reads every event of the ledger onto the board until it is closed.

    Args:
        poll_s: Longest age of a read while the ledger answers.
        named: The events that the settings name: the ledger should have each.
        on_failure: Told the cause whenever a read fails.
    """

    def __init__(
        self,
        ledger: RedisLedger,
        board: Board,
        *,
        poll_s: float = 1.0,
        named: Collection[EventId] = (),
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._ledger = ledger
        self._board = board
        self._poll_s = poll_s
        self._on_failure = on_failure
        self._tasks: list[asyncio.Task[None]] = []
        self._changed: set[EventId] = set()
        self._wake = asyncio.Event()
        self._known: set[EventId] = set()
        self._named = frozenset(named)
        self._missing: set[EventId] = set()
        self._troubles: dict[str, str] = {}
        self._reading: defaultdict[EventId, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self) -> None:
        """Read everything once, as far as the ledger answers, then keep watching."""
        await self.read_all()
        self._tasks = [
            asyncio.create_task(self._poll(), name="ledger-poll"),
            asyncio.create_task(self._listen(), name="ledger-listen"),
            asyncio.create_task(self._follow_changes(), name="ledger-follow"),
        ]

    async def aclose(self) -> None:
        # On Python 3.11 a cancellation that meets a wait_for whose inner call is done just then is
        # swallowed (python/cpython#86296), so each is cancelled until it has ended.
        pending = set(self._tasks)
        while pending:
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)

    async def read_all(self) -> None:
        try:
            self._known.update(self._ledger.floors.events())
            self._known.update(await self._ledger.events())
        except GatewayError as exc:
            # The list may be away alone (lost, or on another shard): what is known from it is read.
            self._report("", exc)
            listed = isinstance(exc, StateLost)
        else:
            self._report("", None)
            listed = True
        await asyncio.gather(*(self.read(event) for event in self._known))
        if listed:
            await self._look_for_named()
            self._board.complete = True

    async def _look_for_named(self) -> None:
        """Look once for each event that the settings name and the ledger's list does not."""
        self._missing -= self._known
        unlisted = self._named - self._known - self._missing
        await asyncio.gather(*(self.read(event) for event in unlisted))
        self._known |= {event for event in unlisted if self._board.get(event) is not None}
        if found_missing := sorted(unlisted & self._missing):
            # Nothing else tells a ledger that lost everything, whoever knew it included, from a new one.
            logger.warning(
                "the ledger does not have an event that the settings name",
                extra={
                    "events": found_missing,
                    "if_it_was_there": "gateway recover EVENT",
                    "if_it_is_new": "gateway event create EVENT",
                },
            )

    async def read(self, event: EventId) -> None:
        # One after the other: an answer that was overtaken would undo the newer one on the board.
        async with self._reading[event]:
            await self._read(event)

    async def _read(self, event: EventId) -> None:
        try:
            snapshot = await self._ledger.read(event, self._board.get(event))
            self._board.put(snapshot)
            await self._ledger.report_sessions(snapshot)
            self._report(event, None)
        except EventHealing as exc:
            # The ledger was told what we know with the read; others are still to be heard.
            self._board.suspend(event)
            self._report(event, exc)
        except StateLost as exc:
            self._board.suspend(event)
            self._report(event, exc)
            await self._bring_back(event)
        except UnknownEvent:
            if event in self._named:
                self._missing.add(event)
                self._board.mark_missing(event)
            else:
                self._board.mark_deleted(event)
        except EventGone:
            self._board.mark_deleted(event)
        except GatewayError as exc:
            # The last good read stays; it ages, and the decision knows its age.
            self._report(event, exc)

    async def _bring_back(self, event: EventId) -> None:
        """Present what we know; should that be enough, the next read finds the event."""
        try:
            if await self._ledger.present(event):
                self._changed.add(event)
                self._wake.set()
        except GatewayError as exc:
            self._report(event, exc)

    async def _poll(self) -> None:
        while not _is_ending():
            # With jitter: gateways that lost the ledger together do not come back to it together.
            await asyncio.sleep(self._poll_s * CHANCE.uniform(0.8, 1.0))
            await self.read_all()

    async def _follow_changes(self) -> None:
        while not _is_ending():
            await self._wake.wait()
            await asyncio.sleep(COALESCE_S)
            self._wake.clear()
            changed, self._changed = self._changed, set()
            await asyncio.gather(*(self.read(event) for event in changed))

    async def _listen(self) -> None:
        while not _is_ending():
            with contextlib.suppress(GatewayError, OSError):
                await self._listen_once()
            await asyncio.sleep(RECONNECT_S)

    async def _listen_once(self) -> None:
        async with self._ledger.subscribe(keyspace.CHANGES_PATTERN) as channels:
            async for channel in channels:
                name = keyspace.event_of_channel(channel)
                if is_event_id(name):
                    self._changed.add(EventId(name))
                    self._known.add(EventId(name))
                    self._wake.set()

    def _report(self, event: str, exc: GatewayError | None) -> None:
        """Count every failure; tell of a trouble when it begins, changes and ends."""
        cause = None
        if exc is not None:
            cause = exc.cause if isinstance(exc, LedgerUnavailable) else type(exc).__name__
            self._on_failure(cause)
        before = self._troubles.pop(event, None)
        if cause == CIRCUIT_OPEN and before is not None:
            # Not asked at all, because of what is told already.
            cause = before
        if cause is not None:
            self._troubles[event] = cause
        if cause == before:
            return
        # Without an event it is the list of events that was to be read.
        about = {"event": event} if event else {}
        if cause is None:
            logger.info("the ledger is read again", extra=about)
        else:
            logger.warning("reading the ledger failed", extra={**about, "cause": cause})


def _is_ending() -> bool:
    """Whether this task was cancelled, also where a wait_for within a call swallowed it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
