"""What every use case needs: the ports, what is known of an event, and who is asking."""

import hashlib
from collections.abc import Callable

from gateway.domain.admission import (
    STRANGER,
    Admitted,
    Bypassed,
    Claimable,
    Decision,
    Refused,
    Visitor,
    decide,
)
from gateway.domain.carriers import Carried
from gateway.domain.claims import LEEWAY_S, PassClaims, QueueClaims
from gateway.domain.events import EventSnapshot, turn_of
from gateway.domain.positions import EventId
from gateway.errors import TokenFault, TokenRejected, UnknownEvent
from gateway.ports import (
    Clock,
    JoinGuard,
    Ledger,
    Observer,
    Schedules,
    Snapshots,
    TokenSigner,
    TokenVerifier,
    VoucherReader,
    Witness,
)
from gateway.queue.results import Ticket


class Desk:
    """The ports, and what can be said from memory.

    Args:
        signer: None at an edge that only has public keys: it checks, and issues nothing.
        vouchers: None where no site key is configured.
        guard: None where joins are not limited.
        witness: Told what genuine tokens prove.
        schedules: Asked to let in at once who joins an event with room; None where nobody is.
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
        guard: JoinGuard | None = None,
        witness: Witness | None = None,
        schedules: Schedules | None = None,
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
        self._guard = guard
        self._witness = witness
        self._schedules = schedules

    @property
    def can_issue(self) -> bool:
        return self._signer is not None

    def snapshot(self, event: EventId) -> EventSnapshot | None:
        """Return what is known of an event; None while its state was never read.

        Raises:
            UnknownEvent: The ledger was read, has no such event, the settings do not name it, and nothing
                proves that it was there.
        """
        snapshot = self._snapshots.get(event)
        if snapshot is None and self._snapshots.complete:
            proved = self._witness is not None and self._witness.knows(event)
            if not proved and not self._snapshots.is_lost(event):
                raise UnknownEvent(event)
        return snapshot

    def identify(self, carried: Carried, event: EventId) -> Visitor:
        """Verify what a request carries. The caller has refused what is ambiguous."""
        if not carried.queue and not carried.passes:
            return Visitor(fault=TokenFault.MALFORMED) if carried.unreadable else STRANGER
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
        if self._witness is not None:
            self._testify(self._witness, event, held, place)
        return Visitor(held=held, place=place, fault=fault)

    def _testify(
        self,
        witness: Witness,
        event: EventId,
        held: PassClaims | None,
        place: QueueClaims | None,
    ) -> None:
        """Say what genuine tokens prove beyond what was read of the ledger."""
        snapshot = self._snapshots.get(event)
        for claims in (held, place):
            if claims is None:
                continue
            if snapshot is None or claims.generation > snapshot.generation:
                witness.saw_token(event, claims.generation, claims.position)
            elif claims.generation < snapshot.generation:
                continue
            elif claims.position > snapshot.issued:
                witness.saw_token(event, claims.generation, claims.position)
            elif snapshot.holes.contain(claims.position):
                witness.saw_in_hole(event, claims.generation, claims.position)
        if held is None:
            return
        if _may_be_lost(snapshot, held):
            witness.saw_session(event, held.generation, held.position, held.expires_at)
        head_start = 0
        if place is not None and place.position == held.position:
            head_start = place.head_start
        elif self._vouchers is not None:
            # A pass does not say how much of a head start its place had: it proves no turn alone.
            return
        draw = None if snapshot is None else snapshot.draw
        turn = turn_of(held.position, head_start, draw)
        if turn is not None and (snapshot is None or turn > snapshot.served_up_to):
            witness.saw_pass(event, held.generation, turn)

    def decide(self, event: EventId, visitor: Visitor, *, on_finish_path: bool = False) -> Decision:
        """Decide from memory on a request to a protected path."""
        decision = self._decide(event, visitor, on_finish_path)
        self._observer.decided(event, outcome_of(decision))
        return decision

    def would_decide(
        self, event: EventId, visitor: Visitor, *, on_finish_path: bool = False
    ) -> Decision:
        """Say what would be decided. Nothing is counted and nothing follows from it."""
        return self._decide(event, visitor, on_finish_path)

    def note_observed(self, event: EventId, outcome: str) -> None:
        """Count what would have come of a request that went through; `outcome` is of a closed set."""
        self._observer.observed(event, outcome)

    def _decide(self, event: EventId, visitor: Visitor, on_finish_path: bool) -> Decision:
        snapshot = self._snapshots.get(event)
        return decide(
            snapshot,
            visitor,
            now_s=self._clock.now_s(),
            age_s=0.0 if snapshot is None else self._clock.monotonic_s() - snapshot.read_at_s,
            on_finish_path=on_finish_path,
        )

    def may_still_run(self, held: PassClaims) -> bool:
        """Whether a pass is over only because the ledger's clock has jumped ahead: the ledger must say."""
        ahead_s = self._clock.ahead_s()
        if ahead_s <= 0 or self._clock.now_s() - ahead_s >= held.expires_at:
            return False
        snapshot = self._snapshots.get(held.event)
        return (
            snapshot is not None
            and held.generation == snapshot.generation
            and held.position not in snapshot.ended
        )

    def ticket(self, held: PassClaims) -> Ticket:
        """Return for how long the decision that was just made on `held` may be remembered."""
        return Ticket(
            held.event,
            self._snapshots.epoch(held.event),
            self._verifier.keys_in_force,
            held.expires_at,
        )

    def still_admits(self, ticket: Ticket) -> bool:
        """Whether deciding again would admit again. Counts as a decision where it would."""
        good = (
            ticket.epoch == self._snapshots.epoch(ticket.event)
            and ticket.keys is self._verifier.keys_in_force
            and self._clock.now_s() < ticket.until_s
        )
        if good:
            self._observer.decided(ticket.event, "admitted")
        return good

    def stands_open(self, snapshot: EventSnapshot) -> bool:
        """Whether the gate stands open just now, by an operator's act."""
        return snapshot.stands_open(self._clock.now_s())

    def finish_grace_s(self, event: EventId) -> int:
        """Return for how long after its end a pass still admits to `finish` paths."""
        snapshot = self._snapshots.get(event)
        return 0 if snapshot is None else snapshot.policy.finish_grace_s

    def seconds_left(self, held: PassClaims) -> int:
        """Return how long a pass still lives."""
        return max(held.expires_at - int(self._clock.now_s()), 0)


def _may_be_lost(snapshot: EventSnapshot | None, held: PassClaims) -> bool:
    """Whether the ledger may lack a pass's session: it was signed before the event was brought back."""
    if snapshot is None:
        return True
    if snapshot.healed is None or held.position in snapshot.ended:
        return False
    # Another server's clock may have been another one; what is told in vain changes nothing.
    return held.issued_at <= snapshot.healed.at_ms // 1000 + LEEWAY_S


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


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
