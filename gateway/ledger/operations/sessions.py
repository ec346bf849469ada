"""Sessions: opened once by a claim, lengthened, ended early, looked at."""

from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId, Generation, Position, Turn
from gateway.ledger import keyspace
from gateway.ledger.operations.authorship import author_words, note_act
from gateway.ledger.operations.base import Operations
from gateway.ports import (
    Claimed,
    ClaimOutcome,
    Extended,
    ExtendOutcome,
    SessionSeen,
    SessionState,
)


class SessionCalls(Operations):
    """What becomes of a turn that has come."""

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
        bitmap, bit, chunk = keyspace.claimed_bit(event, generation, position)
        outcome, ends_at, fresh, left = await self._runner.run_event(
            "claim",
            event,
            [bitmap],
            [
                str(generation),
                str(position),
                str(turn),
                str(joined_active_ms),
                str(bit),
                "1" if only_ask else "0",
                chunk,
            ],
        )
        return Claimed(ClaimOutcome(outcome), int(ends_at), fresh == "1", int(left))

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
        # Only an operator's word is a promise; the others get a pass to the end that is answered.
        run = self._runner.run_event if author is None else self._runner.act
        outcome, ends_at, left, longer, head = await run(
            "extend",
            event,
            [],
            [
                *author_words(author),
                str(generation),
                str(position),
                "" if by_s is None else str(by_s * 1000),
                "1" if by_visitor else "0",
            ],
            # A visitor's extensions are counted: one whose answer was lost is not sent again.
            may_repeat=not by_visitor,
        )
        note_act("extend-session", event, author, head)
        return Extended(ExtendOutcome(outcome), int(ends_at), int(left), longer == "1")

    async def leave(
        self,
        event: EventId,
        generation: Generation,
        position: Position,
        pass_ends_at: int,
        *,
        author: Author | None = None,
    ) -> bool:
        words = [*author_words(author), str(generation), str(position), str(pass_ends_at)]
        ended, head = await self._runner.act("leave", event, [], words)
        note_act("end-session", event, author, head)
        return str(ended) == "1"

    async def session(
        self, event: EventId, generation: Generation, position: Position
    ) -> SessionSeen:
        bitmap, bit, chunk = keyspace.claimed_bit(event, generation, position)
        state, *numbers = await self._runner.run_event(
            "session", event, [bitmap], [str(generation), str(position), str(bit), chunk]
        )
        return SessionSeen(SessionState(state), *map(int, numbers))
