"""A ledger on a Cluster: each event lives on one shard, and events spread over all of them."""

from collections.abc import Callable

import pytest

from gateway.domain.events import Durability, EventPolicy
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.ledger import keyspace
from gateway.ledger.connections import open_connections
from gateway.ledger.failures import translated
from tests.integration.topologies.conftest import NewLedger, two_ledgers
from tests.support.clusters import RealCluster
from tests.support.everywhere import (
    does_everything,
    is_told_of_releases,
    join_until_it_works_again,
    watching,
)
from tests.support.sales import Sale
from tests.support.servers import RealServer

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

ENDS = pytest.mark.parametrize(
    "end", [RealServer.kill, RealServer.freeze], ids=["killed", "silent"]
)
REPLICATED = EventPolicy(durability=Durability.REPLICAS, replicas=1)


def names_on(cluster: RealCluster, shard: int, prefix: str, count: int = 1) -> list[str]:
    """Return names of events whose keys live on this primary."""
    names = (f"{prefix}-{number}" for number in range(10_000))
    found = (
        name
        for name in names
        if cluster.owner(keyspace.key(EventId(name), "state")) is cluster.primaries[shard]
    )
    return [next(found) for _ in range(count)]


@pytest.mark.parametrize("shard", [0, 1, 2])
async def test_an_event_on_any_shard(
    cluster: RealCluster, new_ledger: NewLedger, shard: int
) -> None:
    [name] = names_on(cluster, shard, "sale")
    ledger, other = new_ledger(cluster.url), new_ledger(cluster.url)
    sale = await does_everything(ledger, other, cluster.primaries[shard], name=name)
    assert sale.all_keys(), "the event is on another shard than it was meant to be"


async def test_one_address_is_enough_and_a_node_that_is_away_is_passed_over(
    cluster: RealCluster, new_ledger: NewLedger
) -> None:
    node = cluster.primaries[1].settings["port"]
    for hosts in (f"127.0.0.1:{node}", f"127.0.0.1:1,127.0.0.1:{node}"):
        await new_ledger(f"redis+cluster://{hosts}").events()


async def test_a_slot_that_moved_is_followed_by_calls_and_by_held_connections(
    cluster: RealCluster,
) -> None:
    key = keyspace.key(EventId(names_on(cluster, 1, "moved")[0]), "state")
    connections = open_connections(cluster.url, timeout_s=2.0, max_connections=8)
    late = open_connections(cluster.url, timeout_s=2.0, max_connections=8)
    try:
        for opened in (connections, late):
            await opened.client.get(key)
        cluster.move_slot(key, cluster.primaries[2])
        await connections.client.set(key, "1", ex=60)
        for opened in (connections, late):
            async with opened.held(key) as connection:
                assert await connection.get(key) == "1"
        assert cluster.primaries[2].command("EXISTS", key) == 1
        cluster.primaries[2].command("DEL", key)
        async with late.held(key) as connection:
            cluster.move_slot(key, cluster.primaries[1])
            with pytest.raises(LedgerUnavailable, match="moved"), translated():
                await connection.get(key)
    finally:
        await connections.aclose()
        await late.aclose()


async def test_a_held_connection_is_one_and_its_waits_count_what_it_wrote(
    cluster: RealCluster,
) -> None:
    key = keyspace.key(EventId(names_on(cluster, 0, "held")[0]), "state")
    connections = open_connections(cluster.url, timeout_s=2.0, max_connections=8)
    try:
        async with connections.held(key) as one, connections.held(key) as another:
            ids = [await one.client_id() for _ in range(3)]
            assert len(set(ids)) == 1
            assert await another.client_id() not in ids
            await one.set(key, "1", ex=60)
            assert await one.wait(2, 1000) == 2
    finally:
        await connections.aclose()


@ENDS
async def test_a_shard_that_fails_over_goes_on_and_the_others_never_stop(
    failing_cluster: RealCluster, new_ledger: NewLedger, end: Callable[[RealServer], None]
) -> None:
    cluster = failing_cluster
    [lost], [well] = names_on(cluster, 0, "lost"), names_on(cluster, 2, "well")
    ledger, other = two_ledgers(cluster.url, new_ledger)
    failing = await Sale.open(cluster.primaries[0], ledger, REPLICATED, name=lost)
    steady = await Sale.open(cluster.primaries[2], ledger, EventPolicy(headroom=1000), name=well)
    positions = [place.position for place in await failing.join_many(100)]
    async with watching(other) as board:
        await is_told_of_releases(steady, board)
        end(cluster.primaries[0])
        await join_until_it_works_again(failing, positions)
        await is_told_of_releases(steady, board)
    assert len(set(positions)) == len(positions)
