"""The ledger on Redis ≥ 7.0 or Valkey ≥ 8: one typed method for each script."""

# redis-py types its commands in part only; what they answer is parsed in records.py.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

from redis.asyncio import Redis

from gateway.domain.backoff import Seen
from gateway.domain.draw import SEED_BYTES, commitment_to
from gateway.domain.events import Durability, EventPolicy, EventSnapshot
from gateway.domain.operator_log import UNNAMED, Author, Head, Logged, OperatorLog
from gateway.domain.positions import (
    MAX_POSITION,
    EventId,
    Generation,
    Position,
    ServedUpTo,
    Turn,
    is_event_id,
)
from gateway.domain.samples import EVERY_S, LONGEST_SILENCE_S, Sample
from gateway.domain.waiting import Wait
from gateway.errors import BadInput, EventHealing, LedgerUnavailable, StateLost, UnknownEvent
from gateway.ledger import keyspace, records
from gateway.ledger.connections import open_connections
from gateway.ledger.failures import Fenced, translated
from gateway.ledger.floors import Floors
from gateway.ledger.group_commit import Dealt, GroupCommit
from gateway.ledger.runner import ScriptRunner
from gateway.ledger.sending import CALLS_AT_ONCE, Sender
from gateway.ledger.server_checks import unsafe_settings
from gateway.ports import (
    Claimed,
    ClaimOutcome,
    Evidence,
    Extended,
    ExtendOutcome,
    GatewaysSeen,
    JoinRequest,
    Place,
    Recovery,
    Released,
    Scheduled,
    SessionSeen,
    SessionState,
    StateChange,
)

IDEMPOTENCY_MS = 10 * 60_000
RELEASE_RECORD_MS = 7 * 86_400_000

# A day of samples, some 100 bytes each.
MOST_SAMPLES = 8_640

# How many entries of an operator log are read at once.
LOG_PAGE = 1_000

# A raise that was fenced finds the new server at once; more than a few in a row is an outage.
RAISE_TRIES = 3

# A join may need a deal, a raise of the ceiling with its wait, and another deal; each call has its own
# time limit, and the join as a whole has so many of them.
JOIN_TIMEOUTS = 3

# After so long a silence a subscription asks for a sign of life: a server that was switched off does not
# say goodbye.
LISTEN_S = 5.0

RECOVER_ADVICE = (
    "restore the ledger's data, start a gateway that knew the event, or: gateway recover EVENT"
)

logger = logging.getLogger(__name__)


