"""Lost is not zero: what is missing or unreadable is said to be so, and nothing goes on from it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from gateway.domain.events import EventPolicy
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable, StateLost, UnknownEvent
from gateway.ledger import keyspace
from gateway.ledger.redis import RedisLedger
from gateway.ports import StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import TICKS, Sale

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]

Ask = Callable[[Sale], Awaitable[object]]

ASKS: dict[str, Ask] = {
    "read": lambda sale: sale.read(),
    "join": lambda sale: sale.join(),
    "release": lambda sale: sale.release(1),
    "claim": lambda sale: sale.claim(1),
    "extend": lambda sale: sale.extend(1),
    "leave": lambda sale: sale.leave(1),
    "pause": lambda sale: sale.change(StateChange.PAUSE),
    "configure": lambda sale: sale.ledger.configure(sale.event, EventPolicy()),
    "raise": lambda sale: sale.ledger.raise_ceiling(sale.event, 10),
}

# Without these, nothing that the event does would be right.
NEEDED_FIELDS = [
    "layout",
    "generation",
    "state",
    "mark",
    "ceiling",
    "next",
    "active_ms",
    "ledger_ms",
    "ticked_at",
    "running",
    "windows_ended_to",
    "holes",
    "message",
    "claims_frozen",
    "draw_hash",
    "draw_seed",
    "draw_count",
    "claims",
    "late",
    "updated_at",
    "active",
    "issued",
    "served",
    "revision",
    "acts",
    "claimed",
    "ended_until",
    "healed",
]
NEEDED_POLICY = [
    "window_ms",
    "session_ms",
    "max_sessions",
    "headroom",
    "late_for_ms",
    "extend_times",
    "extend_ms",
    "finish_grace_ms",
]


async def lived_in(sale: Sale) -> Sale:
    """Let the event have something of everything."""
    await sale.join_many(10)
    await sale.release(5)
    for position in (1, 2, 3):
        await sale.claim(position)
    await sale.elapse(5)
    assert (await sale.extend(2)).longer
    await sale.leave(3)
    return sale


async def all_say_lost(sale: Sale) -> None:
    before = sale.contents()
    for name, ask in ASKS.items():
        with pytest.raises(StateLost):
            await ask(sale)
        assert sale.contents() == before, f"{name} wrote into a state that was lost"


@pytest.mark.parametrize("name", ["state", "issued", "served", "config"])
async def test_a_key_that_is_gone_is_lost(sale: Sale, name: str) -> None:
    await lived_in(sale)
    sale.server.command("DEL", sale.key(name))
    await all_say_lost(sale)


@pytest.mark.parametrize("name", ["state", "issued", "served", "releases", "sessions", "config"])
async def test_a_key_of_a_wrong_type_is_lost(sale: Sale, name: str) -> None:
    await lived_in(sale)
    wrong_type(sale, name)
    await all_say_lost(sale)


def wrong_type(sale: Sale, name: str) -> None:
    sale.server.command("DEL", sale.key(name))
    sale.server.command("RPUSH", sale.key(name), "a", "list")


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("ended", ASKS["read"]),
        ("ended", ASKS["leave"]),
        ("extends", ASKS["read"]),
        ("extends", lambda sale: sale.extend(2)),
        ("claimed", ASKS["read"]),
        ("claimed", lambda sale: sale.claim(4)),
    ],
)
async def test_a_side_table_of_a_wrong_type_is_lost_to_who_needs_it(
    sale: Sale, name: str, ask: Ask
) -> None:
    await lived_in(sale)
    if name == "claimed":
        name = f"claimed:{sale.generation}:0"
    wrong_type(sale, name)
    before = sale.contents(but=TICKS)
    with pytest.raises(StateLost):
        await ask(sale)
    assert sale.contents(but=TICKS) == before


async def test_what_only_keeps_retries_alike_stops_nobody_when_it_has_a_wrong_type(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(one_place_per_sub=1)
    await lived_in(sale)
    key = "ab" * 32
    wrong_type(sale, "batches")
    wrong_type(sale, "subs")
    wrong_type(sale, f"join:{key}")
    first = await sale.join("ada", key=key, named=True)
    assert (first.position, first.repeated) == (11, False)
    # And from then on it keeps them again.
    assert (await sale.join("ada", key=key, named=True)).position == 11
    assert (await sale.join("ada", named=True)).position == 11
    record = hashlib.sha256(b"r").hexdigest()
    wrong_type(sale, f"release:{record}")
    assert (await sale.release(2, request_id="r")).after == 7
    again = await sale.release(2, request_id="r")
    assert (again.after, again.repeated) == (7, True)


@pytest.mark.parametrize("field", NEEDED_FIELDS)
async def test_a_field_of_the_state_that_is_gone_is_lost(sale: Sale, field: str) -> None:
    await lived_in(sale)
    sale.server.command("HDEL", sale.key("state"), field)
    await all_say_lost(sale)


@pytest.mark.parametrize("field", NEEDED_POLICY)
async def test_a_rule_that_is_gone_is_lost(sale: Sale, field: str) -> None:
    await lived_in(sale)
    sale.server.command("HDEL", sale.key("config"), field)
    await all_say_lost(sale)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1e3", " 5", "five", "5\n", "0x10", "9" * 17])
async def test_a_number_that_is_no_whole_number_is_lost(sale: Sale, text: str) -> None:
    await lived_in(sale)
    for name in ("issued", "served"):
        kept = sale.server.command("GET", sale.key(name))
        sale.server.command("SET", sale.key(name), text)
        with pytest.raises(StateLost):
            await sale.read()
        with pytest.raises(StateLost):
            await sale.join()
        sale.server.command("SET", sale.key(name), kept)
    for field in ("ceiling", "generation", "ledger_ms", "claims"):
        kept = sale.field(field)
        sale.set_field(field, text)
        with pytest.raises(StateLost):
            await sale.read()
        sale.set_field(field, kept)
    assert (await sale.read()).issued == 10


async def test_a_state_that_nobody_knows_is_lost(sale: Sale) -> None:
    await lived_in(sale)
    sale.set_field("state", "ajar")
    await all_say_lost(sale)


@pytest.mark.parametrize("field", ["bypass_until", "bypass_from"])
async def test_a_bypass_without_an_end_or_a_way_back_is_lost(sale: Sale, field: str) -> None:
    await sale.change(StateChange.BYPASS, for_s=60)
    sale.server.command("HDEL", sale.key("state"), field)
    await all_say_lost(sale)


async def test_a_release_history_that_is_gone_is_lost(sale: Sale) -> None:
    # Without it every window would begin anew.
    await lived_in(sale)
    sale.server.command("DEL", sale.key("releases"))
    await all_say_lost(sale)


async def test_sessions_that_are_gone_are_lost_and_not_none(sale: Sale) -> None:
    # Read as none, the backend would be filled a second time.
    await lived_in(sale)
    sale.server.command("DEL", sale.key("sessions"))
    await all_say_lost(sale)


async def test_an_emptied_server_is_a_loss_to_who_has_seen_the_event(sale: Sale) -> None:
    await lived_in(sale)
    sale.server.command("FLUSHALL")
    for ask in ASKS.values():
        with pytest.raises(StateLost):
            await ask(sale)
    assert sale.server.command("DBSIZE") == 0


async def test_an_event_of_the_index_is_a_loss_even_to_who_never_saw_it(
    sale: Sale, new_ledger: NewLedger
) -> None:
    sale.server.command("DEL", sale.key("state"))
    with pytest.raises(StateLost):
        await new_ledger().read(sale.event)


async def test_an_event_that_nobody_made_is_no_loss(sale: Sale, ledger: RedisLedger) -> None:
    nowhere = Sale(sale.server, ledger, EventId("nowhere"), sale.generation)
    for ask in ASKS.values():
        with pytest.raises(UnknownEvent):
            await ask(nowhere)
    assert nowhere.all_keys() == []


async def test_a_state_that_comes_back_is_good_again(sale: Sale) -> None:
    await lived_in(sale)
    sale.server.command("RENAME", sale.key("state"), "elsewhere")
    with pytest.raises(StateLost):
        await sale.join()
    sale.server.command("RENAME", "elsewhere", sale.key("state"))
    assert (await sale.join()).position == 11


@pytest.mark.parametrize("layout", ["0", "3", "10", "x", ""])
async def test_another_layout_is_refused_and_named(sale: Sale, layout: str) -> None:
    sale.set_field("layout", layout)
    before = sale.contents()
    for ask in ASKS.values():
        with pytest.raises(LedgerUnavailable) as refused:
            await ask(sale)
        assert refused.value.cause == "layout"
    assert not await sale.ledger.create(sale.event, EventPolicy(), opened=True)
    assert sale.contents() == before


async def test_the_layout_before_is_upgraded_by_the_first_who_reads_it(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await lived_in(sale)
    before = await sale.read()
    new_fields = ("issued", "served", "revision", "acts", "claimed", "ended_until", "healed")
    sale.server.command("HDEL", sale.key("state"), *new_fields)
    sale.set_field("layout", 1)
    sale.server.command("DEL", sale.key("gateways"))

    upgraded = await new_ledger().read(sale.event)

    assert sale.field("layout") == "2"
    assert (upgraded.issued, upgraded.served_up_to) == (before.issued, before.served_up_to)
    assert (await sale.join()).position == before.issued + 1


async def test_everyone_of_a_crowd_is_told_of_a_loss(sale: Sale) -> None:
    sale.server.command("DEL", sale.key("issued"))
    answers = await asyncio.gather(*(sale.join() for _ in range(200)), return_exceptions=True)
    assert all(isinstance(answer, StateLost) for answer in answers)


async def test_an_index_of_a_wrong_type_is_a_loss_and_the_events_live_on(sale: Sale) -> None:
    sale.server.command("DEL", keyspace.INDEX)
    sale.server.command("SET", keyspace.INDEX, "text")
    with pytest.raises(StateLost):
        await sale.ledger.events()
    assert (await sale.join()).position == 1


async def test_a_junk_name_in_the_index_hides_no_event(sale: Sale) -> None:
    sale.server.command("SADD", keyspace.INDEX, "Not A Slug", "")
    assert await sale.ledger.events() == [sale.event]


async def test_scripts_that_the_server_forgot_are_loaded_again(sale: Sale) -> None:
    await lived_in(sale)
    for name, ask in ASKS.items():
        sale.server.command("SCRIPT", "FLUSH")
        await ask(sale)
        assert name
