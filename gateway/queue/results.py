"""What the use cases are asked, and what they answer: values for everything that was to be expected."""

from dataclasses import dataclass
from typing import NamedTuple

from gateway.domain.admission import Visitor
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.peers import Source
from gateway.domain.positions import EventId, Generation, Position, Turn
from gateway.domain.waiting import Wait


@dataclass(frozen=True, slots=True)
class JoinCall:
    """What a visitor sends to join.

    Attributes:
        idempotency_key: The client's own random key, or None.
        voucher: What the site signed about the visitor, or None.
        challenge: The visitor's answer to a challenge, where the site asks one.
        source: Where the request comes from.
    """

    visitor: Visitor
    idempotency_key: str | None = None
    voucher: str | None = None
    challenge: str | None = None
    source: Source | None = None


class Ticket(NamedTuple):
    """For how long an admission by a pass may be remembered.

    Attributes:
        epoch: The board's at the decision.
        keys: The keys in force at the decision.
        until_s: Unix seconds; the pass's end.
    """

    event: EventId
    epoch: int
    keys: object
    until_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a visitor stands, from memory.

    Attributes:
        status: `waiting`, `your-turn` or `admitted`.
        turn: None before the draw.
        head_start: Turns granted by an invitation; None where only a pass was shown.
        session_ends_at: Unix seconds, when admitted.
        session_seconds_left: The same for who has no clock that can be trusted.
    """

    status: str
    generation: Generation
    position: Position
    turn: Turn | None
    served_up_to: int
    ahead: int | None
    wait: Wait | None
    retry_after_s: int | None
    head_start: int | None = None
    session_ends_at: int | None = None
    session_seconds_left: int | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """A place: dealt now, or the one that the visitor holds already."""

    token: str
    claims: QueueClaims
    standing: Standing
    new: bool


@dataclass(frozen=True, slots=True)
class Passed:
    """A pass, and the session it stands for.

    Attributes:
        extensions_left: How often the visitor may lengthen the session; None where it was not looked up.
        finish_grace_s: For how long after its end the pass still admits to `finish` paths.
    """

    token: str
    claims: PassClaims
    extensions_left: int | None = None
    finish_grace_s: int = 0


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
