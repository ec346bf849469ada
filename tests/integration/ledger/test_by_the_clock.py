"""`opens_at` and `closes_at`: the clock acts once for each set time, and never on a clock that jumps."""

import pytest

from gateway.domain.events import EventPolicy, EventState
from gateway.domain.operator_log import Entry, read_entry, verify
from gateway.errors import Conflict
from gateway.ports import StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale
from tests.support.servers import RealServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

HOUR_S = 3600
SOON_S = 4
OPEN, PAUSE, RESUME = StateChange.OPEN, StateChange.PAUSE, StateChange.RESUME
CLOSE, BYPASS = StateChange.CLOSE, StateChange.BYPASS


def now_s(server: RealServer) -> int:
    return int(server.command("TIME")[0])


def let_come(sale: Sale, *, opens: bool = False, closes: bool = False) -> None:
    """Let the set times have come, as if the wall clock had run up to them."""
    was_opens, was_closes = sale.field("clock").split()
    past = str(now_s(sale.server) - 1)
    sale.set_field("clock", f"{past if opens else was_opens} {past if closes else was_closes}")


async def state_of(sale: Sale) -> EventState:
    return (await sale.read()).state


async def by_clock(sale: Sale) -> list[Entry]:
    log = await sale.ledger.operator_log(sale.event)
    assert verify(sale.event, log).is_whole
    entries = [read_entry(logged.text) for logged in log.entries]
    return [entry for entry in entries if entry is not None and entry.by == "clock"]


@pytest.fixture
async def planned(server: RealServer, open_sale: OpenSale) -> Sale:
    """A scheduled event that opens in an hour and closes in two."""
    at = now_s(server)
    return await open_sale(opened=False, opens_at=at + HOUR_S, closes_at=at + 2 * HOUR_S)


async def test_a_scheduled_event_opens_when_its_time_has_come_and_not_before(
    server: RealServer, open_sale: OpenSale
) -> None:
    sale = await open_sale(opened=False, opens_at=now_s(server) + SOON_S)
    seen: list[tuple[EventState, int]] = []

    async def is_open() -> bool:
        before_s = now_s(server)
        seen.append((await state_of(sale), before_s))
        return seen[-1][0] is EventState.OPEN

    await wait_until(is_open, timeout_s=20)
    opens_at = (await sale.read()).policy.opens_at
    assert all(state is EventState.SCHEDULED for state, _ in seen[:-1])
    assert now_s(server) >= opens_at


async def test_an_open_event_closes_when_its_time_has_come(
    server: RealServer, open_sale: OpenSale
) -> None:
    sale = await open_sale(closes_at=now_s(server) + SOON_S)
    assert await state_of(sale) is EventState.OPEN

    async def is_closed() -> bool:
        return await state_of(sale) is EventState.CLOSED

    await wait_until(is_closed, timeout_s=20)
    assert [(entry.act, entry.after["state"]) for entry in await by_clock(sale)] == [
        ("close", "closed")
    ]


async def test_nothing_happens_while_the_time_has_not_come(planned: Sale) -> None:
    await planned.read()
    assert await state_of(planned) is EventState.SCHEDULED
    assert await by_clock(planned) == []


async def test_the_clock_acts_once(planned: Sale, new_ledger: NewLedger) -> None:
    let_come(planned, opens=True)
    for _ in range(3):
        assert await state_of(planned) is EventState.OPEN
        assert await state_of(planned.through(new_ledger())) is EventState.OPEN
    opened = await by_clock(planned)
    assert [(entry.act, entry.before["state"]) for entry in opened] == [("open", "scheduled")]


async def test_an_opening_by_the_clock_holds_the_draw(
    server: RealServer, open_sale: OpenSale
) -> None:
    sale = await open_sale(opened=False, draw=1, opens_at=now_s(server) + HOUR_S)
    await sale.join_many(6)
    let_come(sale, opens=True)
    snapshot = await sale.read()
    assert snapshot.draw is not None
    assert (snapshot.state, snapshot.draw.count) == (EventState.OPEN, 6)
    assert snapshot.draw.seed is not None
    await sale.join()
    assert (await sale.read()).draw == snapshot.draw


