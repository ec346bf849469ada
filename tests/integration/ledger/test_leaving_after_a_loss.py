"""Who leaves with a pass has left, also where the ledger has lost the row of the session."""

import pytest

from gateway.domain.positions import Position
from gateway.ledger.redis import RedisLedger
from tests.integration.ledger.conftest import OpenSale
from tests.support.sales import Sale

pytestmark = [pytest.mark.integration, pytest.mark.anyio]


async def bring_back(sale: Sale) -> None:
    for _ in range(2):
        await sale.ledger.present(sale.event)


async def test_a_pass_whose_session_was_lost_is_ended_once(
    open_sale: OpenSale, ledger: RedisLedger
) -> None:
    sale = await open_sale(max_sessions=2)
    await sale.join_many(4)
    await sale.release(4)
    first, second = await sale.claim(1), await sale.claim(2)
    await sale.read()
    sale.server.command("FLUSHALL")
    await bring_back(sale)
    assert (await sale.read()).active_sessions == 2
    assert (await sale.claim(3)).outcome == "full"

    assert await sale.leave(1, first.session_ends_at)

    snapshot = await sale.read()
    assert set(snapshot.ended) == {Position(1)}
    assert snapshot.active_sessions == 1
    assert not await sale.leave(1, first.session_ends_at), "asked again, it changes nothing"
    assert (await sale.claim(3)).outcome == "seated"
    assert (await sale.claim(4)).outcome == "full"

    # A place alone proves no session, and what nobody stands in for frees nothing.
    assert not await sale.leave(2)
    assert await sale.leave(2, second.session_ends_at)
    assert await sale.leave(4, second.session_ends_at)
    assert (await sale.read()).active_sessions == 1


async def test_a_pass_that_has_ended_is_not_ended_again(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=5)
    await sale.join()
    await sale.release(1)
    claimed = await sale.claim(1)
    await sale.elapse(6)
    past = int(sale.server.command("TIME")[0]) - 1
    assert claimed.session_ends_at > past
    assert not await sale.leave(1, past)
    assert not (await sale.read()).ended
