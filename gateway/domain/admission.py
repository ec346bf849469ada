"""The one decision: may this request go through to the backend?

Pure: what is known comes in as arguments, the answer is a value. Our proxy, the middleware, forward
auth, WebSockets and push all ask here, so there is one place where someone could slip in.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.events import EventSnapshot, EventState, turn_of
from gateway.domain.positions import Position, Turn, ahead_of, is_served
from gateway.domain.waiting import retry_after_s
from gateway.errors import TokenFault

# A reader that has not seen the ledger for this long grants no new pass: a revocation, a pause or a
# new generation may have happened in the meantime. Held passes go on.
STALE_AFTER_S = 30.0

LEDGER_RETRY_S = 5


class ProblemType(StrEnum):
    """Why a request is turned back; the value is the problem document's `type`."""

    NO_TOKEN = "no-token"  # noqa: S105 - a problem's name, not a secret
    NOT_YET = "not-yet"
    BACKEND_FULL = "backend-full"
    TOO_MANY_JOINS = "too-many-joins"
    WINDOW_MISSED = "window-missed"
    GENERATION_OVER = "generation-over"
    EVENT_CLOSED = "event-closed"
    LEDGER_AWAY = "ledger-away"
    CHALLENGE_REQUIRED = "challenge-required"
    CLAIM_FIRST = "claim-first"
    NOT_CANONICAL = "not-canonical"


STATUS_OF: dict[ProblemType, int] = {
    ProblemType.NO_TOKEN: 401,
    ProblemType.NOT_YET: 429,
    ProblemType.BACKEND_FULL: 429,
    ProblemType.TOO_MANY_JOINS: 429,
    ProblemType.WINDOW_MISSED: 410,
    ProblemType.GENERATION_OVER: 410,
    ProblemType.EVENT_CLOSED: 410,
    ProblemType.LEDGER_AWAY: 503,
    ProblemType.CHALLENGE_REQUIRED: 403,
    ProblemType.CLAIM_FIRST: 403,
    ProblemType.NOT_CANONICAL: 400,
}
"""One meaning per status, everywhere."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Turned back. `retry_after_s` is set wherever coming back later can help."""

    problem: ProblemType
    detail: str
    retry_after_s: int | None = None
    position: Position | None = None
    turn: Turn | None = None
    ahead: int | None = None

    @property
    def status(self) -> int:
        return STATUS_OF[self.problem]


class Admitted(NamedTuple):
    """A pass lets the request through."""

    held: PassClaims


@dataclass(frozen=True, slots=True)
class Claimable:
    """The turn has come; the place must be exchanged for a pass, once."""

    place: QueueClaims
    turn: Turn


@dataclass(frozen=True, slots=True)
class Bypassed:
    """The gate stands open by an operator's act: the request goes through and is counted."""


Decision: TypeAlias = Admitted | Claimable | Bypassed | Refused


class Visitor(NamedTuple):
    """What a request proves about who sent it.

    Attributes:
        held: A verified pass for this event, its end not yet judged.
        place: A verified, unexpired queue token for this event.
        fault: What was wrong with a token of ours that did not verify.
    """

    held: PassClaims | None = None
    place: QueueClaims | None = None
    fault: TokenFault | None = None


STRANGER = Visitor()


def decide(
    snapshot: EventSnapshot | None,
    visitor: Visitor,
    *,
    now_s: float,
    age_s: float,
    on_finish_path: bool = False,
) -> Decision:
    """Decide on one request to a protected path.

    A token for another event counts for nothing here, whoever forgot to compare.

    Args:
        snapshot: The event as last read; None when it was never read.
        visitor: What the request proves.
        now_s: The ledger's wall clock, Unix seconds.
        age_s: How long ago the snapshot was read.
        on_finish_path: Whether the path lets a purchase be completed after the session's end.
    """
    if snapshot is None:
        return ledger_away("The state of this event is not known yet.")
    if snapshot.state is EventState.DELETED:
        return Refused(ProblemType.EVENT_CLOSED, "This event is over.")
    if snapshot.stands_open(now_s):
        return Bypassed()
    held, place = visitor.held, visitor.place
    if held is not None:
        if held.event != snapshot.event:
            return no_token(TokenFault.WRONG_EVENT)
        if _pass_admits(snapshot, held, now_s, on_finish_path):
            return Admitted(held)
    if snapshot.state in _UNKNOWN:
        return ledger_away("The queue's state is being recovered. Your place is kept.")
    if place is not None:
        if place.event != snapshot.event:
            return no_token(TokenFault.WRONG_EVENT)
        return _decide_place(snapshot, place, age_s)
    if held is not None:
        return generation_over() if held.generation != snapshot.generation else session_ended()
    if snapshot.state is EventState.CLOSED:
        return event_closed()
    return no_token(visitor.fault)


# A bypass that has ended while the ledger could not be read leaves no state that is known.
_UNKNOWN = frozenset({EventState.SUSPENDED, EventState.BYPASS})


def _pass_admits(
    snapshot: EventSnapshot, held: PassClaims, now_s: float, on_finish_path: bool
) -> bool:
    if held.generation != snapshot.generation or held.position in snapshot.ended:
        return False
    grace_s = snapshot.policy.finish_grace_s if on_finish_path else 0
    return now_s < held.expires_at + grace_s


def _decide_place(snapshot: EventSnapshot, place: QueueClaims, age_s: float) -> Decision:
    if place.generation != snapshot.generation:
        return generation_over()
    if place.position in snapshot.ended:
        return session_ended()
    turn = turn_of(place.position, place.head_start, snapshot.draw)
    if (
        turn is None
        or snapshot.state is EventState.SCHEDULED
        or not is_served(turn, snapshot.served_up_to)
    ):
        if snapshot.state is EventState.CLOSED:
            return event_closed()
        return not_yet(snapshot, place, turn)
    if snapshot.state is EventState.PAUSED and snapshot.claims_frozen:
        return not_yet(snapshot, place, turn)
    if age_s > STALE_AFTER_S:
        return ledger_away("Your turn has come, but passes cannot be given just now.")
    return Claimable(place, turn)


def not_yet(snapshot: EventSnapshot, place: QueueClaims, turn: Turn | None) -> Refused:
    ahead = None if turn is None else ahead_of(turn, snapshot.served_up_to, snapshot.holes)
    paused = snapshot.state is EventState.PAUSED
    return Refused(
        ProblemType.NOT_YET,
        "The queue is paused. Your place is kept." if paused else "Your turn has not come yet.",
        retry_after_s=retry_after_s(snapshot, ahead, place.position),
        position=place.position,
        turn=turn,
        ahead=ahead,
    )


def no_token(fault: TokenFault | None) -> Refused:
    # One answer for every way in which a token is not genuine: a stranger learns nothing about our
    # keys from it. Only an honest bearer's case is told apart, since a refresh helps there.
    if fault is TokenFault.EXPIRED:
        return Refused(ProblemType.NO_TOKEN, "The token has expired. Refresh it, or join again.")
    return Refused(ProblemType.NO_TOKEN, "Join the queue first.")


def generation_over() -> Refused:
    return Refused(
        ProblemType.GENERATION_OVER, "This queue was started anew. Join again for a new place."
    )


def session_ended() -> Refused:
    return Refused(ProblemType.WINDOW_MISSED, "Your session has ended. Join again for a new place.")


def event_closed() -> Refused:
    return Refused(ProblemType.EVENT_CLOSED, "This event is closed.")


def ledger_away(detail: str) -> Refused:
    return Refused(ProblemType.LEDGER_AWAY, detail, retry_after_s=LEDGER_RETRY_S)
