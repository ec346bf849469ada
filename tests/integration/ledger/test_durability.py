"""A promise counts once it is as durable as the event asks: on the disk, on replicas, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from gateway.domain.events import Durability, EventPolicy, EventState
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.ports import StateChange
from tests.integration.ledger.conftest import NewLedger, NewServer, binary_of
from tests.support.eventually import eventually
from tests.support.lossy import LossyRelay
from tests.support.sales import Sale
from tests.support.servers import RealServer, free_port

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

KINDS = pytest.mark.parametrize("kind", ["valkey", "redis"])

# These tests wait for what does not come. A fifth of it is what a busy machine has to say so in.
TIMEOUT_S = 2.0

ON_DISK = EventPolicy(durability=Durability.FSYNC)
ON_A_REPLICA = EventPolicy(durability=Durability.REPLICAS, replicas=1)
IN_MEMORY = EventPolicy(durability=Durability.MEMORY)


async def refused(call: Awaitable[object]) -> LedgerUnavailable:
    with pytest.raises(LedgerUnavailable) as failure:
        await call
    return failure.value


async def not_durable(call: Awaitable[object]) -> None:
    assert (await refused(call)).cause == "not-durable"


async def settled() -> None:
    """Wait for a raise ahead of need, so that the ceiling stands still."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    raises = (t for t in others if "raise" in repr(t.get_coro()))
    await asyncio.gather(*raises, return_exceptions=True)


async def join_and_tell(sale: Sale, count: int) -> tuple[list[int], set[str]]:
    """Let so many join at once; return the positions dealt, and why the others got none."""
    answers = await asyncio.gather(*(sale.join() for _ in range(count)), return_exceptions=True)
    await settled()
    causes = {a.cause for a in answers if isinstance(a, LedgerUnavailable)}
    return [int(a.position) for a in answers if not isinstance(a, BaseException)], causes


def has_waitaof(server: RealServer) -> bool:
    try:
        server.command("WAITAOF", 0, 0, 1)
    except ResponseError:
        return False
    return True


# --- Servers that cannot keep the promise --------------------------------------------------------