async def test_a_gateway_shows_an_opening_by_the_clock_once_it_is_durable(
    planned: Sale, new_ledger: NewLedger
) -> None:
    gateway = new_ledger(is_gateway=True)
    assert (await gateway.read(planned.event)).state is EventState.SCHEDULED
    calls: list[str] = []
    waited = new_ledger(is_gateway=True, on_call=lambda name, _: calls.append(name))
    await waited.read(planned.event)
    calls.clear()
    let_come(planned, opens=True)
    assert (await waited.read(planned.event)).state is EventState.OPEN
    assert calls == ["read", "read", "wait"]


async def test_who_was_opened_early_is_left_alone_at_the_opening(planned: Sale) -> None:
    await planned.change(OPEN)
    await planned.change(PAUSE)
    let_come(planned, opens=True)
    assert await state_of(planned) is EventState.PAUSED
    await planned.change(RESUME)
    await planned.change(CLOSE)
    assert await state_of(planned) is EventState.CLOSED
    assert await by_clock(planned) == []


async def test_who_was_closed_before_the_opening_is_not_opened(planned: Sale) -> None:
    await planned.change(CLOSE)
    let_come(planned, opens=True)
    assert await state_of(planned) is EventState.CLOSED


@pytest.mark.parametrize("way", [[OPEN], [OPEN, PAUSE]])
async def test_the_closing_time_closes_what_is_open_or_paused(
    planned: Sale, way: list[StateChange]
) -> None:
    for change in way:
        await planned.change(change)
    let_come(planned, opens=True, closes=True)
    assert await state_of(planned) is EventState.CLOSED


async def test_when_both_have_passed_unseen_nobody_is_drawn_for_an_event_that_is_over(
    server: RealServer, open_sale: OpenSale
) -> None:
    at = now_s(server)
    sale = await open_sale(opened=False, draw=1, opens_at=at + HOUR_S, closes_at=at + 2 * HOUR_S)
    let_come(sale, opens=True, closes=True)
    snapshot = await sale.read()
    assert snapshot.state is EventState.CLOSED
    assert snapshot.draw is not None
    assert snapshot.draw.count is None
    assert await state_of(sale) is EventState.CLOSED


async def test_who_opens_again_after_the_closing_time_is_not_closed_again(planned: Sale) -> None:
    let_come(planned, opens=True, closes=True)
    assert await state_of(planned) is EventState.CLOSED
    await planned.change(OPEN)
    assert await state_of(planned) is EventState.OPEN
    assert await state_of(planned) is EventState.OPEN


async def test_nor_when_nobody_had_read_the_event_since_the_closing_time(planned: Sale) -> None:
    await planned.change(OPEN)
    let_come(planned, closes=True)
    # A long silence: the clock is not believed yet, and the operator is.
    planned.server.command("HINCRBY", planned.key("state"), "ticked_at", -HOUR_S * 1000)
    await planned.change(OPEN)
    await planned.elapse(30)
    assert await state_of(planned) is EventState.OPEN


async def test_an_act_finds_the_event_as_the_clock_has_left_it(planned: Sale) -> None:
    await planned.change(OPEN)
    let_come(planned, closes=True)
    with pytest.raises(Conflict, match="closed"):
        await planned.change(PAUSE)
    assert [entry.act for entry in await by_clock(planned)] == ["close"]


async def test_another_time_is_acted_on_again(planned: Sale) -> None:
    at = now_s(planned.server)
    let_come(planned, opens=True, closes=True)
    assert await state_of(planned) is EventState.CLOSED
    await planned.configure(closes_at=at + 3 * HOUR_S)
    await planned.change(OPEN)
    let_come(planned, closes=True)
    assert await state_of(planned) is EventState.CLOSED
    assert [entry.act for entry in await by_clock(planned)] == ["close", "close"]


async def test_rules_that_leave_the_times_alone_do_not_set_them_again(planned: Sale) -> None:
    let_come(planned, opens=True, closes=True)
    await planned.read()
    await planned.change(OPEN)
    await planned.configure(window_s=77)
    assert planned.field("clock") == "0 0"


async def test_a_time_that_has_passed_when_it_is_set_does_nothing(
    server: RealServer, open_sale: OpenSale
) -> None:
    past = now_s(server) - HOUR_S
    scheduled = await open_sale(name="scheduled", opened=False, opens_at=past)
    running = await open_sale(name="running", closes_at=past)
    assert await state_of(scheduled) is EventState.SCHEDULED
    assert await state_of(running) is EventState.OPEN
    await running.configure(closes_at=past + 1)
    assert await state_of(running) is EventState.OPEN


