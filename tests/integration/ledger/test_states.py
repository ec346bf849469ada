"""An operator's acts: which fit which state, where they lead, and how a bypass ends."""

import hashlib

import pytest

from gateway.domain.events import EventPolicy, EventState
from gateway.errors import Conflict, EventGone
from gateway.ledger.redis import RedisLedger
from gateway.ports import StateChange
from tests.integration.ledger.conftest import OpenSale
from tests.support.sales import TICKS, Sale
from tests.support.servers import RealServer

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

OPEN, PAUSE, RESUME = StateChange.OPEN, StateChange.PAUSE, StateChange.RESUME
CLOSE, BYPASS, MESSAGE = StateChange.CLOSE, StateChange.BYPASS, StateChange.MESSAGE

WAY_TO = {
    "scheduled": [],
    "open": [OPEN],
    "paused": [OPEN, PAUSE],
    "closed": [CLOSE],
    "bypass": [OPEN, BYPASS],
}

TRANSITIONS = {
    ("scheduled", OPEN): "open",
    ("scheduled", PAUSE): None,
    ("scheduled", RESUME): None,
    ("scheduled", CLOSE): "closed",
    ("scheduled", BYPASS): "bypass",
    ("open", OPEN): "open",
    ("open", PAUSE): "paused",
    ("open", RESUME): "open",
    ("open", CLOSE): "closed",
    ("open", BYPASS): "bypass",
    ("paused", OPEN): None,
    ("paused", PAUSE): "paused",
    ("paused", RESUME): "open",
    ("paused", CLOSE): "closed",
    ("paused", BYPASS): "bypass",
    ("closed", OPEN): "open",
    ("closed", PAUSE): None,
    ("closed", RESUME): None,
    ("closed", CLOSE): "closed",
    ("closed", BYPASS): None,
    ("bypass", OPEN): "open",
    ("bypass", PAUSE): None,
    ("bypass", RESUME): None,
    ("bypass", CLOSE): "closed",
    ("bypass", BYPASS): "bypass",
    ("scheduled", MESSAGE): "scheduled",
    ("open", MESSAGE): "open",
    ("paused", MESSAGE): "paused",
    ("closed", MESSAGE): "closed",
    ("bypass", MESSAGE): "bypass",
}


async def brought_to(open_sale: OpenSale, state: str) -> Sale:
    sale = await open_sale(opened=False)
    for change in WAY_TO[state]:
        await sale.change(change, for_s=3600)
    assert await state_of(sale) == state
    return sale


async def state_of(sale: Sale) -> EventState:
    return (await sale.read()).state


@pytest.mark.parametrize(
    ("state", "change", "leads_to"), [(*case, state) for case, state in TRANSITIONS.items()]
)
async def test_an_act_leads_where_it_should_or_changes_nothing(
    open_sale: OpenSale, state: str, change: StateChange, leads_to: str | None
) -> None:
    sale = await brought_to(open_sale, state)
    before = sale.contents(but=TICKS)
    if leads_to is None:
        with pytest.raises(Conflict):
            await sale.change(change, message="no", for_s=60)
        assert sale.contents(but=TICKS) == before
    else:
        await sale.change(change, message="yes", for_s=60)
        snapshot = await sale.read()
        assert (snapshot.state, snapshot.message) == (leads_to, "yes")


def test_every_act_is_tried_in_every_state() -> None:
    assert len(TRANSITIONS) == len(WAY_TO) * len(StateChange)


async def test_a_refusal_tells_the_operator_what_to_do_instead(open_sale: OpenSale) -> None:
    sale = await brought_to(open_sale, "scheduled")
    with pytest.raises(Conflict, match="gateway event open"):
        await sale.change(PAUSE)
    await sale.change(OPEN)
    await sale.change(PAUSE)
    with pytest.raises(Conflict, match="gateway event resume"):
        await sale.change(OPEN)


@pytest.mark.parametrize(
    "message", ["", "Back at 8 pm", "Zurück um 20 Uhr ☕", 'a "b" <c>\r\n{d} %s \x00']
)
async def test_a_message_is_shown_as_it_was_written(sale: Sale, message: str) -> None:
    await sale.change(PAUSE, message=message)
    assert (await sale.read()).message == message


async def test_an_act_without_a_message_takes_the_last_one_down(sale: Sale) -> None:
    await sale.change(PAUSE, message="A short pause")
    await sale.change(RESUME)
    assert (await sale.read()).message == ""


