"""Claiming: one session for a turn that has come, in its window, below the limit."""

import asyncio

import pytest

from gateway.domain.positions import Generation, Position, Turn
from gateway.errors import GenerationOver
from gateway.ports import StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import TICKS, Sale

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]


async def outcome(sale: Sale, position: int, *, clk: int = 0) -> str:
    return (await sale.claim(position, clk=clk)).outcome


# --- Turn and session ----------------------------------------------------------------------------


async def test_the_visitor_at_the_pointer_is_seated(sale: Sale) -> None:
    await sale.join_many(3)
    await sale.release(2)
    seated = await sale.claim(2)
    assert (seated.outcome, seated.fresh) == ("seated", True)
    now_s = int(sale.server.command("TIME")[0])
    assert now_s + 598 <= seated.session_ends_at <= now_s + 600


async def test_the_visitor_just_past_the_pointer_is_not(sale: Sale) -> None:
    await sale.join_many(3)
    await sale.release(2)
    assert await outcome(sale, 3) == "not-yet"
    snapshot = await sale.read()
    assert (snapshot.claims, snapshot.active_sessions) == (0, 0)


async def test_it_is_the_turn_that_is_compared_and_the_position_that_is_seated(sale: Sale) -> None:
    await sale.join_many(50)
    await sale.release(10)
    assert (await sale.claim(45, turn=10)).outcome == "seated"
    assert (await sale.claim(5, turn=11)).outcome == "not-yet"
    assert (await sale.claim(45, turn=10)).fresh is False


async def test_claiming_again_finds_the_same_session(sale: Sale, new_ledger: NewLedger) -> None:
    await sale.join_many(3)
    await sale.release(3)
    first = await sale.claim(1)
    again = await sale.claim(1)
    elsewhere = await sale.through(new_ledger()).claim(1)
    for claimed in (again, elsewhere):
        assert (claimed.outcome, claimed.fresh) == ("seated", False)
        assert claimed.session_ends_at == first.session_ends_at
    snapshot = await sale.read()
    assert (snapshot.claims, snapshot.active_sessions) == (1, 1)


