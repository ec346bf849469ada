"""Runs the ledger's scripts: tells each what this process knows, and waits for what it promises."""

# redis-py types its commands in part only.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from gateway.domain.events import Durability, EventPolicy
from gateway.domain.positions import EventId
from gateway.errors import EventHealing, LedgerUnavailable, StateLost, UnknownEvent
from gateway.ledger import keyspace, scripts
from gateway.ledger.connections import Connections
from gateway.ledger.durability import make_durable
from gateway.ledger.failures import translated
from gateway.ledger.floors import Floors
from gateway.ledger.sending import Sender

# While an event is being brought back, who has patience looks again this often.
HEALING_LOOK_S = 0.25

# Connections held at one time for a write and the wait behind it. Visitors who leave wait for one.
HELD_AT_ONCE = 32

# The part of the time limit that the server itself waits for its disk or its replicas.
WAIT_SHARE = 0.8

# A request may need a call, its repetition, what we know told, and the call once more. As a whole it waits
# no longer than so many time limits of one call.
LONGEST_IN_TIMEOUTS = 3

logger = logging.getLogger(__name__)


class ScriptRunner:
    """Every script of one ledger, for one process.

    Args:
        is_gateway: Whether this is one of the gateways, whose floors are waited for after a loss.
        healing_patience_s: How long a call waits for an event that is being brought back.
    """

    def __init__(
        self,
        connections: Connections,
        sender: Sender,
        floors: Floors,
        *,
        is_gateway: bool,
        healing_patience_s: float,
    ) -> None:
        self.connections = connections
        self.sender = sender
        self.client: Redis = connections.client
        self.floors = floors
        self._is_gateway = is_gateway
        self._patience_s = healing_patience_s
        self._bound_s = LONGEST_IN_TIMEOUTS * sender.timeout_s + healing_patience_s
        self._holding = asyncio.Semaphore(HELD_AT_ONCE)
        self._scripts: dict[str, AsyncScript] = {
            name: self.client.register_script(scripts.source(name)) for name in scripts.NAMES
        }

    async def present(self, event: EventId) -> bool:
        """Tell the ledger what this process knows of an event that is lost or doubted.

        Returns:
            Whether the event goes on; else other gateways are still to be heard.

        Raises:
            StateLost: The state is missing, and nobody knows enough to bring it back.
        """
        answer, silent = await self.run(
            "present",
            [*keyspace.event_keys(event), keyspace.evidence(event)],
            [*self._told(event), self.floors.document(event)],
            may_repeat=True,
        )
        if answer == "waiting":
            return False
        if answer == "healed":
            logger.warning(
                "an event was brought back", extra={"event": event, "silent_gateways": int(silent)}
            )
            await self.sender.call("index", lambda: self.client.sadd(keyspace.INDEX, event))
        return True

    @asynccontextmanager
    async def held(self, event: EventId) -> AsyncGenerator[Redis]:
        """Hold one connection: WAIT and WAITAOF count only what their own has written."""
        with translated():
            async with asyncio.timeout(self.sender.timeout_s):
                await self._holding.acquire()
        try:
            with translated():
                async with self.connections.held(keyspace.event_keys(event)[0]) as connection:
                    yield connection
        finally:
            self._holding.release()

    def _told(self, event: EventId) -> list[str]:
        """What every script is told first, see prelude.lua."""
        return [self.floors.brief(event), self.floors.gateway if self._is_gateway else ""]

    async def act(
        self,
        name: str,
        event: EventId,
        extra_keys: Sequence[str],
        args: Sequence[str],
        *,
        may_repeat: bool = True,
    ) -> Any:
        """Run a script whose answer is a promise: it is given once it is as durable as asked.

        Raises:
            LedgerUnavailable: There was no answer in time; what was written may count all the same.
        """
        async with self._in_time(), self.held(event) as connection:
            reply = await self.run_event(
                name, event, extra_keys, args, may_repeat=may_repeat, on=connection
            )
            config = keyspace.key(event, "config")
            durability, replicas = await self.sender.call(
                "policy",
                lambda: connection.hmget(config, ["durability", "replicas"]),
            )
            await self.wait(
                connection, Durability(int(durability or Durability.FSYNC)), int(replicas or 1)
            )
        return reply

    @asynccontextmanager
    async def _in_time(self) -> AsyncGenerator[None]:
        """Bound a whole request to the ledger, however many calls and repetitions it takes."""
        try:
            async with asyncio.timeout(self._bound_s):
                yield
        except TimeoutError as exc:
            raise LedgerUnavailable("timeout", "the ledger did not answer in time") from exc

    async def wait(self, connection: Redis, durability: Durability, replicas: int) -> None:
        if durability is Durability.MEMORY:
            return
        timeout_s = self.sender.timeout_s * WAIT_SHARE
        await self.sender.call(
            "wait", lambda: make_durable(connection, durability, replicas, timeout_s=timeout_s)
        )

    async def check_durability(self, connection: Redis, policy: EventPolicy) -> None:
        """Refuse a policy that the server cannot keep, before anything is written."""
        if policy.durability is Durability.FSYNC:
            await self.wait(connection, policy.durability, policy.replicas)

    async def run_event(
        self,
        name: str,
        event: EventId,
        extra_keys: Sequence[str],
        args: Sequence[str],
        *,
        may_repeat: bool = True,
        on: Redis | None = None,
    ) -> Any:
        async with self._in_time():
            return await self._run_patiently(
                name, event, extra_keys, args, may_repeat=may_repeat, on=on
            )

    async def _run_patiently(
        self,
        name: str,
        event: EventId,
        extra_keys: Sequence[str],
        args: Sequence[str],
        *,
        may_repeat: bool,
        on: Redis | None,
    ) -> Any:
        keys = [*keyspace.event_keys(event), *extra_keys]

        async def attempt() -> Any:
            words = [*self._told(event), *args]
            return await self.run(name, keys, words, may_repeat=may_repeat, on=on)

        deadline_s = time.monotonic() + self._patience_s
        while True:
            try:
                return await attempt()
            except EventHealing:
                # Nothing was done yet. What we know may be all that is waited for.
                if await self.present(event):
                    # Once more; a floor that was raised meanwhile is told with it.
                    return await attempt()
                if time.monotonic() >= deadline_s:
                    raise
            except StateLost:
                # Missing state of an event that nobody ever created is no loss.
                known = await self.sender.call(
                    "index",
                    lambda: self.client.sismember(keyspace.INDEX, event),
                    may_repeat=True,
                )
                if not known and not self.floors.knows(event):
                    raise UnknownEvent(event) from None
                raise
            await asyncio.sleep(HEALING_LOOK_S)

    async def run(
        self,
        name: str,
        keys: Sequence[str],
        args: Sequence[str],
        *,
        may_repeat: bool,
        on: Redis | None = None,
    ) -> Any:
        script = self._scripts[name]
        return await self.sender.call(
            name,
            lambda: script(keys=list(keys), args=list(args), client=on),
            may_repeat=may_repeat,
            server=self.connections.server_of(keys[0]),
        )
