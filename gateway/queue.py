"""The use cases: join, see one's standing, claim, extend, refresh, leave, hand over.

Each fetches, decides and acts, and returns a value for everything that was to be expected: a refusal
is a value, an exception is somebody's mistake.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.domain.admission import (
    Admitted,
    Bypassed,
    Claimable,
    Decision,
    ProblemType,
    Refused,
    Visitor,
    decide,
    event_closed,
    generation_over,
    ledger_away,
    no_token,
    not_yet,
    session_ended,
)
from gateway.domain.carriers import Carried
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.events import EventPolicy, EventSnapshot, EventState, turn_of
from gateway.domain.positions import EventId, Generation, Position, Turn, ahead_of
from gateway.domain.waiting import Wait, estimate_wait, retry_after_s
from gateway.errors import (
    Conflict,
    EventGone,
    GenerationOver,
    LedgerUnavailable,
    TokenFault,
    TokenRejected,
    UnknownEvent,
)
from gateway.ports import (
    Claimed,
    ClaimOutcome,
    Clock,
    ExtendOutcome,
    JoinRequest,
    Ledger,
    Observer,
    Snapshots,
    TokenSigner,
    TokenVerifier,
    VoucherReader,
)

DAY_S = 86_400

# A refresh accepts a queue token that expired up to this long ago.
REFRESH_GRACE_S = 7 * DAY_S

# A queue token outlives its event's close by this much.
AFTER_CLOSE_S = DAY_S

HANDOVER_LIFE_S = 30

FULL_RETRY_S = 10


@dataclass(frozen=True, slots=True)
class JoinCall:
    """What a visitor sends to join.

    Attributes:
        idempotency_key: The client's own random key, or None.
        voucher: What the site signed about the visitor, or None.
    """

    visitor: Visitor
    idempotency_key: str | None = None
    voucher: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a visitor stands, from memory.

    Attributes:
        status: `waiting`, `your-turn` or `admitted`.
        turn: None before the draw.
        session_ends_at: Unix seconds, when admitted.
    """

    status: str
    generation: Generation
    position: Position
    turn: Turn | None
    served_up_to: int
    ahead: int | None
    wait: Wait | None
    retry_after_s: int | None
    session_ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A place: dealt now, or the one that the visitor holds already."""

    token: str
    claims: QueueClaims
    standing: Standing
    new: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """A pass, and the session it stands for."""

    token: str
    claims: PassClaims
    extensions_left: int | None = None


@dataclass(frozen=True, slots=True)
class Refreshed:
    token: str
    claims: QueueClaims


@dataclass(frozen=True, slots=True)
class Left:
    """`session` when a session was ended; `waiting` when only the cookie can be cleared."""

    was: str


@dataclass(frozen=True, slots=True)
class NoMoreExtensions:
    """The session runs on to its end; the event allows no longer one."""

    session_ends_at: int


class Room:
    """The gateway's use cases for visitors, on the ports.

    Args:
        signer: None at an edge that only has public keys: it checks, and issues nothing.
        vouchers: None where no site key is configured.
        new_secret: Makes an unguessable string of 128 bits or more in base64url.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        snapshots: Snapshots,
        clock: Clock,
        verifier: TokenVerifier,
        issuer: str,
        new_secret: Callable[[], str],
        observer: Observer,
        signer: TokenSigner | None = None,
        vouchers: VoucherReader | None = None,
    ) -> None:
        self._ledger = ledger
        self._snapshots = snapshots
        self._clock = clock
        self._verifier = verifier
        self._issuer = issuer
        self._new_secret = new_secret
        self._observer = observer
        self._signer = signer
        self._vouchers = vouchers

    @property
    def can_issue(self) -> bool:
        return self._signer is not None

    def snapshot(self, event: EventId) -> EventSnapshot | None:
        """Return what is known of an event; None while the ledger was never read.

        Raises:
            UnknownEvent: The ledger was read, and has no such event.
        """
        snapshot = self._snapshots.get(event)
        if snapshot is None and self._snapshots.complete:
            raise UnknownEvent(event)
        return snapshot

    def identify(self, carried: Carried, event: EventId) -> Visitor:
        """Verify what a request carries. The caller has refused what is ambiguous."""
        if not carried.queue and not carried.passes:
            return Visitor(fault=TokenFault.MALFORMED) if carried.unreadable else _STRANGER
        held: PassClaims | None = None
        place: QueueClaims | None = None
        fault: TokenFault | None = None
        now_s = self._clock.now_s()
        for token in (*carried.passes, *carried.queue):
            try:
                claims = self._verifier.verify(token, now_s, expect_event=event)
            except TokenRejected as exc:
                fault = exc.fault
            else:
                if isinstance(claims, PassClaims):
                    held = claims
                else:
                    place = claims
        return Visitor(held=held, place=place, fault=fault)

    def decide(self, event: EventId, visitor: Visitor, *, on_finish_path: bool = False) -> Decision:
        """Decide from memory on a request to a protected path."""
        snapshot = self._snapshots.get(event)
        decision = decide(
            snapshot,
            visitor,
            now_s=self._clock.now_s(),
            age_s=0.0 if snapshot is None else self._clock.monotonic_s() - snapshot.read_at_s,
            on_finish_path=on_finish_path,
        )
        self._observer.decided(event, outcome_of(decision))
        return decision

    async def join(self, event: EventId, call: JoinCall) -> Joined | Refused:
        """Give the visitor a place, or find the one that they hold.

        Raises:
            UnknownEvent: There is no such event.
            TokenRejected: The voucher is not genuine, or one is required and missing.
        """
        snapshot = self.snapshot(event)
        if snapshot is None:
            return ledger_away("The state of this event is not known yet.")
        place = call.visitor.place
        if place is not None and await self._still_good(snapshot, place):
            return self._again(snapshot, place)
        if snapshot.state in (EventState.CLOSED, EventState.DELETED):
            return event_closed()
        if snapshot.state is EventState.SUSPENDED:
            return ledger_away("The queue's state is being recovered. Try again in a moment.")
        request = self._join_request(snapshot, call)
        if self._signer is None:
            return ledger_away("This edge gives no places; ask the event's own gateway.")
        try:
            dealt = await self._ledger.join(event, request)
        except LedgerUnavailable:
            return ledger_away("No place could be given. Try again in a moment.")
        except (Conflict, EventGone):
            return event_closed()
        now = int(self._clock.now_s())
        claims = QueueClaims(
            issuer=self._issuer,
            event=event,
            visitor=dealt.visitor,
            position=dealt.position,
            generation=dealt.generation,
            issued_at=now,
            expires_at=_queue_token_end(snapshot.policy, now),
            joined_active_ms=dealt.joined_active_ms,
            head_start=dealt.head_start,
        )
        self._observer.joined(event, repeated=dealt.repeated)
        return Joined(
            token=self._signer.sign_queue(claims),
            claims=claims,
            standing=self._standing(_at_least(snapshot, claims), claims),
            new=not dealt.repeated,
        )

    def standing(self, event: EventId, visitor: Visitor) -> Standing | Refused:
        """Say where a visitor stands, from memory.

        Raises:
            UnknownEvent: There is no such event.
        """
        snapshot = self.snapshot(event)
        if snapshot is None:
            return ledger_away("The state of this event is not known yet.")
        held = visitor.held
        if held is not None and self._admits(snapshot, held):
            return Standing(
                status="admitted",
                generation=held.generation,
                position=held.position,
                turn=turn_of(held.position, 0, snapshot.draw),
                served_up_to=snapshot.served_up_to,
                ahead=0,
                wait=None,
                retry_after_s=None,
                session_ends_at=held.expires_at,
            )
        place = visitor.place
        if place is None:
            return session_ended() if held is not None else no_token(visitor.fault)
        if place.generation != snapshot.generation:
            return generation_over()
        if place.position in snapshot.ended:
            return session_ended()
        if snapshot.state is EventState.DELETED:
            return event_closed()
        return self._standing(_at_least(snapshot, place), place)

    async def claim(self, event: EventId, visitor: Visitor) -> Passed | Refused:
        """Exchange a place whose turn has come for a pass.

        Raises:
            UnknownEvent: There is no such event.
        """
        snapshot = self.snapshot(event)
        if snapshot is None:
            return ledger_away("The state of this event is not known yet.")
        if snapshot.state is EventState.SUSPENDED:
            return ledger_away("The queue's state is being recovered. Your place is kept.")
        if visitor.place is not None:
            return await self.claim_place(snapshot, visitor.place)
        if visitor.held is None:
            return no_token(visitor.fault)
        # A pass alone finds its own session again, and opens none.
        held = visitor.held
        return await self._claim(
            snapshot, held.position, held.generation, held.visitor, held.key_thumbprint, None, 0
        )

    async def claim_place(self, snapshot: EventSnapshot, place: QueueClaims) -> Passed | Refused:
        """Open, or find, the session of a verified place."""
        turn = turn_of(place.position, place.head_start, snapshot.draw)
        if turn is None:
            return not_yet(snapshot, place, None)
        refused_or_passed = await self._claim(
            snapshot,
            place.position,
            place.generation,
            place.visitor,
            place.key_thumbprint,
            turn,
            place.joined_active_ms,
        )
        if isinstance(refused_or_passed, Refused) and (
            refused_or_passed.problem is ProblemType.NOT_YET
        ):
            return not_yet(_at_least(snapshot, place), place, turn)
        return refused_or_passed

    async def would_refuse(self, snapshot: EventSnapshot, place: QueueClaims) -> Refused | None:
        """Ask what a claim would be refused for, and open nothing; None when it would be granted."""
        turn = turn_of(place.position, place.head_start, snapshot.draw)
        if turn is None:
            return not_yet(snapshot, place, None)
        try:
            found = await self._ledger.claim(
                snapshot.event,
                place.generation,
                place.position,
                turn,
                place.joined_active_ms,
                only_ask=True,
            )
        except LedgerUnavailable:
            return ledger_away("Passes cannot be given just now. Your place is kept.")
        except GenerationOver:
            return generation_over()
        except EventGone:
            return event_closed()
        if found.outcome in (ClaimOutcome.SEATED, ClaimOutcome.CLAIMABLE):
            return None
        return _refused_claim(found)

    async def extend(self, event: EventId, visitor: Visitor) -> Passed | NoMoreExtensions | Refused:
        """Lengthen the visitor's own session, within the event's bounds.

        Raises:
            UnknownEvent: There is no such event.
        """
        self.snapshot(event)
        if visitor.held is None:
            return no_token(visitor.fault)
        return await self._extend(visitor.held, None, by_visitor=True)

    async def extend_for_backend(self, held: PassClaims, by_s: int) -> Passed | None:
        """Lengthen a session because the backend asked; None when it could not be done."""
        outcome = await self._extend(held, by_s, by_visitor=False)
        return outcome if isinstance(outcome, Passed) else None

    async def refresh(self, event: EventId, carried: Carried) -> Refreshed | Refused:
        """Give the same place under today's key and a new end.

        Raises:
            UnknownEvent: There is no such event.
        """
        snapshot = self.snapshot(event)
        if snapshot is None or self._signer is None:
            return ledger_away("The token cannot be refreshed just now. It stays good.")
        if not carried.queue:
            return no_token(None)
        now_s = self._clock.now_s()
        try:
            place = self._verifier.verify(
                carried.queue[0], now_s, expect_event=event, queue_grace_s=REFRESH_GRACE_S
            )
        except TokenRejected as exc:
            return no_token(None if exc.fault is TokenFault.EXPIRED else exc.fault)
        if isinstance(place, PassClaims):
            return no_token(TokenFault.WRONG_TYPE)
        if place.generation != snapshot.generation:
            return generation_over()
        if snapshot.state is EventState.DELETED:
            return event_closed()
        claims = replace(
            place,
            issuer=self._issuer,
            issued_at=int(now_s),
            expires_at=_queue_token_end(snapshot.policy, int(now_s)),
        )
        return Refreshed(self._signer.sign_queue(claims), claims)

    async def leave(self, event: EventId, visitor: Visitor) -> Left | Refused:
        """End the visitor's session and free its capacity.

        Raises:
            UnknownEvent: There is no such event.
        """
        self.snapshot(event)
        held = visitor.held or visitor.place
        if held is None:
            return no_token(visitor.fault)
        ends_at = visitor.held.expires_at if visitor.held is not None else 0
        try:
            ended = await self._ledger.leave(event, held.generation, held.position, ends_at)
        except GenerationOver:
            return generation_over()
        except EventGone:
            return event_closed()
        except LedgerUnavailable:
            return ledger_away("The session cannot be ended just now.")
        return Left("session" if ended else "waiting")

    async def end_for_backend(self, held: PassClaims) -> None:
        """End a session because the backend said so. A session that is over is no mistake.

        Raises:
            LedgerUnavailable: It could not be noted; the session runs to its end.
        """
        try:
            await self._ledger.leave(held.event, held.generation, held.position, held.expires_at)
        except (GenerationOver, EventGone):
            return

    async def issue_handover(self, event: EventId, held: bytes) -> str:
        """Return a single-use code with which another host of the event gives the same pass.

        The pass itself is kept for those seconds: the other host's edge may have public keys only.

        Args:
            held: The verified pass, as it came.

        Raises:
            LedgerUnavailable: The code could not be kept.
        """
        code = self._new_secret()
        await self._ledger.put_handover(event, _hashed(code), held.decode("ascii"), HANDOVER_LIFE_S)
        return code

    async def redeem_handover(self, event: EventId, code: str) -> Passed | Refused:
        """Exchange a handover code for the pass it stands for, once."""
        try:
            token = await self._ledger.take_handover(event, _hashed(code))
        except LedgerUnavailable:
            return ledger_away("The handover cannot be looked up just now.")
        if token is None:
            return no_token(None)
        visitor = self.identify(Carried(passes=(token.encode(),)), event)
        if visitor.held is None:
            return no_token(visitor.fault)
        return Passed(token, visitor.held)

    def stands_open(self, snapshot: EventSnapshot) -> bool:
        """Whether the gate stands open just now, by an operator's act."""
        return snapshot.stands_open(self._clock.now_s())

    def seconds_left(self, held: PassClaims) -> int:
        """Return how long a pass still lives."""
        return max(held.expires_at - int(self._clock.now_s()), 0)

    def _admits(self, snapshot: EventSnapshot, held: PassClaims) -> bool:
        return (
            held.generation == snapshot.generation
            and held.position not in snapshot.ended
            and self._clock.now_s() < held.expires_at
        )

    def _standing(self, snapshot: EventSnapshot, place: QueueClaims) -> Standing:
        turn = turn_of(place.position, place.head_start, snapshot.draw)
        ahead = None if turn is None else ahead_of(turn, snapshot.served_up_to, snapshot.holes)
        served = turn is not None and turn <= snapshot.served_up_to
        return Standing(
            status="your-turn" if served else "waiting",
            generation=place.generation,
            position=place.position,
            turn=turn,
            served_up_to=snapshot.served_up_to,
            ahead=ahead,
            wait=None if served or ahead is None else estimate_wait(snapshot, ahead),
            retry_after_s=None if served else retry_after_s(snapshot, ahead, place.position),
        )

    async def _still_good(self, snapshot: EventSnapshot, place: QueueClaims) -> bool:
        """Whether a place is waiting, in its window, or in a live session."""
        if snapshot.state is EventState.DELETED:
            return False
        if place.generation != snapshot.generation or place.position in snapshot.ended:
            return False
        turn = turn_of(place.position, place.head_start, snapshot.draw)
        if turn is None or turn > snapshot.served_up_to:
            # Nobody else is let in once the event is closed: such a place waits for nothing.
            return snapshot.state is not EventState.CLOSED
        try:
            found = await self._ledger.claim(
                snapshot.event,
                place.generation,
                place.position,
                turn,
                place.joined_active_ms,
                only_ask=True,
            )
        except LedgerUnavailable:
            # Nobody loses a place because nobody can be asked about it.
            return True
        except (GenerationOver, EventGone):
            return False
        return found.outcome not in (ClaimOutcome.ENDED, ClaimOutcome.MISSED, ClaimOutcome.CLOSED)

    def _again(self, snapshot: EventSnapshot, place: QueueClaims) -> Joined | Refused:
        if self._signer is None:
            return ledger_away("This edge gives no places; ask the event's own gateway.")
        claims = replace(place, issuer=self._issuer, issued_at=int(self._clock.now_s()))
        self._observer.joined(snapshot.event, repeated=True)
        return Joined(
            token=self._signer.sign_queue(claims),
            claims=claims,
            standing=self._standing(_at_least(snapshot, place), place),
            new=False,
        )

    def _join_request(self, snapshot: EventSnapshot, call: JoinCall) -> JoinRequest:
        key_hash = None if call.idempotency_key is None else _hashed(call.idempotency_key)
        if call.voucher is None:
            if snapshot.policy.voucher_required:
                raise TokenRejected(TokenFault.MALFORMED)
            return JoinRequest(self._new_secret(), idempotency_hash=key_hash)
        if self._vouchers is None:
            raise TokenRejected(TokenFault.UNKNOWN_KEY)
        voucher = self._vouchers.read(
            call.voucher, self._clock.now_s(), expect_event=snapshot.event
        )
        return JoinRequest(
            voucher.visitor, idempotency_hash=key_hash, head_start=voucher.head_start, named=True
        )

    async def _claim(
        self,
        snapshot: EventSnapshot,
        position: Position,
        generation: Generation,
        visitor: str,
        key_thumbprint: str | None,
        turn: Turn | None,
        joined_active_ms: int,
    ) -> Passed | Refused:
        if self._signer is None:
            return Refused(
                ProblemType.CLAIM_FIRST, "Claim your turn at the event's own gateway first."
            )
        if generation != snapshot.generation:
            return generation_over()
        try:
            claimed = await self._ledger.claim(
                snapshot.event,
                generation,
                position,
                turn if turn is not None else Turn(position),
                joined_active_ms,
                only_ask=turn is None,
            )
        except LedgerUnavailable:
            return ledger_away("Passes cannot be given just now. Your place is kept.")
        except GenerationOver:
            return generation_over()
        except EventGone:
            return event_closed()
        self._observer.claimed(snapshot.event, claimed.outcome)
        if claimed.outcome is not ClaimOutcome.SEATED:
            return _refused_claim(claimed)
        return self._sign_pass(
            snapshot.event,
            position,
            generation,
            visitor,
            key_thumbprint,
            claimed.session_ends_at,
        )

    async def _extend(
        self, held: PassClaims, by_s: int | None, *, by_visitor: bool
    ) -> Passed | NoMoreExtensions | Refused:
        if self._signer is None:
            return ledger_away("This edge cannot extend sessions.")
        try:
            extended = await self._ledger.extend(
                held.event, held.generation, held.position, by_s=by_s, by_visitor=by_visitor
            )
        except LedgerUnavailable:
            return ledger_away("The session cannot be extended just now. It runs on.")
        except GenerationOver:
            return generation_over()
        except EventGone:
            return event_closed()
        if extended.outcome is ExtendOutcome.NO_SESSION:
            return session_ended()
        if extended.outcome is ExtendOutcome.NOT_ALLOWED:
            return NoMoreExtensions(extended.session_ends_at)
        passed = self._sign_pass(
            held.event,
            held.position,
            held.generation,
            held.visitor,
            held.key_thumbprint,
            extended.session_ends_at,
        )
        return replace(passed, extensions_left=extended.left)

    def _sign_pass(
        self,
        event: EventId,
        position: Position,
        generation: Generation,
        visitor: str,
        key_thumbprint: str | None,
        ends_at: int,
    ) -> Passed:
        assert self._signer is not None  # noqa: S101 - every caller has checked
        now = int(self._clock.now_s())
        claims = PassClaims(
            issuer=self._issuer,
            event=event,
            visitor=visitor,
            position=position,
            generation=generation,
            # A session may end within this second; a token never ends before it begins.
            issued_at=min(now, ends_at - 1),
            expires_at=ends_at,
            key_thumbprint=key_thumbprint,
        )
        return Passed(self._signer.sign_pass(claims), claims)


