"""A real server for the tests of the ledger; each test finds it running and empty."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.events import EventPolicy
from gateway.ledger.redis import RedisLedger
from tests.support.sales import Sale
from tests.support.servers import RealServer, redis_binary, valkey_binary

ServerOf = Callable[[str], RealServer]
NewServer = Callable[..., RealServer]
NewLedger = Callable[..., RedisLedger]
OpenSale = Callable[..., Awaitable[Sale]]


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (unix(7), sun_path)."""
    # In memory where the system has such a folder: what is tested is the order of things, not the disk.
    base = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="gw-", dir=base))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def binary_of(kind: str) -> Path:
    if kind == "valkey":
        return valkey_binary()
    found = redis_binary()
    if found is None:
        pytest.skip("there is no redis-server on PATH")
    return found


@pytest.fixture(scope="session")
def server_of(short_folder: Path) -> Iterator[ServerOf]:
    """Start each kind of server once a run."""
    servers: dict[str, RealServer] = {}

    def start(kind: str) -> RealServer:
        if kind not in servers:
            binary = binary_of(kind)
            folder = short_folder / kind
            folder.mkdir()
            servers[kind] = RealServer(binary, folder)
        return servers[kind]

    yield start
    for server in servers.values():
        server.kill()


@pytest.fixture
def server(request: pytest.FixtureRequest, server_of: ServerOf) -> Iterator[RealServer]:
    """The server of this run, empty; Valkey unless the test is parametrised over the kinds."""
    server = server_of(getattr(request, "param", "valkey"))
    server.reset()
    yield server
    server.thaw()


@pytest.fixture
def new_server(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[NewServer]:
    """Start a server of the test's own, with settings that would spoil the shared one."""
    started: list[RealServer] = []

    def start(settings: Mapping[str, str] | None = None, *, kind: str = "valkey") -> RealServer:
        folder = Path(tempfile.mkdtemp(prefix="own-", dir=short_folder))
        server = RealServer(binary_of(kind), folder, settings)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
async def new_ledger(server: RealServer) -> AsyncIterator[NewLedger]:
    """Make another gateway's ledger, by default on the shared server."""
    ledgers: list[RedisLedger] = []

    def make(url: str | None = None, **options: Any) -> RedisLedger:
        ledger = RedisLedger(url or server.url, **options)
        ledgers.append(ledger)
        return ledger

    yield make
    server.thaw()
    await asyncio.gather(*(ledger.aclose() for ledger in ledgers))


@pytest.fixture
async def ledger(new_ledger: NewLedger) -> RedisLedger:
    return new_ledger()


@pytest.fixture
def open_sale(server: RealServer, ledger: RedisLedger) -> OpenSale:
    """Create an event whose policy is given by keywords; open unless `opened=False`."""

    async def create(*, name: str = "sale", opened: bool = True, **policy: int) -> Sale:
        return await Sale.open(
            server,
            ledger,
            EventPolicy(**policy),  # type: ignore[arg-type]
            name=name,
            opened=opened,
        )

    return create


@pytest.fixture
async def sale(open_sale: OpenSale) -> Sale:
    """An open event with the default policy."""
    return await open_sale()
