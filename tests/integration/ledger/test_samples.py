"""The samples of a sale: one an interval, whoever takes it, of bounded number, and right."""

import asyncio

import pytest

from gateway.domain.events import EventState
from gateway.domain.samples import EVERY_S
from gateway.domain.waiting import Wait
from gateway.ledger import keyspace
from gateway.ledger.operations import lookups
from gateway.ledger.sampler import Sampler
from gateway.ports import StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]


async def begin_next_interval(sale: Sale) -> None:
    """Let the samples be as old as an interval: the server's clock cannot be set."""
    name = keyspace.samples(sale.event)
    entries = sale.server.command("XRANGE", name, "-", "+")
    sale.server.command("DEL", name)
    for entry_id, fields in entries:
        earlier = int(entry_id.partition("-")[0]) - EVERY_S * 1000
        sale.server.command("XADD", name, f"{earlier}-0", "s", fields["s"])


async def test_a_sample_holds_the_events_numbers(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=20)
    await sale.join_many(10)
    await sale.release(4)
    await sale.claim(1)

    sample = await sale.ledger.sample(sale.event, Wait(60, 180))

    assert sample is not None
    assert sample.at_s % EVERY_S == 0
    assert (sample.generation, sample.state) == (sale.generation, EventState.OPEN)
    assert (sample.issued, sample.served_up_to, sample.let_in, sample.waiting) == (10, 4, 4, 6)
    assert (sample.active_sessions, sample.claims, sample.late) == (1, 1, 0)
    assert (sample.at_the_door, sample.no_shows, sample.max_sessions) == (3, 0, 20)
    assert sample.promised == Wait(60, 180)
    assert await sale.ledger.samples(sale.event) == [sample]


async def test_an_interval_is_noted_once_by_whoever_comes_first(
    sale: Sale, new_ledger: NewLedger
) -> None:
    ledgers = [new_ledger() for _ in range(4)]
    await sale.join_many(3)

    taken = await asyncio.gather(*(ledger.sample(sale.event, None) for ledger in ledgers * 3))

    noted = await sale.ledger.samples(sale.event)
    # The calls may lie on both sides of an interval's beginning; nothing changed meanwhile.
    assert len(noted) == 1
    assert set(taken) == {noted[0]}


async def test_what_changes_within_an_interval_is_for_the_next(sale: Sale) -> None:
    for _ in range(5):
        first = await sale.ledger.sample(sale.event, None)
        await sale.join_many(1)
        second = await sale.ledger.sample(sale.event, None)
        assert first is not None
        assert second is not None
        if second.at_s == first.at_s:
            assert second == first
            return
    pytest.fail("an interval began within each try")


async def test_a_server_whose_clock_was_set_back_notes_nothing_twice(sale: Sale) -> None:
    await sale.ledger.sample(sale.event, None)
    name = keyspace.samples(sale.event)
    ((entry_id, fields),) = sale.server.command("XRANGE", name, "-", "+")
    later = int(entry_id.partition("-")[0]) + 60 * EVERY_S * 1000
    sale.server.command("XADD", name, f"{later}-0", "s", fields["s"])
    await sale.join_many(1)

    newest = await sale.ledger.sample(sale.event, None)

    assert newest is not None
    assert newest.at_s == later // 1000
    assert len(await sale.ledger.samples(sale.event)) == 2


async def test_the_next_interval_is_noted_when_something_has_changed(sale: Sale) -> None:
    await sale.ledger.sample(sale.event, None)
    await begin_next_interval(sale)
    await sale.ledger.sample(sale.event, None)
    assert len(await sale.ledger.samples(sale.event)) == 1

    await sale.join_many(1)
    await sale.ledger.sample(sale.event, None)

    assert [sample.issued for sample in await sale.ledger.samples(sale.event)] == [0, 1]


async def test_after_a_long_silence_there_is_a_sample_all_the_same(sale: Sale) -> None:
    await sale.ledger.sample(sale.event, None)
    for _ in range(31):
        await begin_next_interval(sale)

    await sale.ledger.sample(sale.event, None)

    assert len(await sale.ledger.samples(sale.event)) == 2


async def test_their_number_is_bounded(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "MOST_SAMPLES", 5)
    # The server trims whole nodes of a stream.
    limit = "stream-node-max-entries"
    before = sale.server.command("CONFIG", "GET", limit)[limit]
    sale.server.command("CONFIG", "SET", limit, "5")
    try:
        for _ in range(30):
            await begin_next_interval(sale)
            await sale.join_many(1)
            await sale.ledger.sample(sale.event, None)
        noted = await sale.ledger.samples(sale.event)
    finally:
        sale.server.command("CONFIG", "SET", limit, before)
    assert 5 <= len(noted) <= 10
    assert noted[-1].issued == 30


async def test_a_key_that_holds_something_else_stops_nobody(sale: Sale) -> None:
    sale.server.command("SET", keyspace.samples(sale.event), "something else")
    assert await sale.ledger.sample(sale.event, None) is None


async def test_a_gateway_samples_what_it_can_read(sale: Sale, open_sale: OpenSale) -> None:
    other = await open_sale(name="other")
    snapshots = [await sale.read(), await other.read()]
    sale.server.command("DEL", keyspace.key(sale.event, "state"))

    await Sampler(sale.ledger, lambda: snapshots).take()

    assert await sale.ledger.samples(sale.event) == []
    assert len(await other.ledger.samples(other.event)) == 1


async def test_a_gateway_that_reads_is_seen_and_a_tool_is_not(
    sale: Sale, new_ledger: NewLedger
) -> None:
    gateway = new_ledger(is_gateway=True)
    await gateway.read(sale.event)
    await sale.read()

    seen = (await sale.ledger.gateways(sale.event)).read_ago_s

    assert seen.keys() == {gateway.floors.gateway}
    assert 0 <= seen[gateway.floors.gateway] < 60


async def test_a_pause_is_in_the_samples(sale: Sale) -> None:
    await sale.change(StateChange.PAUSE)
    sample = await sale.ledger.sample(sale.event, None)
    assert sample is not None
    assert sample.state is EventState.PAUSED


@pytest.mark.parametrize(
    "words", ["", "1 open", "x open 1 1 1 0 0 0 0 0 0 - - 5", "1 mad 1 1 1 0 0 0 0 0 0 - - 5"]
)
async def test_an_entry_that_cannot_be_read_is_left_out(sale: Sale, words: str) -> None:
    await sale.ledger.sample(sale.event, None)
    sale.server.command("XADD", keyspace.samples(sale.event), "*", "s", words)
    sale.server.command("XADD", keyspace.samples(sale.event), "*", "other", "1")
    assert len(await sale.ledger.samples(sale.event)) == 1
