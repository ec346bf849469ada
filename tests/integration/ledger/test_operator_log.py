"""The operator log: an entry for every act and for nothing else, in a chain that shows what was done."""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.events import EventPolicy, EventState
from gateway.domain.operator_log import Author, Entry, OperatorLog, canonical, read_entry, verify
from gateway.domain.positions import EventId, ServedUpTo
from gateway.errors import Conflict, UnknownEvent
from gateway.ledger.redis import RedisLedger
from gateway.ports import Recovery, StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale
from tests.support.servers import RealServer

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

ADA = Author("ada", "because")


async def log_of(sale: Sale) -> OperatorLog:
    return await sale.ledger.operator_log(sale.event)


async def entries_of(sale: Sale) -> list[Entry]:
    """Return the entries of a log that is whole."""
    log = await log_of(sale)
    assert verify(sale.event, log).faults == []
    assert log.head is not None
    assert log.head.hash == log.entries[-1].hash
    entries = [read_entry(logged.text) for logged in log.entries]
    assert None not in entries
    return [entry for entry in entries if entry is not None]


async def acts_of(sale: Sale) -> list[str]:
    return [entry.act for entry in await entries_of(sale)]


# --- What is written -----------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)
async def test_every_act_leaves_one_entry_of_who_did_what_and_why(sale: Sale) -> None:
    ledger, event = sale.ledger, sale.event
    await ledger.configure(event, EventPolicy(max_sessions=7), author=ADA)
    await sale.join_many(5)
    await ledger.release(event, by=2, author=ADA)
    for change in (StateChange.PAUSE, StateChange.RESUME, StateChange.BYPASS, StateChange.CLOSE):
        await ledger.change_state(event, change, for_s=60, author=ADA)
    await ledger.reset(event, sale.generation, opened=False, request_id="r", author=ADA)
    await ledger.change_state(event, StateChange.OPEN, author=ADA)
    await ledger.delete(event, request_id="d", author=ADA)
    entries = await entries_of(sale)
    assert [entry.act for entry in entries] == [
        "create", "configure", "release", "pause", "resume", "bypass", "close", "reset", "open", "delete",
    ]  # fmt: skip
    assert [entry.seq for entry in entries] == list(range(1, 11))
    assert {(entry.by, entry.reason) for entry in entries[1:]} == {("ada", "because")}
    assert {entry.event for entry in entries} == {event}


async def test_an_entry_says_what_was_before_and_after(sale: Sale) -> None:
    await sale.configure(max_sessions=7, window_s=60)
    await sale.join_many(5)
    await sale.release(2)
    await sale.change(StateChange.PAUSE, message="Back soon")
    created, configured, released, paused = await entries_of(sale)
    assert created.before == {}
    assert created.after["state"] == "open"
    assert created.after["policy"]["window_ms"] == 900_000
    assert configured.before == {"max_sessions": 0, "window_ms": 900_000}
    assert configured.after == {"max_sessions": 7, "window_ms": 60_000}
    assert released.before == {"served_up_to": 0}
    assert released.after == {"served_up_to": 2, "people": 2, "asked": "by 2"}
    assert (paused.before["state"], paused.after["state"]) == ("open", "paused")
    assert (paused.before["message"], paused.after["message"]) == ("", "Back soon")
    assert {entry.generation for entry in (created, paused)} == {sale.generation}


async def test_what_did_not_happen_leaves_no_entry(sale: Sale) -> None:
    await sale.join_many(5)
    await sale.release(2, request_id="one")
    before = await log_of(sale)
    await sale.release(2, request_id="one")
    await sale.release(2, dry_run=True)
    await sale.change(StateChange.RESUME)  # it is open
    await sale.ledger.configure(sale.event, EventPolicy())  # as it is
    assert not await sale.ledger.create(sale.event, EventPolicy(), opened=True)
    await sale.change(StateChange.CLOSE)
    closed = await log_of(sale)
    assert len(closed.entries) == len(before.entries) + 1
    with pytest.raises(Conflict):
        await sale.change(StateChange.PAUSE)
    with pytest.raises(Conflict):
        await sale.release(1)
    assert await log_of(sale) == closed


