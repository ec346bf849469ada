"""A soak: crowd after crowd at two gateways, with faults at random, for as long as it is told.

    make soak                                     # twenty minutes
    python -m tests.faults.soak --minutes 2 --seed 7

Each chapter is a sale of its own on the same gateways and the same ledger, with some faults in it, and is
judged when all of them are healed. At the end it counts everything. The exit status is 1 when anything was
lost, given twice, or let in early. Nothing leaves loopback, and everything that was started is ended.
"""

import argparse
import asyncio
import json
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.domain.events import EventPolicy
from tests.faults import test_ledger_loses, test_nothing_is_lost
from tests.faults.conftest import POLL_S, Ground
from tests.faults.test_nothing_is_lost import FRESH_S, GoesWrong, nothing
from tests.support.crowd import Crowd, Pace
from tests.support.faulty_link import FaultyLink
from tests.support.fleet import running_fleet, running_site
from tests.support.gateways import event_table
from tests.support.history import History, Join, Release, Request
from tests.support.judging import Bounds, Violation, judge
from tests.support.minting import Mint
from tests.support.servers import RealServer, valkey_binary

CHAPTER_S = 20.0
FAULTS_A_CHAPTER = 3
PACE = Pace(lasts_s=CHAPTER_S, joins_per_s=40, most=1000, impatient=0.1)

FAULTS: dict[str, GoesWrong] = {
    scenario.name: scenario.goes_wrong
    for scenario in (*test_nothing_is_lost.SCENARIOS, *test_ledger_loses.SCENARIOS)
    if scenario.goes_wrong is not nothing
}


@asynccontextmanager
async def standing(folder: Path, chapters: int) -> AsyncIterator[Ground]:
    """Start everything, with one event for each chapter in the settings."""
    place = folder / "valkey"
    place.mkdir()
    server = RealServer(valkey_binary(), place)
    server.start()
    keys = Mint(folder / "keys").folder
    try:
        async with (
            FaultyLink(server.socket, folder / "l").running() as link,
            running_site() as site,
            running_fleet(
                folder,
                "ab",
                {
                    "keys": {"dir": str(keys)},
                    "ledger": {"url": link.url, "poll_s": POLL_S},
                    "proxy": {"backend": site},
                    "joins": {"burst": 0},
                    **{
                        f"events.sale-{number}": event_table(f"sale-{number}.example")
                        for number in range(1, chapters + 1)
                    },
                },
            ) as gateways,
        ):
            yield Ground(server, link, gateways, keys)
    finally:
        server.thaw()
        server.kill()


async def chapter(
    ground: Ground, chance: random.Random, seen: Counter[str]
) -> tuple[History, list[Violation]]:
    """Play one sale with faults in it, and judge it."""
    crowd = await ground.gather(PACE, EventPolicy())
    async with crowd.gathered():
        await asyncio.gather(crowd.run(), go_wrong(ground, crowd, chance, seen))
        await ground.heal()
        await crowd.settle()
    bounds = Bounds(fresh_s=FRESH_S, forgiven=test_ledger_loses.LOST_WITH_THE_LEDGER)
    return crowd.history, judge(crowd.history, bounds)


async def go_wrong(ground: Ground, crowd: Crowd, chance: random.Random, seen: Counter[str]) -> None:
    for _ in range(FAULTS_A_CHAPTER):
        await asyncio.sleep(chance.uniform(0.5, 3))
        name = chance.choice(sorted(FAULTS))
        seen[name] += 1
        print(f"  {name}", file=sys.stderr, flush=True)
        async with crowd.fault():
            await FAULTS[name](ground)
            await ground.heal()


def count(history: History) -> Counter[str]:
    """Count what clients saw."""
    counted: Counter[str] = Counter(requests=len(history.operations))
    for operation in history.operations:
        match operation:
            case Join(place=place) if place is not None:
                counted["places"] += 1
            case Release(status=200):
                counted["releases"] += 1
            case Request(reached=reached) if reached is not None:
                counted["pages of the site"] += 1
            case _:
                pass
        if operation.status is None:
            counted["unanswered"] += 1
        elif operation.status >= 500:
            counted["answered 503"] += 1
    return counted


async def soak(minutes: float, seed: int) -> int:
    chance = random.Random(seed)
    end_s = time.monotonic() + minutes * 60
    totals: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    guilty: list[Violation] = []
    folder = Path(tempfile.mkdtemp(prefix="gwk-", dir="/tmp"))
    try:
        async with standing(folder, int(minutes * 60 / CHAPTER_S) + 2) as ground:
            while time.monotonic() < end_s:
                history, violations = await chapter(ground, chance, faults)
                totals += count(history)
                totals["chapters"] += 1
                guilty += violations
                for guarantee, times in Counter(v.guarantee for v in violations).items():
                    first = next(v for v in violations if v.guarantee is guarantee)
                    print(f"{times} x {first}", file=sys.stderr)
                left_s = max(end_s - time.monotonic(), 0)
                print(
                    f"chapter {totals['chapters']}: {totals['places']} places, "
                    f"{sum(faults.values())} faults, {len(guilty)} violations; {left_s:.0f} s left",
                    file=sys.stderr,
                    flush=True,
                )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(
        json.dumps(
            {
                "seed": seed,
                "counts": dict(totals),
                "faults": dict(sorted(faults.items())),
                "violations": [str(violation) for violation in guilty[:20]],
            },
            indent=2,
        )
    )
    return 1 if guilty else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    options = parser.parse_args(arguments)
    return asyncio.run(soak(options.minutes, options.seed))


if __name__ == "__main__":
    sys.exit(main())
