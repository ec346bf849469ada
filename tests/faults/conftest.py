"""One ledger behind a link that can fail, and two gateways, for all scenarios; each has its own event."""

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.domain.events import EventPolicy
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.ledger.redis import RedisLedger
from tests.support.crowd import Crowd, Pace
from tests.support.faulty_link import FaultyLink
from tests.support.fleet import FleetGateway, running_fleet, running_site
from tests.support.gateways import Tables, event_table
from tests.support.minting import Mint
from tests.support.servers import RealServer, valkey_binary

EVENTS = 60
POLL_S = 0.25
CREATE_TRIES = 20


class Ground:
    """Everything that a scenario can break.

    Attributes:
        server: The ledger's.
        link: What the gateways reach it through.
        gateways: Processes; `restart` kills one of them.
        keys: Folder of their key ring.
    """

    def __init__(
        self, server: RealServer, link: FaultyLink, gateways: list[FleetGateway], keys: Path
    ) -> None:
        self.server = server
        self.link = link
        self.gateways = gateways
        self.keys = keys
        self._numbers = itertools.count(1)

    async def gather(self, pace: Pace, policy: EventPolicy) -> Crowd:
        """Open a new event, and return its crowd."""
        event = f"sale-{next(self._numbers)}"
        ledger = RedisLedger(self.server.url)
        try:
            await _created(ledger, EventId(event), policy)
        finally:
            await ledger.aclose()
        return Crowd(self.gateways, event, f"{event}.example", self.link.url, pace=pace)

    async def heal(self) -> None:
        """Undo whatever was done, by whatever scenario."""
        await self.link.heal()
        self.server.thaw()
        if not self.server.is_running:
            self.server.start()
        self.server.command("REPLICAOF", "NO", "ONE")
        self.server.command("CONFIG", "SET", "maxmemory", 0)
        self.server.command("CONFIG", "SET", "maxclients", 10_000)
        for gateway in self.gateways:
            if not gateway.is_running:
                await gateway.start()


async def _created(ledger: RedisLedger, event: EventId, policy: EventPolicy) -> None:
    """Create it as an operator does: a server that does not answer is asked again."""
    for _ in range(CREATE_TRIES):
        with contextlib.suppress(LedgerUnavailable):
            await ledger.create(event, policy, opened=True)
            return
        await asyncio.sleep(0.5)
    raise AssertionError("the event cannot be created")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all: the link must live as long as the gateways that connect through it."""
    return "asyncio"


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (unix(7), sun_path)."""
    folder = Path(tempfile.mkdtemp(prefix="gwf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(short_folder: Path) -> Iterator[RealServer]:
    folder = short_folder / "valkey"
    folder.mkdir()
    server = RealServer(valkey_binary(), folder)
    server.start()
    yield server
    server.thaw()
    server.kill()


@pytest.fixture(scope="session")
async def link(server: RealServer, short_folder: Path) -> AsyncIterator[FaultyLink]:
    async with FaultyLink(server.socket, short_folder / "l").running() as link:
        yield link


@pytest.fixture(scope="session")
async def site() -> AsyncIterator[str]:
    async with running_site() as url:
        yield url


@pytest.fixture(scope="session")
def tables(link: FaultyLink, short_folder: Path, site: str) -> Tables:
    """What both gateways are told; `sale-1`, `sale-2`, … are the events of the scenarios."""
    return {
        "keys": {"dir": str(Mint(short_folder / "keys").folder)},
        "ledger": {"url": link.url, "poll_s": POLL_S},
        "proxy": {"backend": site},
        "joins": {"burst": 0},
        **{
            f"events.sale-{number}": event_table(f"sale-{number}.example")
            for number in range(1, EVENTS + 1)
        },
    }


@pytest.fixture(scope="session")
async def fleet(short_folder: Path, tables: Tables) -> AsyncIterator[list[FleetGateway]]:
    async with running_fleet(short_folder, "ab", tables) as gateways:
        yield gateways


@pytest.fixture(scope="session")
async def shared_ground(
    server: RealServer, link: FaultyLink, fleet: list[FleetGateway], short_folder: Path
) -> Ground:
    return Ground(server, link, fleet, short_folder / "keys")


@pytest.fixture
async def ground(shared_ground: Ground) -> AsyncIterator[Ground]:
    await shared_ground.heal()
    yield shared_ground
    await shared_ground.heal()