async def test_a_recovery_is_an_act(server: RealServer, sale: Sale) -> None:
    server.command("DEL", sale.key("state"))
    recovery = Recovery(
        sale.generation, 10, 20, ServedUpTo(3), EventState.PAUSED, EventPolicy(), draw=None
    )
    await sale.ledger.recover(sale.event, recovery, author=ADA)
    recovered = (await entries_of(sale))[-1]
    assert (recovered.act, recovered.by) == ("recover", "ada")
    assert recovered.after["goes_on_above"] == 20


@pytest.mark.parametrize(
    "text",
    ["", "a" * 55, "a" * 56, "a" * 63, "a" * 64, "a" * 500, 'a "b" \\ <c>\r\n\t\b\f{d} %s \x00\x1f\x7f',
     "Zürich ☕ 🎉 \u2028", "]}\"seq\":99}"],
)  # fmt: skip
@pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)
async def test_whatever_a_message_holds_the_server_writes_the_json_and_the_hash_that_we_do(
    sale: Sale, text: str
) -> None:
    await sale.change(StateChange.PAUSE, message=text)
    await sale.change(StateChange.RESUME)
    paused = (await entries_of(sale))[1]
    assert paused.after["message"] == text
    logged = (await log_of(sale)).entries[1]
    assert hashlib.sha256(logged.text.encode()).hexdigest() == logged.hash


async def test_the_servers_hash_is_sha_256_at_every_length(sale: Sale) -> None:
    # Messages of growing length move the end of the padding through a whole block and on.
    for length in range(140):
        await sale.change(StateChange.PAUSE, message="x" * length + ".")
    entries = (await log_of(sale)).entries
    assert len(entries) == 141
    for logged in entries:
        assert hashlib.sha256(logged.text.encode()).hexdigest() == logged.hash


