"""The operator's side of a test: makes events and moves them, over a connection of its own."""

import asyncio
import secrets
from types import TracebackType
from typing import Any, Self

from gateway.domain.events import EventPolicy, EventSnapshot
from gateway.domain.operator_log import UNNAMED, Author
from gateway.domain.positions import EventId, Position
from gateway.ledger import keyspace
from gateway.ledger.redis import RedisLedger
from gateway.ports import StateChange
from tests.support.servers import RealServer

# The clocks of an event move by no more than this at once (`MAX_STEP_MS` of prelude.lua).
LARGEST_STEP_MS = 5000


class Operator:
    """Acts on a ledger as `gateway release`, `pause` and the others do."""

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self._runner = asyncio.Runner()
        self._ledger = RedisLedger(server.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        with self._runner:
            self._runner.run(self._ledger.aclose())

    def create(self, event: str, *, opened: bool = True, **policy: Any) -> None:
        assert self._runner.run(
            self._ledger.create(EventId(event), EventPolicy(**policy), opened=opened)
        )

    def read(self, event: str) -> EventSnapshot:
        return self._runner.run(self._ledger.read(EventId(event)))

    def release(self, event: str, by: int = 1) -> int:
        """Let people in; return the pointer."""
        # Under a name, it is carried out once though the connection may have died meanwhile.
        request_id = secrets.token_hex(8)
        return self._runner.run(
            self._ledger.release(EventId(event), by=by, request_id=request_id)
        ).after

    def change(
        self,
        event: str,
        change: StateChange,
        *,
        message: str = "",
        releases_only: bool = False,
        for_s: int = 600,
    ) -> None:
        self._runner.run(
            self._ledger.change_state(
                EventId(event), change, message=message, releases_only=releases_only, for_s=for_s
            )
        )

    def extend(self, event: str, position: int, by_s: int, author: Author = UNNAMED) -> int:
        """Lengthen a visitor's session; return its end, Unix seconds."""
        generation = self.read(event).generation
        extended = self._runner.run(
            self._ledger.extend(
                EventId(event),
                generation,
                Position(position),
                by_s=by_s,
                by_visitor=False,
                author=author,
            )
        )
        assert extended.longer
        return extended.session_ends_at

    def end(self, event: str, position: int, author: Author = UNNAMED) -> None:
        """End a visitor's session."""
        generation = self.read(event).generation
        assert self._runner.run(
            self._ledger.leave(EventId(event), generation, Position(position), 0, author=author)
        )

    def elapse(self, event: str, seconds: float) -> None:
        """Let this much time pass on the event's clocks, in the steps that the ledger takes."""
        name = keyspace.key(EventId(event), "state")
        left_ms = int(seconds * 1000)
        while left_ms > 0:
            step_ms = min(left_ms, LARGEST_STEP_MS)
            left_ms -= step_ms
            self.server.command("HINCRBY", name, "ticked_at", -step_ms)
            self.read(event)

    def lose(self, event: str) -> None:
        """Let the event be in doubt, and a gateway be waited for that never comes."""
        name = keyspace.key(EventId(event), "healing")
        in_an_hour_ms = int(self.server.command("TIME")[0]) * 1000 + 3_600_000
        self.server.command(
            "HSET", name, "reason", "lost", "issued", 0, "expected", "nobody", "needs_record", 1,
            "started_at", in_an_hour_ms,
        )  # fmt: skip
        changed = keyspace.key(EventId(event), "state") + ":changed"
        self.server.command("PUBLISH", changed, "0")

    def delete(self, event: str) -> None:
        """Leave a tombstone."""
        self._runner.run(self._ledger.delete(EventId(event), request_id=secrets.token_hex(8)))

    def begin_new_generation(self, event: str) -> None:
        """Let the queue start anew: whoever holds a place has one of the life before."""
        generation = self.read(event).generation
        self._runner.run(
            self._ledger.reset(
                EventId(event), generation, opened=True, request_id=secrets.token_hex(8)
            )
        )
