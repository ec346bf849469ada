"""Places: positions dealt below a ceiling that is already as durable as the event asks."""

import asyncio
from collections.abc import Sequence

from gateway.domain.events import Durability
from gateway.domain.positions import EventId, Generation
from gateway.ledger import keyspace, records
from gateway.ledger.failures import Fenced
from gateway.ledger.group_commit import Dealt
from gateway.ledger.operations.base import Operations
from gateway.ports import JoinRequest

IDEMPOTENCY_MS = 10 * 60_000

# A raise that was fenced finds the new server at once; more than a few in a row is an outage.
RAISE_TRIES = 3


class Dealing(Operations):
    """Implements `group_commit.Dealer`."""

    async def deal(self, event: EventId, batch_id: str, requests: Sequence[JoinRequest]) -> Dealt:
        """Deal a batch in one round trip; a lost answer is asked for again under the same id."""
        keys = [keyspace.batches(event), keyspace.subs(event)]
        args = [self.floors.gateway, batch_id, str(len(requests)), str(IDEMPOTENCY_MS)]
        for index, request in enumerate(requests, start=1):
            has_row = request.idempotency_hash is not None
            if not has_row and not request.named and not request.head_start:
                continue
            if request.idempotency_hash is not None:
                keys.append(keyspace.idempotency_row(event, request.idempotency_hash))
            args += [
                str(index),
                request.visitor,
                str(request.head_start),
                "1" if has_row else "0",
                "1" if request.named else "0",
            ]
        reply = await self._runner.run_event("deal", event, keys, args)
        issued, ceiling = int(reply[5]), int(reply[6])
        self.floors.note_dealt(event, Generation(int(reply[0])), issued, ceiling)
        return Dealt(records.parse_places(reply, requests), issued, ceiling)

    async def raise_ceiling(self, event: EventId, step: int) -> int:
        """Raise the ceiling by `step`, as durably as the event asks; return the new ceiling."""
        tries = RAISE_TRIES
        while tries:
            async with self._runner.held(event) as connection:
                proposed, mark, durability, replicas, wait_ms = await self._runner.run_event(
                    "raise", event, [], [str(step)], on=connection
                )
                if int(wait_ms):
                    # It has climbed as far as those who have not read for a while allow for.
                    await asyncio.sleep(int(wait_ms) / 1000)
                    continue
                await self._runner.wait(connection, Durability(int(durability)), int(replicas))
                # Noted before it counts: once it is committed others deal from it, and a floor that
                # does not have it would let an event go on below what they dealt.
                self.floors.note_ceiling(event, int(proposed))
                if self._on_promise is not None:
                    await self._on_promise()
                try:
                    ceiling = int(
                        await self._runner.run_event(
                            "commit_ceiling", event, [], [proposed, mark], on=connection
                        )
                    )
                except Fenced:
                    tries -= 1
                    continue
            self.floors.note_ceiling(event, ceiling)
            return ceiling
        raise Fenced
