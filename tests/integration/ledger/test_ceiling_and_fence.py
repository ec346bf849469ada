"""The counter survives: batches answered twice, the ceiling, the fence, and what they leave empty."""

import asyncio
import time

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from gateway.domain.positions import Position
from gateway.errors import LedgerUnavailable
from gateway.ledger import keyspace
from gateway.ledger.failures import Fenced
from gateway.ledger.group_commit import Dealt
from gateway.ports import JoinRequest
from tests.integration.ledger.conftest import NewLedger, NewServer, OpenSale
from tests.support.sales import Sale
from tests.support.servers import RealServer, free_port
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]


# Of prelude.lua: the ceiling rises by no more within a second.
CLIMB_PER_S = 16_384


def plain(count: int) -> list[JoinRequest]:
    return [JoinRequest(f"v{i}") for i in range(count)]


def positions(dealt: Dealt) -> list[int]:
    return [place.position for place in dealt.places]


async def raised(sale: Sale, step: int) -> int:
    return await sale.ledger.raise_ceiling(sale.event, step)


# --- Batches -------------------------------------------------------------------------------------


async def test_the_same_batch_again_has_the_same_places(sale: Sale) -> None:
    await raised(sale, 100)
    requests = [
        JoinRequest("a"),
        JoinRequest("b", idempotency_hash="ab" * 32),
        JoinRequest("c", head_start=1),
        JoinRequest("d", idempotency_hash="ab" * 32),
        JoinRequest("e"),
    ]
    first = await sale.ledger.deal(sale.event, "batch-1", requests)
    again = await sale.ledger.deal(sale.event, "batch-1", requests)
    assert positions(first) == [1, 2, 3, 2, 4]
    assert again == first
    assert (await sale.read()).issued == 4


async def test_a_batch_again_is_the_same_even_after_its_keys_have_expired(sale: Sale) -> None:
    await raised(sale, 100)
    requests = [JoinRequest("a", idempotency_hash="ab" * 32), JoinRequest("b")]
    first = await sale.ledger.deal(sale.event, "batch-1", requests)
    sale.server.command("DEL", keyspace.idempotency_row(sale.event, "ab" * 32))
    assert await sale.ledger.deal(sale.event, "batch-1", requests) == first


async def test_a_batch_that_got_less_than_it_asked_is_answered_so_again(sale: Sale) -> None:
    await raised(sale, 3)
    first = await sale.ledger.deal(sale.event, "batch-1", plain(5))
    assert positions(first) == [1, 2, 3]
    await raised(sale, 100)
    assert positions(await sale.ledger.deal(sale.event, "batch-1", plain(5))) == [1, 2, 3]
    assert positions(await sale.ledger.deal(sale.event, "batch-2", plain(2))) == [4, 5]


async def test_the_same_batch_id_of_another_gateway_is_another_batch(
    sale: Sale, new_ledger: NewLedger
) -> None:
    await raised(sale, 100)
    other = new_ledger()
    assert positions(await sale.ledger.deal(sale.event, "batch-1", plain(2))) == [1, 2]
    assert positions(await other.deal(sale.event, "batch-1", plain(2))) == [3, 4]
    # Neither forgets its own because of the other.
    assert positions(await sale.ledger.deal(sale.event, "batch-1", plain(2))) == [1, 2]


async def test_a_batch_of_an_earlier_generation_is_dealt_anew(open_sale: OpenSale) -> None:
    old = await open_sale()
    await raised(old, 100)
    await old.ledger.deal(old.event, "batch-1", plain(3))
    kept = old.server.command("HGETALL", old.key("batches"))
    old.set_field("state", "deleted")
    new = await open_sale()
    for gateway, batch in kept.items():
        new.server.command("HSET", new.key("batches"), gateway, batch)
    await raised(new, 100)
    dealt = await new.ledger.deal(new.event, "batch-1", plain(2))
    assert positions(dealt) == [1, 2]
    assert {place.generation for place in dealt.places} == {new.generation}


async def test_gateways_that_are_long_gone_leave_the_table_of_batches(sale: Sale) -> None:
    await raised(sale, 100)
    for i in range(300):
        sale.server.command("HSET", sale.key("batches"), f"gone-{i}", f"b 1 {sale.generation} 1 1")
    await sale.join()
    assert sale.server.command("HLEN", sale.key("batches")) == 1


# --- Ceiling -------------------------------------------------------------------------------------