async def test_of_a_hundred_claims_at_once_one_opens_the_session(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join()
    await sale.release(1)
    gateways = [sale, sale.through(new_ledger())]
    claims = await asyncio.gather(*(g.claim(1) for g in gateways for _ in range(100)))
    assert [claim.fresh for claim in claims].count(True) == 1
    assert {claim.outcome for claim in claims} == {"seated"}
    assert (await sale.read()).claims == 1


async def test_a_crowd_whose_turn_comes_at_once_is_seated_at_once(sale: Sale) -> None:
    # More than there are connections: nobody is turned away for want of one.
    await sale.join_many(500)
    await sale.release(500)
    claims = await asyncio.gather(*(sale.claim(p) for p in range(1, 501)))
    assert all(claim.fresh for claim in claims)


async def test_a_session_that_has_ended_is_not_opened_again(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=10)
    await sale.join_many(2)
    await sale.release(2)
    await sale.claim(1)
    await sale.elapse(9)
    assert await outcome(sale, 1) == "seated"
    await sale.elapse(2)
    assert await outcome(sale, 1) == "ended"
    assert await outcome(sale, 2) == "seated"


async def test_a_session_that_was_left_is_not_opened_again(sale: Sale) -> None:
    await sale.join()
    await sale.release(1)
    await sale.claim(1)
    assert await sale.leave(1)
    assert await outcome(sale, 1) == "ended"


async def test_a_session_is_found_after_its_window_is_over(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=120, window_s=10, late_for_s=0)
    await sale.join()
    await sale.release(1)
    await sale.claim(1)
    await sale.elapse(60)
    assert await outcome(sale, 1) == "seated"


@pytest.mark.parametrize(
    "position",
    [1, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16 + 7, 2**32, 2**40, 2**40 + 2**16, 2**53 - 1],
)
async def test_positions_far_apart_are_told_apart(sale: Sale, position: int) -> None:
    # The low 16 bits choose a bit, the others a bitmap; both ends of each must not run together.
    sale.set_issued(2**53 - 1)
    await sale.release(to=2**53 - 1)
    assert (await sale.claim(position)).fresh
    for other in {position ^ 1, position ^ 2**16, position ^ 2**15} - {0}:
        assert (await sale.claim(other)).fresh, f"{other} was taken for {position}"
    assert await sale.leave(position)
    assert await outcome(sale, position) == "ended"


async def test_one_bitmap_stays_small_however_far_the_position(sale: Sale) -> None:
    sale.set_issued(2**41)
    await sale.release(to=2**41)
    await sale.claim(2**40 + 2**16 - 1)
    (bitmap,) = [name for name in sale.all_keys() if ":claimed:" in name]
    assert sale.server.command("STRLEN", bitmap) == 8192


async def test_a_token_of_an_earlier_generation_is_told_so(sale: Sale) -> None:
    await sale.join()
    await sale.release(1)
    old = Generation(sale.generation - 1)
    before = sale.contents()
    with pytest.raises(GenerationOver):
        await sale.ledger.claim(sale.event, old, Position(1), Turn(1), 0)
    with pytest.raises(GenerationOver):
        await sale.ledger.extend(sale.event, old, Position(1), by_s=None, by_visitor=True)
    with pytest.raises(GenerationOver):
        await sale.ledger.leave(sale.event, old, Position(1), 0)
    assert sale.contents() == before


async def test_asking_opens_nothing_and_says_what_a_claim_would_find(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=1, window_s=30, late_for_s=0)
    await sale.join_many(4)
    await sale.release(3)

    async def asked(position: int) -> str:
        answer = await sale.claim(position, only_ask=True)
        assert not answer.fresh
        return answer.outcome

    before = sale.contents(but=TICKS)
    assert [await asked(p) for p in (1, 4)] == ["claimable", "not-yet"]
    assert sale.contents(but=TICKS) == before
    await sale.claim(1)
    assert [await asked(p) for p in (1, 2)] == ["seated", "full"]
    await sale.leave(1)
    assert [await asked(p) for p in (1, 2)] == ["ended", "claimable"]
    await sale.elapse(31)
    assert await asked(2) == "missed"
    await sale.change(StateChange.CLOSE)
    assert await asked(4) == "closed"
    assert (await sale.read()).claims == 1


# --- The limit -----------------------------------------------------------------------------------


async def test_no_more_are_seated_than_the_backend_carries(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=3)
    await sale.join_many(10)
    # Mistyped by a factor of a hundred.
    await sale.release(1000)
    claims = await asyncio.gather(*(sale.claim(p) for p in range(1, 11)))
    assert [str(claim.outcome) for claim in claims].count("seated") == 3
    assert [str(claim.outcome) for claim in claims].count("full") == 7
    assert (await sale.read()).active_sessions == 3


async def test_many_gateways_together_seat_no_more_than_the_limit(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    sale = await open_sale(max_sessions=7)
    await sale.join_many(100)
    await sale.release(100)
    gateways = [sale.through(new_ledger()) for _ in range(4)]
    claims = await asyncio.gather(*(gateways[p % 4].claim(p) for p in range(1, 101)))
    assert [claim.fresh for claim in claims].count(True) == 7


async def test_who_holds_a_session_finds_it_at_the_limit(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=1)
    await sale.join_many(2)
    await sale.release(2)
    await sale.claim(1)
    assert await outcome(sale, 1) == "seated"
    assert await outcome(sale, 2) == "full"


async def test_at_the_limit_the_events_clock_stands_still_and_no_window_runs_out(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(max_sessions=1, session_s=600, window_s=30, late_for_s=0)
    await sale.join_many(2)
    await sale.release(2)
    await sale.claim(1)
    before_ms = sale.clock_ms("active_ms")
    await sale.elapse(300)
    assert sale.clock_ms("active_ms") == before_ms
    assert await outcome(sale, 2) == "full"
    await sale.leave(1)
    assert await outcome(sale, 2) == "seated"


async def test_a_seat_that_comes_free_is_the_next_ones(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=2, session_s=10)
    await sale.join_many(4)
    await sale.release(4)
    assert [await outcome(sale, p) for p in (1, 2, 3)] == ["seated", "seated", "full"]
    await sale.elapse(11)
    assert [await outcome(sale, p) for p in (3, 4)] == ["seated", "seated"]


async def test_a_limit_that_is_lowered_ends_no_session_and_opens_none(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=3)
    await sale.join_many(5)
    await sale.release(5)
    for position in (1, 2, 3):
        await sale.claim(position)
    await sale.configure(max_sessions=1)
    assert (await sale.read()).active_sessions == 3
    await sale.leave(1)
    await sale.leave(2)
    assert await outcome(sale, 4) == "full"
    await sale.leave(3)
    assert await outcome(sale, 4) == "seated"


async def test_a_limit_that_is_raised_sets_the_clock_going_again(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=1)
    await sale.join_many(2)
    await sale.release(2)
    await sale.claim(1)
    await sale.configure(max_sessions=2)
    before_ms = sale.clock_ms("active_ms")
    await sale.elapse(10)
    assert sale.clock_ms("active_ms") >= before_ms + 10_000


# --- The window ----------------------------------------------------------------------------------


async def test_a_turn_may_be_claimed_until_its_window_is_over(open_sale: OpenSale) -> None:
    sale = await open_sale(window_s=30, late_for_s=0)
    await sale.join_many(2)
    await sale.release(2)
    await sale.elapse(29)
    assert await outcome(sale, 1) == "seated"
    await sale.elapse(2)
    assert await outcome(sale, 2) == "missed"


async def test_each_release_has_a_window_of_its_own(open_sale: OpenSale) -> None:
    sale = await open_sale(window_s=30, late_for_s=0)
    await sale.join_many(20)
    await sale.release(10)
    await sale.elapse(20)
    await sale.release(10)
    await sale.elapse(15)
    assert await outcome(sale, 10) == "missed"
    assert await outcome(sale, 11) == "seated"


async def test_the_window_counts_from_the_visitors_own_join_where_that_was_later(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(window_s=30, late_for_s=0, headroom=10)
    await sale.release(10)
    await sale.elapse(60)
    place = await sale.join()
    await sale.elapse(20)
    assert await outcome(sale, place.position + 1, clk=0) == "missed"
    assert await outcome(sale, place.position, clk=place.joined_active_ms) == "seated"


async def test_a_missed_window_is_forgiven_for_the_tokens_life_by_default(sale: Sale) -> None:
    await sale.join_many(2)
    await sale.release(2)
    sale.set_field("active_ms", 40 * 24 * 3_600_000)
    claimed = await sale.claim(1)
    assert (claimed.outcome, claimed.fresh) == ("seated", True)
    assert sale.field("late") == "1"


async def test_being_late_is_forgiven_for_as_long_as_the_event_says(open_sale: OpenSale) -> None:
    sale = await open_sale(window_s=30, late_for_s=60)
    await sale.join_many(2)
    await sale.release(2)
    await sale.elapse(88)
    assert await outcome(sale, 1) == "seated"
    await sale.elapse(4)
    assert await outcome(sale, 2) == "missed"
    assert sale.field("late") == "1"


async def test_who_comes_in_time_is_not_counted_as_late(open_sale: OpenSale) -> None:
    sale = await open_sale(window_s=30)
    await sale.join()
    await sale.release(1)
    await sale.elapse(20)
    await sale.claim(1)
    assert sale.field("late") == "0"


async def test_a_late_visitor_is_seated_as_capacity_allows(open_sale: OpenSale) -> None:
    sale = await open_sale(window_s=10, max_sessions=1)
    await sale.join_many(2)
    await sale.release(2)
    await sale.elapse(60)
    assert await outcome(sale, 1) == "seated"
    assert await outcome(sale, 2) == "full"
    await sale.leave(1)
    assert await outcome(sale, 2) == "seated"


async def test_lateness_counts_from_the_join_even_for_a_release_long_forgotten(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(window_s=600, late_for_s=600, headroom=10)
    await sale.release(10)
    # Released at 0, kept until 1200 s of the event clock. The visitor joins at 1000 s, and comes at
    # 1700 s: 100 s after the window of their own, and the event forgives 600.
    sale.set_field("active_ms", 1_000_000)
    place = await sale.join()
    sale.set_field("active_ms", 1_700_000)
    assert sale.clock_ms("active_ms") == 1_700_000
    await sale.read()
    assert sale.field("windows_ended_to") == "10"
    assert await outcome(sale, place.position, clk=place.joined_active_ms) == "seated"
    assert await outcome(sale, place.position + 1) == "missed"


async def test_a_release_that_is_forgotten_gives_its_turns_no_new_window(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(window_s=30, late_for_s=0)
    await sale.join_many(20)
    await sale.release(10)
    sale.set_field("active_ms", 3_600_000)
    await sale.release(10)
    assert [await outcome(sale, p) for p in (1, 10, 11)] == ["missed", "missed", "seated"]


# --- States --------------------------------------------------------------------------------------


async def test_a_pause_stops_claims_and_freezes_windows(open_sale: OpenSale) -> None:
    sale = await open_sale(window_s=30, late_for_s=0)
    await sale.join_many(3)
    await sale.release(2)
    await sale.claim(1)
    await sale.elapse(20)
    await sale.change(StateChange.PAUSE)
    await sale.elapse(120)
    assert await outcome(sale, 2) == "not-yet"
    assert await outcome(sale, 1) == "seated", "a session goes on through a pause"
    await sale.change(StateChange.RESUME)
    assert await outcome(sale, 2) == "seated"


async def test_a_pause_does_not_stop_the_end_of_a_session(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=30)
    await sale.join()
    await sale.release(1)
    await sale.claim(1)
    await sale.change(StateChange.PAUSE)
    await sale.elapse(31)
    assert (await sale.read()).active_sessions == 0


async def test_a_pause_of_releases_only_lets_claims_go_on_and_windows_run(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(window_s=30, late_for_s=0)
    await sale.join_many(3)
    await sale.release(3)
    await sale.change(StateChange.PAUSE, releases_only=True)
    assert await outcome(sale, 1) == "seated"
    await sale.elapse(31)
    assert await outcome(sale, 2) == "missed"


async def test_after_the_close_a_turn_may_be_claimed_until_its_window_ends(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(window_s=30, late_for_s=3600)
    await sale.join_many(5)
    await sale.release(3)
    await sale.change(StateChange.CLOSE)
    assert await outcome(sale, 1) == "seated"
    assert await outcome(sale, 4) == "closed", "no turn will come any more"
    await sale.elapse(31)
    assert await outcome(sale, 2) == "closed", "lateness is not forgiven after the close"
    assert await outcome(sale, 1) == "seated"


async def test_in_a_bypass_who_has_a_turn_may_claim_it(sale: Sale) -> None:
    await sale.join_many(2)
    await sale.release(1)
    await sale.change(StateChange.BYPASS, for_s=60)
    assert [await outcome(sale, p) for p in (1, 2)] == ["seated", "not-yet"]


async def test_before_the_opening_nobody_has_a_turn(open_sale: OpenSale) -> None:
    sale = await open_sale(opened=False)
    await sale.join()
    sale.set_served(5)
    sale.set_field("windows_ended_to", 5)
    assert await outcome(sale, 1) == "not-yet"
