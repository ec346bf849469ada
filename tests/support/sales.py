"""One event in a real ledger, with the few verbs that most tests need."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.domain.events import EventPolicy, EventSnapshot
from gateway.domain.positions import EventId, Generation, Position, Turn
from gateway.ledger import keyspace, scripts
from gateway.ledger.redis import RedisLedger
from gateway.ports import Claimed, Extended, JoinRequest, Place, Released, StateChange
from tests.support.servers import RealServer

# The clocks of an event move by no more than this at once (`MAX_STEP_MS` of prelude.lua).
LARGEST_STEP_MS = 5000

_visitors = itertools.count(1)


class Sale:
    """An event under test, seen through one gateway's ledger."""

    def __init__(
        self, server: RealServer, ledger: RedisLedger, event: EventId, generation: Generation
    ) -> None:
        self.server = server
        self.ledger = ledger
        self.event = event
        self.generation = generation

    @classmethod
    async def open(
        cls,
        server: RealServer,
        ledger: RedisLedger,
        policy: EventPolicy | None = None,
        *,
        name: str = "sale",
        opened: bool = True,
    ) -> "Sale":
        event = EventId(name)
        assert await ledger.create(event, policy or EventPolicy(), opened=opened)
        snapshot = await ledger.read(event)
        return cls(server, ledger, event, snapshot.generation)

    def through(self, ledger: RedisLedger) -> "Sale":
        """Return the same event as another gateway sees it."""
        return Sale(self.server, ledger, self.event, self.generation)

    async def configure(self, **changes: int) -> None:
        """Change some rules of the event's policy."""
        policy = (await self.read()).policy
        await self.ledger.configure(self.event, replace(policy, **changes))  # type: ignore[arg-type]

    async def read(self) -> EventSnapshot:
        return await self.ledger.read(self.event)

    async def join(
        self,
        visitor: str | None = None,
        *,
        key: str | None = None,
        head_start: int = 0,
        named: bool = False,
    ) -> Place:
        name = visitor or f"visitor-{next(_visitors)}"
        return await self.ledger.join(self.event, JoinRequest(name, key, head_start, named))

    async def join_many(self, count: int) -> list[Place]:
        """Let `count` visitors join at once; their places in the order of arrival."""
        return await asyncio.gather(*(self.join() for _ in range(count)))

    async def release(
        self,
        by: int | None = None,
        *,
        to: int | None = None,
        request_id: str | None = None,
        dry_run: bool = False,
    ) -> Released:
        return await self.ledger.release(
            self.event, by=by, to=to, request_id=request_id, dry_run=dry_run
        )

    async def claim(
        self, position: int, *, turn: int | None = None, clk: int = 0, only_ask: bool = False
    ) -> Claimed:
        return await self.ledger.claim(
            self.event,
            self.generation,
            Position(position),
            Turn(position if turn is None else turn),
            clk,
            only_ask=only_ask,
        )

    async def extend(
        self, position: int, *, by_s: int | None = None, by_visitor: bool = True
    ) -> Extended:
        return await self.ledger.extend(
            self.event, self.generation, Position(position), by_s=by_s, by_visitor=by_visitor
        )

    async def leave(self, position: int, pass_ends_at: int = 0) -> bool:
        return await self.ledger.leave(
            self.event, self.generation, Position(position), pass_ends_at
        )

    async def change(
        self,
        change: StateChange,
        *,
        message: str = "",
        releases_only: bool = False,
        for_s: int = 0,
    ) -> None:
        await self.ledger.change_state(
            self.event, change, message=message, releases_only=releases_only, for_s=for_s
        )

    def key(self, name: str) -> str:
        return keyspace.key(self.event, name)

    def field(self, name: str) -> str:
        value = self.server.command("HGET", self.key("state"), name)
        assert isinstance(value, str)
        return value

    def set_field(self, name: str, value: str | int) -> None:
        self.server.command("HSET", self.key("state"), name, value)

    def set_issued(self, issued: int) -> None:
        """Set the counter as no accident does: in both places that it stands in."""
        self.server.command("SET", self.key("issued"), issued)
        self.set_field("issued", issued)

    def set_served(self, served: int) -> None:
        """Set the pointer as no accident does: in both places that it stands in."""
        self.server.command("SET", self.key("served"), served)
        self.set_field("served", served)

    def run_script(self, name: str, *args: str, floor: str = "", gateway: str = "") -> Any:
        """Run a script by hand, between the steps that the ledger makes of it."""
        keys = keyspace.event_keys(self.event)
        return self.server.command(
            "EVAL", scripts.source(name), len(keys), *keys, floor, gateway, *args
        )

    def clock_ms(self, name: str) -> int:
        """Return `ledger_ms` or `active_ms` as of the last call of a script."""
        return int(self.field(name))

    async def elapse(self, seconds: float) -> None:
        """Let this much time pass on the event's clocks, in the steps that the ledger takes."""
        left_ms = int(seconds * 1000)
        while left_ms > 0:
            step_ms = min(left_ms, LARGEST_STEP_MS)
            left_ms -= step_ms
            self.server.command("HINCRBY", self.key("state"), "ticked_at", -step_ms)
            await self.read()

    def all_keys(self) -> list[str]:
        return sorted(self.server.command("KEYS", keyspace.key(self.event, "*")))

    def contents(self, *, but: Sequence[str] = ()) -> dict[str, object]:
        """Return everything that the server holds, without the named fields of the state."""
        dump: dict[str, object] = {}
        for name in sorted(self.server.command("KEYS", "*")):
            if name == self.key("state") and self.server.command("TYPE", name) == "hash":
                state = self.server.command("HGETALL", name)
                dump[name] = {k: v for k, v in state.items() if k not in but}
            else:
                dump[name] = self.server.dump(name)
        return dump


TICKS = ("ticked_at", "ledger_ms", "active_ms", "open_ms")
"""The fields of the state that time alone changes."""
