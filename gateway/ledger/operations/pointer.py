"""The pointer: moved by an operator's release, or by the event's schedule; never back."""

import hashlib

from gateway.domain.backoff import Seen
from gateway.domain.operator_log import UNNAMED, Author
from gateway.domain.positions import MAX_POSITION, EventId, ServedUpTo
from gateway.errors import BadInput
from gateway.ledger import keyspace
from gateway.ledger.operations.authorship import author_words, note_act
from gateway.ledger.operations.base import Operations
from gateway.ports import Released, Scheduled

RELEASE_RECORD_MS = 7 * 86_400_000


class PointerMoves(Operations):
    """How far an event lets in."""

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
        amount = by if by is not None else to
        if amount is None or (by is not None and to is not None):
            raise BadInput("a release is either by a number of people or to a turn")
        if not 1 <= amount <= MAX_POSITION:
            raise BadInput(f"a release is a whole number from 1 to {MAX_POSITION}")
        generation = self.floors.get(event).generation
        # Any text may name a request; its hash is a safe key of bounded length.
        record = hashlib.sha256((request_id or "").encode()).hexdigest()
        reply = await self._runner.act(
            "release",
            event,
            [keyspace.release_record(event, record)],
            [
                *author_words(author),
                "by" if by is not None else "to",
                str(amount),
                "1" if dry_run else "0",
                "1" if request_id is not None else "0",
                str(RELEASE_RECORD_MS),
                record,
            ],
            # Without an id a relative release whose answer was lost must not be sent again.
            may_repeat=request_id is not None or to is not None or dry_run,
        )
        if not dry_run and self.floors.get(event).generation == generation:
            self.floors.note_released(event, int(reply[1]))
        note_act("release", event, author, reply[5])
        return Released(
            before=ServedUpTo(int(reply[0])),
            after=ServedUpTo(int(reply[1])),
            people=int(reply[2]),
            capped=reply[3] == "1",
            repeated=reply[4] == "1",
            dry_run=dry_run,
        )

    async def follow_schedule(self, event: EventId, seen: Seen) -> Scheduled:
        # Nobody is answered with what it did: a read shows it, once it is durable.
        before, after, people, reason = await self._runner.run_event(
            "schedule", event, [keyspace.backend(event)], [seen.value]
        )
        return Scheduled(ServedUpTo(int(before)), ServedUpTo(int(after)), int(people), reason)