async def test_a_pause_says_whether_claims_go_on(sale: Sale) -> None:
    await sale.change(PAUSE)
    assert (await sale.read()).claims_frozen
    await sale.change(PAUSE, releases_only=True)
    assert not (await sale.read()).claims_frozen
    await sale.change(PAUSE)
    assert (await sale.read()).claims_frozen


async def test_an_act_is_seen_as_a_change_of_now(sale: Sale) -> None:
    before_ms = (await sale.read()).updated_at_ms
    sale.set_field("updated_at", before_ms - 60_000)
    await sale.change(PAUSE)
    assert (await sale.read()).updated_at_ms >= before_ms


# --- Bypass --------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["scheduled", "open", "paused"])
async def test_a_bypass_ends_by_itself_and_leaves_the_event_as_it_was(
    open_sale: OpenSale, state: str
) -> None:
    sale = await brought_to(open_sale, state)
    await sale.change(BYPASS, for_s=30)
    await sale.elapse(28)
    assert await state_of(sale) == "bypass"
    await sale.elapse(3)
    assert await state_of(sale) == state


async def test_a_bypass_gives_back_a_pause_that_let_claims_go_on(sale: Sale) -> None:
    await sale.join_many(2)
    await sale.release(2)
    await sale.change(PAUSE, releases_only=True)
    await sale.change(BYPASS, for_s=10)
    await sale.elapse(11)
    snapshot = await sale.read()
    assert (snapshot.state, snapshot.claims_frozen) == ("paused", False)
    assert (await sale.claim(1)).outcome == "seated"


async def test_a_second_bypass_sets_a_new_end_and_keeps_the_way_back(sale: Sale) -> None:
    await sale.change(PAUSE)
    await sale.change(BYPASS, for_s=30)
    await sale.elapse(20)
    await sale.change(BYPASS, for_s=30)
    await sale.elapse(20)
    assert await state_of(sale) == "bypass"
    await sale.elapse(12)
    assert await state_of(sale) == "paused"


async def test_a_bypass_lasts_its_time_through_an_outage(sale: Sale) -> None:
    await sale.change(BYPASS, for_s=60)
    sale.server.command("HINCRBY", sale.key("state"), "ticked_at", -3_600_000)
    assert await state_of(sale) == "bypass"


async def test_an_act_right_after_a_bypass_meets_the_state_that_it_gave_back(sale: Sale) -> None:
    await sale.change(PAUSE)
    await sale.change(BYPASS, for_s=3)
    sale.server.command("HINCRBY", sale.key("state"), "ticked_at", -4000)
    await sale.change(RESUME)
    assert await state_of(sale) == "open"


async def test_a_bypass_ended_by_opening_does_not_end_again(sale: Sale) -> None:
    await sale.change(PAUSE)
    await sale.change(BYPASS, for_s=10)
    await sale.change(OPEN)
    await sale.elapse(20)
    assert await state_of(sale) == "open"


# --- Making, changing, deleting ------------------------------------------------------------------


async def test_creating_twice_changes_nothing(sale: Sale) -> None:
    await sale.join_many(5)
    await sale.release(2)
    before = sale.contents()
    assert not await sale.ledger.create(sale.event, EventPolicy(max_sessions=9), opened=False)
    assert sale.contents() == before


async def test_an_event_holds_the_policy_that_it_was_given(
    server: RealServer, ledger: RedisLedger
) -> None:
    policy = EventPolicy(
        window_s=1,
        session_s=2,
        max_sessions=3,
        headroom=4,
        late_for_s=5,
        extend_times=6,
        extend_s=7,
        finish_grace_s=8,
        token_life_s=9,
        closes_at=10,
        one_place_per_sub=True,
        voucher_required=True,
        draw=True,
    )
    sale = await Sale.open(server, ledger, policy, opened=False)
    assert (await sale.read()).policy == policy
    await sale.ledger.configure(sale.event, EventPolicy())
    assert (await sale.read()).policy == EventPolicy()


async def test_the_events_are_those_that_were_made(open_sale: OpenSale) -> None:
    first, second = await open_sale(name="b-event"), await open_sale(name="a-event")
    assert await first.ledger.events() == [second.event, first.event]


async def test_a_generation_never_repeats(open_sale: OpenSale) -> None:
    generations = []
    for _ in range(5):
        # Several within one second: the ledger's seconds alone would repeat.
        sale = await open_sale()
        generations.append(sale.generation)
        sale.set_field("state", "deleted")
    assert generations == sorted(set(generations))


