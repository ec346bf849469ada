"""Watching: messages for speed, polling for truth, and a pointer that is never shown going back."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.domain.events import Durability, EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.ledger import keyspace
from gateway.ledger.redis import RedisLedger
from gateway.ledger.watcher import LedgerWatcher
from gateway.ports import StateChange
from gateway.snapshots import SnapshotBoard
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale
from tests.support.servers import RealServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

NEVER_S = 3600.0


class Watched:
    """A board that a watcher of another gateway fills, with all that it was ever shown."""

    def __init__(self, board: SnapshotBoard, sale: Sale, causes: list[str]) -> None:
        self.board = board
        self.sale = sale
        self.causes = causes

    @property
    def snapshot(self) -> EventSnapshot:
        found = self.board.get(self.sale.event)
        assert found is not None
        return found

    async def sees(
        self, predicate: Callable[[EventSnapshot], bool], timeout_s: float = 5.0
    ) -> None:
        await wait_until(lambda: predicate(self.snapshot), timeout_s)


@asynccontextmanager
async def watching(
    sale: Sale, ledger: RedisLedger, *, poll_s: float, board: SnapshotBoard | None = None
) -> AsyncIterator[Watched]:
    board = board or SnapshotBoard()
    causes: list[str] = []
    watcher = LedgerWatcher(ledger, board, poll_s=poll_s, on_failure=causes.append)
    await watcher.start()
    try:
        yield Watched(board, sale, causes)
    finally:
        await watcher.aclose()


async def listening(sale: Sale) -> None:
    """Wait until the watcher has subscribed: only then can a message be counted on."""
    await wait_until(lambda: sale.server.command("PUBSUB", "NUMPAT") == 1)


# --- Messages and polling ------------------------------------------------------------------------


async def test_everything_is_known_once_the_watcher_has_started(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    sales = [await open_sale(name=f"event-{i}") for i in range(5)]
    async with watching(sales[0], new_ledger(), poll_s=NEVER_S) as watched:
        assert {s.event for s in watched.board.all()} == {s.event for s in sales}


async def test_a_message_brings_a_release_long_before_the_next_poll(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(10)
    async with watching(sale, new_ledger(), poll_s=NEVER_S) as watched:
        await listening(sale)
        await sale.release(4)
        await watched.sees(lambda s: s.served_up_to == 4, timeout_s=1)
        await sale.claim(1)
        await sale.leave(1)
        await watched.sees(lambda s: set(s.ended) == {1}, timeout_s=1)
        await sale.change(StateChange.PAUSE, message="A short pause")
        await watched.sees(lambda s: s.state is EventState.PAUSED, timeout_s=1)
        assert watched.snapshot.message == "A short pause"


async def test_an_event_made_later_is_brought_by_its_first_message(
    sale: Sale, open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    async with watching(sale, new_ledger(), poll_s=NEVER_S) as watched:
        await listening(sale)
        later = await open_sale(name="later")
        await wait_until(lambda: watched.board.get(later.event) is not None, timeout_s=1)


async def test_a_missed_message_is_made_good_by_the_next_poll(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(10)
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        # A join is not announced, and these changes are made without a word.
        await sale.join()
        await watched.sees(lambda s: s.issued == 11, timeout_s=1)
        sale.set_served(7)
        sale.set_field("windows_ended_to", 7)
        await watched.sees(lambda s: s.served_up_to == 7, timeout_s=1)


async def test_a_burst_of_changes_is_read_a_few_times_and_its_last_is_seen(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    reads: list[str] = []
    # In memory, so that they come as fast as they can: nothing waits for a disk.
    sale = await open_sale(durability=Durability.MEMORY)
    await sale.join_many(100)
    ledger = new_ledger(on_call=lambda name, end: reads.append(name))
    async with watching(sale, ledger, poll_s=NEVER_S) as watched:
        await listening(sale)
        reads.clear()
        await asyncio.gather(*(sale.release(1) for _ in range(100)))
        await watched.sees(lambda s: s.served_up_to == 100, timeout_s=20)
        assert reads.count("read") < 50


async def test_polling_keeps_the_clocks_running_where_nobody_comes(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    sale = await open_sale(session_s=1)
    await sale.join()
    await sale.release(1)
    await sale.claim(1)
    async with watching(sale, new_ledger(), poll_s=0.1) as watched:
        await watched.sees(lambda s: s.active_sessions == 1)
        await watched.sees(lambda s: s.active_sessions == 0, timeout_s=3)
        before_ms = watched.snapshot.active_ms
        await watched.sees(lambda s: s.active_ms > before_ms, timeout_s=1)


async def test_junk_on_the_channel_and_in_the_index_harms_nobody(
    sale: Sale, new_ledger: NewLedger
) -> None:
    sale.server.command("SADD", keyspace.INDEX, "NOT a slug", "gone-event")
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        await listening(sale)
        for name in ("Not A Slug", "", "nobody-made-this"):
            sale.server.command("PUBLISH", f"q:{{{name}}}:state:changed", "1")
        await sale.join()
        await watched.sees(lambda s: s.issued == 1, timeout_s=1)
        assert [s.event for s in watched.board.all()] == [sale.event]


# --- Away and lost -------------------------------------------------------------------------------


async def test_what_was_known_stays_while_the_server_is_away_and_is_fresh_after_it(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(10)
    await sale.release(3)
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        sale.server.kill()
        await wait_until(lambda: "unreachable" in watched.causes)
        assert (watched.snapshot.served_up_to, watched.snapshot.state) == (3, EventState.OPEN)
        sale.server.start()
        await sale.release(2)
        await watched.sees(lambda s: s.served_up_to == 5, timeout_s=2)


async def test_messages_come_again_after_the_server_was_killed(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(1000)
    async with watching(sale, new_ledger(), poll_s=NEVER_S) as watched:
        await listening(sale)
        sale.server.restart()

        turns = itertools.count(1)

        async def another_release_is_seen() -> bool:
            # What is said before the watcher has subscribed again is not heard.
            await sale.release(to=next(turns))
            return watched.snapshot.served_up_to > 0

        await wait_until(another_release_is_seen)


async def test_a_watcher_may_start_before_its_server(sale: Sale, new_ledger: NewLedger) -> None:
    sale.server.kill()
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        assert watched.board.all() == []
        assert watched.causes == ["unreachable"]
        sale.server.start()
        await wait_until(lambda: watched.board.get(sale.event) is not None)


async def test_a_trouble_is_logged_when_it_begins_and_when_it_ends(
    sale: Sale, new_ledger: NewLedger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.ledger.watcher")
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        sale.server.kill()
        # While the circuit is open nobody is sent: that is no other trouble, nor is the next probe.
        await wait_until(lambda: watched.causes.count("circuit-open") > 5)
        before = len(watched.causes)
        await wait_until(lambda: "unreachable" in watched.causes[before:])
        assert caplog.messages == ["reading the ledger failed"] * 2
        assert [getattr(record, "event", None) for record in caplog.records].count(sale.event) == 1
        assert {record.__dict__["cause"] for record in caplog.records} == {"unreachable"}
        sale.server.start()
        await sale.join()
        await watched.sees(lambda s: s.issued > 0)
        assert "the ledger is read again" in caplog.messages


async def test_a_frozen_server_is_read_again_once_it_runs(
    sale: Sale, new_ledger: NewLedger
) -> None:
    async with watching(sale, new_ledger(timeout_s=0.1), poll_s=0.05) as watched:
        sale.server.freeze()
        await wait_until(lambda: "timeout" in watched.causes)
        sale.server.thaw()
        await sale.join()
        await watched.sees(lambda s: s.issued == 1, timeout_s=2)


async def test_a_lost_event_is_suspended_and_open_again_when_it_is_back(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(5)
    await sale.release(2)
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        sale.server.command("RENAME", sale.key("served"), "elsewhere")
        await watched.sees(lambda s: s.state is EventState.SUSPENDED, timeout_s=1)
        assert (watched.snapshot.served_up_to, watched.snapshot.issued) == (2, 5)
        assert "state-lost" in watched.causes
        sale.server.command("RENAME", "elsewhere", sale.key("served"))
        await watched.sees(lambda s: s.state is EventState.OPEN, timeout_s=1)


async def test_an_emptied_server_suspends_what_was_known(
    sale: Sale, open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    await open_sale(name="other")
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        sale.server.command("FLUSHALL")
        await wait_until(
            lambda: {s.state for s in watched.board.all()} == {EventState.SUSPENDED}, timeout_s=1
        )
        assert len(watched.board.all()) == 2


async def test_the_loss_of_the_index_hides_no_event_that_is_known(
    sale: Sale, new_ledger: NewLedger
) -> None:
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        sale.server.command("DEL", keyspace.INDEX)
        sale.server.command("SET", keyspace.INDEX, "text")
        await wait_until(lambda: "state-lost" in watched.causes)
        await sale.join()
        await watched.sees(lambda s: s.issued == 1, timeout_s=1)
        assert watched.snapshot.state is EventState.OPEN


async def test_a_deleted_event_is_shown_as_deleted_and_its_next_life_as_open(
    sale: Sale, open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    await sale.join_many(5)
    await sale.release(5)
    async with watching(sale, new_ledger(), poll_s=0.05) as watched:
        sale.set_field("state", "deleted")
        await watched.sees(lambda s: s.state is EventState.DELETED, timeout_s=1)
        again = await open_sale()
        await watched.sees(lambda s: s.state is EventState.OPEN, timeout_s=1)
        assert watched.snapshot.generation == again.generation
        assert (watched.snapshot.served_up_to, watched.snapshot.issued) == (0, 0)


# --- Never back ----------------------------------------------------------------------------------


async def test_the_board_never_shows_a_pointer_going_back(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(10)
    await sale.release(8)
    async with watching(sale, new_ledger(), poll_s=0.02) as watched:
        # A restored backup, a lagging replica: the ledger itself has gone back.
        pointers = [8]
        sale.set_served(3)
        sale.set_issued(6)

        def goes_on(snapshot: EventSnapshot) -> bool:
            pointers.append(snapshot.served_up_to)
            return snapshot.healed is not None

        # What the watcher knew is in the ledger again, and nothing goes on below it.
        await watched.sees(goes_on, timeout_s=2)
        assert set(pointers) == {8}
        assert watched.snapshot.holes.occupied_between(0, watched.snapshot.issued) == 10
        assert sale.field("served") == "8"
        assert (await sale.join()).position > 10


async def test_an_earlier_life_of_the_ledger_is_not_believed(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(10)
    await sale.release(8)
    async with watching(sale, new_ledger(), poll_s=0.02) as watched:
        generations = {sale.generation}
        sale.set_field("generation", sale.generation - 100)

        def goes_on(snapshot: EventSnapshot) -> bool:
            generations.add(snapshot.generation)
            return snapshot.healed is not None

        await watched.sees(goes_on, timeout_s=2)
        assert generations == {sale.generation}
        assert watched.snapshot.healed is not None
        assert watched.snapshot.healed.why == "older-generation"
        assert (watched.snapshot.served_up_to, watched.snapshot.state) == (8, EventState.OPEN)
        assert sale.field("generation") == str(sale.generation)


async def test_an_answer_that_was_overtaken_does_not_undo_a_newer_one(
    sale: Sale, new_ledger: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sale.join_many(3)
    await sale.release(3)
    await sale.claim(1)
    ledger = new_ledger()
    board = SnapshotBoard()
    watcher = LedgerWatcher(ledger, board, poll_s=NEVER_S)
    await watcher.read_all()
    held_back = asyncio.Event()
    real_read = ledger.read
    waiting: list[EventId] = []

    async def slow_first_read(event: EventId, known: EventSnapshot | None = None) -> EventSnapshot:
        snapshot = await real_read(event, known)
        if not waiting:
            waiting.append(event)
            await held_back.wait()
        return snapshot

    monkeypatch.setattr(ledger, "read", slow_first_read)
    old = asyncio.create_task(watcher.read(sale.event))
    await wait_until(lambda: bool(waiting))
    await sale.leave(1)
    await sale.change(StateChange.PAUSE)
    new = asyncio.create_task(watcher.read(sale.event))
    await asyncio.wait({new}, timeout=0.1)
    held_back.set()
    await asyncio.gather(old, new)
    snapshot = board.get(sale.event)
    assert snapshot is not None
    assert (snapshot.state, set(snapshot.ended)) == (EventState.PAUSED, {1})


async def test_a_session_that_was_ended_stays_ended_through_every_kind_of_read(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(20)
    await sale.release(20)
    for position in range(1, 21):
        await sale.claim(position)
    ledger = new_ledger()
    async with watching(sale, ledger, poll_s=0.02) as watched:
        for position in range(1, 21):
            await sale.leave(position)
            # The same process reads for other purposes in between.
            await ledger.read(sale.event)
        await watched.sees(lambda s: set(s.ended) == set(range(1, 21)), timeout_s=2)


async def test_a_closed_watcher_reads_no_more(
    sale: Sale, new_ledger: NewLedger, server: RealServer
) -> None:
    reads: list[str] = []
    ledger = new_ledger(on_call=lambda name, end: reads.append(name))
    async with watching(sale, ledger, poll_s=0.02):
        await wait_until(lambda: reads.count("read") > 3)
    await wait_until(lambda: server.command("PUBSUB", "NUMPAT") == 0)
    count = len(reads)
    await asyncio.sleep(0.1)
    assert len(reads) == count
