"""What the use cases need from outside, in our own words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from gateway.domain.admission import Refused
from gateway.domain.backoff import Seen
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.draw import Draw
from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.operator_log import UNNAMED, Author, OperatorLog
from gateway.domain.peers import Source
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo, Turn
from gateway.domain.samples import Sample


class Clock(Protocol):
    """Time. `now_s` is the ledger's wall clock, so a gateway with a wrong clock changes nothing."""

    def now_s(self) -> float: ...

    def monotonic_s(self) -> float: ...


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
    """

    generation: Generation
    issued: int
    goes_on_above: int
    served_up_to: ServedUpTo
    state: EventState
    policy: EventPolicy
    draw: Draw | None = None


class Witness(Protocol):
    """Told what genuine tokens prove, so that a ledger that lost it can be brought back."""

    def knows(self, event: EventId) -> bool:
        """Whether anything proves that the event was there."""
        ...

    def saw_token(self, event: EventId, generation: Generation, position: Position) -> None:
        """The position was handed out."""
        ...

    def saw_pass(self, event: EventId, generation: Generation, turn: int) -> None:
        """The pointer had reached the turn."""
        ...

    def saw_in_hole(self, event: EventId, generation: Generation, position: Position) -> None:
        """What counts as empty is not, up to this position."""
        ...


@dataclass(frozen=True, slots=True)
class GatewaysSeen:
    """Which gateway processes know an event.

    Attributes:
        at_s: The ledger's wall clock, Unix seconds.
        read_ago_s: How many seconds before that each has last read the event, by its id.
    """

    at_s: float
    read_ago_s: Mapping[str, float]


class Ledger(Protocol):
    """The shared state of all events.

    Every method may raise LedgerUnavailable (nothing was decided), and StateLost or UnknownEvent
    where it names an event.
    """

    async def create(
        self, event: EventId, policy: EventPolicy, *, opened: bool, author: Author = UNNAMED
    ) -> bool:
        """Create an event; return False, changing nothing, when it exists."""
        ...

    async def configure(
        self, event: EventId, policy: EventPolicy, *, author: Author = UNNAMED
    ) -> None: ...

    async def events(self) -> Sequence[EventId]: ...

    async def read(self, event: EventId, known: EventSnapshot | None = None) -> EventSnapshot:
        """Read the event. `known` saves reading again the ended sessions that it holds."""
        ...

    async def join(self, event: EventId, request: JoinRequest) -> Place:
        """Deal a position, in order of arrival. Never deals the same one twice.

        Raises:
            Conflict: The event's state takes no joins.
        """
        ...

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
        """Move the pointer by a number of people or to a turn; never back, never past the cap.

        Raises:
            Conflict: The event is not open, or the same `request_id` asked for something else.
        """
        ...

    async def follow_schedule(self, event: EventId, seen: Seen) -> Scheduled:
        """Let in whom the event's schedule allows by now; any gateway may ask at any time.

        Args:
            seen: What this gateway sees of the site behind it.
        """
        ...

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
        """Open the session of a turn that has come, once; repeating it finds the same session.

        With `only_ask` nothing is opened: the answer says what a claim would find.
        """
        ...

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
        """Lengthen a running session; it never gets shorter by it.

        Args:
            by_s: From now to the new end; None for the event's own length. A day at most.
            by_visitor: Whether the event's bounds count, and this is counted.
            author: The operator who asks, for the operator log; None where it is none.

        Raises:
            GenerationOver: The event is in another generation.
        """
        ...

    async def leave(
        self,
        event: EventId,
        generation: Generation,
        position: Position,
        pass_ends_at: int,
        *,
        author: Author | None = None,
    ) -> bool:
        """End a session early; return whether one was running.

        Args:
            pass_ends_at: Unix seconds; the end of the pass that was shown, or 0 where none was.
            author: The operator who asks, for the operator log; None where it is none.

        Raises:
            GenerationOver: The event is in another generation.
        """
        ...

    async def session(
        self, event: EventId, generation: Generation, position: Position
    ) -> SessionSeen:
        """Return how the session of a position stands.

        Raises:
            GenerationOver: The event is in another generation.
        """
        ...

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
        """Carry out an operator's act.

        Raises:
            Conflict: The act does not fit the present state.
        """
        ...

    async def reset(
        self,
        event: EventId,
        generation: Generation,
        *,
        opened: bool,
        request_id: str,
        author: Author = UNNAMED,
    ) -> Generation:
        """End `generation` and begin a new one, under the same policy; return it.

        Positions begin at 1 again, sessions end, and earlier tokens are told that their generation is over.

        Raises:
            Conflict: The event is in another generation.
        """
        ...

    async def delete(self, event: EventId, *, request_id: str, author: Author = UNNAMED) -> None:
        """Delete an event: a tombstone stays, and the operator log."""
        ...

    async def operator_log(self, event: EventId) -> OperatorLog:
        """Read the whole operator log, also of an event that is deleted or lost."""
        ...

    async def present(self, event: EventId) -> bool:
        """Tell what this process knows of an event that is lost; return whether it goes on."""
        ...

    async def evidence(self, event: EventId) -> Sequence[Evidence]: ...

    async def recover(
        self, event: EventId, recovery: Recovery, *, author: Author = UNNAMED
    ) -> None:
        """Bring a lost event back by an operator's word.

        Raises:
            Conflict: The event is not lost.
        """
        ...

    async def samples(self, event: EventId) -> Sequence[Sample]:
        """Return how the event stood every few seconds, oldest first: about a day of it."""
        ...

    async def gateways(self, event: EventId) -> GatewaysSeen:
        """Return when each gateway process has last read the event."""
        ...

    async def put_handover(self, event: EventId, code_hash: str, value: str, life_s: int) -> None:
        """Keep a single-use handover to another host of the event."""
        ...

    async def take_handover(self, event: EventId, code_hash: str) -> str | None: ...


class Snapshots(Protocol):
    """The latest good read of every event, from memory."""

    complete: bool

    def get(self, event: EventId) -> EventSnapshot | None: ...

    def put(self, snapshot: EventSnapshot) -> None:
        """Keep a good read; what was kept of a later change, or a higher number, stays."""
        ...

    def is_lost(self, event: EventId) -> bool:
        """Whether the event is known to have been there, and its state was never read."""
        ...

    def epoch(self, event: EventId) -> int:
        """Return a number that changes whenever a pass that admitted may admit no longer."""
        ...


class TokenVerifier(Protocol):
    """Checks tokens with public keys alone, without a round trip."""

    @property
    def keys_in_force(self) -> object:
        """The set of keys, as an object that is another one when a key came or went."""
        ...

    def verify(
        self, token: bytes, now_s: float, *, expect_event: EventId, queue_grace_s: int = 0
    ) -> QueueClaims | PassClaims:
        """Return the claims of a genuine token for `expect_event`.

        The end of a pass is left to the decision, since a `finish` path admits it a little longer;
        a queue token counts until its end plus `queue_grace_s`.

        Raises:
            TokenRejected: With the fault.
        """
        ...


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the site says of a visitor.

    Attributes:
        visitor: The site's name for the visitor, as an HMAC; never personal data.
        head_start: Turns granted by an invitation.
    """

    visitor: str
    head_start: int