_STRANGER = Visitor()


def outcome_of(decision: Decision) -> str:
    """Name a decision for metrics: a closed set."""
    match decision:
        case Admitted():
            return "admitted"
        case Claimable():
            return "claimable"
        case Bypassed():
            return "bypassed"
        case Refused(problem=problem):
            return problem.value


def _refused_claim(claimed: Claimed) -> Refused:
    match claimed.outcome:
        case ClaimOutcome.FULL:
            return Refused(
                ProblemType.BACKEND_FULL,
                "Your turn has come, and the site is full. You are let in as soon as there is room.",
                retry_after_s=FULL_RETRY_S,
            )
        case ClaimOutcome.ENDED:
            return session_ended()
        case ClaimOutcome.MISSED:
            return Refused(
                ProblemType.WINDOW_MISSED, "Your turn has passed. Join again for a new place."
            )
        case ClaimOutcome.CLOSED:
            return event_closed()
        case ClaimOutcome.NOT_YET | ClaimOutcome.CLAIMABLE | ClaimOutcome.SEATED:
            return Refused(ProblemType.NOT_YET, "Your turn has not come yet.", retry_after_s=5)


def _queue_token_end(policy: EventPolicy, now: int) -> int:
    if policy.closes_at:
        return max(policy.closes_at, now) + AFTER_CLOSE_S
    return now + policy.token_life_s


def _at_least(snapshot: EventSnapshot, place: QueueClaims) -> EventSnapshot:
    """A genuine token proves that its position was issued, whatever the copy in memory says."""
    if snapshot.issued >= place.position or snapshot.generation != place.generation:
        return snapshot
    return replace(snapshot, issued=place.position)


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
