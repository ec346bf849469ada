"""The history of releases, from which waiting times are told: bounded, right, and never missed."""

import asyncio
import random

import pytest

from gateway.domain.events import LetIn
from gateway.domain.waiting import wait_curve
from gateway.ports import StateChange
from loadtests.replayed_sale import LedgerHistory
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]

MAX_HISTORY = 120
MAX_BYTES = 4_096


def put_open_clock(sale: Sale, open_s: int) -> None:
    """Put the open clock to a time, as if the event had been open for so long."""
    sale.server.command("HSET", sale.key("state"), "open_ms", str(open_s * 1000))


async def history_of(sale: Sale) -> tuple[LetIn, ...]:
    return (await sale.read()).history


async def test_an_event_without_releases_has_no_history(sale: Sale) -> None:
    await sale.join_many(10)
    assert await history_of(sale) == ()


async def test_releases_of_one_second_are_one_movement(sale: Sale) -> None:
    await sale.join_many(100)
    put_open_clock(sale, 100)
    await sale.release(10)
    await sale.release(20)
    put_open_clock(sale, 200)
    await sale.release(5)
    first, second = await history_of(sale)
    assert (first.people, first.movements, second.people, second.movements) == (30, 1, 5, 1)
    # The clock goes on meanwhile.
    assert 100 <= first.open_s <= 105
    assert 200 <= second.open_s <= 205


async def test_a_release_that_is_repeated_counts_once(sale: Sale) -> None:
    await sale.join_many(100)
    for _ in range(3):
        await sale.release(10, request_id="the-same")
    assert sum(entry.people for entry in await history_of(sale)) == 10


async def test_a_dry_run_leaves_no_trace(sale: Sale) -> None:
    await sale.join_many(100)
    await sale.release(10, dry_run=True)
    assert await history_of(sale) == ()


async def test_a_release_of_nobody_leaves_no_trace(sale: Sale) -> None:
    await sale.join_many(10)
    await sale.release(10)
    before = await history_of(sale)
    put_open_clock(sale, 100)
    await sale.release(10)
    assert await history_of(sale) == before


async def test_the_history_stays_small_and_counts_everybody(sale: Sale) -> None:
    await sale.join_many(1_000)
    for minute in range(400):
        put_open_clock(sale, 60 * (minute + 1))
        await sale.release(2)
    history = await history_of(sale)
    assert len(history) == MAX_HISTORY
    assert sum(entry.people for entry in history) == 800
    assert sum(entry.movements for entry in history) == 400
    times = [entry.open_s for entry in history]
    assert times == sorted(set(times))
    # What is recent stays sharp, what is long ago is told in larger pieces.
    assert all(entry.movements == 1 for entry in history[-10:])
    assert history[1].movements > 2
    assert len(str(sale.server.command("HGET", sale.key("state"), "history"))) < MAX_BYTES


async def test_bursts_half_an_hour_apart_outlive_their_claim_windows(sale: Sale) -> None:
    await sale.join_many(100)
    for burst in range(6):
        put_open_clock(sale, 1_800 * (burst + 1))
        await sale.release(10)
    state = await sale.read()
    assert len(state.history) == 6
    curve = wait_curve(state)
    assert curve is not None
    assert curve.at(9).low_s > 900
    assert curve.at(25).high_s > 3_600


async def test_the_open_clock_stands_still_in_a_pause(sale: Sale) -> None:
    await sale.change(StateChange.PAUSE)
    paused = await sale.read()
    await asyncio.sleep(0.05)  # time that must not count
    assert (await sale.read()).open_ms == paused.open_ms
    await sale.change(StateChange.RESUME)

    async def goes_on() -> bool:
        return (await sale.read()).open_ms > paused.open_ms

    await wait_until(goes_on)


async def test_the_open_clock_runs_in_a_full_event_whose_windows_stand_still(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(max_sessions=1)
    await sale.join_many(2)
    await sale.release(2)
    await sale.claim(1)
    full = await sale.read()

    async def goes_on() -> bool:
        return (await sale.read()).open_ms > full.open_ms

    await wait_until(goes_on)
    assert (await sale.read()).active_ms == full.active_ms


async def test_a_gateway_that_never_saw_the_event_reads_the_history(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(100)
    await sale.release(10)
    put_open_clock(sale, 100)
    await sale.release(20)
    newcomer = new_ledger()
    read = await newcomer.read(sale.event)
    assert [entry.people for entry in read.history] == [10, 20]
    assert read.history == await history_of(sale)


async def let_in_twice(sale: Sale) -> None:
    await sale.join_many(100)
    await sale.release(10)
    put_open_clock(sale, 100)
    await sale.release(20)


@pytest.mark.parametrize("fields", [["history"], ["open_ms"], ["history", "open_ms"]])
async def test_a_history_that_is_gone_is_no_lost_state(sale: Sale, fields: list[str]) -> None:
    await let_in_twice(sale)
    sale.server.command("HDEL", sale.key("state"), *fields)
    state = await sale.read()
    assert state.served_up_to == 30
    # The releases of the claim window are still there to tell from.
    assert state.releases
    await sale.release(5)
    assert (await sale.read()).served_up_to == 35


@pytest.mark.parametrize(
    "text", ["", "30", "30 ", "30 1:2", "30 :::", "30 1:2:3,,x", "nonsense", "30 1:1:1,2:2"]
)
async def test_a_history_that_cannot_be_read_is_none(sale: Sale, text: str) -> None:
    await let_in_twice(sale)
    sale.server.command("HSET", sale.key("state"), "history", text)
    assert await history_of(sale) == ()
    await sale.release(5)
    assert (await sale.read()).history[-1].people == 5


async def test_a_history_from_ahead_of_its_clock_begins_anew(sale: Sale) -> None:
    await let_in_twice(sale)
    put_open_clock(sale, 0)
    await sale.release(5)
    assert [entry.people for entry in await history_of(sale)] == [5]


async def test_a_history_that_missed_a_release_is_void(sale: Sale) -> None:
    """A gateway of the version before moves the pointer and writes no history."""
    await let_in_twice(sale)
    kept = sale.server.command("HGET", sale.key("state"), "history")
    await sale.release(7)
    sale.server.command("HSET", sale.key("state"), "history", str(kept))
    assert await history_of(sale) == ()
    await sale.release(5)
    assert [entry.people for entry in await history_of(sale)] == [5]


async def test_the_simulation_keeps_the_history_as_the_ledger_does(sale: Sale) -> None:
    await sale.join_many(600)
    rng = random.Random(7)
    simulated, at_s = LedgerHistory(), 0
    for _ in range(200):
        at_s += rng.choice((5, 10, 60, 300))
        put_open_clock(sale, at_s)
        people = rng.randint(1, 3)
        await sale.release(people)
        history = await history_of(sale)
        # Whatever the clock really was.
        simulated.note(history[-1].open_s, people)
        assert history == simulated.entries
