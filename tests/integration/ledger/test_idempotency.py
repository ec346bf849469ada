"""An Idempotency-Key gives the same position again, whatever became of the first answer."""

import asyncio

import pytest

from gateway.errors import LedgerUnavailable
from gateway.ledger import keyspace
from gateway.ledger.operations.dealing import IDEMPOTENCY_MS
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.lossy import LossyRelay
from tests.support.sales import Sale
from tests.support.servers import RealServer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]

KEY = "0123456789abcdef" * 4


@pytest.fixture
def relay(server: RealServer) -> LossyRelay:
    return LossyRelay(server.socket, server.folder / "relay")


async def test_the_same_key_finds_the_same_place(sale: Sale) -> None:
    await sale.join_many(3)
    first = await sale.join("ada", key=KEY)
    again = await sale.join("other-tab", key=KEY)
    assert (first.position, first.repeated) == (4, False)
    assert again == type(first)(
        first.generation, first.position, "ada", first.joined_active_ms, first.head_start, True
    )
    assert (await sale.read()).issued == 4


async def test_the_same_key_within_one_batch_finds_the_same_place(sale: Sale) -> None:
    await sale.join()
    places = await asyncio.gather(
        sale.join(),
        sale.join("tab-1", key=KEY),
        sale.join(),
        sale.join("tab-2", key=KEY),
        sale.join("tab-3", key=KEY),
        sale.join(),
    )
    assert [p.position for p in places] == [2, 3, 4, 3, 3, 5]
    assert [p.repeated for p in places] == [False, False, False, True, True, False]
    assert {p.visitor for p in places if p.position == 3} == {"tab-1"}


async def test_the_same_key_at_two_gateways_finds_the_same_place(
    sale: Sale, new_ledger: NewLedger
) -> None:
    others = [sale.through(new_ledger()) for _ in range(3)]
    places = await asyncio.gather(*(s.join(key=KEY) for s in [sale, *others] for _ in range(10)))
    assert {p.position for p in places} == {1}
    assert [p.repeated for p in places].count(False) == 1


async def test_different_keys_are_different_visitors(sale: Sale) -> None:
    places = await asyncio.gather(*(sale.join(key=f"{i:064x}") for i in range(10)))
    assert [p.position for p in places] == list(range(1, 11))


async def test_a_key_of_one_event_means_nothing_at_another(open_sale: OpenSale) -> None:
    first, second = await open_sale(name="first"), await open_sale(name="second")
    await first.join_many(5)
    assert (await first.join(key=KEY)).position == 6
    assert (await second.join(key=KEY)).position == 1


async def test_a_key_is_remembered_for_ten_minutes_after_the_first_join(sale: Sale) -> None:
    row = keyspace.idempotency_row(sale.event, KEY)
    await sale.join(key=KEY)
    left_ms = sale.server.command("PTTL", row)
    assert IDEMPOTENCY_MS == 600_000
    assert IDEMPOTENCY_MS - 5000 < left_ms <= IDEMPOTENCY_MS
    sale.server.command("PEXPIRE", row, 1000)
    await sale.join(key=KEY)
    assert sale.server.command("PTTL", row) <= 1000, "a repetition must not lengthen it"


async def test_a_forgotten_key_is_a_new_visitor(sale: Sale) -> None:
    await sale.join(key=KEY)
    sale.server.command("DEL", keyspace.idempotency_row(sale.event, KEY))
    assert (await sale.join(key=KEY)).position == 2


async def test_a_new_generation_forgets_the_keys_and_the_names_of_the_old(
    open_sale: OpenSale,
) -> None:
    old = await open_sale(one_place_per_sub=True)
    await old.join_many(4)
    await old.join("ada", key=KEY, named=True)
    old.set_field("state", "deleted")
    new = await open_sale(one_place_per_sub=True)
    assert new.generation > old.generation
    place = await new.join("ada", key=KEY, named=True)
    assert (place.generation, place.position, place.repeated) == (new.generation, 1, False)


async def test_a_key_keeps_its_head_start_and_clock(sale: Sale) -> None:
    await sale.join_many(9)
    await sale.elapse(2)
    first = await sale.join(key=KEY, head_start=4)
    await sale.elapse(3)
    await sale.release(9)
    again = await sale.join(key=KEY)
    assert (again.head_start, again.joined_active_ms) == (4, first.joined_active_ms)


async def test_a_batch_whose_answer_was_lost_is_answered_again_and_burns_nothing(
    sale: Sale, relay: LossyRelay, new_ledger: NewLedger
) -> None:
    async with relay.running():
        other = sale.through(new_ledger(relay.url))
        assert (await other.join()).position == 1  # The scripts are loaded, the ceiling is raised.
        relay.lose_answers(1)
        places = await other.join_many(20)
        assert relay.lost == 1
        assert [p.position for p in places] == list(range(2, 22))
        assert (await sale.join()).position == 22
        await other.ledger.aclose()


async def test_who_learned_nothing_twice_asks_with_the_key_and_finds_the_place(
    sale: Sale, relay: LossyRelay, new_ledger: NewLedger
) -> None:
    async with relay.running():
        other = sale.through(new_ledger(relay.url))
        await other.join()
        # The answer and that to its repetition: the ledger gives up, the position is dealt.
        relay.lose_answers(2)
        with pytest.raises(LedgerUnavailable) as failure:
            await other.join("ada", key=KEY)
        assert failure.value.cause == "unreachable"
        found = await other.join("ada", key=KEY)
        assert (found.position, found.repeated) == (2, True)
        assert (await sale.through(sale.ledger).join(key=KEY)).position == 2
        await other.ledger.aclose()


async def test_a_key_is_good_after_the_server_was_killed(sale: Sale) -> None:
    first = await sale.join(key=KEY)
    sale.server.restart()
    again = await sale.join(key=KEY)
    assert (again.position, again.repeated) == (first.position, True)


async def test_every_row_of_a_join_has_an_end(sale: Sale) -> None:
    await asyncio.gather(*(sale.join(key=f"{i:064x}") for i in range(5)))
    rows = [name for name in sale.all_keys() if ":join:" in name]
    assert len(rows) == 5
    assert all(sale.server.command("PTTL", row) > 0 for row in rows)
