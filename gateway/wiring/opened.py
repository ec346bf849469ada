"""A gate that is assembled: begun once, kept fresh while it lives, and ended in order."""

import asyncio
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from gateway.domain.backoff import BackendHealth
from gateway.domain.peers import Peers
from gateway.edge.gate import Gate
from gateway.errors import UnsafeServer
from gateway.ledger.redis import RedisLedger
from gateway.metrics import GatewayMetrics
from gateway.push.hub import Hubs
from gateway.settings import Settings
from gateway.snapshots import SnapshotBoard
from gateway.wiring.keys import Reloading, look_again
from gateway.wiring.ledger import KeptLedger

if TYPE_CHECKING:
    from gateway.tracing.assembled import Traced

logger = logging.getLogger(__name__)

# Keys that an operator adds, activates or removes are in force after this long, without a restart.
UPKEEP_S = 1.0

# A running gateway does not stop for a setting that was changed under it: it says so.
LOOK_AT_SERVER_EVERY = 5


@dataclass(slots=True)
class OpenedGate:
    """Everything that one process needs to answer; implements `edge.opening.OpenGate`.

    Attributes:
        interface: The public app: `/queue/…`, `/auth`, keys and probes.
        admin: The app of the admin port.
    """

    settings: Settings
    gate: Gate
    peers: Peers
    interface: ASGIApp
    admin: ASGIApp
    own_paths: frozenset[bytes]
    board: SnapshotBoard
    metrics: GatewayMetrics
    health: BackendHealth
    traced: "Traced | None"
    _hubs: Hubs
    _kept: KeptLedger
    _key_files: Sequence[Reloading]
    _operators: Reloading
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])
    _starting: "asyncio.Task[None] | None" = None

    @property
    def ledger(self) -> RedisLedger:
        return self._kept.ledger

    async def start(self) -> None:
        """Begin to watch the ledger and the keys. Repeating it does nothing."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await self._starting

    async def _start(self) -> None:
        for route in self.gate.routes.routes:
            if route.observed:
                logger.warning(
                    "an event is observed only: everybody is let through",
                    extra={"event": route.event, "change": 'mode = "enforce" in the settings'},
                )
        await self._kept.start()
        if self._kept.unsafe:
            await self.aclose()
            raise UnsafeServer(self._kept.unsafe)
        self._tasks.append(asyncio.create_task(self._upkeep(), name="upkeep"))
        self._tasks.append(asyncio.create_task(self._kept.sampler.run(), name="samples"))

    async def aclose(self) -> None:
        """Answer the joins under way, then let everything go."""
        self._hubs.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._kept.aclose()
        if self.traced is not None:
            await self.traced.aclose()

    async def _upkeep(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(UPKEEP_S)
            if turn % LOOK_AT_SERVER_EVERY == 0:
                await self._kept.look_at_server()
            for keys in self._key_files:
                look_again(keys, "keys")
            look_again(self._operators, "operators")
            self.metrics.flush()
            await self._kept.keep_up()
