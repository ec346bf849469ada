"""The ledger on Redis ≥ 7.0 or Valkey ≥ 8: one set of connections, and all operations on it.

What is done for an event is in `operations/`, a typed method for each script.
"""

# redis-py types its commands in part only; what they answer is parsed in records.py.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from gateway.domain.events import EventSnapshot
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.ledger import keyspace
from gateway.ledger.connections import open_connections
from gateway.ledger.failures import translated
from gateway.ledger.floors import Floors
from gateway.ledger.group_commit import GroupCommit
from gateway.ledger.operations.dealing import Dealing
from gateway.ledger.operations.lives import Lives
from gateway.ledger.operations.lookups import Lookups
from gateway.ledger.operations.pointer import PointerMoves
from gateway.ledger.operations.reading import Reader
from gateway.ledger.operations.sessions import SessionCalls
from gateway.ledger.runner import ScriptRunner
from gateway.ledger.sending import CALLS_AT_ONCE, Sender
from gateway.ledger.server_checks import unsafe_settings
from gateway.ports import JoinRequest, Place

# A join may need a deal, a raise of the ceiling with its wait, and another deal; each call has its own
# time limit, and the join as a whole has so many of them.
JOIN_TIMEOUTS = 3

# After so long a silence a subscription asks for a sign of life: a server that was switched off does not
# say goodbye.
LISTEN_S = 5.0


class RedisLedger(Dealing, PointerMoves, SessionCalls, Lives, Lookups):
    """Implements `gateway.ports.Ledger`.

    Args:
        url: Of one server, of Sentinels or of a Cluster; see urls.py.
        timeout_s: How long one call may take, connecting included.
        on_time: Told the server's clock after each read: Unix ms, and the monotonic instants
            before and after.
        on_call: Told the name of each script call and how it ended, for metrics.
        on_batch: Told the size of every dealt batch.
        on_promise: Awaited whenever a ceiling is to be raised, before positions are dealt from it.
        floors: What this process knows for certain, where somebody else holds it too.
        is_gateway: Whether this is one of the gateways, whose floors are waited for after a loss,
            and which show what they read to visitors; else it is an operator's tool.
        healing_patience_s: How long a call waits for an event that is being brought back.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 2.0,
        on_time: Callable[[int, float, float], None] | None = None,
        on_call: Callable[[str, str], None] | None = None,
        on_batch: Callable[[int], None] = lambda _: None,
        on_promise: Callable[[], Awaitable[None]] | None = None,
        floors: Floors | None = None,
        is_gateway: bool = False,
        healing_patience_s: float = 0.0,
    ) -> None:
        floors = floors or Floors()
        runner = ScriptRunner(
            # The pool refuses what exceeds it, so it has room for subscriptions beside the calls.
            open_connections(url, timeout_s=timeout_s, max_connections=2 * CALLS_AT_ONCE),
            Sender(timeout_s, on_call),
            floors,
            is_gateway=is_gateway,
            healing_patience_s=healing_patience_s,
        )
        super().__init__(runner, floors, is_gateway=is_gateway, on_promise=on_promise)
        self._reader = Reader(
            runner, floors, is_gateway=is_gateway, on_promise=on_promise, on_time=on_time
        )
        self._batches = 0
        self._commit = GroupCommit(
            self, self._next_batch_id, on_batch, patience_s=JOIN_TIMEOUTS * timeout_s
        )

    async def aclose(self) -> None:
        """Answer the joins under way, say goodbye, then close every connection."""
        await self._commit.aclose()
        if self._is_gateway:
            await self._say_goodbye()
        await self._runner.connections.aclose()

    async def join(self, event: EventId, request: JoinRequest) -> Place:
        return await self._commit.join(event, request)

    async def read(self, event: EventId, known: EventSnapshot | None = None) -> EventSnapshot:
        return await self._reader.read(event, known)

    async def report_sessions(self, snapshot: EventSnapshot) -> None:
        """See `Reader.report_sessions`."""
        await self._reader.report_sessions(snapshot)

    async def put_handover(self, event: EventId, code_hash: str, value: str, life_s: int) -> None:
        name = keyspace.handover(event, code_hash)
        await self._runner.sender.call(
            "handover", lambda: self.redis.set(name, value, ex=life_s, nx=True)
        )

    async def take_handover(self, event: EventId, code_hash: str) -> str | None:
        name = keyspace.handover(event, code_hash)
        value = await self._runner.sender.call("handover", lambda: self.redis.getdel(name))
        return None if value is None else str(value)

    @asynccontextmanager
    async def subscribe(self, pattern: str) -> AsyncGenerator[AsyncIterator[str]]:
        """Subscribe to channels by pattern; yields the name of a channel for each message.

        Raises:
            LedgerUnavailable: The connection was refused or lost, or the server fell silent.
        """
        with translated():
            subscription = await self._runner.connections.subscription()

        async def channels() -> AsyncIterator[str]:
            asked = False
            with translated():
                while True:
                    patience_s = self._runner.sender.timeout_s if asked else LISTEN_S
                    message = await subscription.get_message(timeout=patience_s)
                    if message is None:
                        if asked:
                            raise LedgerUnavailable("timeout", "the subscription fell silent")
                        await subscription.ping()
                    asked = message is None
                    # The answer to a ping is a message too, as is that to the subscription.
                    if message is not None and message["type"] == "pmessage":
                        yield str(message["channel"])

        try:
            with translated():
                await subscription.psubscribe(pattern)
            yield channels()
        finally:
            await subscription.aclose()  # type: ignore[no-untyped-call]

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            LedgerUnavailable: There was none in time.
        """
        await self._runner.sender.call("ping", lambda: self.redis.ping(), may_repeat=True)

    async def unsafe_settings(self, events: Sequence[EventSnapshot]) -> list[str]:
        """Return what of the server's settings would lose places of these events, with what to change.

        Raises:
            LedgerUnavailable: The server did not answer.
        """
        async with self._runner.held(events[0].event if events else EventId("any")) as connection:
            info = await self._runner.sender.call(
                "info", lambda: connection.info("memory", "persistence"), may_repeat=True
            )
        return unsafe_settings(info, events)

    async def _say_goodbye(self) -> None:
        """Tell the others not to wait for this gateway any more."""
        for event in self.floors.events():
            name = keyspace.key(event, "gateways")
            try:
                await self._runner.sender.call(
                    "goodbye", partial(self.redis.hdel, name, self.floors.gateway)
                )
            except LedgerUnavailable:
                return

    def _next_batch_id(self) -> str:
        self._batches += 1
        return f"{self.floors.gateway}-{self._batches}"
