"""Sessions: claim a turn that has come, extend, end."""

from dataclasses import replace
from typing import Final

from gateway.domain.admission import (
    ProblemType,
    Refused,
    Visitor,
    event_closed,
    generation_over,
    ledger_away,
    no_token,
    not_yet,
    session_ended,
)
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.events import EventSnapshot, EventState, turn_of
from gateway.domain.positions import EventId, Generation, Position, Turn
from gateway.errors import EventGone, GenerationOver, LedgerUnavailable
from gateway.ports import Claimed, ClaimOutcome, ExtendOutcome
from gateway.queue.desk import Desk
from gateway.queue.results import Left, NoMoreExtensions, Passed

FULL_RETRY_S: Final = 10


class Sessions(Desk):
    """The use cases of whoever's turn has come."""

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
            return not_yet(snapshot, place, turn)
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
        passed = self._sign_pass(
            snapshot.event,
            position,
            generation,
            visitor,
            key_thumbprint,
            claimed.session_ends_at,
        )
        return replace(passed, extensions_left=claimed.extensions_left)

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
        return Passed(
            self._signer.sign_pass(claims), claims, finish_grace_s=self.finish_grace_s(event)
        )


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