async def test_each_act_and_each_new_head_stand_in_the_process_log(
    sale: Sale, new_ledger: NewLedger, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = new_ledger(is_gateway=True)
    await gateway.read(sale.event)
    with caplog.at_level(logging.INFO, "gateway.ledger"):
        await sale.ledger.change_state(sale.event, StateChange.PAUSE, author=ADA)
        await gateway.read(sale.event)
        await gateway.read(sale.event)
    head = (await log_of(sale)).head
    assert head is not None
    told = [vars(record) for record in caplog.records]
    assert [(line["message"], line["entry"], line["head"]) for line in told] == [
        ("operator act", 2, head.hash),
        ("the operator log goes on", 2, head.hash),
    ]
    assert (told[0]["act"], told[0]["by"]) == ("pause", "ada")


async def test_the_log_of_an_event_that_never_was_is_no_log(ledger: RedisLedger) -> None:
    with pytest.raises(UnknownEvent):
        await ledger.operator_log(EventId("nobody-made-it"))


async def test_a_long_log_is_read_whole(sale: Sale, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ledger.operations.lookups.LOG_PAGE", 3)
    for change in [StateChange.PAUSE, StateChange.RESUME] * 4:
        await sale.change(change)
    assert [entry.seq for entry in await entries_of(sale)] == list(range(1, 10))


# --- What is done to it --------------------------------------------------------------------------


def ids(sale: Sale) -> list[str]:
    return [entry_id for entry_id, _ in sale.server.command("XRANGE", sale.key("log"), "-", "+")]


def cut_the_end(sale: Sale) -> None:
    sale.server.command("XDEL", sale.key("log"), ids(sale)[-1])


def cut_the_middle(sale: Sale) -> None:
    sale.server.command("XDEL", sale.key("log"), ids(sale)[1])


def cut_the_beginning(sale: Sale) -> None:
    sale.server.command("XDEL", sale.key("log"), ids(sale)[0])


def cut_everything(sale: Sale) -> None:
    sale.server.command("DEL", sale.key("log"))


def make_it_something_else(sale: Sale) -> None:
    sale.server.command("DEL", sale.key("log"))
    sale.server.command("SET", sale.key("log"), "nothing")


@pytest.mark.parametrize(
    "spoil",
    [cut_the_end, cut_the_middle, cut_the_beginning, cut_everything],
    ids=lambda spoil: spoil.__name__,
)
async def test_what_is_cut_out_is_missed_and_stays_missed(
    sale: Sale, spoil: Callable[[Sale], None]
) -> None:
    for change in (StateChange.PAUSE, StateChange.RESUME, StateChange.PAUSE):
        await sale.change(change)
    spoil(sale)
    assert not verify(sale.event, await log_of(sale)).is_whole
    # Operators act on, and a chain that goes on does not hide it.
    await sale.change(StateChange.RESUME)
    log = await log_of(sale)
    last = read_entry(log.entries[-1].text)
    assert last is not None
    assert (last.seq, last.act) == (5, "resume")
    assert not verify(sale.event, log).is_whole


async def test_a_log_of_a_wrong_type_stops_no_act(sale: Sale) -> None:
    make_it_something_else(sale)
    await sale.change(StateChange.PAUSE)
    log = await log_of(sale)
    assert verify(sale.event, log).faults == ["missing: 1"]


async def test_an_end_that_was_cut_off_with_the_head_is_shown_by_a_hash_that_was_kept(
    sale: Sale,
) -> None:
    await sale.change(StateChange.PAUSE)
    earlier = sale.field("log_head")
    await sale.change(StateChange.RESUME)
    kept = (await log_of(sale)).head
    assert kept is not None
    cut_the_end(sale)
    sale.set_field("log_head", earlier)
    log = await log_of(sale)
    assert verify(sale.event, log).is_whole
    assert not verify(sale.event, log, kept=[kept.hash]).is_whole


async def test_when_the_state_alone_is_lost_the_chain_goes_on(
    server: RealServer, sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.change(StateChange.PAUSE)
    gateway = new_ledger(is_gateway=True)
    await gateway.read(sale.event)
    server.command("DEL", sale.key("state"))
    assert await gateway.present(sale.event)
    await sale.change(StateChange.RESUME)
    assert await acts_of(sale) == ["create", "pause", "resume"]


async def test_after_a_total_loss_the_chain_begins_anew_and_says_so(
    server: RealServer, sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.change(StateChange.PAUSE)
    lost = (await log_of(sale)).head
    assert lost is not None
    gateway = new_ledger(is_gateway=True)
    await gateway.read(sale.event)
    server.command("FLUSHALL")
    assert await gateway.present(sale.event)
    await sale.change(StateChange.RESUME)
    began, resumed = await entries_of(sale)
    assert (began.act, began.by, began.seq, resumed.act) == ("begin", "ledger", 1, "resume")
    assert began.after["last_head"] == f"2 {lost.hash}"
    notices = verify(sale.event, await log_of(sale)).notices
    assert len(notices) == 1
    assert f"2 {lost.hash}" in notices[0]


async def test_an_event_of_before_the_log_begins_one_that_says_so(sale: Sale) -> None:
    sale.server.command("DEL", sale.key("log"))
    sale.server.command("HDEL", sale.key("state"), "log_head")
    await sale.change(StateChange.PAUSE)
    assert await acts_of(sale) == ["begin", "pause"]


async def test_a_deleted_event_that_is_created_again_goes_on_in_the_same_log(
    sale: Sale, open_sale: OpenSale
) -> None:
    await sale.ledger.delete(sale.event, request_id="d")
    again = await open_sale()
    assert await acts_of(again) == ["create", "delete", "create"]
    generations = [entry.generation for entry in await entries_of(again)]
    assert generations == [sale.generation, sale.generation, again.generation]


async def test_of_two_events_each_has_its_own_log(open_sale: OpenSale) -> None:
    first, second = await open_sale(name="first"), await open_sale(name="second")
    await first.change(StateChange.PAUSE)
    assert await acts_of(first) == ["create", "pause"]
    assert await acts_of(second) == ["create"]
    assert not verify("second", await log_of(first)).is_whole


async def test_a_draw_that_is_held_stands_in_the_entry_of_the_opening(open_sale: OpenSale) -> None:
    sale = await open_sale(opened=False, draw=1)
    await sale.join_many(4)
    await sale.change(StateChange.OPEN)
    assert (await entries_of(sale))[-1].after["draw_count"] == 4


def test_our_canonical_form_has_sorted_names_and_no_spaces() -> None:
    value: dict[str, Any] = {"b": 1, "a": {"d": "ü", "c": -1}}
    assert canonical(value) == '{"a":{"c":-1,"d":"ü"},"b":1}'
