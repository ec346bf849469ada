"""A crowd on servers that are killed, promoted, or out of room, at each level of durability.

Here the gateways are started for each test, since each has servers of its own.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
import redis

from gateway.domain.events import Durability, EventPolicy
from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from tests.faults.test_nothing_is_lost import FRESH_S, acquit
from tests.support.crowd import Crowd, Pace
from tests.support.fleet import running_fleet
from tests.support.gateways import Tables, event_table
from tests.support.judging import Bounds, Guarantee
from tests.support.sentinels import WatchedServers
from tests.support.servers import RealServer, valkey_binary

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

EVENT = EventId("sale")

# Which positions had their session, and keys of joins, are written without a wait: what a server had
# answered in its last moment goes with it.
LAST_MOMENT = frozenset({Guarantee.ONE_PLACE_PER_KEY, Guarantee.ONE_SESSION})

# A pointer that is shown once it is on the disk may be a second late, where that is synced once a second.
SYNCED_LATE_S = 2 * FRESH_S

# A failover takes seconds in which nothing is released.
LONG = Pace(lasts_s=7, joins_per_s=60)


@pytest.fixture
def own_folder(short_folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="o", dir=short_folder))


async def play(
    folder: Path,
    tables: Tables,
    url: str,
    policy: EventPolicy,
    goes_wrong: Callable[[], Awaitable[None]],
    pace: Pace,
    *,
    clocks_off_s: Sequence[float] = (),
) -> None:
    """Let a crowd come while something goes wrong, and judge what it saw."""
    ledger = RedisLedger(url, healing_patience_s=10)
    try:
        assert await ledger.create(EVENT, policy, opened=True)
    finally:
        await ledger.aclose()
    own: dict[str, Mapping[str, object]] = {
        name: table for name, table in tables.items() if not name.startswith("events.")
    }
    own["ledger"] = {**tables["ledger"], "url": url}
    own[f"events.{EVENT}"] = event_table("sale.example")
    async with running_fleet(folder, "ab", own, clocks_off_s=clocks_off_s) as gateways:
        crowd = Crowd(gateways, EVENT, "sale.example", url, pace=pace)
        async with crowd.gathered():
            await asyncio.gather(crowd.run(), _go_wrong(crowd, goes_wrong))
            await crowd.settle()
    bounds = Bounds(fresh_s=SYNCED_LATE_S, forgiven=LAST_MOMENT)
    acquit(crowd, bounds, more_than=pace.joins_per_s / 10)


async def _go_wrong(crowd: Crowd, goes_wrong: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(1)
    async with crowd.fault():
        await goes_wrong()


@contextlib.contextmanager
def one_server(folder: Path, **settings: str) -> Iterator[RealServer]:
    place = folder / "v"
    place.mkdir()
    server = RealServer(valkey_binary(), place, settings)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("durability", "settings"),
    [
        (Durability.MEMORY, {"appendonly": "no"}),
        (Durability.MEMORY, {"appendfsync": "everysec"}),
        (Durability.FSYNC, {"appendfsync": "everysec"}),
    ],
    ids=["memory, no file", "memory, everysec", "fsync, everysec"],
)
async def test_a_server_is_killed_at_each_level(
    own_folder: Path, tables: Tables, durability: Durability, settings: dict[str, str]
) -> None:
    # With `always`, see `ledger killed` in test_nothing_is_lost.py.
    with one_server(own_folder, **settings) as server:

        async def kill_twice() -> None:
            for _ in range(2):
                await asyncio.to_thread(server.restart)
                await asyncio.sleep(0.7)

        policy = EventPolicy(durability=durability)
        await play(own_folder, tables, server.url, policy, kill_twice, Pace(lasts_s=4))


async def test_a_disk_is_full_and_has_room_again(own_folder: Path, tables: Tables) -> None:
    with one_server(own_folder, appendfsync="everysec") as server:

        async def fill() -> None:
            server.fill_disk()
            await asyncio.sleep(2)
            server.free_disk()
            await asyncio.sleep(1.5)

        await play(own_folder, tables, server.url, EventPolicy(), fill, Pace(lasts_s=5))


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[WatchedServers]:
    servers = WatchedServers(valkey_binary(), folder, replicas=1)
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()


REPLICATED = EventPolicy(durability=Durability.REPLICAS, replicas=1)


async def test_a_primary_is_killed_whose_replica_lags(own_folder: Path, tables: Tables) -> None:
    with watched(own_folder) as servers:

        async def kill_the_primary() -> None:
            primary = servers.primary()
            replica = next(server for server in servers.servers if server is not primary)
            # The replica stops taking what it is sent: positions go out up to the ceiling that it has.
            replica.freeze()
            await asyncio.sleep(0.4)
            primary.kill()
            replica.thaw()
            await asyncio.sleep(3)
            # A primary without a replica can promise nothing: its old self comes back as one.
            await asyncio.to_thread(primary.start)
            await asyncio.sleep(1)

        await play(own_folder, tables, servers.url, REPLICATED, kill_the_primary, LONG)


async def test_primaries_are_promoted_back_and_forth(own_folder: Path, tables: Tables) -> None:
    with watched(own_folder) as servers:

        async def back_and_forth() -> None:
            for _ in range(2):
                await asyncio.to_thread(servers.promote_another)
                await asyncio.sleep(2.5)

        await play(own_folder, tables, servers.url, REPLICATED, back_and_forth, LONG)


async def test_the_gateways_clocks_are_hours_apart(own_folder: Path, tables: Tables) -> None:
    with one_server(own_folder) as server:

        async def restart() -> None:
            await asyncio.to_thread(server.restart)

        off_s = (5 * 3600.0, -5 * 3600.0)
        pace = Pace(lasts_s=2)
        await play(own_folder, tables, server.url, EventPolicy(), restart, pace, clocks_off_s=off_s)


async def test_a_server_ends_without_saving(own_folder: Path, tables: Tables) -> None:
    with one_server(own_folder, appendonly="no") as server:

        async def end() -> None:
            with contextlib.suppress(redis.ConnectionError):
                server.command("SHUTDOWN", "NOSAVE")
            await asyncio.to_thread(server.restart)
            await asyncio.sleep(0.5)

        policy = EventPolicy(durability=Durability.MEMORY)
        await play(own_folder, tables, server.url, policy, end, Pace(lasts_s=3))
