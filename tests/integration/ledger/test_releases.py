"""Releasing: the pointer moves forward by people or to a turn, once per request, under its cap."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadInput, Conflict, LedgerUnavailable
from gateway.ledger.operations.pointer import RELEASE_RECORD_MS
from gateway.ports import StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.lossy import LossyRelay
from tests.support.sales import TICKS, Sale
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]


async def served(sale: Sale) -> int:
    return (await sale.read()).served_up_to


# --- By and to -----------------------------------------------------------------------------------


async def test_a_release_by_people_moves_the_pointer_from_where_it_stands(sale: Sale) -> None:
    await sale.join_many(100)
    first = await sale.release(10)
    assert (first.before, first.after, first.people, first.capped) == (0, 10, 10, False)
    second = await sale.release(25)
    assert (second.before, second.after, second.people) == (10, 35, 25)
    assert await served(sale) == 35


async def test_a_release_to_a_turn_lets_in_up_to_and_with_it(sale: Sale) -> None:
    await sale.join_many(100)
    released = await sale.release(to=40)
    assert (released.before, released.after, released.people) == (0, 40, 40)
    assert (await sale.claim(40)).outcome == "seated"
    assert (await sale.claim(41)).outcome == "not-yet"


@pytest.mark.parametrize("to", [1, 39, 40])
async def test_the_pointer_never_goes_back(sale: Sale, to: int) -> None:
    await sale.join_many(100)
    await sale.release(to=40)
    released = await sale.release(to=to)
    assert (released.before, released.after, released.people, released.capped) == (40, 40, 0, False)
    assert await served(sale) == 40


async def test_a_release_never_passes_the_last_visitor(sale: Sale) -> None:
    await sale.join_many(30)
    assert (await sale.release(10_000)).after == 30
    more = await sale.release(to=10_000)
    assert (more.after, more.people, more.capped) == (30, 0, True)


async def test_idle_time_stores_up_no_flood(sale: Sale) -> None:
    await sale.release(1000)
    place = await sale.join()
    assert (await sale.claim(place.position)).outcome == "not-yet"


async def test_a_pointer_passes_the_last_visitor_by_the_headroom_and_no_more(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(headroom=5)
    await sale.join_many(10)
    released = await sale.release(100)
    assert (released.after, released.people, released.capped) == (15, 15, True)
    await sale.join_many(2)
    assert (await sale.release(100)).after == 17


async def test_a_headroom_that_shrinks_does_not_move_the_pointer_back(open_sale: OpenSale) -> None:
    sale = await open_sale(headroom=50)
    await sale.join_many(10)
    await sale.release(60)
    await sale.configure(headroom=0)
    released = await sale.release(1)
    assert (released.before, released.after, released.people) == (60, 60, 0)


@pytest.mark.parametrize("amount", [0, -1, -(10**30), 2**53, 10**30])
async def test_an_amount_that_is_no_amount_changes_nothing(sale: Sale, amount: int) -> None:
    await sale.join_many(10)
    before = sale.contents()
    asks: list[dict[str, Any]] = [{"by": amount}, {"to": amount}]
    for ask in asks:
        with pytest.raises(BadInput):
            await sale.ledger.release(sale.event, **ask)
    assert sale.contents() == before


async def test_a_release_is_by_people_or_to_a_turn_and_not_both(sale: Sale) -> None:
    with pytest.raises(BadInput):
        await sale.release(1, to=1)
    with pytest.raises(BadInput):
        await sale.release()


async def test_the_largest_amount_is_capped_like_any_other(sale: Sale) -> None:
    await sale.join_many(3)
    assert (await sale.release(2**53 - 1)).after == 3
    assert (await sale.release(to=2**53 - 1)).capped


# --- Once ----------------------------------------------------------------------------------------


async def test_the_same_request_is_carried_out_once(sale: Sale) -> None:
    await sale.join_many(100)
    first = await sale.release(10, request_id="night-1")
    await sale.release(5)
    again = await sale.release(10, request_id="night-1")
    assert not first.repeated
    assert (again.before, again.after, again.people, again.repeated) == (0, 10, 10, True)
    assert await served(sale) == 15


async def test_the_same_request_at_once_from_many_gateways_is_carried_out_once(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(100)
    gateways = [sale, sale.through(new_ledger()), sale.through(new_ledger())]
    released = await asyncio.gather(
        *(gateway.release(7, request_id="r") for gateway in gateways for _ in range(10))
    )
    assert [r.repeated for r in released].count(False) == 1
    assert await served(sale) == 7


@pytest.mark.parametrize("other", [{"by": 11}, {"to": 10}])
async def test_the_same_request_for_something_else_is_a_conflict(
    sale: Sale, other: dict[str, Any]
) -> None:
    await sale.join_many(100)
    await sale.release(10, request_id="r")
    before = sale.contents(but=TICKS)
    with pytest.raises(Conflict, match="by:10"):
        await sale.ledger.release(sale.event, request_id="r", **other)
    assert sale.contents(but=TICKS) == before


async def test_a_request_is_remembered_for_a_week(sale: Sale) -> None:
    await sale.join_many(10)
    await sale.release(1, request_id="r")
    (record,) = [name for name in sale.all_keys() if ":release:" in name]
    assert RELEASE_RECORD_MS == 7 * 24 * 3600 * 1000
    assert 0 <= RELEASE_RECORD_MS - sale.server.command("PTTL", record) < 5000


async def test_a_repetition_is_answered_even_when_the_event_is_closed(sale: Sale) -> None:
    await sale.join_many(10)
    await sale.release(4, request_id="r")
    await sale.change(StateChange.CLOSE)
    again = await sale.release(4, request_id="r")
    assert (again.after, again.repeated) == (4, True)


async def test_any_text_may_name_a_request(sale: Sale) -> None:
    await sale.join_many(10)
    for name in ("", "a b\r\nc", "}{", "ü" * 10_000):
        assert not (await sale.release(1, request_id=name)).repeated
        assert (await sale.release(1, request_id=name)).repeated
    assert await served(sale) == 4


async def test_a_request_that_was_capped_to_nothing_counts_as_carried_out(sale: Sale) -> None:
    await sale.release(5, request_id="r")
    await sale.join_many(10)
    again = await sale.release(5, request_id="r")
    assert (again.after, again.capped, again.repeated) == (0, True, True)
    assert await served(sale) == 0


async def test_a_request_of_an_earlier_generation_is_forgotten(open_sale: OpenSale) -> None:
    old = await open_sale()
    await old.join_many(10)
    await old.release(5, request_id="r")
    old.set_field("state", "deleted")
    new = await open_sale()
    await new.join_many(10)
    assert not (await new.release(6, request_id="r")).repeated


async def test_a_release_whose_answer_was_lost_is_not_sent_again_without_an_id(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(50)
    async with LossyRelay(
        sale.server.socket, Path(f"{sale.server.socket}-relay")
    ).running() as relay:
        other = sale.through(new_ledger(relay.url))
        await other.release(1)
        relay.lose_answers(1)
        with pytest.raises(LedgerUnavailable):
            await other.release(10)
        assert (relay.lost, await served(sale)) == (1, 11)
        await other.ledger.aclose()


@pytest.mark.parametrize("ask", [{"by": 10, "request_id": "r"}, {"to": 11}])
async def test_a_release_that_may_be_repeated_is_repeated_and_counts_once(
    sale: Sale, new_ledger: NewLedger, ask: dict[str, Any]
) -> None:
    await sale.join_many(50)
    async with LossyRelay(
        sale.server.socket, Path(f"{sale.server.socket}-relay")
    ).running() as relay:
        other = sale.through(new_ledger(relay.url))
        await other.release(1)
        relay.lose_answers(1)
        released = await other.release(**ask)
        assert (relay.lost, released.after, await served(sale)) == (1, 11, 11)
        await other.ledger.aclose()


# --- Dry run -------------------------------------------------------------------------------------


async def test_a_dry_run_says_what_would_happen_and_changes_nothing(sale: Sale) -> None:
    await sale.join_many(20)
    await sale.release(5)
    before = sale.contents(but=TICKS)
    asks: list[tuple[dict[str, Any], int, int, bool]] = [
        ({"by": 10}, 15, 10, False),
        ({"by": 100}, 20, 15, True),
        ({"to": 3}, 5, 0, False),
        ({"to": 20, "request_id": "r"}, 20, 15, False),
    ]
    for ask, after, people, capped in asks:
        planned = await sale.release(dry_run=True, **ask)
        assert (planned.after, planned.people, planned.capped) == (after, people, capped)
        assert planned.dry_run
    assert sale.contents(but=TICKS) == before
    # The id of a dry run is still free.
    assert not (await sale.release(to=20, request_id="r")).repeated


async def test_a_dry_run_gives_nobody_whose_window_is_over_another_one(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(window_s=60, late_for_s=0)
    await sale.join_many(20)
    await sale.release(10)
    # The release is old enough to be forgotten, and the dry run is the first to notice.
    sale.set_field("active_ms", 3_600_000)
    await sale.release(1, dry_run=True)
    assert (await sale.claim(3)).outcome == "missed"


# --- Holes ---------------------------------------------------------------------------------------


async def with_holes(sale: Sale, joins: int, holes: str) -> None:
    await sale.join_many(joins)
    sale.set_field("holes", holes)


async def test_a_release_crosses_a_hole_for_free(sale: Sale) -> None:
    await with_holes(sale, 100, "11-60")
    released = await sale.release(15)
    # 1…10 and 61…65 are people.
    assert (released.after, released.people) == (65, 15)


async def test_the_pointer_does_not_stop_in_front_of_a_hole(sale: Sale) -> None:
    await with_holes(sale, 100, "11-60")
    assert (await sale.release(10)).after == 60
    assert (await sale.release(to=5)).after == 60


@pytest.mark.parametrize("to", [10, 11, 30, 59, 60])
async def test_a_release_to_a_turn_in_a_hole_goes_to_its_end(sale: Sale, to: int) -> None:
    await with_holes(sale, 100, "11-60")
    released = await sale.release(to=to)
    assert (released.after, released.people) == (60, 10)


async def test_a_release_to_a_turn_behind_the_pointer_moves_nothing(sale: Sale) -> None:
    await sale.join_many(100)
    await sale.release(20)
    # As after a loss: the pointer had passed the last visitor by the headroom.
    sale.set_field("holes", "11-60")
    released = await sale.release(to=10)
    assert (released.before, released.after, released.capped) == (20, 20, False)


async def test_holes_behind_the_pointer_do_not_count_again(sale: Sale) -> None:
    await with_holes(sale, 100, "1-5,11-20")
    await sale.release(to=30)
    assert (await sale.release(10)).people == 10
    assert await served(sale) == 40


async def test_a_hole_at_the_end_of_the_line_is_crossed_and_not_passed(sale: Sale) -> None:
    await with_holes(sale, 100, "91-100")
    released = await sale.release(90)
    assert (released.after, released.people, released.capped) == (100, 90, False)


@pytest.mark.parametrize("seed", range(12))
async def test_people_are_counted_as_one_would_by_hand(open_sale: OpenSale, seed: int) -> None:
    # pytest-randomly reseeds the shared generator; these lines are the same in every run.
    dice = random.Random(seed)
    headroom = dice.choice([0, 0, 7])
    sale = await open_sale(headroom=headroom)
    issued, ranges, turn = 120, [], 1
    while turn < issued:
        first = turn + dice.randint(0, 12)
        last = min(first + dice.randint(0, 9), issued)
        if first <= last:
            ranges.append((first, last))
        turn = last + 2
    await with_holes(sale, issued, ",".join(f"{a}-{b}" for a, b in ranges))
    empty = {turn for first, last in ranges for turn in range(first, last + 1)}
    pointer = 0
    for _ in range(40):
        by = dice.random() < 0.6
        amount = dice.randint(1, 12) if by else dice.randint(1, issued + 10)
        released = await sale.release(amount) if by else await sale.release(to=amount)
        expected = by_hand(pointer, amount, by=by, empty=empty, cap=issued + headroom)
        let_in = {t for t in range(pointer + 1, expected + 1)} - empty
        assert (released.before, released.after) == (pointer, expected)
        assert released.people == len(let_in)
        pointer = expected
    history = (await sale.read()).releases
    assert sum(release.people for release in history) == len(set(range(1, pointer + 1)) - empty)


def by_hand(pointer: int, amount: int, *, by: bool, empty: set[int], cap: int) -> int:
    """Walk turn by turn, as the words say it: count people, cross holes, stop at the cap."""
    turn, people = pointer, 0
    while turn < cap:
        following = turn + 1
        if following in empty:
            # Free, but only once the way up to it is open.
            turn = following
            continue
        if (by and people == amount) or (not by and following > amount):
            break
        turn, people = following, people + 1
    return turn


# --- States --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["scheduled", "paused", "closed", "bypass"])
async def test_nothing_is_released_unless_the_event_is_open(
    open_sale: OpenSale, state: str
) -> None:
    sale = await open_sale(opened=state != "scheduled")
    await sale.join_many(10)
    act = {"paused": "pause", "closed": "close", "bypass": "bypass"}.get(state)
    if act is not None:
        await sale.change(StateChange(act), for_s=60)
    before = sale.contents(but=TICKS)
    for dry_run in (False, True):
        with pytest.raises(Conflict):
            await sale.release(5, request_id="r", dry_run=dry_run)
    assert sale.contents(but=TICKS) == before


async def test_a_pause_that_lets_claims_go_on_stops_releases_all_the_same(sale: Sale) -> None:
    await sale.join_many(10)
    await sale.change(StateChange.PAUSE, releases_only=True)
    with pytest.raises(Conflict):
        await sale.release(1)


async def test_a_refused_request_may_be_asked_again_once_the_event_is_open(sale: Sale) -> None:
    await sale.join_many(10)
    await sale.change(StateChange.PAUSE)
    with pytest.raises(Conflict):
        await sale.release(5, request_id="r")
    await sale.change(StateChange.RESUME)
    assert not (await sale.release(5, request_id="r")).repeated
    assert await served(sale) == 5


async def test_a_release_works_the_moment_a_bypass_has_ended(sale: Sale) -> None:
    await sale.join_many(10)
    await sale.change(StateChange.BYPASS, for_s=3)
    sale.server.command("HINCRBY", sale.key("state"), "ticked_at", -4000)
    assert (await sale.release(5)).after == 5


# --- History -------------------------------------------------------------------------------------


async def test_a_steady_trickle_leaves_a_history_that_a_pace_can_be_read_from(sale: Sale) -> None:
    await sale.join_many(100)
    for _ in range(20):
        await sale.release(1)
        await sale.elapse(0.5)
    history = (await sale.read()).releases
    # Ten seconds of it: one record a second, not one that moves along with the clock.
    assert 9 <= len(history) <= 12
    assert sum(release.people for release in history) == 20
    assert history[-1].turn == 20


async def test_releases_of_one_second_are_one_record(sale: Sale) -> None:
    await sale.join_many(100)
    await sale.elapse(2)
    sale.set_field("active_ms", 2000)
    for _ in range(10):
        await sale.release(2)
    history = (await sale.read()).releases
    assert sum(release.people for release in history) == 20
    assert len(history) <= 2


async def test_old_releases_are_forgotten_by_age_and_never_by_count(sale: Sale) -> None:
    await sale.join_many(600)
    for i in range(300):
        sale.set_field("active_ms", 1000 * i)
        await sale.release(1)
    assert sale.server.command("ZCARD", sale.key("releases")) == 300
    sale.set_field("active_ms", 3_600_000)
    await sale.release(1)
    assert [release.turn for release in (await sale.read()).releases] == [301]
    await wait_until(lambda: sale.field("windows_ended_to") == "300")
