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
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Self, TypeVar

import msgspec

from gateway.chance import CHANCE
from gateway.client.documents import (
    Pointer,
    PointerDocument,
    Poll,
    newer_document,
    read_pointer,
    with_pointer,
)
from gateway.client.pace import enter_delay, may_hold_for, poll_after, retry_after, when_full
from gateway.client.record import Record, read_record
from gateway.client.storage import MemoryStorage, Storage
from gateway.client.transport import Channel, NoPush, Reply, ServerClock, Transport, Trouble
from gateway.client.view import Problem, View
from gateway.domain.claims import QueueClaims
from gateway.domain.positions import parse_event_id
from gateway.domain.shown_wait import Shown, show_next
from gateway.domain.waiting import Wait
from gateway.errors import KeyRingError, TokenFault, TokenRejected
from gateway.tokens.jwks import parse_jwk_set
from gateway.tokens.keys import PublicKey
from gateway.tokens.statements import read_place

T = TypeVar("T")

DAY_S: Final = 86_400
REFRESH_GRACE_S: Final = 7 * DAY_S
KEYS_EVERY_S: Final = 60.0
CLAIM_MARGIN_S: Final = 30.0

_NEVER: Final = math.inf
_NO_CLAIMS_IN: Final = frozenset({"scheduled", "suspended", "deleted"})
_ACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "joining": ("join",),
    "waiting": ("claim", "refresh", "pointer"),
    "admitted": ("end", "pointer"),
    "over": (),
}
# What is due at once unless a time was set.
_AT_ONCE: Final = frozenset({"join", "claim", "pointer"})


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
        self._storage = storage or MemoryStorage()
        self._pinned = None if keys is None else parse_jwk_set(keys)
        self._issuer = issuer
        self._channel: Channel = push
        self._auto_claim = auto_claim
        self._chance = chance
        self._clock = ServerClock(time.monotonic)
        self._transport = Transport(url, self._event, self._clock, headers or {})

        self._record = Record()
        self._claims: QueueClaims | None = None
        self._pointer: Pointer | None = None
        self._turn: int | None = None
        self._wait: Wait | None = None
        self._shown: Shown | None = None
        self._turn_seen_at: float | None = None
        self._served_before: int | None = None
        self._refusals = 0
        self._claim_wanted = False
        self._problem: Problem | None = None

        self._fetched_keys: list[dict[str, Any]] | None = None
        self._keys_at = -_NEVER

        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._pointer_at = -_NEVER
        self._is_pushing = False
        self._pushed = 0
        self._one_at_a_time = asyncio.Lock()
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    # --- What an app does ------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> View:
        """Read what was kept, and go on from there; return the view as it is without any network."""
        if not self._tasks:
            async with self._one_at_a_time:
                await self._load()
            self._tasks.append(asyncio.create_task(self._go(), name="queue client"))
            if self._channel != "none":
                self._tasks.append(asyncio.create_task(self._listen(), name="queue client's push"))
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
            if self._record.stage not in ("none", "over"):
                return self.view
            self._problem = None
            key = self._record.join_key or secrets.token_urlsafe(18)
            await self._commit(Record(stage="joining", join_key=key, join_fields=fields))
            self._forget_place()
        self._tell()
        return self.view

    def look_again(self) -> None:
        """Ask soon: for apps that know that somebody looks again, or that the network is back."""
        self._failures.clear()
        for name in ("join", "pointer"):
            self._sooner(name, self._chance())

    def claim(self) -> None:
        """Claim now: for apps that have `auto_claim=False` and ask their visitor first."""
        self._claim_wanted = True
        self._due["claim"] = time.monotonic()
        self._wake.set()

    async def leave(self) -> bool:
        """Give the place or the session back, and forget it.

        Returns:
            Whether the server was told; where it was not, nothing is forgotten.
        """
        async with self._one_at_a_time:
            held = self._record.pass_ or self._record.token
            if held is not None:
                reply = await self._transport.post("leave", {"queue-token": held})
                # What does not say so is not the gateway's answer.
                if _is_trouble(reply) or (reply.status == 200 and "left" not in reply.body):
                    return False
            await self._storage.remove()
            self._record = Record()
            self._forget_place()
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
        record, document = self._record, self._document
        is_waiting = record.stage == "waiting"
        has_turn = is_waiting and self._has_turn()
        ahead = None
        if is_waiting and self._turn is not None and document is not None:
            ahead = document.ahead(self._turn)
        return View(
            status="idle"
            if record.stage == "none"
            else ("full" if self._refusals else "turn")
            if has_turn
            else record.stage,
            event=self._event,
            generation=None if self._claims is None else self._claims.generation,
            position=None if self._claims is None else self._claims.position,
            turn=self._turn,
            ahead=ahead,
            served_up_to=None if document is None else document.served_up_to,
            state=None if document is None else document.state,
            message="" if document is None else document.message,
            wait=None if self._shown is None else self._shown.left_at(_now_s()),
            wait_move=None if self._shown is None else self._shown.move.value,
            earliest_turn_at=self._earliest() if is_waiting and not has_turn else None,
            age=self._age(),
            connection=("push" if self._is_pushing else "poll")
            if self._transport.online
            else "offline",
            token=record.token,
            pass_=record.pass_,
            session_ends_at=record.session_ends_at,
            why=record.why,
            problem=self._problem,
        )

    # --- The record ------------------------------------------------------------------------------

    async def _commit(self, record: Record) -> None:
        """Write a record, and only then hold it."""
        known = self._fetched_keys or self._record.keys
        record = msgspec.structs.replace(record, keys=known)
        await self._storage.save(msgspec.json.encode(record).decode())
        self._record = record

    async def _change(self, **changes: Any) -> None:
        await self._commit(msgspec.structs.replace(self._record, **changes))

    async def _load(self) -> None:
        self._record = read_record(await self._storage.load())
        if self._record.token is None:
            return
        try:
            self._claims = await self._genuine(self._read_place, self._record.token)
        except TokenRejected:
            if self._record.stage == "waiting":
                await self._end("no-token")
            return
        except Trouble:
            # Keys that cannot be fetched just now say nothing against it.
            return
        if self._record.statement is None:
            return
        try:
            kept = await self._genuine(self._read_pointer, self._record.statement)
        except (TokenRejected, Trouble):
            return
        served = max(kept.document.served_up_to, self._record.served_up_to)
        self._hold(kept, with_pointer(kept.document, served))
        await self._consider()

    async def _end(self, why: str) -> None:
        await self._change(stage="over", why=why, pass_=None)

    def _forget_place(self) -> None:
        self._claims = self._pointer = self._turn = self._wait = self._shown = None
        self._turn_seen_at = self._served_before = None
        self._refusals = 0
        self._claim_wanted = False
        self._due.clear()

    # --- One thing at a time -----------------------------------------------------------------------

    async def _go(self) -> None:
        while True:
            self._wake.clear()
            name, at = self._next()
            pause_s = at - time.monotonic()
            if pause_s > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if pause_s == _NEVER else pause_s):
                        await self._wake.wait()
                continue
            async with self._one_at_a_time:
                # Somebody may have left, or joined anew, meanwhile.
                if name in _ACTS[self._record.stage]:
                    await self._act(name)
            self._tell()

    def _next(self) -> tuple[str, float]:
        """Return what is due first, and when."""
        first = ("", _NEVER)
        for name in _ACTS[self._record.stage]:
            if name == "claim" and not self._may_claim():
                continue
            at = self._due.get(name, 0.0 if name in _AT_ONCE else _NEVER)
            if at < first[1]:
                first = (name, at)
        return first

    async def _act(self, name: str) -> None:
        acts: Mapping[str, Callable[[], Awaitable[None]]] = {
            "join": self._join,
            "claim": self._claim,
            "refresh": self._refresh,
            "pointer": self._ask,
            "end": self._end_session,
        }
        try:
            await acts[name]()
        except Trouble as exc:
            self._put_off(name, exc.reply.retry_after_s)
        except TokenRejected as exc:
            self._problem = Problem("not-genuine", exc.fault.value)
            self._put_off(name)
        except OSError as exc:
            self._problem = Problem("storage", str(exc))
            self._put_off(name)
        except (LookupError, TypeError, ValueError) as exc:
            self._problem = Problem("unreadable", repr(exc))
            self._put_off(name)
        else:
            self._failures[name] = 0

    def _put_off(self, name: str, least_s: float = 0) -> None:
        in_a_row = self._failures.get(name, 0) + 1
        self._failures[name] = in_a_row
        spread_s = least_s * (1 + self._chance() / 4)
        self._later(name, max(spread_s, retry_after(in_a_row, self._chance())))

    def _later(self, name: str, seconds: float) -> None:
        self._due[name] = time.monotonic() + seconds

    def _sooner(self, name: str, seconds: float) -> None:
        at = time.monotonic() + max(seconds, 0)
        if at < self._due.get(name, 0.0):
            self._due[name] = at
            self._wake.set()

    def _tell(self) -> None:
        self._news.set()
        self._wake.set()

    # --- What was signed ---------------------------------------------------------------------------

    async def _fetch_keys(self) -> None:
        self._keys_at = time.monotonic()
        reply = _refuse_trouble(await self._transport.jwks())
        try:
            parse_jwk_set(reply.text.encode())
        except KeyRingError as exc:
            raise Trouble(Reply()) from exc
        self._fetched_keys = reply.body["keys"]

    def _keys(self) -> Mapping[str, PublicKey]:
        if self._pinned is not None:
            return self._pinned
        known = self._fetched_keys or self._record.keys
        if known is None:
            return {}
        try:
            return parse_jwk_set(msgspec.json.encode({"keys": known}))
        except KeyRingError:
            return {}

    async def _genuine(self, read: Callable[[str], T], text: str) -> T:
        """Read what was signed; with keys fetched anew where its own is not among those at hand.

        Raises:
            TokenRejected: It is not genuine.
            Trouble: The keys cannot be fetched.
        """
        try:
            return read(text)
        except TokenRejected as exc:
            is_late = time.monotonic() - self._keys_at < KEYS_EVERY_S
            if exc.fault is not TokenFault.UNKNOWN_KEY or self._pinned is not None or is_late:
                raise
        await self._fetch_keys()
        return read(text)

    def _expected_issuer(self) -> str | None:
        return self._issuer or (None if self._claims is None else self._claims.issuer)

    def _read_place(self, token: str) -> QueueClaims:
        return read_place(
            token, self._keys(), expect_event=self._event, expect_issuer=self._expected_issuer()
        )

    def _read_pointer(self, statement: str) -> Pointer:
        return read_pointer(statement, self._keys(), self._event, self._expected_issuer())

    # --- The acts ----------------------------------------------------------------------------------

    async def _join(self) -> None:
        # Before the place: one whose token could not be checked would be nobody's.
        if not self._keys():
            await self._fetch_keys()
        headers = {"idempotency-key": self._record.join_key or ""}
        reply = await self._transport.post("join", headers, self._record.join_fields or {})
        _refuse_trouble(reply)
        if reply.status in (200, 201):
            token = str(reply.body.get("token"))
            claims = await self._genuine(self._read_place, token)
            await self._commit(Record(stage="waiting", token=token))
            self._claims = claims
            self._problem = None
            self._due.clear()
            return
        self._note(reply)
        if reply.status == 410:
            await self._end(reply.problem_type)
        elif reply.status == 429:
            raise Trouble(reply)
        else:
            # The key stays: whoever answers the challenge, or brings a voucher, is still the same.
            await self._change(stage="none")

    async def _ask(self) -> None:
        reply = _refuse_trouble(await self._transport.get("pointer.jws"))
        if reply.status != 200:
            self._note(reply)
            raise Trouble(reply)
        if self._claims is None:
            self._claims = await self._genuine(self._read_place, self._record.token or "")
        fresh = await self._genuine(self._read_pointer, reply.text)
        self._clock.hear(fresh.issued_at)
        await self._adopt(reply.text, fresh)
        self._pointer_at = time.monotonic()
        await self._consider()
        # With a turn, what stands in the way is the claim's to say.
        if not self._has_turn():
            self._problem = None
        self._later("pointer", self._poll_s())

    async def _adopt(self, text: str, fresh: Pointer) -> None:
        """Take a genuine document; within a generation the pointer never goes back."""
        known = self._pointer
        found = newer_document(None if known is None else known.document, fresh.document)
        if known is not None:
            if found is known.document:
                return
            self._served_before = known.document.served_up_to
            is_same = found.generation == known.document.generation
            if is_same and fresh.issued_at < known.issued_at:
                # Signed earlier, and perhaps further by another gateway: only how far it is counts.
                await self._change(served_up_to=found.served_up_to)
                self._hold(known, with_pointer(known.document, found.served_up_to))
                return
        now_s = self._clock.now_s()
        age_s = max((fresh.issued_at if now_s is None else now_s) - fresh.issued_at, 0)
        await self._change(
            statement=text,
            served_up_to=found.served_up_to,
            as_of=fresh.issued_at,
            heard_at=time.time() - age_s,
        )
        self._hold(fresh, found)

    def _hold(self, pointer: Pointer, document: PointerDocument) -> None:
        self._pointer = Pointer(pointer.issuer, pointer.issued_at, document)

    async def _consider(self) -> None:
        """Draw the conclusions from the token and the newest document."""
        document, claims = self._document, self._claims
        if document is None or claims is None:
            return
        if self._record.stage not in ("waiting", "admitted"):
            return
        if document.generation > claims.generation:
            await self._end("generation-over")
            return
        if self._record.stage == "admitted":
            self._plan_end()
            return
        self._turn = document.turn_of(claims.position, claims.head_start)
        is_served = self._turn is not None and self._turn <= document.served_up_to
        if document.state == "deleted" or (document.state == "closed" and not is_served):
            await self._end("event-closed")
            return
        self._wait = document.wait_of(self._turn)
        self._shown = show_next(self._shown, self._wait, _now_s())
        if is_served and self._turn is not None and self._turn_seen_at is None:
            self._turn_came(self._turn, document)
        await self._plan_refresh(claims)

    def _turn_came(self, turn: int, document: PointerDocument) -> None:
        """Let those of the same release go first who are before."""
        self._turn_seen_at = time.monotonic()
        served = document.served_up_to
        before = served if self._served_before is None else self._served_before
        most_s = may_hold_for(document.window, 0, CLAIM_MARGIN_S)
        self._later("claim", enter_delay(turn, before, served, most_s))

    def _has_turn(self) -> bool:
        document = self._document
        if self._turn is None or document is None:
            return False
        return self._turn <= document.served_up_to and document.state not in _NO_CLAIMS_IN

    def _may_claim(self) -> bool:
        return self._has_turn() and (self._auto_claim or self._claim_wanted)

    async def _claim(self) -> None:
        reply = await self._transport.post("claim", {"queue-token": self._record.token or ""})
        _refuse_trouble(reply)
        if reply.status == 200:
            await self._change(
                stage="admitted",
                pass_=reply.body["pass"],
                session_ends_at=reply.body["session_ends_at"],
            )
            self._problem = None
            self._plan_end()
            return
        self._note(reply)
        if reply.status in (401, 410):
            await self._end(reply.problem_type)
            return
        self._refusals += reply.problem_type == "backend-full"
        now = time.monotonic()
        since_s = 0.0 if self._turn_seen_at is None else now - self._turn_seen_at
        window_s = 0 if self._document is None else self._document.window
        left_s = may_hold_for(window_s, since_s, CLAIM_MARGIN_S)
        times = max(self._refusals, 1)
        self._later("claim", when_full(times, reply.retry_after_s, left_s, self._chance()))

    async def _refresh(self) -> None:
        reply = await self._transport.post("refresh", {"queue-token": self._record.token or ""})
        _refuse_trouble(reply)
        if reply.status != 200:
            self._note(reply)
            if reply.status in (401, 410):
                await self._end(reply.problem_type)
                return
            raise Trouble(reply)
        token, held = str(reply.body.get("token")), self._claims
        claims = await self._genuine(self._read_place, token)
        if held is None or (claims.position, claims.generation) != (held.position, held.generation):
            raise TokenRejected(TokenFault.BAD_CLAIMS)
        await self._change(token=token)
        self._claims = claims
        self._due.pop("refresh", None)
        await self._plan_refresh(claims)

    async def _plan_refresh(self, claims: QueueClaims) -> None:
        """A quarter of the life before the end, a day at most; spread, as a crowd's tokens end together."""
        now_s = self._clock.now_s()
        if now_s is None or "refresh" in self._due:
            return
        if now_s >= claims.expires_at + REFRESH_GRACE_S:
            await self._end("no-token")
            return
        lead_s = min((claims.expires_at - claims.issued_at) / 4, DAY_S) * (1 - self._chance() / 4)
        self._later("refresh", max(claims.expires_at - lead_s - now_s, 0))

    async def _end_session(self) -> None:
        await self._end("session-ended")

    def _plan_end(self) -> None:
        now_s = self._clock.now_s()
        if now_s is not None:
            self._later("end", max((self._record.session_ends_at or 0) - now_s, 0))

    def _note(self, reply: Reply) -> None:
        detail = str(reply.body.get("detail", f"status {reply.status}"))
        self._problem = Problem(reply.problem_type, detail)

    # --- Time --------------------------------------------------------------------------------------

    def _age(self) -> int | None:
        now_s = self._clock.now_s()
        if now_s is None or self._record.as_of is None:
            return None
        return max(round(now_s - self._record.as_of), 0)

    def _earliest(self) -> float | None:
        document, record = self._document, self._record
        if document is None or record.heard_at is None or record.as_of is None:
            return None
        if document.state == "scheduled":
            if document.opens_at is None:
                return None
            return document.opens_at - record.as_of + record.heard_at
        return None if self._wait is None else record.heard_at + self._wait.low_s

    # --- Polling and push ----------------------------------------------------------------------------

    @property
    def _document(self) -> PointerDocument | None:
        return None if self._pointer is None else self._pointer.document

    @property
    def _poll(self) -> Poll:
        return Poll() if self._document is None else self._document.poll

    def _poll_s(self) -> float:
        if self._record.stage == "admitted":
            return _NEVER
        chance = self._chance()
        if not self._is_pushing:
            return self._poll_alone_s(chance)
        served = 0 if self._document is None else self._document.served_up_to
        base = self._poll.nearest if self._pushed > served else self._poll.farthest
        return base * (1 + chance / 4)

    def _poll_alone_s(self, chance: float) -> float:
        document = self._document
        ahead = None if document is None or self._turn is None else document.ahead(self._turn)
        return poll_after(self._poll, ahead, self._wait, chance)

    async def _listen(self) -> None:
        failures = 0
        while True:
            while self._record.stage != "waiting":
                self._news.clear()
                await self._news.wait()
            pause_s: float | None = None
            try:
                async with contextlib.aclosing(self._transport.documents(self._channel)) as pushed:
                    async for found in pushed:
                        failures = 0
                        self._hinted(found)
                        if self._record.stage != "waiting":
                            break
            except NoPush as exc:
                pause_s = exc.pause_s
            failures += 1
            if self._is_pushing:
                self._is_pushing = False
                self._pushed = 0
                self._sooner("pointer", self._poll_alone_s(0) * self._chance())
                self._tell()
            await asyncio.sleep(
                retry_after(failures, self._chance()) if pause_s is None else pause_s
            )

    def _hinted(self, found: Any) -> None:
        """Something moved, it is said: ask for the signed document, soon where it decides something.

        What is pushed is signed by nobody, and believed by nobody.
        """
        try:
            hint = msgspec.convert(found, PointerDocument)
        except msgspec.ValidationError:
            return
        if hint.event != self._event:
            return
        self._is_pushing = True
        self._pushed = hint.served_up_to
        self._tell()
        known = self._document
        if known is None:
            return
        is_news = (hint.generation, hint.state) != (known.generation, known.state)
        may_have_come = self._turn is not None and hint.served_up_to >= self._turn
        if is_news or (may_have_come and not self._has_turn()):
            # A second later, the statement that caches hold has it too.
            self._sooner("pointer", 1 + self._chance())
        elif hint.served_up_to > known.served_up_to:
            at = self._pointer_at + self._poll_alone_s(self._chance())
            self._sooner("pointer", at - time.monotonic())


def _now_s() -> int:
    return int(time.monotonic())


def _is_trouble(reply: Reply) -> bool:
    return reply.status == 0 or reply.status >= 500


def _refuse_trouble(reply: Reply) -> Reply:
    if _is_trouble(reply):
        raise Trouble(reply)
    return reply