async def test_nothing_is_dealt_above_the_ceiling(sale: Sale) -> None:
    assert (await sale.ledger.deal(sale.event, "b1", plain(3))).places == []
    assert await raised(sale, 2) == 2
    dealt = await sale.ledger.deal(sale.event, "b2", plain(3))
    assert (positions(dealt), dealt.issued, dealt.ceiling) == ([1, 2], 2, 2)


async def test_a_repeated_key_is_answered_even_at_the_ceiling(sale: Sale) -> None:
    await raised(sale, 1)
    known = JoinRequest("a", idempotency_hash="ab" * 32)
    await sale.ledger.deal(sale.event, "b1", [known])
    dealt = await sale.ledger.deal(sale.event, "b2", [known, known, JoinRequest("b"), known])
    # The third waits, and the fourth behind it: order before speed.
    assert positions(dealt) == [1, 1]


async def test_those_above_the_ceiling_keep_their_order_while_it_is_raised(sale: Sale) -> None:
    # The first ceiling is 0 and a step is far smaller than this crowd.
    places = await asyncio.gather(*(sale.join(f"v{i}") for i in range(700)))
    assert [place.position for place in places] == list(range(1, 701))
    assert [place.visitor for place in places] == [f"v{i}" for i in range(700)]


async def test_a_proposed_ceiling_counts_only_once_it_is_committed(sale: Sale) -> None:
    sale.run_script("raise", "50")
    assert sale.field("ceiling") == "0"
    assert (await sale.ledger.deal(sale.event, "b", plain(1))).places == []


async def test_a_committed_ceiling_never_comes_down(sale: Sale) -> None:
    assert await raised(sale, 100) == 100
    mark = sale.field("mark")
    assert sale.run_script("commit_ceiling", "40", mark) == "100"
    assert sale.field("next") == "100"


async def test_committing_twice_changes_nothing(sale: Sale) -> None:
    proposal = sale.run_script("raise", "64")[:2]
    assert sale.run_script("commit_ceiling", *proposal) == "64"
    assert sale.run_script("commit_ceiling", *proposal) == "64"


async def test_raises_of_two_gateways_at_once_are_both_good(
    sale: Sale, new_ledger: NewLedger
) -> None:
    other = new_ledger()
    ceilings = await asyncio.gather(
        *(ledger.raise_ceiling(sale.event, 64) for ledger in (sale.ledger, other) for _ in range(5))
    )
    assert max(ceilings) == int(sale.field("ceiling"))


async def test_the_ceiling_climbs_no_faster_than_the_others_allow_for(sale: Sale) -> None:
    begun_s = time.monotonic()
    ceilings = [await raised(sale, 100_000) for _ in range(4)]
    assert ceilings == sorted(set(ceilings)), "it waits until there is room, and then climbs on"
    assert ceilings[0] == CLIMB_PER_S
    assert ceilings[-1] <= CLIMB_PER_S * (1 + time.monotonic() - begun_s)


async def test_a_raise_that_has_no_room_proposes_nothing_and_says_when_to_ask_again(
    sale: Sale,
) -> None:
    await raised(sale, 100)
    later = int(sale.field("ledger_ms")) + 60_000
    sale.server.command("HSET", sale.key("state"), "climb", f"{CLIMB_PER_S} {later}")
    proposed, _, _, _, wait_ms = sale.run_script("raise", "5000")
    assert (proposed, wait_ms) == ("100", "16")


async def test_a_counter_above_its_ceiling_does_not_stop_the_queue(sale: Sale) -> None:
    await sale.join()
    sale.set_issued(10**12)
    assert (await asyncio.wait_for(sale.join(), 5)).position == 10**12 + 1


# --- Fence ---------------------------------------------------------------------------------------


def gap(sale: Sale, last: int) -> tuple[int, int]:
    """Return what a fence will leave empty above `last`: all that could have been dealt."""
    return (last + 1, max(int(sale.field("ceiling")), int(sale.field("next"))))


