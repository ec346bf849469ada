"""What a ledger does in every topology: one short walk through all of its verbs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.domain.events import EventPolicy
from gateway.domain.operator_log import Author, verify
from gateway.domain.positions import EventId, Position
from gateway.errors import LedgerUnavailable
from gateway.ledger.redis import RedisLedger
from gateway.ledger.watcher import LedgerWatcher
from gateway.ports import ClaimOutcome, StateChange
from gateway.snapshots import SnapshotBoard
from tests.support.sales import Sale
from tests.support.servers import RealServer
from tests.support.waiting import wait_until

# Longer than any test: what is seen before it was told by a message.
NEVER_S = 3600.0


async def does_everything(
    ledger: RedisLedger,
    other: RedisLedger,
    server: RealServer,
    policy: EventPolicy | None = None,
    *,
    name: str = "sale",
) -> Sale:
    """Walk an event from its creation to a session's end, as two gateways see it.

    Args:
        other: Another gateway's ledger, which watches.
        server: Any of the servers; only handed on to the sale.
    """
    await ledger.ping()
    sale = await Sale.open(server, ledger, policy, name=name)
    async with watching(other) as board:
        places = await sale.join_many(50)
        assert [place.position for place in places] == list(range(1, 51))
        keyed = await sale.join("ada", key="ab" * 32)
        assert (await sale.join("ada", key="ab" * 32)).position == keyed.position == 51

        released = await sale.release(2, request_id="first")
        assert (released.before, released.after, released.repeated) == (0, 2, False)
        again = await sale.through(other).release(2, request_id="first")
        assert (again.after, again.repeated) == (2, True)
        await wait_until(lambda: _pointer(board, sale.event) == 2)

        claimed = await sale.claim(1)
        assert (claimed.outcome, claimed.fresh) == (ClaimOutcome.SEATED, True)
        assert not (await sale.claim(1)).fresh
        assert (await sale.claim(3)).outcome is ClaimOutcome.NOT_YET
        await sale.configure(extend_s=900)
        assert (await sale.extend(1)).longer
        seen = await ledger.session(sale.event, sale.generation, Position(1))
        assert seen.extensions_used == 1
        operator = Author("ada")
        longer = await ledger.extend(
            sale.event, sale.generation, Position(1), by_s=7200, by_visitor=False, author=operator
        )
        assert longer.longer
        assert await ledger.leave(sale.event, sale.generation, Position(1), 0, author=operator)

        await sale.change(StateChange.PAUSE)
        await sale.change(StateChange.RESUME)
        noted = await ledger.sample(sale.event, None)
        assert noted in await other.samples(sale.event)
        assert (await ledger.gateways(sale.event)).at_s > 0
        await ledger.put_handover(sale.event, "cd" * 32, "value", 30)
        assert await other.take_handover(sale.event, "cd" * 32) == "value"
        await sale.configure(window_s=600)
    snapshot = await other.read(sale.event)
    assert (snapshot.issued, snapshot.served_up_to, snapshot.active_sessions) == (51, 2, 0)
    assert snapshot.policy.window_s == 600
    assert sale.event in await other.events()
    await _lives_and_ends(ledger, other, server, policy, f"{name}-again")
    return sale


async def _lives_and_ends(
    ledger: RedisLedger,
    other: RedisLedger,
    server: RealServer,
    policy: EventPolicy | None,
    name: str,
) -> None:
    sale = await Sale.open(server, ledger, policy, name=name)
    await sale.join()
    generation = await ledger.reset(sale.event, sale.generation, opened=True, request_id="r")
    assert generation > sale.generation
    assert (await other.read(sale.event)).issued == 0
    await ledger.delete(sale.event, request_id="d")
    log = await other.operator_log(sale.event)
    assert verify(sale.event, log).is_whole
    assert len(log.entries) == 3


@asynccontextmanager
async def watching(ledger: RedisLedger) -> AsyncIterator[SnapshotBoard]:
    """A board that messages alone keep fresh: it never polls."""
    board = SnapshotBoard()
    watcher = LedgerWatcher(ledger, board, poll_s=NEVER_S)
    await watcher.start()
    try:
        yield board
    finally:
        await watcher.aclose()


async def is_told_of_releases(sale: Sale, board: SnapshotBoard, timeout_s: float = 15.0) -> None:
    """Wait until a release is seen by its message; what is said before the subscription is lost."""

    async def told() -> bool:
        try:
            released = await sale.release(1)
        except LedgerUnavailable:
            return False
        for _ in range(20):
            if _pointer(board, sale.event) >= released.after:
                return True
            await asyncio.sleep(0.01)
        return False

    await wait_until(told, timeout_s)


async def join_until_it_works_again(
    sale: Sale, positions: list[Position], timeout_s: float = 20.0
) -> None:
    """Join as visitors do who try again, each time as somebody new, until ten in a row get a place."""
    async with asyncio.timeout(timeout_s):
        in_a_row = 0
        while in_a_row < 10:
            try:
                positions.append((await sale.join()).position)
            except LedgerUnavailable:
                in_a_row = 0
                await asyncio.sleep(0.05)
            else:
                in_a_row += 1


def _pointer(board: SnapshotBoard, event: EventId) -> int:
    snapshot = board.get(event)
    return 0 if snapshot is None else snapshot.served_up_to
