"""The ledger on Redis ≥ 7.0 or Valkey ≥ 8: one typed method for each script."""

# redis-py types its commands in part only; what they answer is parsed in records.py.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from gateway.domain.draw import SEED_BYTES, commitment_to
from gateway.domain.events import EventPolicy, EventSnapshot
from gateway.domain.positions import (
    MAX_POSITION,
    EventId,
    Generation,
    Position,
    ServedUpTo,
    Turn,
    is_event_id,
)
from gateway.errors import BadInput, LedgerUnavailable, StateLost, UnknownEvent
from gateway.ledger import keyspace, records, scripts
from gateway.ledger.failures import Fenced, translated
from gateway.ledger.group_commit import Dealt, GroupCommit
from gateway.ports import (
    Claimed,
    ClaimOutcome,
    Extended,
    ExtendOutcome,
    JoinRequest,
    Place,
    Released,
    StateChange,
)

IDEMPOTENCY_MS = 10 * 60_000
RELEASE_RECORD_MS = 7 * 86_400_000

# A raise that was fenced finds the new server at once; more than a few in a row is an outage.
RAISE_TRIES = 3

# Calls under way at one time. When a release lets a thousand visitors in, their claims arrive within a
# second: those beyond this number wait for a connection, within their time limit.
CALLS_AT_ONCE = 64

# How long a subscription waits for a message before it looks again.
LISTEN_S = 30.0