async def test_taking_a_time_back_stops_the_clock(planned: Sale) -> None:
    await planned.configure(opens_at=0)
    assert planned.field("clock").startswith("0 ")


@pytest.mark.parametrize("jump_ms", [HOUR_S * 1000, -HOUR_S * 1000])
async def test_a_clock_that_jumps_opens_nothing_until_it_has_run_evenly(
    planned: Sale, jump_ms: int
) -> None:
    await planned.read()
    let_come(planned, opens=True)
    planned.server.command("HINCRBY", planned.key("state"), "ticked_at", -jump_ms)
    assert await state_of(planned) is EventState.SCHEDULED
    await planned.elapse(5)
    assert await state_of(planned) is EventState.SCHEDULED
    await planned.elapse(6)
    assert await state_of(planned) is EventState.OPEN


async def test_a_clock_that_jumps_forth_and_back_opens_nothing(planned: Sale) -> None:
    jump_ms = 2 * HOUR_S * 1000
    let_come(planned, opens=True)
    planned.server.command("HINCRBY", planned.key("state"), "ticked_at", -jump_ms)
    assert await state_of(planned) is EventState.SCHEDULED
    # It is set right: the time has not come after all.
    at = now_s(planned.server)
    planned.server.command("HINCRBY", planned.key("state"), "ticked_at", jump_ms)
    planned.set_field("clock", f"{at + HOUR_S} 0")
    await planned.elapse(30)
    assert await state_of(planned) is EventState.SCHEDULED


async def test_a_bypass_runs_to_its_end_before_the_clock_acts(planned: Sale) -> None:
    await planned.change(BYPASS, for_s=60)
    let_come(planned, opens=True)
    assert await state_of(planned) is EventState.BYPASS
    await planned.elapse(61)
    assert await state_of(planned) is EventState.OPEN
    await planned.change(BYPASS, for_s=60)
    let_come(planned, closes=True)
    assert await state_of(planned) is EventState.BYPASS
    await planned.elapse(61)
    assert await state_of(planned) is EventState.CLOSED


async def test_an_event_of_a_version_before_is_not_acted_on_for_what_has_passed(
    server: RealServer, open_sale: OpenSale
) -> None:
    at = now_s(server)
    sale = await open_sale(opens_at=at + HOUR_S, closes_at=at + 2 * HOUR_S)
    server.command("HDEL", sale.key("state"), "clock")
    server.command("HSET", sale.key("config"), "closes_at", at - 1)
    assert await state_of(sale) is EventState.OPEN
    assert sale.field("clock") == f"{at + HOUR_S} 0"


async def test_what_the_clock_has_still_to_do_survives_a_loss(
    server: RealServer, planned: Sale, new_ledger: NewLedger
) -> None:
    gateway = new_ledger(is_gateway=True)
    await gateway.read(planned.event)
    armed = planned.field("clock")
    let_come(planned, opens=True)
    due = planned.field("clock")
    planned.set_field("clock", armed)
    await gateway.read(planned.event)
    server.command("FLUSHALL")
    assert await gateway.present(planned.event)
    assert planned.field("clock") == armed
    # The time comes while the event is brought back: it opens after it, once the clock is believed.
    planned.set_field("clock", due)
    await planned.elapse(11)
    assert await state_of(planned) is EventState.OPEN


async def test_after_a_loss_the_clock_does_not_do_again_what_it_has_done(
    server: RealServer, planned: Sale, new_ledger: NewLedger
) -> None:
    let_come(planned, opens=True, closes=True)
    await planned.read()
    await planned.change(OPEN)
    gateway = new_ledger(is_gateway=True)
    await gateway.read(planned.event)
    server.command("FLUSHALL")
    assert await gateway.present(planned.event)
    await planned.elapse(30)
    assert await state_of(planned) is EventState.OPEN


async def test_a_reset_sets_the_clock_for_what_is_still_to_come(planned: Sale) -> None:
    before = planned.field("clock")
    let_come(planned, opens=True)
    await planned.read()
    await planned.ledger.reset(planned.event, planned.generation, opened=False, request_id="r")
    assert planned.field("clock") == before
    assert await state_of(planned) is EventState.SCHEDULED


async def test_an_event_without_times_has_nothing_to_wait_for(sale: Sale) -> None:
    assert sale.field("clock") == "0 0"
    assert (await sale.read()).policy == EventPolicy()
