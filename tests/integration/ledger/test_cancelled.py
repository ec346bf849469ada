"""Visitors who give up: their position may stay empty, nobody else's answer is theirs.

A cancelled command of an asyncio client once left its reply for the next caller (CVE-2023-28858): here
a stranger's place. These tests stay for ever.
"""

import asyncio
import random

import pytest

from tests.integration.ledger.conftest import NewLedger
from tests.support.sales import Sale

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]


@pytest.mark.parametrize("seed", range(5))
async def test_half_of_a_crowd_gives_up_and_the_other_half_is_numbered_in_order(
    sale: Sale, seed: int
) -> None:
    dice = random.Random(seed)
    names = [f"v{i}" for i in range(600)]
    joins = []
    for i, name in enumerate(names):
        joins.append(asyncio.create_task(sale.join(name, key=f"{i:064x}" if i % 2 else None)))
        if dice.random() < 0.05:
            await asyncio.sleep(dice.random() * 0.002)
        if dice.random() < 0.5:
            dice.choice(joins[-10:]).cancel()
    answers = await asyncio.gather(*joins, return_exceptions=True)
    kept = [
        (name, answer)
        for name, answer in zip(names, answers, strict=True)
        if not isinstance(answer, BaseException)
    ]
    gave_up = sum(isinstance(answer, asyncio.CancelledError) for answer in answers)
    assert len(kept) + gave_up == len(names)
    assert gave_up > 100
    assert [answer.visitor for _, answer in kept] == [name for name, _ in kept]
    positions = [answer.position for _, answer in kept]
    assert positions == sorted(set(positions)), "a place was given twice, or out of order"
    # One that gave up burns its own position at most.
    assert (await sale.read()).issued <= len(names)


async def test_who_gives_up_before_the_batch_goes_out_costs_nothing(sale: Sale) -> None:
    joins = [asyncio.create_task(sale.join()) for _ in range(10)]
    await asyncio.sleep(0)
    for join in joins[::2]:
        join.cancel()
    await asyncio.gather(*joins, return_exceptions=True)
    assert [joins[i].result().position for i in range(1, 10, 2)] == [1, 2, 3, 4, 5]
    assert (await sale.read()).issued == 5


async def test_who_gives_up_after_it_went_out_is_found_again_by_the_key(sale: Sale) -> None:
    await sale.join()
    sale.server.freeze()
    join = asyncio.create_task(sale.join("ada", key="ab" * 32))
    others = asyncio.gather(*(sale.join() for _ in range(3)))
    await asyncio.sleep(0.01)
    join.cancel()
    sale.server.thaw()
    places = await others
    found = await sale.join(key="ab" * 32)
    assert (found.position, found.visitor, found.repeated) == (2, "ada", True)
    assert [place.position for place in places] == [3, 4, 5]


@pytest.mark.parametrize("seed", range(3))
async def test_a_cancelled_call_never_leaves_its_answer_to_another(
    sale: Sale, new_ledger: NewLedger, seed: int
) -> None:
    dice = random.Random(seed)
    ledger = new_ledger()
    for i in range(400):
        await ledger.put_handover(sale.event, f"code-{i}", f"value-{i}", 60)
    sale.server.freeze()
    takes = [asyncio.create_task(ledger.take_handover(sale.event, f"code-{i}")) for i in range(400)]
    await asyncio.sleep(0.05)
    for take in takes:
        if dice.random() < 0.4:
            take.cancel()
    sale.server.thaw()
    answers = await asyncio.gather(*takes, return_exceptions=True)
    gave_up = [i for i, a in enumerate(answers) if isinstance(a, asyncio.CancelledError)]
    assert len(gave_up) > 100
    for i, answer in enumerate(answers):
        if i not in gave_up:
            assert answer == f"value-{i}"
    # And the connections that were left in the middle are not used again.
    await asyncio.gather(
        *(ledger.put_handover(sale.event, f"more-{i}", f"other-{i}", 60) for i in range(200))
    )
    again = await asyncio.gather(
        *(ledger.take_handover(sale.event, f"more-{i}") for i in range(200))
    )
    assert again == [f"other-{i}" for i in range(200)]


async def test_cancelled_claims_seat_nobody_twice_and_nobody_elses(sale: Sale) -> None:
    dice = random.Random(7)
    await sale.join_many(300)
    await sale.release(150)
    claims = [asyncio.create_task(sale.claim(p)) for p in range(1, 301)]
    for claim in claims:
        if dice.random() < 0.3:
            claim.cancel()
        elif dice.random() < 0.05:
            await asyncio.sleep(0.001)
    answers = await asyncio.gather(*claims, return_exceptions=True)
    for position, answer in enumerate(answers, start=1):
        if not isinstance(answer, BaseException):
            assert answer.outcome == ("seated" if position <= 150 else "not-yet")
    again = await asyncio.gather(*(sale.claim(p) for p in range(1, 151)))
    assert {claim.outcome for claim in again} == {"seated"}
    snapshot = await sale.read()
    assert (snapshot.claims, snapshot.active_sessions) == (150, 150)


async def test_a_handover_is_taken_once(sale: Sale) -> None:
    await sale.ledger.put_handover(sale.event, "code", "value", 30)
    await sale.ledger.put_handover(sale.event, "code", "another", 30)
    assert 0 < sale.server.command("PTTL", sale.key("handover:code")) <= 30_000
    taken = await asyncio.gather(
        *(sale.ledger.take_handover(sale.event, "code") for _ in range(20))
    )
    assert sorted(value or "" for value in taken) == [""] * 19 + ["value"]


async def test_a_ledger_is_good_after_every_waiting_visitor_gave_up(sale: Sale) -> None:
    for _ in range(5):
        joins = [asyncio.create_task(sale.join()) for _ in range(100)]
        await asyncio.sleep(0.001)
        for join in joins:
            join.cancel()
        await asyncio.gather(*joins, return_exceptions=True)
    issued = (await sale.read()).issued
    place = await asyncio.wait_for(sale.join(), 5)
    assert issued <= place.position <= 501


async def test_a_cancelled_act_keeps_no_connection(sale: Sale) -> None:
    await sale.join_many(5)
    for delay_us in range(0, 3000, 30):
        act = asyncio.create_task(sale.release(1))
        await asyncio.sleep(delay_us / 1e6)
        act.cancel()
        await asyncio.gather(act, return_exceptions=True)
    await sale.read()
    await asyncio.sleep(0.05)
    pool = sale.ledger.redis.connection_pool
    assert not pool._in_use_connections
