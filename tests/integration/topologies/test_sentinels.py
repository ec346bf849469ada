"""A ledger behind Sentinels: the same as on one server, also across failovers."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.domain.events import Durability, EventPolicy
from gateway.errors import LedgerUnavailable
from tests.integration.topologies.conftest import NewLedger, two_ledgers
from tests.support.everywhere import (
    does_everything,
    is_told_of_releases,
    join_until_it_works_again,
    watching,
)
from tests.support.sales import Sale
from tests.support.sentinels import SERVICE, WatchedServers
from tests.support.servers import RealServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

# Every promise is on one replica more than a failover may lose.
REPLICATED = EventPolicy(durability=Durability.REPLICAS, replicas=1, headroom=1000)
FAILOVER_TIMEOUT_S = 20.0


@pytest.mark.parametrize("end", [RealServer.kill, RealServer.freeze], ids=["killed", "silent"])
async def test_a_failover_costs_nobody_a_place_and_the_watcher_follows(
    watched: WatchedServers, new_ledger: NewLedger, end: Callable[[RealServer], None]
) -> None:
    ledger, other = two_ledgers(watched.url, new_ledger)
    sale = await does_everything(ledger, other, watched.servers[0], REPLICATED)
    positions = [place.position for place in await sale.join_many(100)]
    generation = sale.generation
    async with watching(other) as board:
        await is_told_of_releases(sale, board)
        joining = asyncio.create_task(join_until_it_works_again(sale, positions))
        end(watched.primary())
        await joining
        await is_told_of_releases(sale, board)
    assert len(set(positions)) == len(positions)
    assert (await sale.through(other).read()).generation == generation


async def test_a_promotion_while_the_primary_is_well_is_followed(
    watched: WatchedServers, new_ledger: NewLedger
) -> None:
    ledger, other = two_ledgers(watched.url, new_ledger)
    before = watched.primary()
    sale = await Sale.open(before, ledger, REPLICATED)
    positions = [place.position for place in await sale.join_many(50)]
    async with watching(other) as board:
        await is_told_of_releases(sale, board)
        watched.promote_another()
        await wait_until(lambda: watched.primary() is not before, FAILOVER_TIMEOUT_S)
        for _ in range(3):
            await join_until_it_works_again(sale, positions)
        await is_told_of_releases(sale, board)
    assert len(set(positions)) == len(positions)


async def test_one_sentinel_that_never_answers_keeps_nobody_waiting_too_long(
    unwatched: WatchedServers, new_ledger: NewLedger
) -> None:
    unwatched.freeze_sentinel(0)
    ledger = new_ledger(unwatched.url)
    sale = await Sale.open(unwatched.servers[0], ledger)
    assert [place.position for place in await sale.join_many(10)] == list(range(1, 11))


async def test_a_service_that_no_sentinel_knows_is_named(
    unwatched: WatchedServers, new_ledger: NewLedger
) -> None:
    ledger = new_ledger(unwatched.url.replace(f"/{SERVICE}", "/another"))
    with pytest.raises(LedgerUnavailable, match="no Sentinel knows a primary"):
        await ledger.ping()
