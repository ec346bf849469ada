"""Ledgers on real servers of each topology. The processes are started once a run."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.redis import RedisLedger
from tests.support.clusters import RealCluster
from tests.support.sentinels import WatchedServers
from tests.support.servers import RealServer, redis_binary, valkey_binary

NewLedger = Callable[..., RedisLedger]
NewServer = Callable[..., RealServer]


def binary_of(kind: str) -> Path:
    if kind == "valkey":
        return valkey_binary()
    found = redis_binary()
    if found is None:
        pytest.skip("there is no redis-server on PATH")
    return found


@pytest.fixture(scope="session")
def topology_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (unix(7), sun_path)."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="gt-", dir=base))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_server(topology_folder: Path) -> Iterator[NewServer]:
    started: list[RealServer] = []

    def start(kind: str = "valkey", **settings: str) -> RealServer:
        folder = Path(tempfile.mkdtemp(prefix="o", dir=topology_folder))
        named = {name.replace("_", "-"): value for name, value in settings.items()}
        server = RealServer(binary_of(kind), folder, named)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def watched(topology_folder: Path) -> Iterator[WatchedServers]:
    """A primary, two replicas and three Sentinels."""
    servers = WatchedServers(valkey_binary(), topology_folder)
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()


@pytest.fixture
def unwatched(topology_folder: Path) -> Iterator[WatchedServers]:
    """A primary alone and two Sentinels that have not met: enough to ask for its address."""
    servers = WatchedServers(valkey_binary(), topology_folder, replicas=0, sentinels=2)
    try:
        servers.start(until_settled=False)
        yield servers
    finally:
        servers.kill()


@pytest.fixture(scope="session")
def cluster(topology_folder: Path) -> Iterator[RealCluster]:
    """Three primaries, and two replicas of the first of them. Leave its nodes running."""
    with running_cluster(topology_folder) as made:
        yield made


@pytest.fixture
def failing_cluster(topology_folder: Path) -> Iterator[RealCluster]:
    """The same for one test, which may end nodes."""
    with running_cluster(topology_folder) as made:
        yield made


@contextmanager
def running_cluster(folder: Path) -> Iterator[RealCluster]:
    made = RealCluster(valkey_binary(), folder, replicas=2)
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture(autouse=True)
def soon_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription that hears nothing asks for a sign of life at once, not after seconds."""
    monkeypatch.setattr("gateway.ledger.redis.LISTEN_S", 0.5)


@pytest.fixture
async def new_ledger() -> AsyncIterator[NewLedger]:
    """Make a ledger as a gateway has it; each is closed at the end."""
    ledgers: list[RedisLedger] = []

    def make(url: str, **options: Any) -> RedisLedger:
        ledger = RedisLedger(url, **{"is_gateway": True, **options})
        ledgers.append(ledger)
        return ledger

    yield make
    await asyncio.gather(*(ledger.aclose() for ledger in ledgers))


def two_ledgers(url: str, new_ledger: NewLedger) -> tuple[RedisLedger, RedisLedger]:
    """A gateway's ledger and an observer's, for failovers.

    A gateway that polls never would be waited for before an event goes on at a new primary.
    """
    return new_ledger(url, timeout_s=1.0), new_ledger(url, timeout_s=1.0, is_gateway=False)