class Schedules(Protocol):
    """Asks the schedules of events to let people in."""

    async def let_in_now(self, event: EventId) -> None:
        """Let in at once whoever the schedule has room for, and show it; in vain where it cannot."""
        ...


class VoucherReader(Protocol):
    """Checks what the site signed about a visitor."""

    def read(self, voucher: str, now_s: float, *, expect_event: EventId) -> Vouched:
        """Return the voucher's content.

        Raises:
            TokenRejected: It is not a genuine voucher for this event.
        """
        ...


class JoinGuard(Protocol):
    """Asked before a position is dealt, and never about who holds a place already."""

    async def refuses(
        self, event: EventId, source: Source | None, challenge: str | None
    ) -> Refused | None:
        """Return why nobody may join from there just now, or None."""
        ...


class Observer(Protocol):
    """Counts what happens. Labels are closed sets; never a position, a token or a path."""

    def joined(self, event: EventId, *, repeated: bool) -> None: ...

    def decided(self, event: EventId, outcome: str) -> None: ...

    def observed(self, event: EventId, outcome: str) -> None:
        """Note what would have been decided at an event that only observes."""
        ...

    def claimed(self, event: EventId, outcome: ClaimOutcome) -> None: ...


class TokenSigner(Protocol):
    """Signs with the active key. Only issuers have one."""

    def sign_queue(self, claims: QueueClaims) -> str: ...

    def sign_pass(self, claims: PassClaims) -> str: ...
