"""An event's states, the rules that an operator sets for it, and what a gateway knows of it."""

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from gateway.domain.draw import Draw
from gateway.domain.holes import NO_HOLES, Holes
from gateway.domain.pacing import ScheduleState
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo, Turn
from gateway.domain.turnout import Turnout

NO_LIMIT = 0
"""For `max_sessions`: the backend carries whatever comes."""

AS_MANY_AGAIN = -1
"""For `overshoot`: as many people as `max_sessions`."""

FOR_THE_TOKENS_LIFE = -1
"""For `late_for_s`: a late token is seated for as long as it is valid."""


class EventState(StrEnum):
    SCHEDULED = "scheduled"
    OPEN = "open"
    PAUSED = "paused"
    CLOSED = "closed"
    SUSPENDED = "suspended"
    BYPASS = "bypass"
    DELETED = "deleted"


class Durability(IntEnum):
    """What must have happened to a promise before it counts. The ledger holds the number."""

    MEMORY = 0
    """Nothing: it survives the gateways, and the server only as far as that keeps its data."""
    FSYNC = 1
    """It is on the server's disk, in the append-only file."""
    REPLICAS = 2
    """So many replicas have it; every one that could be promoted must be among them."""

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class EventPolicy:
    """What an operator decides for an event. Lengths are whole seconds.

    Attributes:
        window_s: How long a turn that has come may be claimed.
        session_s: How long one pass lasts.
        max_sessions: The most sessions at one time; `NO_LIMIT` for none.
        headroom: How far the pointer may run ahead of `issued`.
        late_for_s: How long after its window a token is still seated; `FOR_THE_TOKENS_LIFE`.
        extend_times: How often a visitor may lengthen a session.
        extend_s: By how much, counted from the moment of asking.
        finish_grace_s: How long `finish` paths still admit a pass after its end.
        token_life_s: How long a queue token lives where no `closes_at` is set.
        opens_at: Unix seconds at which the event opens by itself, when it is scheduled then; 0 for never.
        closes_at: Unix seconds at which the event closes by itself; tokens live 24 h longer. Both go by
            the ledger's wall clock, once for each time that is set, and not for one that has passed.
        one_place_per_sub: Whether one visitor named by a voucher gets one position only.
        voucher_required: Whether a join must carry a voucher.
        draw: Whether who joins before the opening is drawn.
        durability: What a promise must have survived before it is made. Promises are the ceiling of
            positions, and what is answered or shown of releases, openings, draws and revocations.
        replicas: How many replicas to wait for at `REPLICAS`.
        schedule_people: How many the schedule lets in each interval, smoothly; 0 for no rate.
        schedule_every_s: The length of that interval.
        fill: Whether, without a rate, the schedule lets in as many as `max_sessions` has room for.
        overshoot: By how many those with a session, or with a turn in an open window, may exceed
            `max_sessions` by the schedule's doing: so many may have to wait at the door, should
            everybody come. `AS_MANY_AGAIN` for `max_sessions`.
    """

    window_s: int = 900
    session_s: int = 600
    max_sessions: int = NO_LIMIT
    headroom: int = 0
    late_for_s: int = FOR_THE_TOKENS_LIFE
    extend_times: int = 1
    extend_s: int = 600
    finish_grace_s: int = 600
    token_life_s: int = 7 * 86_400
    opens_at: int = 0
    closes_at: int = 0
    one_place_per_sub: bool = False
    voucher_required: bool = False
    draw: bool = False
    durability: Durability = Durability.FSYNC
    replicas: int = 1
    schedule_people: int = 0
    schedule_every_s: int = 60
    fill: bool = False
    overshoot: int = AS_MANY_AGAIN

    @property
    def has_schedule(self) -> bool:
        """Whether people are let in by the clock; else by hand only."""
        return self.fill or self.schedule_people > 0


@dataclass(frozen=True, slots=True)
class Release:
    """One coalesced movement of the pointer.

    Attributes:
        turn: The pointer after it.
        active_ms: The event clock when it was made.
        people: Turns outside holes that this movement let in.
    """

    turn: int
    active_ms: int
    people: int


@dataclass(frozen=True, slots=True)
class LetIn:
    """Movements of the pointer since the entry before it in the history, taken together.

    Attributes:
        open_s: The event's open clock when the last of them was made.
        people: Turns outside holes that they let in.
        movements: How many; those of one second are one.
    """

    open_s: int
    people: int
    movements: int


