"""The ledger of one process, and what goes on beside it: reads, schedule, samples, floors, the server."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.clock import LedgerClock
from gateway.domain.backoff import LEAST_ANSWERS, BackendHealth
from gateway.errors import GatewayError, LedgerUnavailable
from gateway.ledger.embedded import EmbeddedServer, embedded_url
from gateway.ledger.floor_file import FloorFile
from gateway.ledger.floors import Floors
from gateway.ledger.pacer import SchedulePacer
from gateway.ledger.redis import RedisLedger
from gateway.ledger.sampler import Sampler
from gateway.ledger.watcher import LedgerWatcher
from gateway.metrics import GatewayMetrics
from gateway.settings import Settings
from gateway.snapshots import SnapshotBoard

if TYPE_CHECKING:
    from gateway.tracing.assembled import Traced

logger = logging.getLogger(__name__)

PROBES_TO_JUDGE = 3


@dataclass(slots=True)
class KeptLedger:
    """A ledger, and what starts it, reads it and remembers it for as long as the process lives.

    Attributes:
        board: What was last read of every event.
        unsafe: What of the server's settings would lose places, as of the last look.
    """

    ledger: RedisLedger
    board: SnapshotBoard
    pacer: SchedulePacer
    sampler: Sampler
    _watcher: LedgerWatcher
    _floor_file: FloorFile | None
    _embedded: EmbeddedServer | None
    unsafe: list[str] = field(default_factory=list[str])

    async def start(self) -> None:
        """Read everything once, as far as the ledger answers, then keep watching."""
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.start)
        if self._floor_file is not None:
            await asyncio.to_thread(self._floor_file.open)
        await self._watcher.start()
        self.pacer.start()
        await self.look_at_server()

    async def aclose(self) -> None:
        """Answer the joins under way, then let everything go."""
        await self.pacer.aclose()
        await self._watcher.aclose()
        await self.ledger.aclose()
        if self._floor_file is not None:
            await asyncio.to_thread(self._floor_file.close)
        if self._embedded is not None:
            await asyncio.to_thread(self._embedded.stop)

    async def look_at_server(self) -> None:
        """Note what is unsafe about the ledger's server; a server that is away is looked at later."""
        try:
            found = await self.ledger.unsafe_settings(self.board.all())
        except GatewayError:
            return
        if found and found != self.unsafe:
            logger.error("the ledger's server is not safe", extra={"faults": found})
        self.unsafe[:] = found

    async def keep_up(self) -> None:
        """Write down what is known for certain, and keep the embedded server running."""
        if self._floor_file is not None:
            await self._floor_file.flush()
        if self._embedded is not None:
            await self._keep_embedded(self._embedded)

    async def _keep_embedded(self, embedded: EmbeddedServer) -> None:
        """Start the embedded ledger anew where a crash, or its owner's end, has ended it."""
        try:
            await asyncio.to_thread(embedded.start)
        except LedgerUnavailable as exc:
            logger.error("the embedded ledger is down", extra={"cause": str(exc)})  # noqa: TRY400


def open_ledger(
    settings: Settings,
    *,
    clock: LedgerClock,
    board: SnapshotBoard,
    metrics: GatewayMetrics,
    health: BackendHealth,
    traced: "Traced | None",
    own_embedded: bool,
) -> KeptLedger:
    """Assemble the ledger of one process; nothing is connected before it is started."""
    floors = Floors()
    floor_file = (
        FloorFile(Path(settings.ledger.floor_dir), floors) if settings.ledger.floor_dir else None
    )
    ledger = (RedisLedger if traced is None else traced.ledger)(
        ledger_url(settings),
        timeout_s=settings.ledger.timeout_s,
        on_time=clock.observe,
        on_call=metrics.ledger_called,
        on_batch=metrics.batch_dealt,
        on_promise=None if floor_file is None else floor_file.flush,
        floors=floors,
        is_gateway=True,
    )
    watcher = LedgerWatcher(
        ledger,
        board,
        poll_s=settings.ledger.poll_s,
        named=[route.event for route in settings.routes().routes],
    )
    return KeptLedger(
        ledger=ledger,
        board=board,
        pacer=SchedulePacer(ledger, board, watcher.read, lambda: health.seen(time.monotonic())),
        sampler=Sampler(ledger, board.all),
        _watcher=watcher,
        _floor_file=floor_file,
        _embedded=EmbeddedServer(Path(settings.ledger.data_dir))
        if own_embedded and not settings.ledger.url
        else None,
    )


def ledger_url(settings: Settings) -> str:
    return settings.ledger.url or embedded_url(Path(settings.ledger.data_dir))


def backend_health(settings: Settings) -> BackendHealth:
    """Return what judges the site behind us, for the schedules to back off."""
    # Where a path is asked every second, fewer answers are a judgement than among visitors' requests.
    return BackendHealth(PROBES_TO_JUDGE if settings.proxy.health_path else LEAST_ANSWERS)