@KINDS
async def test_an_event_on_disk_is_refused_where_there_is_no_log(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server({"appendonly": "no"}, kind=kind)
    ledger = new_ledger(server.url)
    failure = await refused(ledger.create(EventId("sale"), ON_DISK, opened=True))
    assert failure.cause == "unsafe-server"
    assert "appendonly yes" in failure.detail
    assert "--durability memory" in failure.detail
    assert server.command("DBSIZE") == 0
    sale = await Sale.open(server, ledger, IN_MEMORY)
    assert (await sale.join()).position == 1
    failure = await refused(ledger.configure(sale.event, EventPolicy(window_s=77)))
    assert failure.cause == "unsafe-server"
    assert (await sale.read()).policy == IN_MEMORY


async def test_an_old_server_must_sync_before_it_answers(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server({"appendfsync": "everysec"}, kind="redis")
    if has_waitaof(server):
        pytest.skip("this redis-server knows WAITAOF")
    ledger = new_ledger(server.url)
    failure = await refused(ledger.create(EventId("sale"), ON_DISK, opened=True))
    assert failure.cause == "unsafe-server"
    assert "appendfsync always" in failure.detail
    assert server.command("DBSIZE") == 0
    server.command("CONFIG", "SET", "appendfsync", "always")
    sale = await Sale.open(server, ledger, ON_DISK)
    assert len(await sale.join_many(100)) == 100
    await sale.release(5)
    # And should somebody set it back, nothing goes on above the ceiling.
    await settled()
    server.command("CONFIG", "SET", "appendfsync", "everysec")
    _, causes = await join_and_tell(sale, 1000)
    assert causes == {"unsafe-server"}


async def test_a_user_who_may_not_see_how_an_old_server_syncs_is_told_so(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server(kind="redis")
    if has_waitaof(server):
        pytest.skip("this redis-server knows WAITAOF")
    server.command("ACL", "SETUSER", "gw", "on", ">secret", "~*", "&*", "+@all", "-config")
    ledger = new_ledger(f"unix://gw:secret@{server.socket}")
    failure = await refused(ledger.create(EventId("sale"), ON_DISK, opened=True))
    assert failure.cause == "no-permission"
    assert "+config|get" in failure.detail


@KINDS
async def test_an_event_in_memory_waits_for_nothing(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server({"appendonly": "no"}, kind=kind)
    gateway = new_ledger(server.url, is_gateway=True)
    sale = await Sale.open(server, gateway, IN_MEMORY)
    assert len(await sale.join_many(500)) == 500
    await sale.release(5)
    assert (await sale.read()).served_up_to == 5


# --- The ceiling ---------------------------------------------------------------------------------


async def test_nothing_is_dealt_above_a_ceiling_that_is_not_on_the_disk(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server()
    sale = await Sale.open(server, new_ledger(server.url, timeout_s=TIMEOUT_S), ON_DISK)
    await sale.join_many(10)
    await settled()
    ceiling = int(sale.field("ceiling"))
    # The server writes on, and never syncs.
    server.command("CONFIG", "SET", "appendfsync", "no")
    dealt, causes = await join_and_tell(sale, ceiling + 50)
    assert (dealt[-1], causes) == (ceiling, {"not-durable"})
    assert sale.field("ceiling") == str(ceiling)
    assert int(sale.field("next")) > ceiling
    await not_durable(sale.join())
    server.command("CONFIG", "SET", "appendfsync", "everysec")
    assert (await sale.through(new_ledger(server.url)).join()).position == ceiling + 1


@pytest.fixture(scope="module")
def pair_of(short_folder: Path) -> Iterator[Callable[[str], list[RealServer]]]:
    """Start a primary and its replica once for each kind: a new replica takes a second to confirm."""
    pairs: dict[str, list[RealServer]] = {}

    def start(kind: str) -> list[RealServer]:
        if kind not in pairs:
            pairs[kind] = []
            ports = [free_port(), free_port()]
            for port in ports:
                folder = short_folder / f"{kind}-{port}"
                folder.mkdir()
                settings = {"port": str(port), "repl-diskless-sync-delay": "0"}
                server = RealServer(binary_of(kind), folder, settings)
                pairs[kind].append(server)
                server.start()
        return pairs[kind]

    yield start
    for pair in pairs.values():
        for server in pair:
            server.kill()


@pytest.fixture
def pair(
    request: pytest.FixtureRequest, pair_of: Callable[[str], list[RealServer]]
) -> Iterator[list[RealServer]]:
    """A primary, empty, and a replica that has confirmed so."""
    primary, replica = pair_of(getattr(request, "param", "valkey"))
    replica.command("REPLICAOF", "127.0.0.1", primary.settings["port"])
    eventually(lambda: "state=online" in primary.raw("INFO", "replication"))
    primary.command("FLUSHALL")
    assert primary.command("WAIT", 1, 5000) == 1
    yield [primary, replica]
    replica.thaw()


BOTH_PAIRS = pytest.mark.parametrize("pair", ["valkey", "redis"], indirect=True)


@BOTH_PAIRS
async def test_nothing_is_dealt_above_a_ceiling_that_no_replica_has(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    primary, replica = pair
    sale = await Sale.open(primary, new_ledger(primary.url, timeout_s=TIMEOUT_S), ON_A_REPLICA)
    await sale.join_many(10)
    await settled()
    ceiling = int(sale.field("ceiling"))
    replica.freeze()
    dealt, causes = await join_and_tell(sale, ceiling + 50)
    assert (dealt[-1], causes) == (ceiling, {"not-durable"})
    assert sale.field("ceiling") == str(ceiling)
    replica.thaw()
    assert (await sale.join()).position == ceiling + 1


@BOTH_PAIRS
async def test_what_was_cut_off_may_deal_up_to_its_ceiling_and_the_promoted_deals_above(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    primary, replica = pair
    sale = await Sale.open(primary, new_ledger(primary.url, timeout_s=TIMEOUT_S), ON_A_REPLICA)
    before, _ = await join_and_tell(sale, 10)
    await sale.release(7)
    replica.command("REPLICAOF", "NO", "ONE")
    # Two primaries at once, each with gateways of its own.
    promoted = Sale(replica, new_ledger(replica.url), sale.event, sale.generation)
    await promoted.configure(durability=Durability.MEMORY)
    (old, causes), (new, _) = await asyncio.gather(
        join_and_tell(sale, 500), join_and_tell(promoted, 500)
    )
    assert causes == {"not-durable"}
    assert len(new) == 500
    dealt = before + old + new
    assert len(set(dealt)) == len(dealt)
    assert (await promoted.read()).served_up_to == 7


# --- What operators are answered -----------------------------------------------------------------

ACTS: dict[str, Callable[[Sale], Awaitable[Any]]] = {
    "release": lambda sale: sale.release(1, request_id="later"),
    "leave": lambda sale: sale.leave(2),
    "pause": lambda sale: sale.change(StateChange.PAUSE),
    "configure": lambda sale: sale.configure(window_s=77),
}


async def in_use(pair: list[RealServer], new_ledger: NewLedger) -> Sale:
    """An event with a replica, and one session that runs."""
    sale = await Sale.open(pair[0], new_ledger(pair[0].url, timeout_s=TIMEOUT_S), ON_A_REPLICA)
    await sale.join_many(10)
    await settled()
    await sale.release(4, request_id="first")
    await sale.claim(2)
    return sale


@pytest.mark.parametrize("act", ACTS.values(), ids=list(ACTS))
async def test_an_act_is_answered_once_the_replica_has_it(
    pair: list[RealServer],
    new_ledger: NewLedger,
    act: Callable[[Sale], Awaitable[Any]],
) -> None:
    sale = await in_use(pair, new_ledger)
    pair[1].freeze()
    await not_durable(act(sale))
    # Asked again it changes nothing any more, and is still not durable: also on a new connection.
    await sale.ledger.redis.connection_pool.disconnect()
    await not_durable(act(sale))
    pair[1].thaw()
    await act(sale)
    snapshot = await sale.read()
    assert snapshot.served_up_to <= 5


async def test_a_release_that_was_not_durable_is_found_again_by_its_id(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    sale = await in_use(pair, new_ledger)
    pair[1].freeze()
    await not_durable(sale.release(3, request_id="second"))
    await not_durable(sale.release(3, request_id="second"))
    pair[1].thaw()
    again = await sale.release(3, request_id="second")
    assert (again.before, again.after, again.repeated) == (4, 7, True)


async def test_an_event_that_was_not_durable_is_there_when_it_is_asked_for_again(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    ledger = new_ledger(pair[0].url, timeout_s=TIMEOUT_S)
    pair[1].freeze()
    for _ in range(2):
        await not_durable(ledger.create(EventId("sale"), ON_A_REPLICA, opened=True))
        await ledger.redis.connection_pool.disconnect()
    pair[1].thaw()
    assert not await ledger.create(EventId("sale"), ON_A_REPLICA, opened=True)
    assert await ledger.events() == ["sale"]


async def test_a_connection_that_died_before_the_wait_is_not_waited_on_by_another(
    new_server: NewServer, new_ledger: NewLedger, short_folder: Path
) -> None:
    # WAIT counts what its own connection wrote: on a new one it would count nothing, at once.
    server = new_server()
    async with LossyRelay(server.socket, short_folder / "relay").running() as relay:
        sale = await Sale.open(server, new_ledger(relay.url), ON_DISK)
        await sale.join_many(10)
        await settled()
        await sale.release(1)
        relay.lose_answers(1, after=1)
        failure = await refused(sale.release(2, request_id="r"))
        assert (failure.cause, relay.lost) == ("unreachable", 1)
        assert (await sale.release(2, request_id="r")).repeated


async def test_more_leave_at_once_than_connections_may_be_held(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server()
    sale = await Sale.open(server, new_ledger(server.url), ON_DISK)
    await sale.join_many(300)
    await sale.release(300)
    await asyncio.gather(*(sale.claim(p) for p in range(1, 301)))
    assert all(await asyncio.gather(*(sale.leave(p) for p in range(1, 301))))


# --- What visitors are shown ---------------------------------------------------------------------


async def test_a_gateway_shows_a_release_once_the_replica_has_it_and_a_revocation_at_once(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    sale = await in_use(pair, new_ledger)
    gateway = new_ledger(pair[0].url, timeout_s=TIMEOUT_S, is_gateway=True)
    shown = await gateway.read(sale.event)
    assert shown.served_up_to == 4
    pair[1].freeze()
    await not_durable(sale.release(3))
    await not_durable(sale.leave(2))
    shown = await gateway.read(sale.event, shown)
    assert (shown.served_up_to, set(shown.ended)) == (4, {2})
    assert (await sale.read()).served_up_to == 7, "an operator sees what is there"
    await not_durable(sale.change(StateChange.PAUSE))
    shown = await gateway.read(sale.event, shown)
    assert (shown.state, shown.served_up_to) == (EventState.PAUSED, 4)
    await not_durable(sale.change(StateChange.RESUME))
    shown = await gateway.read(sale.event, shown)
    assert (shown.state, shown.served_up_to) == (EventState.PAUSED, 4)
    pair[1].thaw()
    shown = await gateway.read(sale.event, shown)
    assert (shown.state, shown.served_up_to, set(shown.ended)) == (EventState.OPEN, 7, {2})


async def test_the_end_of_a_pause_that_was_shown_is_shown_once_the_replica_has_it(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    sale = await in_use(pair, new_ledger)
    gateway = new_ledger(pair[0].url, timeout_s=TIMEOUT_S, is_gateway=True)
    shown = await gateway.read(sale.event)
    await sale.change(StateChange.PAUSE)
    shown = await gateway.read(sale.event, shown)
    assert shown.state is EventState.PAUSED
    pair[1].freeze()
    await not_durable(sale.change(StateChange.RESUME))
    shown = await gateway.read(sale.event, shown)
    assert shown.state is EventState.PAUSED
    pair[1].thaw()
    assert (await gateway.read(sale.event, shown)).state is EventState.OPEN


async def test_a_gateway_shows_an_opening_and_its_draw_once_the_replica_has_them(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    policy = EventPolicy(durability=Durability.REPLICAS, draw=True)
    ledger = new_ledger(pair[0].url, timeout_s=TIMEOUT_S)
    sale = await Sale.open(pair[0], ledger, policy, opened=False)
    await sale.join_many(5)
    await settled()
    gateway = new_ledger(pair[0].url, timeout_s=TIMEOUT_S, is_gateway=True)
    before = await gateway.read(sale.event)
    pair[1].freeze()
    await not_durable(sale.change(StateChange.OPEN))
    shown = await gateway.read(sale.event, before)
    assert (shown.state, shown.draw) == (EventState.SCHEDULED, before.draw)
    pair[1].thaw()
    shown = await gateway.read(sale.event, shown)
    assert shown.state is EventState.OPEN
    assert shown.draw is not None
    assert shown.draw.seed is not None


async def test_a_gateway_that_starts_meanwhile_lets_nobody_in(
    pair: list[RealServer], new_ledger: NewLedger
) -> None:
    sale = await in_use(pair, new_ledger)
    pair[1].freeze()
    gateway = new_ledger(pair[0].url, timeout_s=TIMEOUT_S, is_gateway=True)
    assert (await gateway.read(sale.event)).state is EventState.SUSPENDED
    pair[1].thaw()
    assert (await gateway.read(sale.event)).state is EventState.OPEN
