"""Reads: an event as it stands now; a gateway shows visitors what lets more in once that is durable."""

import logging
import time
from collections.abc import Awaitable, Callable

from gateway.domain.events import Durability, EventSnapshot
from gateway.domain.operator_log import Head
from gateway.domain.positions import EventId, Generation, Position
from gateway.errors import EventHealing, LedgerUnavailable
from gateway.ledger import keyspace, records
from gateway.ledger.connections import HeldConnection
from gateway.ledger.floors import Floors
from gateway.ledger.operations.base import Operations
from gateway.ledger.runner import ScriptRunner

logger = logging.getLogger(__name__)


class Reader(Operations):
    """All reads of one ledger, with what it remembers of those before.

    Args:
        on_time: Told the server's clock after each read: Unix ms, and the monotonic instants
            before and after.
    """

    def __init__(
        self,
        runner: ScriptRunner,
        floors: Floors,
        *,
        is_gateway: bool,
        on_promise: Callable[[], Awaitable[None]] | None,
        on_time: Callable[[int, float, float], None] | None,
    ) -> None:
        super().__init__(runner, floors, is_gateway=is_gateway, on_promise=on_promise)
        self._on_time = on_time
        # For each event, what the last read answered of ended sessions, and up to which entry. Only a
        # reader that holds exactly this may be told just what came after it.
        self._ended: dict[EventId, tuple[Generation, str, dict[Position, int]]] = {}
        # What was last shown to visitors: durable in all that it promises. A pause that was shown is
        # among it, so that its end is a promise again.
        self._shown: dict[EventId, EventSnapshot] = {}
        self._log_heads: dict[EventId, Head] = {}
        self._server_s = 0.0

    async def read(self, event: EventId, known: EventSnapshot | None = None) -> EventSnapshot:
        snapshot = await self._read(event, known)
        if not self._is_gateway:
            return snapshot
        shown = self._shown.get(event)
        if snapshot.promises_more_than(shown):
            if snapshot.policy.durability is not Durability.MEMORY:
                try:
                    snapshot = await self._read_durably(event, snapshot)
                except EventHealing:
                    raise
                except LedgerUnavailable as exc:
                    return self._hold_back(event, snapshot, exc)
            if self._on_promise is not None:
                await self._on_promise()
        self._shown[event] = snapshot
        return snapshot

    def _hold_back(
        self, event: EventId, read: EventSnapshot, exc: LedgerUnavailable
    ) -> EventSnapshot:
        logger.warning(
            "a change is not shown before it is durable",
            extra={"event": event, "cause": exc.cause, "detail": exc.detail},
        )
        shown = self._shown.get(event)
        held_back = read.held_back_to(shown)
        if shown is not None and shown.generation == read.generation:
            self._shown[event] = held_back
        return held_back

    async def _read_durably(self, event: EventId, read: EventSnapshot) -> EventSnapshot:
        """Read again and wait: the script writes the clocks, so what it saw is no younger."""
        async with self._runner.held(event) as connection:
            snapshot = await self._read(event, read, on=connection)
            policy = snapshot.policy
            await self._runner.wait(connection, policy.durability, policy.replicas)
        return snapshot

    async def _read(
        self, event: EventId, known: EventSnapshot | None, on: HeldConnection | None = None
    ) -> EventSnapshot:
        since = self._ended.get(event)
        if known is None or since is None or since[2] is not known.ended:
            since = None
        seen = ["-", ""] if since is None else [since[1], str(since[0])]
        before_s = time.monotonic()
        reply = await self._runner.run_event(
            "read", event, [], [*seen, self.floors.refuted(event)], on=on
        )
        after_s = time.monotonic()
        snapshot = records.parse_snapshot(event, reply, after_s, known if since else None)
        self._ended[event] = (snapshot.generation, str(reply[20]), snapshot.ended)
        self.floors.note_read(event, reply, ended_anew=since is None, asked_at_s=before_s)
        self._note_head(event)
        self._server_s = int(reply[0]) / 1000
        if self._on_time is not None:
            self._on_time(int(reply[0]), before_s, after_s)
        return snapshot

    async def report_sessions(self, snapshot: EventSnapshot) -> None:
        """Tell of the passes that were shown here and whose sessions the ledger may have lost.

        Args:
            snapshot: The event as it was just read.
        """
        event, generation, healed = snapshot.event, snapshot.generation, snapshot.healed
        if healed is None:
            return
        shown = self.floors.sessions
        sessions = shown.to_tell(event, generation, healed.at_ms, self._server_s)
        if not sessions:
            return
        words = [str(generation)]
        for position, ends_at in sessions:
            _, bit, chunk = keyspace.claimed_bit(event, generation, position)
            words += [str(position), str(ends_at), chunk, str(bit)]
        await self._runner.run_event("seat_shown", event, [], words)
        shown.told(event, sessions)

    def _note_head(self, event: EventId) -> None:
        """Say in this gateway's process log how far the operator log is: evidence outside the ledger."""
        record = self.floors.get(event).record
        head = records.parse_log_head(record.get("log_head") if record else None)
        if self._is_gateway and head is not None and head != self._log_heads.get(event):
            self._log_heads[event] = head
            logger.info(
                "the operator log goes on",
                extra={"event": event, "entry": head.seq, "head": head.hash},
            )
