"""Holds one place: joins, follows the pointer, claims, refreshes; each step is written before it counts."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.client.documents import Pointer, PointerDocument, newer_document, with_pointer
from gateway.client.pace import enter_delay, may_hold_for, when_full
from gateway.client.record import Record, read_record
from gateway.client.standing import Standing
from gateway.client.storage import Storage
from gateway.client.timetable import NEVER, Timetable
from gateway.client.transport import (
    Reply,
    ServerClock,
    Transport,
    Trouble,
    is_trouble,
    refuse_trouble,
)
from gateway.client.trust import Trust
from gateway.client.view import Problem
from gateway.domain.claims import QueueClaims
from gateway.errors import TokenFault, TokenRejected

DAY_S: Final = 86_400
REFRESH_GRACE_S: Final = 7 * DAY_S
CLAIM_MARGIN_S: Final = 30.0

_ACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "none": (),
    "joining": ("join",),
    "waiting": ("claim", "refresh", "pointer"),
    "admitted": ("end", "pointer"),
    "over": (),
}


class Holder:
    """The record of one place, and the acts that move it on. One act at a time: the caller sees to that.

    Args:
        auto_claim: Whether a turn is claimed as soon as it has come; else once it is wanted.

    Attributes:
        claim_wanted: Whether the visitor has said that the turn is to be claimed.
        problem: What stands in the way.
        asked_at: When the document was last asked for and had, by the process's own clock.
        hinted_up_to: How far the pointer is by what is pushed; None while nothing is.
    """

    def __init__(
        self,
        storage: Storage,
        transport: Transport,
        clock: ServerClock,
        trust: Trust,
        timetable: Timetable,
        *,
        auto_claim: bool,
        chance: Callable[[], float],
    ) -> None:
        self._storage = storage
        self._transport = transport
        self._clock = clock
        self._trust = trust
        self._timetable = timetable
        self._auto_claim = auto_claim
        self._chance = chance
        self.record = Record()
        self.standing = Standing()
        self.claim_wanted = False
        self.problem: Problem | None = None
        self.asked_at = -NEVER
        self.hinted_up_to: int | None = None

    # --- The record ------------------------------------------------------------------------------

    async def load(self) -> None:
        """Read what was kept, and conclude from it what can be without the network."""
        self._keep(read_record(await self._storage.load()))
        if self.record.token is None:
            return
        standing = self.standing
        try:
            standing.claims = await self._trust.place(self.record.token, standing.claims)
        except TokenRejected:
            if self.record.stage == "waiting":
                await self._end("no-token")
            return
        except Trouble:
            # Keys that cannot be fetched just now say nothing against it.
            return
        if self.record.statement is None:
            return
        try:
            kept = await self._trust.pointer(self.record.statement, standing.claims)
        except (TokenRejected, Trouble):
            return
        served = max(kept.document.served_up_to, self.record.served_up_to)
        standing.hold(kept, with_pointer(kept.document, served))
        await self._consider()

    async def begin(self, join_key: str, join_fields: dict[str, str]) -> None:
        """Ask for a new place from now on."""
        self.problem = None
        await self._commit(Record(stage="joining", join_key=join_key, join_fields=join_fields))
        self._forget_place()

    async def leave(self) -> bool:
        """Give the place or the session back, and forget it; return False where nobody could be told."""
        held = self.record.pass_ or self.record.token
        if held is not None:
            reply = await self._transport.post("leave", {"queue-token": held})
            # What does not say so is not the gateway's answer.
            if is_trouble(reply) or (reply.status == 200 and "left" not in reply.body):
                return False
        await self._storage.remove()
        self._keep(Record())
        self._forget_place()
        return True

    def age(self) -> int | None:
        """Return how many seconds ago the document was signed; None while no server has told the time."""
        now_s = self._clock.now_s()
        if now_s is None or self.record.as_of is None:
            return None
        return max(round(now_s - self.record.as_of), 0)

    async def _commit(self, record: Record) -> None:
        """Write a record, and only then hold it."""
        record = msgspec.structs.replace(record, keys=self._trust.known)
        await self._storage.save(msgspec.json.encode(record).decode())
        self._keep(record)

    async def _change(self, **changes: Any) -> None:
        await self._commit(msgspec.structs.replace(self.record, **changes))

    def _keep(self, record: Record) -> None:
        self.record = record
        self._trust.kept = record.keys

    async def _end(self, why: str) -> None:
        await self._change(stage="over", why=why, pass_=None)

    def _forget_place(self) -> None:
        self.standing.forget()
        self.claim_wanted = False
        self._timetable.clear()

    # --- What is due -----------------------------------------------------------------------------

    def next(self) -> tuple[str, float]:
        """Return the act that is due first, and when."""
        acts = _ACTS[self.record.stage]
        return self._timetable.first(name for name in acts if name != "claim" or self._may_claim())

    async def act(self, name: str) -> None:
        """Do what was due, unless there is nothing to do any more; what fails is put off."""
        # Somebody may have left, or joined anew, meanwhile.
        if name not in _ACTS[self.record.stage]:
            return
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
            self._timetable.put_off(name, exc.reply.retry_after_s)
        except TokenRejected as exc:
            self.problem = Problem("not-genuine", exc.fault.value)
            self._timetable.put_off(name)
        except OSError as exc:
            self.problem = Problem("storage", str(exc))
            self._timetable.put_off(name)
        except (LookupError, TypeError, ValueError) as exc:
            self.problem = Problem("unreadable", repr(exc))
            self._timetable.put_off(name)
        else:
            self._timetable.succeeded(name)

    def _may_claim(self) -> bool:
        return self.standing.has_turn() and (self._auto_claim or self.claim_wanted)

    # --- The acts --------------------------------------------------------------------------------

    async def _join(self) -> None:
        # Before the place: one whose token could not be checked would be nobody's.
        await self._trust.have_keys()
        headers = {"idempotency-key": self.record.join_key or ""}
        reply = await self._transport.post("join", headers, self.record.join_fields or {})
        refuse_trouble(reply)
        if reply.status in (200, 201):
            token = str(reply.body.get("token"))
            claims = await self._trust.place(token, self.standing.claims)
            await self._commit(Record(stage="waiting", token=token))
            self.standing.claims = claims
            self.problem = None
            self._timetable.clear()
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
        reply = refuse_trouble(await self._transport.get("pointer.jws"))
        if reply.status != 200:
            self._note(reply)
            raise Trouble(reply)
        standing = self.standing
        if standing.claims is None:
            standing.claims = await self._trust.place(self.record.token or "", None)
        fresh = await self._trust.pointer(reply.text, standing.claims)
        self._clock.hear(fresh.issued_at)
        await self._adopt(reply.text, fresh)
        self.asked_at = time.monotonic()
        await self._consider()
        # With a turn, what stands in the way is the claim's to say.
        if not standing.has_turn():
            self.problem = None
        self._timetable.later("pointer", self._poll_s())

    async def _adopt(self, text: str, fresh: Pointer) -> None:
        """Take a genuine document; within a generation the pointer never goes back."""
        known = self.standing.pointer
        found = newer_document(None if known is None else known.document, fresh.document)
        if known is not None:
            if found is known.document:
                return
            self.standing.served_before = known.document.served_up_to
            is_same = found.generation == known.document.generation
            if is_same and fresh.issued_at < known.issued_at:
                # Signed earlier, and perhaps further by another gateway: only how far it is counts.
                await self._change(served_up_to=found.served_up_to)
                self.standing.hold(known, with_pointer(known.document, found.served_up_to))
                return
        now_s = self._clock.now_s()
        age_s = max((fresh.issued_at if now_s is None else now_s) - fresh.issued_at, 0)
        await self._change(
            statement=text,
            served_up_to=found.served_up_to,
            as_of=fresh.issued_at,
            heard_at=time.time() - age_s,
        )
        self.standing.hold(fresh, found)

    async def _consider(self) -> None:
        """Draw the conclusions from the token and the newest document."""
        standing = self.standing
        document, claims = standing.document, standing.claims
        if document is None or claims is None:
            return
        if self.record.stage not in ("waiting", "admitted"):
            return
        if document.generation > claims.generation:
            await self._end("generation-over")
            return
        if self.record.stage == "admitted":
            self._plan_end()
            return
        standing.turn = document.turn_of(claims.position, claims.head_start)
        is_served = standing.turn is not None and standing.turn <= document.served_up_to
        if document.state == "deleted" or (document.state == "closed" and not is_served):
            await self._end("event-closed")
            return
        standing.estimate(document)
        if is_served and standing.turn is not None and standing.turn_seen_at is None:
            self._turn_came(standing.turn, document)
        await self._plan_refresh(claims)

    def _turn_came(self, turn: int, document: PointerDocument) -> None:
        """Let those of the same release go first who are before."""
        self.standing.turn_seen_at = time.monotonic()
        served = document.served_up_to
        seen_before = self.standing.served_before
        before = served if seen_before is None else seen_before
        most_s = may_hold_for(document.window, 0, CLAIM_MARGIN_S)
        self._timetable.later("claim", enter_delay(turn, before, served, most_s))

    async def _claim(self) -> None:
        reply = await self._transport.post("claim", {"queue-token": self.record.token or ""})
        refuse_trouble(reply)
        if reply.status == 200:
            await self._change(
                stage="admitted",
                pass_=reply.body["pass"],
                session_ends_at=reply.body["session_ends_at"],
            )
            self.problem = None
            self._plan_end()
            return
        self._note(reply)
        if reply.status in (401, 410):
            await self._end(reply.problem_type)
            return
        standing = self.standing
        standing.refusals += reply.problem_type == "backend-full"
        now = time.monotonic()
        since_s = 0.0 if standing.turn_seen_at is None else now - standing.turn_seen_at
        window_s = 0 if standing.document is None else standing.document.window
        left_s = may_hold_for(window_s, since_s, CLAIM_MARGIN_S)
        times = max(standing.refusals, 1)
        wait_s = when_full(times, reply.retry_after_s, left_s, self._chance())
        self._timetable.later("claim", wait_s)

    async def _refresh(self) -> None:
        reply = await self._transport.post("refresh", {"queue-token": self.record.token or ""})
        refuse_trouble(reply)
        if reply.status != 200:
            self._note(reply)
            if reply.status in (401, 410):
                await self._end(reply.problem_type)
                return
            raise Trouble(reply)
        token, held = str(reply.body.get("token")), self.standing.claims
        claims = await self._trust.place(token, held)
        if held is None or (claims.position, claims.generation) != (held.position, held.generation):
            raise TokenRejected(TokenFault.BAD_CLAIMS)
        await self._change(token=token)
        self.standing.claims = claims
        self._timetable.drop("refresh")
        await self._plan_refresh(claims)

    async def _plan_refresh(self, claims: QueueClaims) -> None:
        """A quarter of the life before the end, a day at most; spread, as a crowd's tokens end together."""
        now_s = self._clock.now_s()
        if now_s is None or self._timetable.has("refresh"):
            return
        if now_s >= claims.expires_at + REFRESH_GRACE_S:
            await self._end("no-token")
            return
        lead_s = min((claims.expires_at - claims.issued_at) / 4, DAY_S) * (1 - self._chance() / 4)
        self._timetable.later("refresh", max(claims.expires_at - lead_s - now_s, 0))

    async def _end_session(self) -> None:
        await self._end("session-ended")

    def _plan_end(self) -> None:
        now_s = self._clock.now_s()
        if now_s is not None:
            self._timetable.later("end", max((self.record.session_ends_at or 0) - now_s, 0))

    def _poll_s(self) -> float:
        """Return after how long to ask for the document again."""
        if self.record.stage == "admitted":
            return NEVER
        chance = self._chance()
        if self.hinted_up_to is None:
            return self.standing.poll_alone_s(chance)
        document, poll = self.standing.document, self.standing.poll
        served = 0 if document is None else document.served_up_to
        base = poll.nearest if self.hinted_up_to > served else poll.farthest
        return base * (1 + chance / 4)

    def _note(self, reply: Reply) -> None:
        detail = str(reply.body.get("detail", f"status {reply.status}"))
        self.problem = Problem(reply.problem_type, detail)