async def settled(sale: Sale) -> None:
    """Wait for a raise ahead of need, so that the ceiling stands still."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*(t for t in others if "raise" in repr(t.get_coro())))


async def test_a_killed_server_goes_on_above_everything_that_it_could_have_dealt(
    sale: Sale,
) -> None:
    await sale.join_many(10)
    await settled(sale)
    empty = gap(sale, 10)
    sale.server.restart()
    place = await sale.join()
    assert place.position == empty[1] + 1
    assert (await sale.read()).holes.ranges == (empty,)
    assert [p.position for p in await sale.join_many(5)] == [empty[1] + i for i in range(2, 7)]


async def test_a_server_killed_again_and_again_deals_no_position_twice(sale: Sale) -> None:
    seen: list[int] = []
    for _ in range(5):
        seen += [place.position for place in await sale.join_many(30)]
        sale.server.restart()
    seen += [place.position for place in await sale.join_many(30)]
    assert seen == sorted(set(seen)), "a position was dealt twice, or out of order"
    holes = (await sale.read()).holes
    assert len(holes.ranges) == 5
    assert holes.occupied_between(0, seen[-1]) == len(seen)


async def test_a_server_killed_in_the_middle_of_a_crowd_deals_no_position_twice(
    sale: Sale, new_ledger: NewLedger
) -> None:
    crowd = [
        asyncio.create_task(gateway.join(f"{n}-{i}", key=f"{n}{i:063x}"))
        for n, gateway in enumerate([sale, sale.through(new_ledger())])
        for i in range(2000)
    ]
    await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
    sale.server.restart()
    answers = await asyncio.gather(*crowd, return_exceptions=True)
    unanswered = [a for a in answers if isinstance(a, BaseException)]
    assert all(isinstance(a, LedgerUnavailable) for a in unanswered)
    again = await asyncio.gather(
        *(sale.join(f"{n}-{i}", key=f"{n}{i:063x}") for n in range(2) for i in range(2000))
    )
    told = [a.position for a in answers if not isinstance(a, BaseException)]
    kept = [a.position for a in again]
    assert len(set(told)) == len(told)
    assert len(set(kept)) == len(kept) == 4000
    for before, after in zip(answers, again, strict=True):
        if not isinstance(before, BaseException):
            assert (before.position, before.visitor) == (after.position, after.visitor)


async def test_a_changed_mark_is_fenced_like_a_restart(sale: Sale) -> None:
    await sale.join_many(10)
    await settled(sale)
    empty = gap(sale, 10)
    sale.set_field("mark", "restored-from:a-backup")
    assert (await sale.join()).position == empty[1] + 1
    assert (await sale.read()).holes.ranges == (empty,)
    assert sale.field("mark") != "restored-from:a-backup"


async def test_a_changed_replication_id_alone_is_fenced(sale: Sale) -> None:
    # A -> B -> A: the first primary comes back with its old run id after another one has dealt.
    await sale.join_many(10)
    await settled(sale)
    run, _, replication = sale.field("mark").partition(":")
    assert len(run) == len(replication) == 40
    empty = gap(sale, 10)
    sale.set_field("mark", f"{run}:{'0' * 40}")
    assert (await sale.join()).position == empty[1] + 1


async def test_a_fence_counts_what_was_only_proposed(sale: Sale) -> None:
    await raised(sale, 64)
    await sale.ledger.deal(sale.event, "b1", plain(5))
    # Another server may have seen this committed.
    sale.run_script("raise", "1000")
    sale.set_field("mark", "another:server")
    await raised(sale, 64)
    dealt = await sale.ledger.deal(sale.event, "b2", plain(1))
    assert positions(dealt) == [1065]
    assert (await sale.read()).holes.ranges == ((6, 1064),)


async def test_a_fence_with_nothing_in_doubt_leaves_no_hole(sale: Sale) -> None:
    await raised(sale, 5)
    await sale.ledger.deal(sale.event, "b1", plain(5))
    sale.set_field("mark", "another:server")
    assert (await sale.join()).position == 6
    assert (await sale.read()).holes.ranges == ()


async def test_holes_that_touch_are_one(sale: Sale) -> None:
    await raised(sale, 10)
    await sale.ledger.deal(sale.event, "b1", plain(4))
    for mark in ("second:server", "third:server"):
        sale.set_field("mark", mark)
        await raised(sale, 10)
    assert (await sale.read()).holes.ranges == ((5, 20),)


async def test_no_more_than_64_holes_are_kept_and_the_newest_stay(sale: Sale) -> None:
    for i in range(70):
        await raised(sale, 2)
        await sale.ledger.deal(sale.event, f"b{i}", plain(1))
        sale.set_field("mark", f"server:{i}")
    await raised(sale, 2)
    holes = (await sale.read()).holes.ranges
    assert len(holes) == 64
    assert holes[-1] == (140, 140)


async def test_a_ceiling_is_not_committed_on_another_server_than_it_was_proposed_to(
    sale: Sale,
) -> None:
    proposal = sale.run_script("raise", "500")[:2]
    sale.server.restart()
    with pytest.raises(ResponseError, match="HEALING"):
        sale.run_script("commit_ceiling", *proposal)
    assert (sale.field("ceiling"), sale.field("issued")) == ("0", "0")
    assert await sale.ledger.present(sale.event)
    before = sale.contents()
    with pytest.raises(ResponseError, match="FENCED"):
        sale.run_script("commit_ceiling", *proposal)
    assert sale.contents() == before
    # And the whole raise finds the new server by itself, above what was proposed.
    assert await raised(sale, 64) == 564


async def test_a_ceiling_is_not_committed_once_the_stored_mark_has_changed(sale: Sale) -> None:
    proposal = sale.run_script("raise", "500")[:2]
    sale.set_field("mark", "another:server")
    with pytest.raises(ResponseError, match="HEALING"):
        sale.run_script("commit_ceiling", *proposal)
    assert sale.field("ceiling") == "0"


async def test_a_raise_that_is_fenced_every_time_gives_up(sale: Sale) -> None:
    commit = sale.ledger._runner._scripts["commit_ceiling"]

    async def always_fenced(keys: list[str], args: list[str], client: Redis) -> object:
        # Another server each time, which has been brought back by the time of the commit.
        args[-1] = "another:server"
        return await commit(keys=keys, args=args, client=client)

    sale.ledger._runner._scripts["commit_ceiling"] = always_fenced  # type: ignore[assignment]
    with pytest.raises(Fenced):
        await raised(sale, 10)
    with pytest.raises(LedgerUnavailable):
        await sale.join()
    sale.ledger._runner._scripts["commit_ceiling"] = commit
    assert (await sale.join()).position >= 1


async def test_a_visitors_place_is_good_after_the_server_was_killed(sale: Sale) -> None:
    places = await sale.join_many(10)
    await sale.release(5)
    seated = await sale.claim(3)
    sale.server.restart()
    snapshot = await sale.read()
    assert (snapshot.generation, snapshot.served_up_to) == (sale.generation, 5)
    again = await sale.claim(3)
    assert (again.outcome, again.fresh) == ("seated", False)
    assert abs(again.session_ends_at - seated.session_ends_at) <= 1
    assert (await sale.claim(int(places[4].position))).fresh


async def test_pointers_and_joins_go_on_when_a_replica_is_promoted(
    new_server: NewServer, new_ledger: NewLedger, request: pytest.FixtureRequest
) -> None:
    kind = request.node.callspec.params["server"]
    primary, replica = _pair(new_server, kind)
    # The first replica that comes changes the primary's replication id, and with it the mark.
    await wait_until(lambda: "master_link_status:up" in replica.raw("INFO", "replication"))
    sale = await Sale.open(primary, new_ledger(primary.url))
    before = [p.position for p in await sale.join_many(20)]
    await settled(sale)
    await sale.release(7)
    # WAIT covers what its own connection wrote, and with it all that was written before.
    primary.command("SET", "written-last", "1")
    assert primary.command("WAIT", 1, 5000) == 1
    ceiling = int(sale.field("ceiling"))
    replica.command("REPLICAOF", "NO", "ONE")
    promoted = Sale(replica, new_ledger(replica.url), sale.event, sale.generation)
    # Both deal at the same time, each below its own ceiling: a split brain.
    old, new = await asyncio.gather(
        asyncio.gather(*(sale.join() for _ in range(ceiling - 20))), promoted.join_many(50)
    )
    dealt = before + [p.position for p in old] + [p.position for p in new]
    assert len(set(dealt)) == len(dealt)
    assert min(p.position for p in new) == ceiling + 1
    snapshot = await promoted.read()
    assert (snapshot.served_up_to, snapshot.holes.ranges) == (7, ((21, ceiling),))
    assert Position(ceiling) in {p.position for p in old}


def _pair(new_server: NewServer, kind: str) -> tuple[RealServer, RealServer]:
    port = free_port()
    at_once = {"repl-diskless-sync-delay": "0"}
    primary = new_server({"port": str(port), **at_once}, kind=kind)
    return primary, new_server({"replicaof": f"127.0.0.1 {port}", **at_once}, kind=kind)