@dataclass(frozen=True, slots=True)
class Healed:
    """How an event was brought back after its state was lost, behind, or on another server.

    Attributes:
        at_ms: The ledger's wall clock.
        why: `server-changed`, `lost`, `behind`, `older-generation`, `lost-claimed` or `recovered`.
        known_issued: The highest position that was known to be handed out.
        went_on_above: The position above which it went on.
        silent: Gateways that were not heard, or only by what they had left in a file.
    """

    at_ms: int
    why: str
    known_issued: int
    went_on_above: int
    silent: int


@dataclass(frozen=True, slots=True)
class EventSnapshot:
    """What one gateway knows of one event, as of one good read of the ledger.

    Attributes:
        active_ms: The event clock, which runs only while claims can be served.
        claims_frozen: Whether a pause stops claims too (the default) or releases only.
        updated_at_ms: The ledger's wall clock at the last change that visitors can see.
        bypass_ends_at_ms: Unix ms at which the bypass under way ends; None without one.
        read_at_s: This process's monotonic clock when the ledger was last read well.
        ended: Positions whose session was ended early, with the Unix second their pass dies.
        revision: Grows with every change that visitors can see.
        healed: How the event was last brought back after a loss; None where it never was.
        open_ms: The open clock, which runs only while the event is open, full or not.
        history: Whom the pointer let in, on the open clock: bounded, the latest last. Empty where
            nobody was, where an older version keeps the state, or after a loss.
        late: Those of the claims that came after their window.
        schedule: What the schedule last did; None where it never ran.
        turnout: Who of those let in came; None where nobody was let in, or after a loss.
        sessions_held: Those of the active sessions of which only the number is known: their rows were
            lost, and nobody has shown a pass since.
    """

    event: EventId
    state: EventState
    generation: Generation
    issued: int
    served_up_to: ServedUpTo
    policy: EventPolicy
    active_ms: int
    active_sessions: int
    claims: int
    read_at_s: float
    updated_at_ms: int
    claims_frozen: bool = True
    bypass_ends_at_ms: int | None = None
    message: str = ""
    holes: Holes = NO_HOLES
    draw: Draw | None = None
    releases: tuple[Release, ...] = ()
    ceiling: int = 0
    ended: dict[Position, int] = field(default_factory=dict[Position, int])
    revision: int = 0
    healed: "Healed | None" = None
    open_ms: int = 0
    history: tuple[LetIn, ...] = ()
    late: int = 0
    schedule: ScheduleState | None = None
    turnout: Turnout | None = None
    sessions_held: int = 0

    def promises_more_than(self, other: "EventSnapshot | None") -> bool:
        """Whether this lets in more than `other`: what must be durable before it is shown."""
        if other is None or other.generation != self.generation:
            return True
        opens = self.state in {EventState.OPEN, EventState.BYPASS} and self.state != other.state
        return opens or self.served_up_to > other.served_up_to or self.draw != other.draw

    def held_back_to(self, known: "EventSnapshot | None") -> "EventSnapshot":
        """Return this read without the promises that `known` had not made."""
        if known is None or known.generation != self.generation:
            return replace(
                self if known is None else known,
                state=EventState.SUSPENDED,
                read_at_s=self.read_at_s,
            )
        opens = self.state in {EventState.OPEN, EventState.BYPASS}
        return replace(
            self,
            state=known.state if opens else self.state,
            served_up_to=known.served_up_to,
            draw=known.draw,
        )

    def stands_open(self, now_s: float) -> bool:
        """Whether a bypass is under way; one that ended while nobody could read is not."""
        if self.state is not EventState.BYPASS:
            return False
        return self.bypass_ends_at_ms is None or now_s * 1000 < self.bypass_ends_at_ms

    @property
    def may_admit_at_once(self) -> bool:
        """Whether the schedule is likely to let in who joins now: nobody waits, and there is room."""
        limit = self.policy.max_sessions
        has_room = limit == NO_LIMIT or self.active_sessions < limit
        is_due = self.state is EventState.OPEN and self.policy.has_schedule
        return is_due and has_room and self.waiting == 0

    @property
    def waiting(self) -> int:
        """How many turns outside holes have been handed out and not let in."""
        return self.holes.occupied_between(self.served_up_to, self.issued)


def turn_of(position: Position, head_start: int, draw: Draw | None) -> Turn | None:
    """Return the turn of a position, or None while its draw has not been held."""
    drawn = Turn(position) if draw is None else draw.turn_of(position)
    if drawn is None:
        return None
    return Turn(max(1, drawn - head_start))
