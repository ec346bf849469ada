"""Places: join, see where one stands, refresh the token."""

from dataclasses import replace
from typing import Final

from gateway.domain.admission import (
    Refused,
    Visitor,
    event_closed,
    generation_over,
    ledger_away,
    no_token,
    session_ended,
)
from gateway.domain.carriers import Carried
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.events import EventPolicy, EventSnapshot, EventState, turn_of
from gateway.domain.positions import EventId, ahead_of
from gateway.domain.waiting import estimate_wait, retry_after_s
from gateway.errors import (
    Conflict,
    EventGone,
    GenerationOver,
    LedgerUnavailable,
    TokenFault,
    TokenRejected,
)
from gateway.ports import ClaimOutcome, JoinRequest, Place
from gateway.queue.desk import Desk, hashed
from gateway.queue.results import JoinCall, Joined, Refreshed, Standing

DAY_S: Final = 86_400

# A refresh accepts a queue token that expired up to this long ago.
REFRESH_GRACE_S: Final = 7 * DAY_S

# A queue token outlives its event's close by this much.
AFTER_CLOSE_S: Final = DAY_S


class Places(Desk):
    """The use cases of whoever wants a place, or has one."""

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
        if self._guard is not None:
            refused = await self._guard.refuses(event, call.source, call.challenge)
            if refused is not None:
                return refused
        try:
            dealt = await self._ledger.join(event, request)
        except LedgerUnavailable:
            return ledger_away("No place could be given. Try again in a moment.")
        except (Conflict, EventGone):
            return event_closed()
        has_room = snapshot.may_admit_at_once
        snapshot = await self._past_a_gap(snapshot, dealt)
        if has_room and self._schedules is not None:
            # An event that has room shows nobody a queue.
            await self._schedules.let_in_now(event)
            snapshot = self._snapshots.get(event) or snapshot
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
            standing=self._standing(snapshot, claims),
            new=not dealt.repeated,
        )

    async def _past_a_gap(self, snapshot: EventSnapshot, dealt: Place) -> EventSnapshot:
        """Read anew where numbers may have been skipped just now.

        A restarted ledger goes on above its ceiling, and whoever comes first would be told of people
        in the gap. The others of that moment are told by the watcher's next read.
        """
        if dealt.position != snapshot.ceiling + 1:
            return snapshot
        try:
            read = await self._ledger.read(snapshot.event)
        except (LedgerUnavailable, EventGone):
            return snapshot
        # Through the board: what this visitor is shown, nobody is shown less of here afterwards.
        self._snapshots.put(read)
        return self._snapshots.get(snapshot.event) or read

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
                session_seconds_left=int(held.expires_at - self._clock.now_s()),
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
        return self._standing(snapshot, place)

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
            head_start=place.head_start,
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
            standing=self._standing(snapshot, place),
            new=False,
        )

    def _join_request(self, snapshot: EventSnapshot, call: JoinCall) -> JoinRequest:
        key_hash = None if call.idempotency_key is None else hashed(call.idempotency_key)
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


def _queue_token_end(policy: EventPolicy, now: int) -> int:
    if policy.closes_at:
        return max(policy.closes_at, now) + AFTER_CLOSE_S
    return now + policy.token_life_s
