"""Reset and delete: a queue begins anew or ends for good, and nothing of the one before goes on."""

import asyncio

import pytest

from gateway.domain.events import Durability, EventPolicy, EventState
from gateway.domain.operator_log import verify
from gateway.domain.positions import Generation, Position
from gateway.errors import Conflict, EventGone, GenerationOver, StateLost
from gateway.ledger import keyspace
from gateway.ports import ClaimOutcome, StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale
from tests.support.servers import RealServer

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

LATER_THAN_ANY_SECOND = 99_999_999_999


async def lived_in(sale: Sale) -> None:
    """Let a queue have all that one can have."""
    await sale.join_many(20)
    await sale.join("ada", key="ab" * 32)
    await sale.join("bob", named=True)
    await sale.release(10, request_id="first")
    for position in range(1, 6):
        assert (await sale.claim(position)).outcome is ClaimOutcome.SEATED
    await sale.elapse(5)
    assert (await sale.extend(1)).longer
    await sale.leave(2)
    await sale.change(StateChange.PAUSE, message="A pause")


async def reset(sale: Sale, *, opened: bool = True, request_id: str = "r") -> Sale:
    generation = await sale.ledger.reset(
        sale.event, sale.generation, opened=opened, request_id=request_id
    )
    return Sale(sale.server, sale.ledger, sale.event, generation)


async def test_a_reset_begins_at_nothing_and_keeps_the_rules(open_sale: OpenSale) -> None:
    sale = await open_sale(max_sessions=7, one_place_per_sub=1)
    await lived_in(sale)
    again = await reset(sale)
    snapshot = await again.read()
    assert again.generation > sale.generation
    assert (snapshot.generation, snapshot.state) == (again.generation, EventState.OPEN)
    assert (snapshot.issued, snapshot.served_up_to, snapshot.ceiling) == (0, 0, 0)
    assert (snapshot.active_sessions, snapshot.claims, snapshot.message) == (0, 0, "")
    assert (snapshot.releases, snapshot.history, snapshot.ended) == ((), (), {})
    assert snapshot.policy.max_sessions == 7
    assert [(await again.join()).position for _ in range(3)] == [1, 2, 3]


async def test_a_reset_leaves_nothing_of_the_queue_before_it(open_sale: OpenSale) -> None:
    sale = await open_sale(one_place_per_sub=1)
    await lived_in(sale)
    again = await reset(sale, opened=False)
    bitmap, _, _ = keyspace.claimed_bit(sale.event, sale.generation, Position(1))
    left = {name for name in sale.all_keys() if ":join:" not in name and ":release:" not in name}
    assert bitmap not in left
    assert left == {sale.key(name) for name in ("state", "issued", "served", "config", "log")}
    assert again.field("draw_seed") == ""


async def test_a_new_life_behaves_as_the_first_of_an_event(open_sale: OpenSale) -> None:
    sale = await open_sale(one_place_per_sub=1)
    await lived_in(sale)
    again = await reset(sale)
    # Neither a key, nor a name, nor a request id of the life before counts.
    assert not (await again.join("ada", key="ab" * 32)).repeated
    assert not (await again.join("bob", named=True)).repeated
    released = await again.release(1, request_id="first")
    assert (released.after, released.repeated) == (1, False)
    # Position 1 has had its session in the life before, and has one in this.
    assert (await again.claim(1)).fresh


@pytest.mark.parametrize("end", ["reset", "delete"])
async def test_an_end_of_the_log_that_was_cut_off_is_missed_in_the_next_life(
    sale: Sale, end: str
) -> None:
    await sale.change(StateChange.PAUSE)
    newest = sale.server.command("XRANGE", sale.key("log"), "-", "+")[-1][0]
    sale.server.command("XDEL", sale.key("log"), newest)
    if end == "reset":
        await reset(sale)
    else:
        await sale.ledger.delete(sale.event, request_id="d")
    verdict = verify(sale.event, await sale.ledger.operator_log(sale.event))
    assert verdict.faults == ["missing: 2"]


async def test_who_holds_a_place_of_before_is_told_that_its_generation_is_over(sale: Sale) -> None:
    await lived_in(sale)
    await reset(sale)
    for ask in (sale.claim(1), sale.extend(1), sale.leave(1)):
        with pytest.raises(GenerationOver):
            await ask


@pytest.mark.parametrize(
    ("opened", "state"), [(False, EventState.SCHEDULED), (True, EventState.OPEN)]
)
async def test_a_reset_event_is_scheduled_or_open_as_asked(
    sale: Sale, opened: bool, state: EventState
) -> None:
    assert (await (await reset(sale, opened=opened)).read()).state is state


@pytest.mark.parametrize("change", [StateChange.PAUSE, StateChange.CLOSE, StateChange.BYPASS])
async def test_a_reset_is_possible_in_every_state(sale: Sale, change: StateChange) -> None:
    await sale.change(change, for_s=60)
    assert (await (await reset(sale)).read()).state is EventState.OPEN


