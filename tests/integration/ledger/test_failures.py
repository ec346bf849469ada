"""When the ledger is away or refuses: an error of our own with a short cause, and nothing decided."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
import redis
from redis._parsers.base import BaseParser

from gateway.domain.events import EventPolicy
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.ledger.failures import translated
from gateway.ledger.redis import RedisLedger
from gateway.ports import JoinRequest, Place, StateChange
from tests.integration.ledger.conftest import NewLedger, NewServer
from tests.support.sales import Sale
from tests.support.servers import RealServer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

KINDS = pytest.mark.parametrize("kind", ["valkey", "redis"])

WRITES: dict[str, Callable[[Sale], Awaitable[object]]] = {
    "join": lambda sale: sale.join(),
    "release": lambda sale: sale.release(1),
    "claim": lambda sale: sale.claim(1),
    "extend": lambda sale: sale.extend(1),
    "leave": lambda sale: sale.leave(1),
    "pause": lambda sale: sale.change(StateChange.PAUSE),
    "configure": lambda sale: sale.ledger.configure(sale.event, EventPolicy()),
    # Reading moves the clocks, so it writes too.
    "read": lambda sale: sale.read(),
}


async def running_sale(server: RealServer, ledger: RedisLedger) -> Sale:
    sale = await Sale.open(server, ledger)
    await sale.join_many(5)
    await sale.release(2)
    await sale.claim(1)
    return sale


async def cause_of(call: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(LedgerUnavailable) as failure:
        await call
    return failure.value.cause, failure.value.detail


async def every_call_says(sale: Sale, cause: str, *, but: str = "") -> None:
    before = sale.contents()
    for name, ask in WRITES.items():
        if name == but:
            continue
        said, advice = await cause_of(ask(sale))
        assert said == cause
        assert advice
    assert sale.contents() == before, "a call that failed changed something"


# --- Refused -------------------------------------------------------------------------------------


@KINDS
async def test_a_replica_is_refused_as_read_only(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server(kind=kind)
    sale = await running_sale(server, new_ledger(server.url))
    # Its primary never answers, so it keeps what it has and takes no writes.
    server.command("REPLICAOF", "127.0.0.1", 1)
    await every_call_says(sale, "read-only")
    server.command("REPLICAOF", "NO", "ONE")
    assert (await sale.join()).position > 5


@KINDS
async def test_a_replica_that_serves_nothing_without_its_primary_is_unreachable(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server({"replica-serve-stale-data": "no"}, kind=kind)
    sale = await running_sale(server, new_ledger(server.url))
    server.command("REPLICAOF", "127.0.0.1", 1)
    for ask in WRITES.values():
        # Each is the first that its gateway asks; after some more it would not ask at all.
        first = sale.through(new_ledger(server.url))
        assert (await cause_of(ask(first)))[0] == "unreachable"


@KINDS
async def test_a_server_without_memory_is_named_so_and_nothing_is_half_written(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server(kind=kind)
    sale = await running_sale(server, new_ledger(server.url))
    server.command("CONFIG", "SET", "maxmemory", 1)
    # Who leaves gives memory back first: that is let through, as a whole.
    await every_call_says(sale, "out-of-memory", but="leave")
    assert await sale.leave(1)
    server.command("CONFIG", "SET", "maxmemory", 0)
    assert set((await sale.read()).ended) == {1}
    assert (await sale.join()).position == 6


@KINDS
async def test_a_server_that_must_have_replicas_and_has_none_is_named_so(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server(kind=kind)
    sale = await running_sale(server, new_ledger(server.url))
    server.command("CONFIG", "SET", "min-replicas-to-write", 1)
    await every_call_says(sale, "no-replicas")


@KINDS
@pytest.mark.parametrize(
    "rights",
    [
        ["-@all"],
        ["+@all", "-evalsha"],
        ["+@all", "-info"],
        ["+@all", "-hset"],
        ["+@all", "resetkeys", "~other:*"],
    ],
)
async def test_a_user_without_a_right_is_told_so(
    new_server: NewServer, new_ledger: NewLedger, kind: str, rights: list[str]
) -> None:
    server = new_server(kind=kind)
    sale = await running_sale(server, new_ledger(server.url))
    server.command("ACL", "SETUSER", "gw", "on", ">secret", "~*", "&*", "+@connection", *rights)
    limited = sale.through(new_ledger(f"unix://gw:secret@{server.socket}"))
    assert (await cause_of(limited.join()))[0] == "no-permission"
    if "-info" not in rights and "-hset" not in rights:
        await every_call_says(limited, "no-permission")


@KINDS
@pytest.mark.parametrize(
    "command",
    [
        *("set", "zadd", "zrem", "hset", "hdel", "setbit", "xadd", "xtrim", "publish"),
        *("zcard", "zrange", "getbit", "get", "info", "time"),
    ],
)
async def test_a_right_taken_away_for_a_while_leaves_the_event_good(
    new_server: NewServer, new_ledger: NewLedger, kind: str, command: str
) -> None:
    # A script that fails in the middle is not rolled back: what it leaves must be safe to go on from.
    server = new_server(kind=kind)
    sale = await running_sale(server, new_ledger(server.url))
    await sale.join("ada", key="ab" * 32)
    server.command("ACL", "SETUSER", "gw", "on", ">secret", "~*", "&*", "+@all", f"-{command}")
    limited = sale.through(new_ledger(f"unix://gw:secret@{server.socket}"))
    asks = [*WRITES.values(), join_with_a_key, claim_the_next]
    answers = [await answer_or_cause(ask(limited)) for ask in asks]
    assert {answer for answer in answers if isinstance(answer, str)} <= {"no-permission"}
    dealt = [answer.position for answer in answers if isinstance(answer, Place)]
    if (await sale.read()).state == "paused":
        await sale.change(StateChange.RESUME)
    dealt += [place.position for place in await sale.join_many(3)]
    assert len(set(dealt)) == len(dealt)
    assert min(dealt) > 5
    await sale.release(1)
    claimed = await asyncio.gather(*(sale.claim(p) for p in (1, 2, 3)))
    assert {claim.outcome for claim in claimed} <= {"seated", "ended"}
    assert (await sale.read()).active_sessions <= 3


async def join_with_a_key(sale: Sale) -> Place:
    return await sale.join("bo", key="cd" * 32)


async def claim_the_next(sale: Sale) -> object:
    return await sale.claim(2)


async def answer_or_cause(call: Awaitable[object]) -> object:
    try:
        return await call
    except LedgerUnavailable as exc:
        return exc.cause


@KINDS
async def test_a_user_with_just_the_rights_that_the_ledger_needs_has_enough(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server(kind=kind)
    keys, groups = ["~q:*", "&q:*"], ["read", "write", "scripting", "connection", "pubsub", "fast"]
    rights = ["-@all", *(f"+@{group}" for group in groups), "+info", "+time"]
    if kind == "redis":
        # Without WAITAOF the ledger must see how the server syncs.
        rights.append("+config|get")
    server.command("ACL", "SETUSER", "gw", "on", ">secret", *keys, *rights)
    sale = await running_sale(server, new_ledger(f"unix://gw:secret@{server.socket}"))
    for ask in WRITES.values():
        await ask(sale)


@KINDS
@pytest.mark.parametrize("user", ["gw:wrong@", "nobody:secret@", ""])
async def test_a_wrong_password_and_none_are_told_apart_from_an_outage(
    new_server: NewServer, new_ledger: NewLedger, kind: str, user: str
) -> None:
    server = new_server(kind=kind)
    server.command("ACL", "SETUSER", "gw", "on", ">secret", "~*", "&*", "+@all")
    server.command("ACL", "SETUSER", "default", "resetpass", ">another")
    ledger = new_ledger(f"unix://{user}{server.socket}")
    cause, detail = await cause_of(ledger.read(EventId("sale")))
    assert cause == "no-permission"
    assert "secret" not in detail
    assert "wrong" not in detail


@KINDS
async def test_a_server_in_an_endless_script_is_busy_or_late_and_then_good(
    new_server: NewServer, new_ledger: NewLedger, kind: str
) -> None:
    server = new_server({"busy-reply-threshold": "20"}, kind=kind)
    sale = await running_sale(server, new_ledger(server.url))
    endless = threading.Thread(target=_run_for_ever, args=(server,))
    endless.start()

    async def is_busy() -> bool:
        try:
            await sale.claim(1)
        except LedgerUnavailable as exc:
            return exc.cause == "busy"
        return False

    try:
        await wait_until(is_busy)
    finally:
        server.command("SCRIPT", "KILL")
        endless.join()
    assert (await sale.join()).position == 6


def _run_for_ever(server: RealServer) -> None:
    client = redis.Redis(unix_socket_path=str(server.socket))
    with client, contextlib.suppress(redis.ResponseError):
        client.eval("while true do end", 0)


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        ("LOADING Redis is loading the dataset in memory", "loading"),
        (
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "unreachable",
        ),
        ("CLUSTERDOWN The cluster is down", "unreachable"),
        ("CLUSTERDOWN Hash slot not served", "unreachable"),
        ("MISCONF Errors writing to the AOF file: No space left on device", "disk"),
        ("NOREPLICAS Not enough good replicas to write.", "no-replicas"),
        ("READONLY You can't write against a read only replica.", "read-only"),
        (
            "READONLY You can't write against a read only replica. script: f_1, on @user_script:9.",
            "read-only",
        ),
        ("OOM command not allowed when used memory > 'maxmemory'.", "out-of-memory"),
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL.", "busy"),
        ("NOPERM User gw has no permissions to run the 'evalsha' command", "no-permission"),
        (
            "NOPERM ACL failure in script: User gw has no permissions to run the 'info' command",
            "no-permission",
        ),
        ("NOAUTH Authentication required.", "no-permission"),
        ("WRONGPASS invalid username-password pair or user is disabled.", "no-permission"),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", "state-lost"),
        ("LOST issued", "state-lost"),
        ("LAYOUT 7", "layout"),
        ("ERR max number of clients reached", "unreachable"),
        ("ERR something that nobody has seen before", "error"),
        ("FENCED the server changed between raise and commit", "fenced"),
    ],
)
def test_what_a_server_may_say_has_one_cause_each(reply: str, cause: str) -> None:
    with pytest.raises(LedgerUnavailable) as failure, translated():
        raise BaseParser.parse_error(reply)  # type: ignore[no-untyped-call]
    assert failure.value.cause == cause


# --- Away ----------------------------------------------------------------------------------------


async def test_a_server_that_is_not_there_is_unreachable(
    new_ledger: NewLedger, server: RealServer
) -> None:
    ledger = new_ledger(f"unix://{server.folder}/nobody-listens")
    assert (await cause_of(ledger.ping()))[0] == "unreachable"
    assert (await cause_of(ledger.join(EventId("sale"), JoinRequest("a"))))[0] == "unreachable"
    tcp = new_ledger("redis://127.0.0.1:1")
    assert (await cause_of(tcp.ping()))[0] == "unreachable"


async def test_a_killed_server_is_unreachable_and_good_again_once_it_is_back(sale: Sale) -> None:
    await sale.join_many(5)
    await sale.release(5)
    sale.server.kill()
    for ask in (sale.join, sale.read):
        assert (await cause_of(ask()))[0] == "unreachable"
    assert (await cause_of(sale.claim(1)))[0] == "unreachable"
    sale.server.start()
    # At once: no call is lost on the connections that died.
    assert (await sale.claim(1)).fresh
    assert (await sale.join()).position > 5


async def test_a_restart_between_two_calls_is_not_noticed_by_those_that_may_be_repeated(
    sale: Sale,
) -> None:
    await sale.join_many(5)
    await asyncio.gather(*(sale.read() for _ in range(20)))
    sale.server.restart()
    snapshots = await asyncio.gather(*(sale.read() for _ in range(20)))
    assert {s.holes.occupied_between(0, s.issued) for s in snapshots} == {5}


async def test_a_frozen_server_is_a_timeout_within_its_bound(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(5)
    hasty = sale.through(new_ledger(timeout_s=0.4))
    await hasty.read()
    sale.server.freeze()
    asked = [
        *(hasty.join() for _ in range(50)),
        *(hasty.claim(p) for p in range(1, 101)),
        hasty.read(),
        hasty.release(1, request_id="r"),
        hasty.ledger.ping(),
    ]
    before_s = time.monotonic()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    took_s = time.monotonic() - before_s
    assert took_s < 2, "nobody waits for longer than a time limit and a little"
    causes = {a.cause if isinstance(a, LedgerUnavailable) else a for a in answers}
    assert causes == {"timeout"}


async def test_after_a_freeze_every_answer_is_its_askers_own(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join_many(200)
    await sale.release(100)
    hasty = sale.through(new_ledger(timeout_s=1.0))
    await asyncio.gather(*(hasty.read() for _ in range(30)))
    sale.server.freeze()
    await asyncio.gather(
        *(hasty.claim(p) for p in range(1, 51)),
        *(hasty.join(f"lost-{i}") for i in range(50)),
        *(hasty.read() for _ in range(20)),
        return_exceptions=True,
    )
    sale.server.thaw()
    await wait_until(lambda: _answers(hasty))
    places, claims, snapshots = await asyncio.gather(
        asyncio.gather(*(hasty.join(f"v{i}") for i in range(100))),
        asyncio.gather(*(hasty.claim(p) for p in range(1, 201))),
        asyncio.gather(*(hasty.read() for _ in range(50))),
    )
    assert [place.visitor for place in places] == [f"v{i}" for i in range(100)]
    positions = [place.position for place in places]
    assert positions == sorted(set(positions))
    assert positions[0] > 200
    assert [claim.outcome for claim in claims] == ["seated"] * 100 + ["not-yet"] * 100
    # What timed out was either carried out or not, and never twice.
    assert [claim.fresh for claim in claims[50:100]] == [True] * 50
    assert {snapshot.event for snapshot in snapshots} == {sale.event}
    assert (await sale.read()).claims == 100


async def _answers(sale: Sale) -> bool:
    try:
        await sale.ledger.ping()
    except LedgerUnavailable:
        return False
    return True


async def test_a_join_that_timed_out_is_found_again_by_its_key(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await sale.join()
    hasty = sale.through(new_ledger(timeout_s=0.5))
    await hasty.join()
    sale.server.freeze()
    assert (await cause_of(hasty.join("ada", key="ab" * 32)))[0] == "timeout"
    sale.server.thaw()
    # The server read the batch once it ran again: its answer went nowhere, its place is kept.
    await wait_until(lambda: sale.server.command("GET", sale.key("issued")) == "3")
    found = await hasty.join("ada", key="ab" * 32)
    assert (found.position, found.repeated) == (3, True)


async def test_those_who_wait_for_a_ceiling_that_cannot_be_raised_are_told(
    sale: Sale, new_ledger: NewLedger
) -> None:
    hasty = sale.through(new_ledger(timeout_s=1.0))
    answers = [asyncio.create_task(hasty.join()) for _ in range(500)]
    await wait_until(lambda: any(answer.done() for answer in answers))
    sale.server.freeze()
    results = await asyncio.gather(*answers, return_exceptions=True)
    sale.server.thaw()
    told = [r.position for r in results if not isinstance(r, BaseException)]
    assert told == list(range(1, len(told) + 1))
    assert {type(r) for r in results if isinstance(r, BaseException)} <= {LedgerUnavailable}
    await wait_until(lambda: _answers(hasty))
    assert (await hasty.join()).position > len(told)


async def test_closing_answers_the_joins_under_way(sale: Sale, new_ledger: NewLedger) -> None:
    other = sale.through(new_ledger())
    joins = [asyncio.create_task(other.join()) for _ in range(300)]
    await asyncio.sleep(0)
    await other.ledger.aclose()
    assert [join.result().position for join in joins] == list(range(1, 301))


async def test_each_call_is_counted_with_how_it_ended(sale: Sale, server: RealServer) -> None:
    calls: list[tuple[str, str]] = []
    batches: list[int] = []
    ledger = RedisLedger(
        server.url, on_call=lambda name, end: calls.append((name, end)), on_batch=batches.append
    )
    counted = sale.through(ledger)
    await counted.join_many(3)
    server.kill()
    await cause_of(counted.read())
    await ledger.aclose()
    assert ("deal", "ok") in calls
    assert ("raise", "ok") in calls
    assert ("read", "unreachable") in calls
    assert sum(batches) == 3


async def test_the_servers_clock_is_passed_on_with_each_read(
    sale: Sale, server: RealServer
) -> None:
    times: list[tuple[int, float, float]] = []
    ledger = RedisLedger(server.url, on_time=lambda *values: times.append(values))
    await sale.through(ledger).read()
    await ledger.aclose()
    ((now_ms, before_s, after_s),) = times
    assert abs(now_ms / 1000 - time.time()) < 5
    assert before_s <= after_s
