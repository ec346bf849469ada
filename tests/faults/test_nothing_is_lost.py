"""Whatever fails while a crowd joins: no position twice, order kept, nobody early, every token good.

Each scenario is a crowd of some hundred visitors at two gateways, and one thing that goes wrong. A new one
is a function that does it and returns when it is over, and a line in `SCENARIOS`: the crowd, the operator,
the healing and the judgement are the same for all.
"""

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import pytest

from gateway.domain.events import EventPolicy
from tests.faults.conftest import Ground
from tests.support.crowd import Crowd, Pace
from tests.support.faulty_link import Direction
from tests.support.history import History, Join, Request
from tests.support.judging import Bounds, judge, report

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

# Far above the bound that is promised, since other programs share this machine's cores.
FRESH_S = 3.0

GoesWrong: TypeAlias = Callable[[Ground], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that goes wrong.

    Attributes:
        name: What the test is called.
        goes_wrong: Does it, and returns when it is over; called once, in the midst of the rush.
        after_s: How long all is well before.
    """

    name: str
    goes_wrong: GoesWrong
    after_s: float = 0.7
    pace: Pace = field(default_factory=Pace)
    policy: EventPolicy = field(default_factory=EventPolicy)


async def nothing(ground: Ground) -> None:
    await asyncio.sleep(0)


async def gateway_killed(ground: Ground) -> None:
    await ground.gateways[0].restart(signal.SIGKILL)


async def gateway_killed_in_mid_commit(ground: Ground) -> None:
    # So slow a link that joins have piled up behind the batch which is under way.
    ground.link.delay_s = 0.1
    await asyncio.sleep(0.5)
    await ground.gateways[0].restart(signal.SIGKILL)
    ground.link.delay_s = 0.0


async def ledger_killed(ground: Ground) -> None:
    await asyncio.to_thread(ground.server.restart)


async def link_slow(ground: Ground) -> None:
    ground.link.delay_s = 0.2
    await asyncio.sleep(2)
    await ground.link.heal()


async def link_black(ground: Ground) -> None:
    ground.link.black_hole()
    await asyncio.sleep(3)
    await ground.link.heal()


async def link_half_open(ground: Ground) -> None:
    ground.link.black_hole(Direction.TO_CLIENT)
    await asyncio.sleep(1.5)
    await ground.link.heal()


async def link_rejecting(ground: Ground) -> None:
    await ground.link.reject()
    await asyncio.sleep(1.5)
    await ground.link.heal()


async def replies_lost(ground: Ground) -> None:
    ground.link.lost_replies = 0.2
    await asyncio.sleep(2.5)
    assert ground.link.lost > 10
    await ground.link.heal()


async def replies_cut(ground: Ground) -> None:
    ground.link.cut_replies = 0.2
    await asyncio.sleep(2)
    await ground.link.heal()


async def link_crawling(ground: Ground) -> None:
    ground.link.bytes_per_s = 1
    await asyncio.sleep(1.5)
    ground.link.cut()
    await ground.link.heal()


async def scripts_forgotten(ground: Ground) -> None:
    for _ in range(5):
        ground.server.command("SCRIPT", "FLUSH")
        await asyncio.sleep(0.3)


async def memory_full(ground: Ground) -> None:
    ground.server.command("CONFIG", "SET", "maxmemory", 1)
    await asyncio.sleep(1.5)
    ground.server.command("CONFIG", "SET", "maxmemory", 0)


async def server_read_only(ground: Ground) -> None:
    # Its primary never answers, so it keeps what it has and takes no writes.
    ground.server.command("REPLICAOF", "127.0.0.1", 1)
    await asyncio.sleep(1.5)
    ground.server.command("REPLICAOF", "NO", "ONE")


async def too_many_clients(ground: Ground) -> None:
    # Those who are connected stay: nobody can come back, until there is room again.
    ground.server.command("CONFIG", "SET", "maxclients", 1)
    ground.link.cut()
    await asyncio.sleep(1.5)
    ground.server.command("CONFIG", "SET", "maxclients", 10_000)


SCENARIOS = [
    Scenario("nothing", nothing),
    Scenario("gateway killed", gateway_killed),
    Scenario("gateway killed in mid commit", gateway_killed_in_mid_commit),
    Scenario("ledger killed", ledger_killed),
    Scenario("link slow", link_slow),
    Scenario("link black", link_black, pace=Pace(lasts_s=4.5)),
    Scenario("link half open", link_half_open),
    Scenario("link rejecting", link_rejecting, pace=Pace(lasts_s=3.5)),
    Scenario("link crawling", link_crawling),
    Scenario("replies lost", replies_lost),
    Scenario("replies cut", replies_cut),
    Scenario("visitors give up", nothing, pace=Pace(impatient=0.5)),
    Scenario("scripts forgotten", scripts_forgotten),
    Scenario("pool exhausted", link_slow, pace=Pace(let_in=(100, 150), joins_per_s=150, pages=1)),
    Scenario("memory full", memory_full),
    Scenario("server read-only", server_read_only),
    Scenario("too many clients", too_many_clients, pace=Pace(lasts_s=4)),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_nothing_is_lost(ground: Ground, scenario: Scenario) -> None:
    crowd = await played(ground, scenario)
    acquit(crowd, Bounds(fresh_s=FRESH_S), more_than=10)


async def played(ground: Ground, scenario: Scenario) -> Crowd:
    """Let a crowd come while it goes wrong, and settle when all is healed."""
    crowd = await ground.gather(scenario.pace, scenario.policy)
    async with crowd.gathered():
        await asyncio.gather(crowd.run(), go_wrong(ground, crowd, scenario))
        await ground.heal()
        await crowd.settle()
    return crowd


def acquit(crowd: Crowd, bounds: Bounds, *, more_than: float) -> None:
    """Fail for whatever the judge finds, and for a crowd of no more places: it proves nothing."""
    print(summary(crowd.history))
    assert len(crowd.tickets) > more_than
    assert any(ticket.held for ticket in crowd.tickets)
    broken = report(judge(crowd.history, bounds))
    assert not broken, broken


async def go_wrong(ground: Ground, crowd: Crowd, scenario: Scenario) -> None:
    await asyncio.sleep(scenario.after_s)
    if scenario.goes_wrong is nothing:
        return
    async with crowd.fault():
        await scenario.goes_wrong(ground)


def summary(history: History) -> str:
    kinds = Counter(
        f"{type(operation).__name__} {operation.status} {operation.problem}".strip()
        for operation in history.operations
    )
    joins = sum(isinstance(o, Join) and o.place is not None for o in history.operations)
    pages = sum(isinstance(o, Request) and o.reached is not None for o in history.operations)
    return f"{joins} places, {pages} pages: {dict(sorted(kinds.items()))}"
