"""Joining: every visitor a position of their own, in the order of arrival."""

import asyncio

import pytest
from redis.crc import key_slot

from gateway.domain.positions import EventId
from gateway.errors import Conflict, EventGone, UnknownEvent
from gateway.ledger.group_commit import MAX_BATCH
from gateway.ledger.redis import RedisLedger
from gateway.ports import JoinRequest, StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]


def numbers(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


async def test_the_first_visitor_holds_position_1(sale: Sale) -> None:
    place = await sale.join("ada")
    assert (place.position, place.visitor, place.repeated) == (1, "ada", False)
    assert place.generation == sale.generation


async def test_visitors_who_come_one_by_one_are_numbered_one_by_one(sale: Sale) -> None:
    assert [(await sale.join()).position for _ in range(20)] == numbers(1, 20)


async def test_a_crowd_that_comes_at_once_is_numbered_in_the_order_of_arrival(sale: Sale) -> None:
    # More than two batches, and far more than the first ceiling.
    crowd = 2 * MAX_BATCH + 100
    places = await sale.join_many(crowd)
    assert [place.position for place in places] == numbers(1, crowd)
    assert (await sale.read()).issued == crowd


async def test_every_visitor_of_a_crowd_gets_the_place_with_their_own_name(sale: Sale) -> None:
    names = [f"v{i}" for i in range(300)]
    # Every third one is not plain, so that both ways of answering are mixed in one batch.
    places = await asyncio.gather(
        *(
            sale.join(name, key=f"{i:064x}" if i % 3 == 0 else None, head_start=i % 2)
            for i, name in enumerate(names)
        )
    )
    assert [place.visitor for place in places] == names
    assert [place.position for place in places] == numbers(1, 300)


async def test_two_gateways_never_deal_the_same_position(sale: Sale, new_ledger: NewLedger) -> None:
    other = sale.through(new_ledger())
    here, there = await asyncio.gather(sale.join_many(500), other.join_many(500))
    assert sorted(p.position for p in here + there) == numbers(1, 1000)
    for places in (here, there):
        positions = [place.position for place in places]
        assert positions == sorted(positions)


async def test_one_events_crowd_does_not_number_anothers(open_sale: OpenSale) -> None:
    first, second = await open_sale(name="first"), await open_sale(name="second")
    places, others = await asyncio.gather(first.join_many(50), second.join_many(70))
    assert [p.position for p in places] == numbers(1, 50)
    assert [p.position for p in others] == numbers(1, 70)


async def test_a_join_is_stamped_with_the_events_clock(sale: Sale) -> None:
    await sale.elapse(7)
    place = await sale.join()
    named = await sale.join(key="ab" * 32)
    assert 7000 <= place.joined_active_ms <= named.joined_active_ms < 8000


async def test_a_head_start_takes_a_visitor_forward_by_what_was_granted(sale: Sale) -> None:
    await sale.join_many(99)
    assert (await sale.join(head_start=30)).head_start == 30


async def test_a_head_start_never_reaches_a_turn_that_has_come(sale: Sale) -> None:
    await sale.join_many(99)
    await sale.release(40)
    place = await sale.join(head_start=5000)
    # Position 100 with a lead of 59 has turn 41: the next, not one let in.
    assert (place.position, place.head_start) == (100, 59)


async def test_a_head_start_is_nothing_for_who_is_next_anyway(sale: Sale) -> None:
    assert (await sale.join(head_start=10)).head_start == 0


async def test_a_head_start_is_nothing_where_the_turn_has_come_at_the_join(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(headroom=10)
    await sale.release(10)
    assert (await sale.join(head_start=3)).head_start == 0


async def test_a_visitor_named_by_the_site_has_one_place_where_the_event_says_so(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    sale = await open_sale(one_place_per_sub=True)
    first = await sale.join("named-ada", named=True)
    await sale.join()
    again = await sale.join("named-ada", named=True)
    elsewhere = await sale.through(new_ledger()).join("named-ada", named=True, key="cd" * 32)
    assert (first.position, first.repeated) == (1, False)
    assert (again.position, again.repeated) == (1, True)
    assert (elsewhere.position, elsewhere.repeated) == (1, True)
    assert (await sale.read()).issued == 2


async def test_a_named_visitor_who_joins_twice_in_one_batch_has_one_place(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(one_place_per_sub=True)
    await sale.join()
    before, one, between, two, after = await asyncio.gather(
        sale.join(),
        sale.join("bo", named=True),
        sale.join(),
        sale.join("bo", named=True),
        sale.join(),
    )
    assert one.position == two.position
    assert [before.position, one.position, between.position, after.position] == [2, 3, 4, 5]


async def test_a_named_visitor_may_have_many_places_where_the_event_does_not_mind(
    sale: Sale,
) -> None:
    assert (await sale.join("ada", named=True)).position == 1
    assert (await sale.join("ada", named=True)).position == 2
    assert sale.key("subs") not in sale.all_keys()


async def test_random_names_cost_no_row_even_where_one_place_a_visitor_is_kept(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(one_place_per_sub=True)
    await sale.join("random", named=False)
    assert sale.key("subs") not in sale.all_keys()


async def test_nothing_is_stored_for_a_waiting_visitor(sale: Sale) -> None:
    await sale.join()
    few = sale.all_keys()
    await sale.join_many(1000)
    assert sale.all_keys() == few
    # One field a gateway, however many joined through it.
    assert sale.server.command("HLEN", sale.key("batches")) == 1


async def test_a_closed_event_takes_no_joins(sale: Sale) -> None:
    await sale.join()
    await sale.change(StateChange.CLOSE)
    with pytest.raises(Conflict):
        await sale.join()
    assert (await sale.read()).issued == 1


async def test_one_refusal_is_the_answer_for_everyone_who_came_at_once(sale: Sale) -> None:
    await sale.change(StateChange.CLOSE)
    answers = await asyncio.gather(*(sale.join() for _ in range(50)), return_exceptions=True)
    assert all(isinstance(answer, Conflict) for answer in answers)


async def test_who_joins_a_scheduled_event_gets_a_place_and_no_turn(open_sale: OpenSale) -> None:
    sale = await open_sale(opened=False)
    place = await sale.join()
    assert (place.position, place.joined_active_ms) == (1, 0)
    assert (await sale.claim(1)).outcome == "not-yet"


@pytest.mark.parametrize("change", [StateChange.PAUSE, StateChange.BYPASS])
async def test_a_paused_event_and_a_bypassed_one_take_joins(
    sale: Sale, change: StateChange
) -> None:
    await sale.change(change, for_s=60)
    assert (await sale.join()).position == 1


async def test_a_deleted_event_says_so(sale: Sale) -> None:
    sale.set_field("state", "deleted")
    with pytest.raises(EventGone):
        await sale.join()


async def test_an_event_that_nobody_made_is_unknown(ledger: RedisLedger) -> None:
    with pytest.raises(UnknownEvent):
        await ledger.join(EventId("nowhere"), JoinRequest("ada"))


async def test_a_place_dealt_far_up_is_dealt_exactly(sale: Sale) -> None:
    # Beyond 2^53 a double no longer tells neighbours apart; this is near, and still exact.
    far = 2**53 - 1000
    for name in ("ceiling", "next"):
        sale.set_field(name, far)
    sale.set_issued(far)
    places = await asyncio.gather(*(sale.join(key=f"{i:064x}") for i in range(3)))
    assert [p.position for p in places] == [far + 1, far + 2, far + 3]


async def test_all_keys_of_an_event_lie_on_one_cluster_slot(sale: Sale) -> None:
    await sale.join(key="ef" * 32)
    await sale.release(1, request_id="r")
    await sale.claim(1)
    await sale.elapse(5)
    assert (await sale.extend(1)).longer
    await sale.leave(1)
    names = sale.all_keys()
    assert len(names) > 8
    assert len({key_slot(name.encode()) for name in names}) == 1