class RedisLedger:
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
        self.floors = floors or Floors()
        self._runner = ScriptRunner(
            # The pool refuses what exceeds it, so it has room for subscriptions beside the calls.
            open_connections(url, timeout_s=timeout_s, max_connections=2 * CALLS_AT_ONCE),
            Sender(timeout_s, on_call),
            self.floors,
            is_gateway=is_gateway,
            healing_patience_s=healing_patience_s,
        )
        self.redis = self._runner.client
        self._on_time = on_time
        self._on_promise = on_promise
        self._is_gateway = is_gateway
        self._batches = 0
        self._commit = GroupCommit(
            self, self._next_batch_id, on_batch, patience_s=JOIN_TIMEOUTS * timeout_s
        )
        # For each event, what the last read answered of ended sessions, and up to which entry. Only a
        # reader that holds exactly this may be told just what came after it.
        self._ended: dict[EventId, tuple[Generation, str, dict[Position, int]]] = {}
        # What was last shown to visitors: durable in all that it promises. A pause that was shown is
        # among it, so that its end is a promise again.
        self._shown: dict[EventId, EventSnapshot] = {}
        self._log_heads: dict[EventId, Head] = {}

    async def aclose(self) -> None:
        """Answer the joins under way, say goodbye, then close every connection."""
        await self._commit.aclose()
        if self._is_gateway:
            await self._say_goodbye()
        await self._runner.connections.aclose()

    async def create(
        self, event: EventId, policy: EventPolicy, *, opened: bool, author: Author = UNNAMED
    ) -> bool:
        if await self._is_lost(event):
            # A new life of the queue would void every token of the one that was lost.
            raise StateLost("state is missing, and the event was there before: " + RECOVER_ADVICE)
        args = _beginning(opened=opened, draws=policy.draw)
        async with self._runner.held(event) as connection:
            await self._runner.check_durability(connection, policy)
            created, head = await self._runner.run(
                "create",
                [
                    *keyspace.event_keys(event),
                    keyspace.batches(event),
                    keyspace.subs(event),
                    keyspace.evidence(event),
                ],
                ["", "", *_words(author), *args, *records.policy_to_config(policy)],
                may_repeat=True,
                on=connection,
            )
            await self._runner.wait(connection, policy.durability, policy.replicas)
        await self._runner.sender.call("index", lambda: self.redis.sadd(keyspace.INDEX, event))
        _note_act("create", event, author, head)
        return str(created) == "1"

    async def configure(
        self, event: EventId, policy: EventPolicy, *, author: Author = UNNAMED
    ) -> None:
        async with self._runner.held(event) as connection:
            await self._runner.check_durability(connection, policy)
            words = [*_words(author), *records.policy_to_config(policy)]
            head = await self._runner.run_event("configure", event, [], words, on=connection)
            await self._runner.wait(connection, policy.durability, policy.replicas)
        _note_act("configure", event, author, head)

    async def events(self) -> Sequence[EventId]:
        names = await self._runner.sender.call(
            "index", lambda: self.redis.smembers(keyspace.INDEX), may_repeat=True
        )
        return sorted(EventId(name) for name in names if is_event_id(name))

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
        self, event: EventId, known: EventSnapshot | None, on: Redis | None = None
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
        if self._on_time is not None:
            self._on_time(int(reply[0]), before_s, after_s)
        return snapshot

    async def join(self, event: EventId, request: JoinRequest) -> Place:
        return await self._commit.join(event, request)

    async def deal(self, event: EventId, batch_id: str, requests: Sequence[JoinRequest]) -> Dealt:
        """Deal a batch in one round trip; a lost answer is asked for again under the same id."""
        keys = [keyspace.batches(event), keyspace.subs(event)]
        args = [self.floors.gateway, batch_id, str(len(requests)), str(IDEMPOTENCY_MS)]
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
        reply = await self._runner.run_event("deal", event, keys, args)
        issued, ceiling = int(reply[5]), int(reply[6])
        self.floors.note_dealt(event, Generation(int(reply[0])), issued, ceiling)
        return Dealt(records.parse_places(reply, requests), issued, ceiling)

    async def raise_ceiling(self, event: EventId, step: int) -> int:
        """Raise the ceiling by `step`, as durably as the event asks; return the new ceiling."""
        tries = RAISE_TRIES
        while tries:
            async with self._runner.held(event) as connection:
                proposed, mark, durability, replicas, wait_ms = await self._runner.run_event(
                    "raise", event, [], [str(step)], on=connection
                )
                if int(wait_ms):
                    # It has climbed as far as those who have not read for a while allow for.
                    await asyncio.sleep(int(wait_ms) / 1000)
                    continue
                await self._runner.wait(connection, Durability(int(durability)), int(replicas))
                # Noted before it counts: once it is committed others deal from it, and a floor that
                # does not have it would let an event go on below what they dealt.
                self.floors.note_ceiling(event, int(proposed))
                if self._on_promise is not None:
                    await self._on_promise()
                try:
                    ceiling = int(
                        await self._runner.run_event(
                            "commit_ceiling", event, [], [proposed, mark], on=connection
                        )
                    )
                except Fenced:
                    tries -= 1
                    continue
            self.floors.note_ceiling(event, ceiling)
            return ceiling
        raise Fenced

    async def release(
        self,
        event: EventId,
        *,
        by: int | None = None,
        to: int | None = None,
        request_id: str | None = None,
        dry_run: bool = False,
        author: Author = UNNAMED,
    ) -> Released:
        amount = by if by is not None else to
        if amount is None or (by is not None and to is not None):
            raise BadInput("a release is either by a number of people or to a turn")
        if not 1 <= amount <= MAX_POSITION:
            raise BadInput(f"a release is a whole number from 1 to {MAX_POSITION}")
        generation = self.floors.get(event).generation
        # Any text may name a request; its hash is a safe key of bounded length.
        record = hashlib.sha256((request_id or "").encode()).hexdigest()
        reply = await self._runner.act(
            "release",
            event,
            [keyspace.release_record(event, record)],
            [
                *_words(author),
                "by" if by is not None else "to",
                str(amount),
                "1" if dry_run else "0",
                "1" if request_id is not None else "0",
                str(RELEASE_RECORD_MS),
                record,
            ],
            # Without an id a relative release whose answer was lost must not be sent again.
            may_repeat=request_id is not None or to is not None or dry_run,
        )
        if not dry_run and self.floors.get(event).generation == generation:
            self.floors.note_released(event, int(reply[1]))
        _note_act("release", event, author, reply[5])
        return Released(
            before=ServedUpTo(int(reply[0])),
            after=ServedUpTo(int(reply[1])),
            people=int(reply[2]),
            capped=reply[3] == "1",
            repeated=reply[4] == "1",
            dry_run=dry_run,
        )

    async def follow_schedule(self, event: EventId, seen: Seen) -> Scheduled:
        # Nobody is answered with what it did: a read shows it, once it is durable.
        before, after, people, reason = await self._runner.run_event(
            "schedule", event, [keyspace.backend(event)], [seen.value]
        )
        return Scheduled(ServedUpTo(int(before)), ServedUpTo(int(after)), int(people), reason)

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
        bitmap, bit, chunk = keyspace.claimed_bit(event, generation, position)
        outcome, ends_at, fresh, left = await self._runner.run_event(
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
                chunk,
            ],
        )
        return Claimed(ClaimOutcome(outcome), int(ends_at), fresh == "1", int(left))

    async def extend(
        self,
        event: EventId,
        generation: Generation,
        position: Position,
        *,
        by_s: int | None,
        by_visitor: bool,
        author: Author | None = None,
    ) -> Extended:
        # Only an operator's word is a promise; the others get a pass to the end that is answered.
        run = self._runner.run_event if author is None else self._runner.act
        outcome, ends_at, left, longer, head = await run(
            "extend",
            event,
            [],
            [
                *_words(author),
                str(generation),
                str(position),
                "" if by_s is None else str(by_s * 1000),
                "1" if by_visitor else "0",
            ],
            # A visitor's extensions are counted: one whose answer was lost is not sent again.
            may_repeat=not by_visitor,
        )
        _note_act("extend-session", event, author, head)
        return Extended(ExtendOutcome(outcome), int(ends_at), int(left), longer == "1")

    async def leave(
        self,
        event: EventId,
        generation: Generation,
        position: Position,
        pass_ends_at: int,
        *,
        author: Author | None = None,
    ) -> bool:
        words = [*_words(author), str(generation), str(position), str(pass_ends_at)]
        ended, head = await self._runner.act("leave", event, [], words)
        _note_act("end-session", event, author, head)
        return str(ended) == "1"

    async def session(
        self, event: EventId, generation: Generation, position: Position
    ) -> SessionSeen:
        bitmap, bit, chunk = keyspace.claimed_bit(event, generation, position)
        state, *numbers = await self._runner.run_event(
            "session", event, [bitmap], [str(generation), str(position), str(bit), chunk]
        )
        return SessionSeen(SessionState(state), *map(int, numbers))

    async def change_state(
        self,
        event: EventId,
        change: StateChange,
        *,
        message: str = "",
        releases_only: bool = False,
        for_s: int = 0,
        author: Author = UNNAMED,
    ) -> None:
        words = [change.value, message, "1" if releases_only else "0", str(for_s * 1000)]
        _, head = await self._runner.act("change_state", event, [], [*_words(author), *words])
        _note_act(change.value, event, author, head)

    async def reset(
        self,
        event: EventId,
        generation: Generation,
        *,
        opened: bool,
        request_id: str,
        author: Author = UNNAMED,
    ) -> Generation:
        begun, head = await self._runner.act(
            "reset",
            event,
            [keyspace.batches(event), keyspace.subs(event)],
            # Whether it draws is for the event's policy to say.
            [
                *_words(author),
                *_beginning(opened=opened, draws=True),
                str(generation),
                request_id,
            ],
        )
        _note_act("reset", event, author, head)
        return Generation(int(begun))

    async def delete(self, event: EventId, *, request_id: str, author: Author = UNNAMED) -> None:
        others = [keyspace.batches(event), keyspace.subs(event), keyspace.evidence(event)]
        others += [keyspace.backend(event), keyspace.samples(event)]
        config = keyspace.key(event, "config")
        async with self._runner.held(event) as connection:
            # The policy goes with the event, and says how durable that has to be.
            durability, replicas = await self._runner.sender.call(
                "policy", lambda: connection.hmget(config, ["durability", "replicas"])
            )
            words = [*_words(author), request_id]
            head = await self._runner.run_event("delete", event, others, words, on=connection)
            await self._runner.wait(
                connection, Durability(int(durability or Durability.MEMORY)), int(replicas or 1)
            )
        _note_act("delete", event, author, head)

    async def operator_log(self, event: EventId) -> OperatorLog:
        """Read the whole operator log, also of an event that is deleted or lost.

        Raises:
            UnknownEvent: There is neither a log nor an event.
        """
        # The head first: what is appended meanwhile is then in the log, and nothing seems to be missing.
        state, name = keyspace.key(event, "state"), keyspace.log(event)
        held: str | None = None
        with contextlib.suppress(StateLost):  # of a wrong type
            held = await self._runner.sender.call(
                "log", lambda: self.redis.hget(state, "log_head"), may_repeat=True
            )
        entries: list[Logged] = []
        since = "-"
        while page := await self._runner.sender.call(
            "log",
            partial(self.redis.xrange, name, min=since, max="+", count=LOG_PAGE),
            may_repeat=True,
        ):
            entries += [Logged(kept.get("entry", ""), kept.get("hash", "")) for _, kept in page]
            since = f"({page[-1][0]}"
        if not entries and held is None and event not in await self.events():
            raise UnknownEvent(event)
        return OperatorLog(records.parse_log_head(held), entries)

    async def sample(self, event: EventId, promised: Wait | None) -> Sample | None:
        """Note how the event stands, unless somebody has in this interval; return the newest note.

        Args:
            promised: What somebody who joins now is told of the waiting time.
        """
        reply = await self._runner.run_event(
            "sample",
            event,
            [keyspace.samples(event)],
            [
                str(EVERY_S * 1000),
                str(LONGEST_SILENCE_S * 1000),
                str(MOST_SAMPLES),
                "- -" if promised is None else f"{promised.low_s} {promised.high_s}",
            ],
        )
        return records.parse_sample(*reply) if reply else None

    async def samples(self, event: EventId) -> list[Sample]:
        name = keyspace.samples(event)
        entries = await self._runner.sender.call(
            "samples", lambda: self.redis.xrange(name), may_repeat=True
        )
        parsed = (records.parse_sample(entry_id, held.get("s", "")) for entry_id, held in entries)
        return [sample for sample in parsed if sample is not None]

    async def gateways(self, event: EventId) -> GatewaysSeen:
        name = keyspace.key(event, "gateways")
        seen = await self._runner.sender.call(
            "gateways", lambda: self.redis.hgetall(name), may_repeat=True
        )
        seconds, micros = await self._runner.sender.call(
            "time", lambda: self.redis.time(), may_repeat=True
        )
        now_s = int(seconds) + int(micros) / 1_000_000
        ago_s = {gateway: max(now_s - int(at_ms) / 1000, 0.0) for gateway, at_ms in seen.items()}
        return GatewaysSeen(now_s, ago_s)

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

    async def present(self, event: EventId) -> bool:
        """Tell the ledger what this process knows of an event that is lost or doubted.

        Returns:
            Whether the event goes on; else other gateways are still to be heard.

        Raises:
            StateLost: The state is missing, and nobody knows enough to bring it back.
        """
        return await self._runner.present(event)

    async def evidence(self, event: EventId) -> list[Evidence]:
        """Return what gateways know, from tokens alone, of an event whose state is lost."""
        name = keyspace.evidence(event)
        held = await self._runner.sender.call(
            "evidence", lambda: self.redis.hgetall(name), may_repeat=True
        )
        return records.parse_evidence(held)

    async def recover(
        self, event: EventId, recovery: Recovery, *, author: Author = UNNAMED
    ) -> None:
        """Bring a lost event back by an operator's word.

        Raises:
            Conflict: The event is not lost.
        """
        policy = recovery.policy
        async with self._runner.held(event) as connection:
            head = await self._runner.run(
                "recover",
                [
                    *keyspace.event_keys(event),
                    keyspace.evidence(event),
                    keyspace.batches(event),
                    keyspace.subs(event),
                ],
                [
                    "",
                    "",
                    *_words(author),
                    *records.recovery_words(recovery),
                    *records.policy_to_config(policy),
                ],
                may_repeat=True,
                on=connection,
            )
            await self._runner.wait(connection, policy.durability, policy.replicas)
        await self._runner.sender.call("index", lambda: self.redis.sadd(keyspace.INDEX, event))
        _note_act("recover", event, author, head)

    async def _is_lost(self, event: EventId) -> bool:
        known = await self._runner.sender.call(
            "index", lambda: self.redis.sismember(keyspace.INDEX, event), may_repeat=True
        )
        if not known:
            return False
        state = keyspace.event_keys(event)[0]
        return not await self._runner.sender.call(
            "index", lambda: self.redis.exists(state), may_repeat=True
        )

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

    def _next_batch_id(self) -> str:
        self._batches += 1
        return f"{self.floors.gateway}-{self._batches}"


def _beginning(*, opened: bool, draws: bool) -> list[str]:
    """How a queue begins: its state, the seed of its draw and the seed's hash."""
    seed = secrets.token_bytes(SEED_BYTES) if draws else b""
    return ["open" if opened else "scheduled", seed.hex(), commitment_to(seed) if seed else ""]


def _words(author: Author | None) -> list[str]:
    """What author.lua takes; no name where it is no operator who asks."""
    return ["", ""] if author is None else [author.name, author.reason]


def _note_act(act: str, event: EventId, author: Author | None, head: str) -> None:
    """Say in the process log what was done, with the head of the operator log."""
    if author is not None and (at := records.parse_log_head(head)) is not None:
        logger.info(
            "operator act",
            extra={
                "event": event,
                "act": act,
                "by": author.name,
                "entry": at.seq,
                "head": at.hash,
            },
        )