async def test_a_reset_asked_for_twice_happens_once(sale: Sale, new_ledger: NewLedger) -> None:
    again = await reset(sale, request_id="one")
    await again.join_many(3)
    repeated = await reset(sale.through(new_ledger()), request_id="one")
    assert repeated.generation == again.generation
    assert (await again.read()).issued == 3


async def test_of_two_operators_who_reset_at_once_one_does(
    sale: Sale, new_ledger: NewLedger
) -> None:
    done = await asyncio.gather(
        reset(sale, request_id="one"),
        reset(sale.through(new_ledger()), request_id="two"),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Conflict) for outcome in done) == 1
    assert sum(isinstance(outcome, Sale) for outcome in done) == 1


async def test_a_generation_is_later_than_any_before(sale: Sale) -> None:
    sale.set_field("generation", LATER_THAN_ANY_SECOND)
    sale.generation = Generation(LATER_THAN_ANY_SECOND)
    assert (await reset(sale)).generation == LATER_THAN_ANY_SECOND + 1


async def test_an_event_that_draws_draws_anew(open_sale: OpenSale) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(5)
    await sale.change(StateChange.OPEN)
    before = (await sale.read()).draw
    again = await reset(sale, opened=False)
    hidden = (await again.read()).draw
    assert before is not None
    assert hidden is not None
    assert hidden.commitment != before.commitment
    assert (hidden.seed, hidden.count) == (None, None)
    await again.join_many(3)
    await again.change(StateChange.OPEN)
    held = (await again.read()).draw
    assert held is not None
    assert (held.commitment, held.count) == (hidden.commitment, 3)


async def test_an_event_that_does_not_draw_does_not_after_a_reset(sale: Sale) -> None:
    assert (await (await reset(sale, opened=False)).read()).draw is None


async def test_a_lost_event_is_not_reset_but_recovered(server: RealServer, sale: Sale) -> None:
    server.command("DEL", sale.key("issued"))
    with pytest.raises(StateLost):
        await reset(sale)


async def test_gateways_that_were_there_go_on_with_the_new_generation(
    sale: Sale, new_ledger: NewLedger
) -> None:
    gateway = new_ledger(is_gateway=True)
    await sale.through(gateway).join_many(100)
    known = await gateway.read(sale.event)
    again = await reset(sale)
    read = await gateway.read(sale.event, known)
    assert (read.generation, read.issued, read.healed) == (again.generation, 0, None)
    assert (await again.through(gateway).join()).position == 1


async def test_a_deletion_leaves_a_tombstone_and_the_log(sale: Sale) -> None:
    await lived_in(sale)
    await sale.ledger.delete(sale.event, request_id="d")
    rows = {name for name in sale.all_keys() if ":join:" not in name and ":release:" not in name}
    assert rows == {sale.key("state"), sale.key("log")}
    tombstone = sale.server.command("HGETALL", sale.key("state"))
    assert tombstone.keys() == {"layout", "generation", "state", "deleted_by", "log_head"}


async def test_a_deleted_event_answers_that_it_is_gone(sale: Sale) -> None:
    await sale.ledger.delete(sale.event, request_id="d")
    for ask in (
        sale.read(),
        sale.join(),
        sale.release(1),
        sale.claim(1),
        sale.change(StateChange.OPEN),
        sale.ledger.delete(sale.event, request_id="another"),
        reset(sale),
    ):
        with pytest.raises(EventGone):
            await ask


async def test_a_deletion_asked_for_twice_happens_once(sale: Sale, new_ledger: NewLedger) -> None:
    await sale.ledger.delete(sale.event, request_id="one")
    log = await sale.ledger.operator_log(sale.event)
    await new_ledger().delete(sale.event, request_id="one")
    assert await sale.ledger.operator_log(sale.event) == log


async def test_a_deleted_event_may_be_created_again_in_a_later_generation(
    sale: Sale, open_sale: OpenSale
) -> None:
    await lived_in(sale)
    bitmap, _, _ = keyspace.claimed_bit(sale.event, sale.generation, (await sale.join()).position)
    await sale.ledger.delete(sale.event, request_id="d")
    again = await open_sale()
    assert again.generation > sale.generation
    assert (await again.join()).position == 1
    assert not sale.server.command("EXISTS", bitmap)


async def test_a_deletion_is_as_durable_as_the_event_asked(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    calls: list[str] = []
    for level, waits in ((Durability.FSYNC, 1), (Durability.MEMORY, 0)):
        sale = await open_sale(name=level.word, durability=level)
        calls.clear()
        ledger = new_ledger(on_call=lambda name, _: calls.append(name))
        await ledger.delete(sale.event, request_id="d")
        assert calls.count("wait") == waits


async def test_an_event_in_doubt_can_be_deleted(sale: Sale) -> None:
    sale.server.command(
        "HSET", sale.key("healing"), "reason", "lost", "expected", "nobody", "needs_record", 1
    )
    await sale.ledger.delete(sale.event, request_id="d")
    with pytest.raises(EventGone):
        await sale.read()


async def test_policies_of_a_new_event_owe_nothing_to_a_deleted_one(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(max_sessions=3)
    await sale.ledger.delete(sale.event, request_id="d")
    assert (await (await open_sale()).read()).policy == EventPolicy()
