"""What one process has around its use cases: time, what was last read, who is told, who is asked."""

from typing import Protocol

from gateway.domain.admission import Refused
from gateway.domain.events import EventSnapshot
from gateway.domain.peers import Source
from gateway.domain.positions import EventId, Generation, Position
from gateway.ports.ledger_words import ClaimOutcome


class Clock(Protocol):
    """Time. `now_s` is the ledger's wall clock, so a gateway with a wrong clock changes nothing."""

    def now_s(self) -> float: ...

    def monotonic_s(self) -> float: ...

    def ahead_s(self) -> float:
        """By how much the ledger's clock has jumped ahead lately: so much too early do passes seem over."""
        ...


class Snapshots(Protocol):
    """The latest good read of every event, from memory."""

    complete: bool

    def get(self, event: EventId) -> EventSnapshot | None: ...

    def put(self, snapshot: EventSnapshot) -> None:
        """Keep a good read; what was kept of a later change, or a higher number, stays."""
        ...

    def is_lost(self, event: EventId) -> bool:
        """Whether the event should be there, and its state was never read."""
        ...

    def epoch(self, event: EventId) -> int:
        """Return a number that changes whenever a pass that admitted may admit no longer."""
        ...


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

    def saw_session(
        self, event: EventId, generation: Generation, position: Position, ends_at: int
    ) -> None:
        """A session runs to `ends_at`, Unix seconds, and the ledger may have lost its row."""
        ...


class Schedules(Protocol):
    """Asks the schedules of events to let people in."""

    async def let_in_now(self, event: EventId) -> None:
        """Let in at once whoever the schedule has room for, and show it; in vain where it cannot."""
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
