"""What is asked of the ledger, and what it answers: places, releases, sessions, losses."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.draw import Draw
from gateway.domain.events import EventPolicy, EventState
from gateway.domain.positions import Generation, Position, ServedUpTo


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """One visitor's wish for a position.

    Attributes:
        visitor: The `sub` of the token to be signed.
        idempotency_hash: SHA-256 of the client's Idempotency-Key, hex; None without one.
        head_start: Turns granted by the site's invitation.
        named: Whether `visitor` was named by the site (a voucher), so that an event may give one
            position for each.
    """

    visitor: str
    idempotency_hash: str | None = None
    head_start: int = 0
    named: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A position as the ledger dealt it.

    Attributes:
        joined_active_ms: The event clock at the join.
        head_start: Clamped so that turn > served-up-to at the join.
        repeated: Whether it had been dealt before, to the same key or visitor.
    """

    generation: Generation
    position: Position
    visitor: str
    joined_active_ms: int
    head_start: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Released:
    """What a release did, or with `dry_run` would do.

    Attributes:
        before: The pointer before.
        after: The pointer after.
        people: Turns outside holes that were let in.
        capped: Whether less was released than asked, because of `issued` plus headroom.
        repeated: Whether this request id had been carried out before; nothing moved now.
    """

    before: ServedUpTo
    after: ServedUpTo
    people: int
    capped: bool
    repeated: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Scheduled:
    """What a call of the schedule did.

    Attributes:
        before, after: The pointer.
        people: Turns outside holes that were let in.
        reason: Why it went no further: `no-schedule`, the state of an event that is not open, or one
            of `ScheduleState`.
    """

    before: ServedUpTo
    after: ServedUpTo
    people: int
    reason: str


class ClaimOutcome(StrEnum):
    SEATED = "seated"
    """A session runs, new or already running."""
    CLAIMABLE = "claimable"
    """Only asked: a claim would be seated."""
    NOT_YET = "not-yet"
    FULL = "full"
    ENDED = "ended"
    MISSED = "missed"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Claimed:
    """The ledger's answer to a claim.

    Attributes:
        session_ends_at: Unix seconds, when seated.
        fresh: Whether this call opened the session.
        extensions_left: How often the visitor may lengthen it.
    """

    outcome: ClaimOutcome
    session_ends_at: int = 0
    fresh: bool = False
    extensions_left: int = 0


class ExtendOutcome(StrEnum):
    EXTENDED = "extended"
    NO_SESSION = "no-session"
    NOT_ALLOWED = "not-allowed"


@dataclass(frozen=True, slots=True)
class Extended:
    """The ledger's answer to an extension.

    Attributes:
        session_ends_at: Unix seconds; 0 without a session.
        left: How often the visitor may still extend.
        longer: Whether the session ends later than before.
    """

    outcome: ExtendOutcome
    session_ends_at: int = 0
    left: int = 0
    longer: bool = False


class SessionState(StrEnum):
    RUNNING = "running"
    OVER = "over"
    """It was opened once, and has ended: by itself, or early."""
    NONE = "none"
    """The position has not claimed its turn."""


@dataclass(frozen=True, slots=True)
class SessionSeen:
    """How the session of one position stands; all numbers are 0 unless it runs.

    Attributes:
        ends_at: Unix seconds.
        extensions_used: How often its visitor has lengthened it.
        extensions_left: How often its visitor still may.
    """

    state: SessionState
    ends_at: int = 0
    seconds_left: int = 0
    extensions_used: int = 0
    extensions_left: int = 0


class StateChange(StrEnum):
    """An operator's act on an event's state."""

    OPEN = "open"
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    BYPASS = "bypass"
    MESSAGE = "message"
    """What the waiting page says; the state stays."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one gateway knows, from tokens alone, of an event whose state is lost.

    Attributes:
        issued: The highest position that a token was shown of.
        served_up_to: The highest turn that a pass was shown of.
        at_ms: The ledger's wall clock when it was told.
    """

    gateway: str
    generation: Generation
    issued: int
    served_up_to: ServedUpTo
    at_ms: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """How an operator brings a lost event back.

    Attributes:
        issued: The highest position that is proved.
        goes_on_above: The next position dealt is above this one; what lies between counts as empty.
        sessions: How many sessions may still run; None where nobody knows. Room is held for as many until
            their passes are shown, or must have ended.
    """

    generation: Generation
    issued: int
    goes_on_above: int
    served_up_to: ServedUpTo
    state: EventState
    policy: EventPolicy
    draw: Draw | None = None
    sessions: int | None = None

    @property
    def room_held(self) -> int:
        """For how many sessions room is held: a full house, unless somebody knows better."""
        return self.policy.max_sessions if self.sessions is None else self.sessions


@dataclass(frozen=True, slots=True)
class GatewaysSeen:
    """Which gateway processes know an event.

    Attributes:
        at_s: The ledger's wall clock, Unix seconds.
        read_ago_s: How many seconds before that each has last read the event, by its id.
    """

    at_s: float
    read_ago_s: Mapping[str, float]
