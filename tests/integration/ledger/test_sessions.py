"""Sessions: lengthened within bounds, ended early, and ended on a clock that no jump can hurry."""

import pytest

from gateway.domain.operator_log import Author, Entry, read_entry, verify
from gateway.domain.positions import Generation, Position
from gateway.errors import GenerationOver, LedgerUnavailable
from gateway.ports import SessionSeen, SessionState, StateChange
from tests.integration.ledger.conftest import OpenSale
from tests.support.sales import Sale
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]

HOUR_MS = 3_600_000


async def seated(sale: Sale, count: int = 1) -> int:
    """Seat visitors 1…`count`; return the end of the last one's session."""
    await sale.join_many(count)
    await sale.release(count)
    for position in range(1, count + 1):
        claimed = await sale.claim(position)
        assert claimed.outcome == "seated"
    return claimed.session_ends_at


# --- Extending -----------------------------------------------------------------------------------


async def test_a_visitor_lengthens_a_session_by_the_events_length_from_now(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(session_s=100, extend_s=300, extend_times=2)
    end_s = await seated(sale)
    extended = await sale.extend(1)
    assert (extended.outcome, extended.left) == ("extended", 1)
    assert 199 <= extended.session_ends_at - end_s <= 201
    assert abs((await sale.claim(1)).session_ends_at - extended.session_ends_at) <= 1


async def test_a_visitor_lengthens_as_often_as_the_event_allows(open_sale: OpenSale) -> None:
    sale = await open_sale(extend_times=2)
    await seated(sale)
    for left in (1, 0):
        await sale.elapse(5)
        assert (await sale.extend(1)).left == left
    refused = await sale.extend(1)
    assert (refused.outcome, refused.left) == ("not-allowed", 0)
    assert refused.session_ends_at == (await sale.claim(1)).session_ends_at


async def test_a_visitor_may_ask_for_less_and_never_for_more(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=10, extend_s=100, extend_times=2)
    end_s = await seated(sale)
    less = await sale.extend(1, by_s=50)
    assert 39 <= less.session_ends_at - end_s <= 41
    more = await sale.extend(1, by_s=100_000)
    assert 89 <= more.session_ends_at - end_s <= 91


async def test_the_backend_lengthens_beyond_what_a_visitor_may(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=10, extend_s=100, extend_times=0)
    end_s = await seated(sale)
    assert (await sale.extend(1)).outcome == "not-allowed"
    extended = await sale.extend(1, by_s=3600, by_visitor=False)
    assert extended.outcome == "extended"
    assert 3589 <= extended.session_ends_at - end_s <= 3591


async def test_the_backends_extensions_do_not_use_up_the_visitors(open_sale: OpenSale) -> None:
    sale = await open_sale(extend_times=1)
    await seated(sale)
    for _ in range(3):
        assert (await sale.extend(1, by_s=60, by_visitor=False)).left == 1
    assert (await sale.extend(1)).outcome == "extended"


async def test_a_visitors_extension_that_gains_nothing_is_not_counted(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=600, extend_s=600, extend_times=1)
    await seated(sale)
    long = await sale.extend(1, by_s=3600, by_visitor=False)
    for _ in range(3):
        asked = await sale.extend(1)
        assert (asked.outcome, asked.left, asked.longer) == ("extended", 1, False)
        assert abs(asked.session_ends_at - long.session_ends_at) <= 1
    # Once it would gain something, it does, and counts.
    await sale.elapse(3300)
    asked = await sale.extend(1)
    assert (asked.outcome, asked.left, asked.longer) == ("extended", 0, True)
    assert (await sale.extend(1)).outcome == "not-allowed"


async def test_what_is_not_counted_adds_up_to_nothing(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=600, extend_s=600, extend_times=1)
    await seated(sale)
    ends = sale.server.command("ZSCORE", sale.key("sessions"), 1)
    for _ in range(20):
        # Some of these come within the second of the claim, and one may fall into the next.
        asked = await sale.extend(1)
        if asked.outcome == "not-allowed" or asked.longer:
            break
        assert sale.server.command("ZSCORE", sale.key("sessions"), 1) == ends


async def test_the_backend_lengthens_a_session_to_a_day_at_most(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=10)
    end_s = await seated(sale)
    extended = await sale.extend(1, by_s=10 * 86_400, by_visitor=False)
    assert abs(extended.session_ends_at - end_s - 86_390) <= 1


@pytest.mark.parametrize("by_s", [-100, 0, 1, 500])
async def test_a_session_never_gets_shorter_by_an_extension(open_sale: OpenSale, by_s: int) -> None:
    sale = await open_sale(session_s=600, extend_s=600, extend_times=5)
    end_s = await seated(sale)
    for by_visitor in (True, False):
        extended = await sale.extend(1, by_s=by_s, by_visitor=by_visitor)
        assert extended.session_ends_at >= end_s


async def test_who_has_no_session_has_none_to_lengthen(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=10)
    await seated(sale, 2)
    assert (await sale.extend(3)).outcome == "no-session"
    await sale.leave(1)
    assert (await sale.extend(1)).outcome == "no-session"
    await sale.elapse(11)
    assert (await sale.extend(2)).outcome == "no-session"
    assert (await sale.extend(2, by_s=60, by_visitor=False)).outcome == "no-session"


async def test_a_lengthened_session_outlives_its_first_end(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=10, extend_s=10, extend_times=1)
    await seated(sale, 2)
    await sale.elapse(8)
    await sale.extend(1)
    await sale.elapse(5)
    assert (await sale.claim(1)).outcome == "seated"
    assert (await sale.claim(2)).outcome == "ended"
    assert (await sale.read()).active_sessions == 1


async def test_the_count_of_extensions_goes_with_the_session(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=10, extend_s=10)
    await seated(sale, 3)
    await sale.elapse(5)
    for position in (1, 2, 3):
        await sale.extend(position)
    await sale.leave(1)
    assert sale.server.command("HLEN", sale.key("extends")) == 2
    await sale.elapse(11)
    assert sale.key("extends") not in sale.all_keys()


# --- Leaving -------------------------------------------------------------------------------------


async def test_leaving_frees_a_seat_at_once(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=1)
    await sale.join_many(2)
    await sale.release(2)
    await sale.claim(1)
    assert (await sale.claim(2)).outcome == "full"
    assert await sale.leave(1)
    assert (await sale.claim(2)).outcome == "seated"


async def test_leaving_twice_is_leaving_once(sale: Sale) -> None:
    await seated(sale)
    assert [await sale.leave(1) for _ in range(3)] == [True, False, False]
    assert sale.server.command("XLEN", sale.key("ended")) == 1
    assert (await sale.read()).active_sessions == 0


async def test_leaving_while_waiting_gives_up_no_place(sale: Sale) -> None:
    await sale.join_many(2)
    await sale.release(1)
    assert not await sale.leave(1)
    assert not await sale.leave(2)
    assert (await sale.claim(1)).outcome == "seated"


async def test_who_left_is_published_until_no_pass_of_theirs_can_be_shown(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(session_s=600, finish_grace_s=50)
    end_s = await seated(sale, 2)
    pass_ends_at = end_s + 777
    await sale.leave(1)
    await sale.leave(2, pass_ends_at)
    ended = (await sale.read()).ended
    assert 0 <= ended[1] - (end_s + 50) <= 2  # type: ignore[index]
    # A pass whose session ended later on the wall than the ledger thinks now.
    assert ended[2] == pass_ends_at + 51  # type: ignore[index]


async def test_a_reader_that_knows_the_ended_is_told_only_the_new_ones(sale: Sale) -> None:
    await seated(sale, 4)
    await sale.leave(1)
    first = await sale.read()
    await sale.leave(2)
    second = await sale.ledger.read(sale.event, first)
    assert set(first.ended) == {1}
    assert set(second.ended) == {1, 2}
    third = await sale.ledger.read(sale.event, second)
    assert third.ended == second.ended


async def test_a_read_by_somebody_else_hides_nothing_from_a_reader_that_knows_less(
    sale: Sale,
) -> None:
    await seated(sale, 4)
    await sale.leave(1)
    known = await sale.read()
    await sale.leave(2)
    # The same process reads for another purpose, and keeps nothing of it.
    await sale.read()
    await sale.leave(3)
    later = await sale.ledger.read(sale.event, known)
    assert set(later.ended) == {1, 2, 3}


async def test_the_ended_of_an_earlier_generation_are_not_those_of_the_next(
    open_sale: OpenSale,
) -> None:
    old = await open_sale()
    await seated(old, 2)
    await old.leave(1)
    known = await old.read()
    old.set_field("state", "deleted")
    new = await open_sale()
    await seated(new, 2)
    assert (await new.ledger.read(new.event, known)).ended == {}
    await new.leave(2)
    assert set((await new.ledger.read(new.event, known)).ended) == {2}


async def test_what_is_over_leaves_the_list_of_the_ended(sale: Sale) -> None:
    now_s = int(sale.server.command("TIME")[0])
    for position, until_s in ((1, now_s - 5), (2, now_s + 1), (3, now_s + 100)):
        sale.server.command("XADD", sale.key("ended"), "*", "position", position, "until", until_s)
    held = [await sale.read()]
    assert set(held[0].ended) == {2, 3}

    async def only_the_last_is_left() -> bool:
        held[0] = await sale.ledger.read(sale.event, held[0])
        return set(held[0].ended) == {3}

    await wait_until(only_the_last_is_left)


# --- Clocks --------------------------------------------------------------------------------------


async def test_a_session_ends_by_itself_in_real_time(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=1)
    await seated(sale)

    async def nobody_is_there() -> bool:
        return (await sale.read()).active_sessions == 0

    await wait_until(nobody_is_there)
    assert (await sale.claim(1)).outcome == "ended"


async def test_an_hour_in_which_nobody_asked_ends_nobodys_session(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=60, window_s=60, late_for_s=0)
    await sale.join_many(2)
    await sale.release(2)
    await sale.claim(1)
    # An outage, or a server's clock that jumped: either way the last tick is hours ago.
    sale.server.command("HINCRBY", sale.key("state"), "ticked_at", -5 * HOUR_MS)
    assert (await sale.claim(1)).outcome == "seated"
    assert (await sale.claim(2)).outcome == "seated"
    assert sale.clock_ms("ledger_ms") < 10_000


async def test_a_clock_that_goes_back_ends_nobodys_session_and_freezes_nothing(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(session_s=20)
    await seated(sale)
    sale.server.command("HINCRBY", sale.key("state"), "ticked_at", 5 * HOUR_MS)
    before_ms = sale.clock_ms("ledger_ms")
    assert (await sale.claim(1)).outcome == "seated"
    assert sale.clock_ms("ledger_ms") == before_ms
    await sale.elapse(21)
    assert (await sale.claim(1)).outcome == "ended"


async def test_after_a_jump_a_pass_lasts_as_long_as_its_session_still_does(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(session_s=60)
    end_s = await seated(sale)
    sale.server.command("HINCRBY", sale.key("state"), "ticked_at", -HOUR_MS)
    # Five seconds of the hour were counted: the rest is added to the wall's end of the session.
    again = await sale.claim(1)
    assert abs(again.session_ends_at - (end_s - 5)) <= 1
    assert sale.clock_ms("ledger_ms") >= 5000


async def test_the_ledgers_clock_runs_in_every_state_and_the_events_only_while_claims_can_be_served(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(opened=False)
    for change, runs in (
        (None, False),
        (StateChange.OPEN, True),
        (StateChange.PAUSE, False),
        (StateChange.RESUME, True),
        (StateChange.BYPASS, True),
        (StateChange.CLOSE, True),
    ):
        if change is not None:
            await sale.change(change, for_s=3600)
        ledger_ms, active_ms = sale.clock_ms("ledger_ms"), sale.clock_ms("active_ms")
        await sale.elapse(10)
        assert sale.clock_ms("ledger_ms") - ledger_ms >= 10_000
        assert (sale.clock_ms("active_ms") - active_ms >= 10_000) is runs
    await sale.change(StateChange.OPEN)
    await sale.change(StateChange.PAUSE, releases_only=True)
    active_ms = sale.clock_ms("active_ms")
    await sale.elapse(10)
    assert sale.clock_ms("active_ms") - active_ms >= 10_000


# --- By an operator ------------------------------------------------------------------------------

ADA = Author("ada", "rang")


async def acts_of(sale: Sale) -> list[Entry]:
    log = await sale.ledger.operator_log(sale.event)
    assert verify(sale.event, log).faults == []
    entries = [read_entry(logged.text) for logged in log.entries]
    return [entry for entry in entries if entry is not None]


async def test_only_what_an_operator_does_to_a_session_is_logged(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=100, extend_s=300)
    end_s = await seated(sale, 3)
    await sale.extend(1)
    await sale.extend(2, by_s=200, by_visitor=False)
    await sale.leave(3)
    before = await acts_of(sale)
    assert {entry.act for entry in before} == {"create", "release"}
    extended = await sale.ledger.extend(
        sale.event, sale.generation, Position(2), by_s=400, by_visitor=False, author=ADA
    )
    assert extended.longer
    assert await sale.ledger.leave(sale.event, sale.generation, Position(2), 0, author=ADA)
    longer, ended = (await acts_of(sale))[len(before) :]
    assert (longer.act, longer.by, longer.reason) == ("extend-session", "ada", "rang")
    assert longer.after == {"position": 2, "session_ends_at": extended.session_ends_at}
    assert abs(longer.before["session_ends_at"] - end_s - 100) <= 1
    assert (ended.act, ended.by) == ("end-session", "ada")
    assert ended.after["position"] == 2
    assert abs(ended.before["session_ends_at"] - extended.session_ends_at) <= 1
    assert set((await sale.read()).ended) == {2, 3}


async def test_what_an_operator_could_not_do_is_not_logged(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=100)
    await seated(sale)
    before = await acts_of(sale)
    for position, by_s in ((1, 5), (2, 500)):
        extended = await sale.ledger.extend(
            sale.event, sale.generation, Position(position), by_s=by_s, by_visitor=False, author=ADA
        )
        assert not extended.longer
    assert not await sale.ledger.leave(sale.event, sale.generation, Position(2), 0, author=ADA)
    assert await acts_of(sale) == before


async def test_a_session_is_seen_from_its_beginning_to_its_end(open_sale: OpenSale) -> None:
    sale = await open_sale(session_s=60, extend_s=100, extend_times=3)
    await sale.join_many(2)

    async def seen(position: int) -> SessionSeen:
        return await sale.ledger.session(sale.event, sale.generation, Position(position))

    assert await seen(1) == await seen(70_000) == SessionSeen(SessionState.NONE)
    await sale.release(1)
    claimed = await sale.claim(1)
    assert claimed.extensions_left == 3
    first = await seen(1)
    assert (first.state, first.extensions_used, first.extensions_left) == ("running", 0, 3)
    assert abs(first.ends_at - claimed.session_ends_at) <= 1
    assert 58 <= first.seconds_left <= 60
    await sale.extend(1)
    longer = await seen(1)
    assert (longer.extensions_used, longer.extensions_left) == (1, 2)
    assert (await sale.claim(1)).extensions_left == 2
    assert longer.seconds_left > 90
    await sale.elapse(101)
    assert await seen(1) == SessionSeen(SessionState.OVER)


async def test_a_session_of_an_earlier_generation_is_nobodys(sale: Sale) -> None:
    await seated(sale)
    with pytest.raises(GenerationOver):
        await sale.ledger.session(sale.event, Generation(sale.generation - 1), Position(1))


async def test_a_used_position_is_not_seen_as_new_when_its_record_is_lost(sale: Sale) -> None:
    await seated(sale)
    await sale.leave(1)
    (bitmap,) = [name for name in sale.all_keys() if ":claimed:" in name]
    sale.server.command("DEL", bitmap)
    with pytest.raises(LedgerUnavailable):
        await sale.ledger.session(sale.event, sale.generation, Position(1))
