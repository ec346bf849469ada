"""The shared state of all events, as the use cases and the operators need it."""

from collections.abc import Sequence
from typing import Protocol

from gateway.domain.backoff import Seen
from gateway.domain.events import EventPolicy, EventSnapshot
from gateway.domain.operator_log import UNNAMED, Author, OperatorLog
from gateway.domain.positions import EventId, Generation, Position, Turn
from gateway.domain.samples import Sample
from gateway.ports.ledger_words import (
    Claimed,
    Evidence,
    Extended,
    GatewaysSeen,
    JoinRequest,
    Place,
    Recovery,
    Released,
    Scheduled,
    SessionSeen,
    StateChange,
)


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