async def test_a_generation_never_repeats_when_the_clock_goes_back(open_sale: OpenSale) -> None:
    sale = await open_sale()
    ahead = sale.generation + 1_000_000
    sale.set_field("generation", ahead)
    sale.set_field("state", "deleted")
    assert (await open_sale()).generation == ahead + 1


async def test_a_new_generation_begins_at_nothing(open_sale: OpenSale) -> None:
    old = await open_sale(max_sessions=1, one_place_per_sub=True)
    await old.join("ada", named=True)
    await old.release(1)
    await old.claim(1)
    await old.elapse(5)
    assert (await old.extend(1)).longer
    await old.leave(1)
    old.set_field("holes", "5-9")
    old.set_field("state", "deleted")
    new = await open_sale()
    snapshot = await new.read()
    assert (snapshot.issued, snapshot.served_up_to, snapshot.claims) == (0, 0, 0)
    assert (snapshot.active_sessions, snapshot.ended, snapshot.holes.ranges) == (0, {}, ())
    assert snapshot.policy == EventPolicy()
    await new.join()
    await new.release(1)
    assert (await new.claim(1)).fresh


async def test_a_deleted_event_answers_nothing_but_that(sale: Sale) -> None:
    sale.set_field("state", "deleted")
    before = sale.contents()
    for ask in (
        sale.read(),
        sale.release(1),
        sale.claim(1),
        sale.extend(1),
        sale.leave(1),
        sale.change(OPEN),
        sale.ledger.configure(sale.event, EventPolicy()),
    ):
        with pytest.raises(EventGone):
            await ask
    assert sale.contents() == before


# --- Draw ----------------------------------------------------------------------------------------


async def test_a_draws_seed_is_hidden_until_the_opening_and_its_hash_is_not(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(8)
    hidden = (await sale.read()).draw
    assert hidden is not None
    assert (hidden.seed, hidden.count, len(hidden.commitment)) == (None, None, 64)
    await sale.change(OPEN)
    shown = (await sale.read()).draw
    assert shown is not None
    assert shown.seed is not None
    assert (shown.commitment, shown.count) == (hidden.commitment, 8)
    turns = {shown.turn_of(position) for position in range(1, 9)}  # type: ignore[arg-type]
    assert turns == set(range(1, 9))


async def test_a_seed_is_what_its_published_hash_says(open_sale: OpenSale) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(3)
    await sale.change(OPEN)
    draw = (await sale.read()).draw
    assert draw is not None
    assert draw.seed is not None
    assert hashlib.sha256(bytes.fromhex(draw.seed)).hexdigest() == draw.commitment


async def test_two_events_draw_by_different_seeds(open_sale: OpenSale) -> None:
    first = await open_sale(name="first", opened=False, draw=1)
    second = await open_sale(name="second", opened=False, draw=1)
    assert first.field("draw_hash") != second.field("draw_hash")


async def test_the_count_is_frozen_at_the_opening_and_never_again(open_sale: OpenSale) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(4)
    await sale.change(OPEN)
    drawn = (await sale.read()).draw
    await sale.join_many(6)
    for change in (PAUSE, RESUME, CLOSE, OPEN, OPEN, BYPASS, OPEN):
        await sale.change(change, for_s=60)
        assert (await sale.read()).draw == drawn
    assert drawn is not None
    assert drawn.count == 4


async def test_a_draw_is_held_even_when_the_way_to_the_opening_is_a_bypass(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(5)
    await sale.change(BYPASS, for_s=60)
    assert (await sale.read()).draw.seed is None  # type: ignore[union-attr]
    await sale.change(OPEN)
    draw = (await sale.read()).draw
    assert draw is not None
    assert draw.count == 5


async def test_a_draw_is_held_even_when_the_event_was_closed_before(open_sale: OpenSale) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(5)
    await sale.change(CLOSE)
    await sale.change(OPEN)
    draw = (await sale.read()).draw
    assert draw is not None
    assert draw.count == 5


async def test_an_event_that_is_open_from_the_start_draws_nobody(open_sale: OpenSale) -> None:
    sale = await open_sale(draw=1)
    draw = (await sale.read()).draw
    assert draw is not None
    assert draw.count == 0
    await sale.join()
    assert draw.turn_of((await sale.join()).position) == 2


async def test_the_empty_numbers_of_before_a_draw_are_no_empty_turns_after_it(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(10)
    sale.set_field("mark", "another:server")
    await sale.join()
    assert (await sale.read()).holes.ranges != ()
    await sale.change(OPEN)
    assert (await sale.read()).holes.ranges == ()
