"""Whatever the ledger loses while a crowd joins: no position twice, order kept, every token good.

Emptied, restored from a copy, tampered with; and keys that are rotated in the midst of a sale.
"""

import asyncio
import shutil
import signal
import time

import pytest

from gateway.tokens.keyring import activate, new_key
from tests.faults.conftest import Ground
from tests.faults.test_nothing_is_lost import FRESH_S, Scenario, acquit, played
from tests.support.crowd import Pace
from tests.support.judging import Bounds, Guarantee

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

# Rows of idempotency keys, and which positions of a range have had their session, live in the ledger alone
# (ARCHITECTURE.md, "What cannot come back").
LOST_WITH_THE_LEDGER = frozenset({Guarantee.ONE_PLACE_PER_KEY, Guarantee.ONE_SESSION})


async def emptied(ground: Ground) -> None:
    ground.server.command("FLUSHALL")
    await asyncio.sleep(1)


async def emptied_again_and_again(ground: Ground) -> None:
    for _ in range(4):
        ground.server.command("FLUSHALL")
        await asyncio.sleep(0.4)


async def keys_deleted(ground: Ground) -> None:
    for name in ("state", "issued", "served", "releases", "sessions", "config", "gateways", "subs"):
        for key in ground.server.command("KEYS", f"q:*:{name}"):
            ground.server.command("DEL", key)
        await asyncio.sleep(0.3)


async def counters_set_by_hand(ground: Ground) -> None:
    for name, value in (("issued", 1), ("served", 10**12), ("issued", 10**12), ("served", 0)):
        for key in ground.server.command("KEYS", f"q:*:{name}"):
            ground.server.command("SET", key, value)
        await asyncio.sleep(0.4)


async def an_old_copy_restored(ground: Ground) -> None:
    copy = ground.server.folder.parent / "copy"
    data = ground.server.folder / "appendonlydir"
    shutil.copytree(data, copy)
    await asyncio.sleep(1)
    await asyncio.to_thread(ground.server.kill)
    shutil.rmtree(data)
    copy.rename(data)
    await asyncio.to_thread(ground.server.start)
    await asyncio.sleep(0.5)


async def emptied_and_a_gateway_killed(ground: Ground) -> None:
    await ground.gateways[0].end(signal.SIGKILL)
    ground.server.command("FLUSHALL")
    await ground.gateways[0].start()
    await asyncio.sleep(0.5)


async def emptied_and_all_gateways_killed(ground: Ground) -> None:
    # What they kept in files is all there is.
    for gateway in ground.gateways:
        await gateway.end(signal.SIGKILL)
    ground.server.command("FLUSHALL")
    await asyncio.gather(*(gateway.start() for gateway in ground.gateways))
    await asyncio.sleep(0.5)


async def keys_rotated(ground: Ground) -> None:
    folder = ground.keys
    for _ in range(2):
        entry = new_key(folder, now_s=time.time())
        await asyncio.sleep(1.3)
        activate(folder, entry.kid, now_s=time.time())
        await asyncio.sleep(0.3)


SCENARIOS = [
    Scenario("emptied", emptied),
    Scenario("emptied again and again", emptied_again_and_again),
    Scenario("keys deleted", keys_deleted, pace=Pace(lasts_s=4)),
    Scenario("counters set by hand", counters_set_by_hand),
    Scenario("an old copy restored", an_old_copy_restored),
    Scenario("emptied and a gateway killed", emptied_and_a_gateway_killed),
    Scenario("emptied and all gateways killed", emptied_and_all_gateways_killed),
    Scenario("keys rotated", keys_rotated, pace=Pace(lasts_s=4)),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_what_is_lost_comes_back(ground: Ground, scenario: Scenario) -> None:
    crowd = await played(ground, scenario)
    bounds = Bounds(fresh_s=FRESH_S, forgiven=LOST_WITH_THE_LEDGER)
    acquit(crowd, bounds, more_than=scenario.pace.joins_per_s / 10)