class RedisLedger:
    """Implements `gateway.ports.Ledger`.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: How long one call may take, connecting included.
        on_time: Told the server's clock after each read: Unix ms, and the monotonic instants
            before and after.
        on_call: Told the name of each script call and how it ended, for metrics.
        on_batch: Told the size of every dealt batch.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 2.0,
        on_time: Callable[[int, float, float], None] | None = None,
        on_call: Callable[[str, str], None] | None = None,
        on_batch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            # The library would send a command again whose answer was lost: a join would burn a
            # position. What may be repeated is repeated here, once.
            retry=Retry(NoBackoff(), 0),
            # The pool refuses what exceeds it, so it has room for subscriptions beside the calls.
            max_connections=2 * CALLS_AT_ONCE,
        )
        self._timeout_s = timeout_s
        self._turnstile = asyncio.Semaphore(CALLS_AT_ONCE)
        self._on_time = on_time
        self._on_call = on_call
        self._gateway = secrets.token_hex(8)
        self._batches = 0
        self._scripts: dict[str, AsyncScript] = {
            name: self.redis.register_script(scripts.source(name)) for name in scripts.NAMES
        }
        self._commit = GroupCommit(self, self._next_batch_id, on_batch)
        # For each event, what the last read answered of ended sessions, and up to which entry. Only a
        # reader that holds exactly this may be told just what came after it.
        self._ended: dict[EventId, tuple[Generation, str, dict[Position, int]]] = {}

    async def aclose(self) -> None:
        """Answer the joins under way, then close every connection."""
        await self._commit.aclose()
        await self.redis.aclose()

    async def create(self, event: EventId, policy: EventPolicy, *, opened: bool) -> bool:
        if await self._is_lost(event):
            # A new life of the queue would void every token of the one that was lost.
            raise StateLost("the event exists, but its state is missing: restore the ledger's data")
        seed = secrets.token_bytes(SEED_BYTES) if policy.draw else b""
        args = ["open" if opened else "scheduled", seed.hex(), commitment_to(seed) if seed else ""]
        created = await self._run(
            "create",
            [*keyspace.event_keys(event), keyspace.batches(event), keyspace.subs(event)],
            [*args, *records.policy_to_config(policy)],
            may_repeat=True,
        )
        await self._call("index", lambda: self.redis.sadd(keyspace.INDEX, event))
        return bool(created)

    async def configure(self, event: EventId, policy: EventPolicy) -> None:
        await self._run_event("configure", event, [], records.policy_to_config(policy))

    async def events(self) -> Sequence[EventId]:
        names = await self._call("index", lambda: self.redis.smembers(keyspace.INDEX), True)
        return sorted(EventId(name) for name in names if is_event_id(name))

    async def read(self, event: EventId, known: EventSnapshot | None = None) -> EventSnapshot:
        since = self._ended.get(event)
        if known is None or since is None or since[2] is not known.ended:
            since = None
        before_s = time.monotonic()
        reply = await self._run_event(
            "read", event, [], ["-", ""] if since is None else [since[1], str(since[0])]
        )
        after_s = time.monotonic()
        snapshot = records.parse_snapshot(event, reply, after_s, known if since else None)
        self._ended[event] = (snapshot.generation, str(reply[20]), snapshot.ended)
        if self._on_time is not None:
            self._on_time(int(reply[0]), before_s, after_s)
        return snapshot

    async def join(self, event: EventId, request: JoinRequest) -> Place:
        return await self._commit.join(event, request)

    async def deal(self, event: EventId, batch_id: str, requests: Sequence[JoinRequest]) -> Dealt:
        """Deal a batch in one round trip; a lost answer is asked for again under the same id."""
        keys = [keyspace.batches(event), keyspace.subs(event)]
        args = [self._gateway, batch_id, str(len(requests)), str(IDEMPOTENCY_MS)]
        for index, request in enumerate(requests, start=1):
            has_row = request.idempotency_hash is not None
            if not has_row and not request.named and not request.head_start:
                continue
            if request.idempotency_hash is not None:
                keys.append(keyspace.idempotency_row(event, request.idempotency_hash))
            args += [
                str(index),
                request.visitor,
                str(request.head_start),
                "1" if has_row else "0",
                "1" if request.named else "0",
            ]
        reply = await self._run_event("deal", event, keys, args)
        return Dealt(records.parse_places(reply, requests), int(reply[5]), int(reply[6]))

    async def raise_ceiling(self, event: EventId, step: int) -> int:
        """Raise the ceiling by `step`, as durably as the event asks; return the new ceiling."""
        for _ in range(RAISE_TRIES):
            proposed, mark = await self._run_event("raise", event, [], [str(step)])
            try:
                return int(await self._run_event("commit_ceiling", event, [], [proposed, mark]))
            except Fenced:
                continue
        raise Fenced

    async def release(
        self,
        event: EventId,
        *,
        by: int | None = None,
        to: int | None = None,
        request_id: str | None = None,
        dry_run: bool = False,
    ) -> Released:
        amount = by if by is not None else to
        if amount is None or (by is not None and to is not None):
            raise BadInput("a release is either by a number of people or to a turn")
        if not 1 <= amount <= MAX_POSITION:
            raise BadInput(f"a release is a whole number from 1 to {MAX_POSITION}")
        # Any text may name a request; its hash is a safe key of bounded length.
        record = hashlib.sha256((request_id or "").encode()).hexdigest()
        reply = await self._run_event(
            "release",
            event,
            [keyspace.release_record(event, record)],
            [
                "by" if by is not None else "to",
                str(amount),
                "1" if dry_run else "0",
                "1" if request_id is not None else "0",
                str(RELEASE_RECORD_MS),
            ],
            # Without an id a relative release whose answer was lost must not be sent again.
            may_repeat=request_id is not None or to is not None or dry_run,
        )
        return Released(
            before=ServedUpTo(int(reply[0])),
            after=ServedUpTo(int(reply[1])),
            people=int(reply[2]),
            capped=reply[3] == "1",
            repeated=reply[4] == "1",
            dry_run=dry_run,
        )

    async def claim(
        self,
        event: EventId,
        generation: Generation,
        position: Position,
        turn: Turn,
        joined_active_ms: int,
        *,
        only_ask: bool = False,
    ) -> Claimed:
        bitmap, bit = keyspace.claimed_bit(event, generation, position)
        outcome, ends_at, fresh = await self._run_event(
            "claim",
            event,
            [bitmap],
            [
                str(generation),
                str(position),
                str(turn),
                str(joined_active_ms),
                str(bit),
                "1" if only_ask else "0",
            ],
        )
        return Claimed(ClaimOutcome(outcome), int(ends_at), fresh == "1")

    async def extend(
        self,
        event: EventId,
        generation: Generation,
        position: Position,
        *,
        by_s: int | None,
        by_visitor: bool,
    ) -> Extended:
        outcome, ends_at, left = await self._run_event(
            "extend",
            event,
            [],
            [
                str(generation),
                str(position),
                "" if by_s is None else str(by_s * 1000),
                "1" if by_visitor else "0",
            ],
            # A visitor's extensions are counted: one whose answer was lost is not sent again.
            may_repeat=not by_visitor,
        )
        return Extended(ExtendOutcome(outcome), int(ends_at), int(left))

    async def leave(
        self, event: EventId, generation: Generation, position: Position, pass_ends_at: int
    ) -> bool:
        ended = await self._run_event(
            "leave", event, [], [str(generation), str(position), str(pass_ends_at)]
        )
        return bool(ended)

    async def change_state(
        self,
        event: EventId,
        change: StateChange,
        *,
        message: str = "",
        releases_only: bool = False,
        for_s: int = 0,
    ) -> None:
        await self._run_event(
            "change_state",
            event,
            [],
            [change.value, message, "1" if releases_only else "0", str(for_s * 1000)],
        )

    async def put_handover(self, event: EventId, code_hash: str, value: str, life_s: int) -> None:
        name = keyspace.handover(event, code_hash)
        await self._call("handover", lambda: self.redis.set(name, value, ex=life_s, nx=True))

    async def take_handover(self, event: EventId, code_hash: str) -> str | None:
        name = keyspace.handover(event, code_hash)
        value = await self._call("handover", lambda: self.redis.getdel(name))
        return None if value is None else str(value)

    @asynccontextmanager
    async def subscribe(self, pattern: str) -> AsyncGenerator[AsyncIterator[str]]:
        """Subscribe to channels by pattern; yields the name of a channel for each message.

        Raises:
            LedgerUnavailable: The connection was refused or lost.
        """
        subscription = self.redis.pubsub(ignore_subscribe_messages=True)

        async def channels() -> AsyncIterator[str]:
            with translated():
                while True:
                    message = await subscription.get_message(timeout=LISTEN_S)
                    if message is not None:
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
        await self._call("ping", lambda: self.redis.ping(), True)

    async def _is_lost(self, event: EventId) -> bool:
        known = await self._call(
            "index", lambda: self.redis.sismember(keyspace.INDEX, event), may_repeat=True
        )
        if not known:
            return False
        state = keyspace.event_keys(event)[0]
        return not await self._call("index", lambda: self.redis.exists(state), may_repeat=True)

    def _next_batch_id(self) -> str:
        self._batches += 1
        return f"{self._gateway}-{self._batches}"

    async def _run_event(
        self,
        name: str,
        event: EventId,
        extra_keys: Sequence[str],
        args: Sequence[str],
        *,
        may_repeat: bool = True,
    ) -> Any:
        try:
            return await self._run(
                name, [*keyspace.event_keys(event), *extra_keys], args, may_repeat=may_repeat
            )
        except StateLost:
            # Missing state of an event that nobody ever created is no loss.
            known = await self._call(
                "index", lambda: self.redis.sismember(keyspace.INDEX, event), True
            )
            if not known and event not in self._ended:
                raise UnknownEvent(event) from None
            raise

    async def _run(
        self, name: str, keys: Sequence[str], args: Sequence[str], *, may_repeat: bool
    ) -> Any:
        script = self._scripts[name]
        return await self._call(name, lambda: script(keys=list(keys), args=list(args)), may_repeat)

    async def _call(
        self, name: str, send: Callable[[], Awaitable[Any]], may_repeat: bool = False
    ) -> Any:
        """Send a command within the time limit, once more if the connection was dead.

        A connection that the server closed while it was idle is only noticed by using it, so one
        repetition is the rule after every restart of the server.
        """
        try:
            return await self._send(name, send)
        except LedgerUnavailable as exc:
            if exc.cause != "unreachable" or not may_repeat:
                raise
        return await self._send(name, send)

    async def _send(self, name: str, send: Callable[[], Awaitable[Any]]) -> Any:
        outcome = "ok"
        try:
            with translated():
                async with asyncio.timeout(self._timeout_s), self._turnstile:
                    return await send()
        except LedgerUnavailable as exc:
            outcome = exc.cause
            raise
        finally:
            if self._on_call is not None:
                self._on_call(name, outcome)
