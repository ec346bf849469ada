"""Side by side: joins a second, and how long one takes, at each level of durability.

    python loadtests/durability.py
    python loadtests/durability.py --rounds 9 --seconds 2 --json

Each level has its own server on loopback, started here and ended again: the same settings but for what
the level needs. The ledger alone is measured, without HTTP and signatures: there durability costs most.
Rounds go over all levels, so that a slow minute of the machine hits all of them.

Behind the levels stands what textbooks do: one wait for each join.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from redis.asyncio import Redis

from gateway.domain.events import Durability, EventPolicy
from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.ports import JoinRequest
from tests.support.servers import RealServer, free_port, valkey_binary

EVENT = EventId("sale")
WAITING = 512


@dataclass(frozen=True, slots=True)
class Level:
    """One contestant.

    Attributes:
        settings: Of its server, over those of the tests.
        each_waits: Whether every join waits for itself, as textbooks have it.
    """

    name: str
    durability: Durability
    settings: Mapping[str, str]
    has_replica: bool = False
    each_waits: bool = False


NO_FILE = {"appendonly": "no", "repl-diskless-sync-delay": "0"}
LEVELS = (
    Level("memory", Durability.MEMORY, NO_FILE),
    Level("fsync, appendfsync always", Durability.FSYNC, {"appendfsync": "always"}),
    Level("fsync, appendfsync everysec", Durability.FSYNC, {"appendfsync": "everysec"}),
    Level("replicas, one", Durability.REPLICAS, NO_FILE, has_replica=True),
    Level("one WAIT a join", Durability.REPLICAS, NO_FILE, has_replica=True, each_waits=True),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What one round measured: joins a second, and the latency of one in ms."""

    per_s: float
    median_ms: float
    p99_ms: float


@contextlib.contextmanager
def running(level: Level, folder: Path) -> Iterator[RealServer]:
    """Run the level's server, and its replica where it has one."""
    port = free_port()
    binary = valkey_binary()
    folder.mkdir()
    server = RealServer(binary, folder, {**level.settings, "port": str(port)})
    servers = [server]
    if level.has_replica:
        (folder / "r").mkdir()
        settings = {**level.settings, "replicaof": f"127.0.0.1 {port}"}
        servers.append(RealServer(binary, folder / "r", settings))
    try:
        for each in servers:
            each.start()
        while level.has_replica and server.command("WAIT", 1, 1000) < 1:
            server.command("SET", "synced", 1)
        yield server
    finally:
        for each in servers:
            each.kill()


async def measure(join: Callable[[], Awaitable[object]], seconds: float) -> Figure:
    """Let `WAITING` visitors join again and again for so long."""
    took_s: list[float] = []
    end_s = time.perf_counter() + seconds

    async def one() -> None:
        while (began_s := time.perf_counter()) < end_s:
            await join()
            took_s.append(time.perf_counter() - began_s)

    began_s = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(WAITING)))
    span_s = time.perf_counter() - began_s
    took_s.sort()
    return Figure(
        len(took_s) / span_s, median(took_s) * 1000, took_s[int(len(took_s) * 0.99)] * 1000
    )


@contextlib.asynccontextmanager
async def joining(level: Level, url: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """Yield what one join does at this level."""
    if level.each_waits:
        client = Redis.from_url(url, max_connections=WAITING)

        async def wait_each() -> None:
            async with client.client() as connection:
                await connection.incr("naive")
                await connection.wait(1, 1000)

        try:
            yield wait_each
        finally:
            await client.aclose()
        return
    ledger = RedisLedger(url, is_gateway=True)
    if EVENT not in await ledger.events():
        await ledger.create(EVENT, EventPolicy(durability=level.durability), opened=True)
    request = JoinRequest("visitor")
    try:
        yield lambda: ledger.join(EVENT, request)
    finally:
        await ledger.aclose()


async def bench(rounds: int, seconds: float, folder: Path) -> dict[str, list[Figure]]:
    figures: dict[str, list[Figure]] = {level.name: [] for level in LEVELS}
    with contextlib.ExitStack() as stack:
        urls = {
            level.name: stack.enter_context(running(level, folder / str(number))).url
            for number, level in enumerate(LEVELS)
        }
        for turn in range(rounds + 1):
            for level in LEVELS:
                async with joining(level, urls[level.name]) as join:
                    figure = await measure(join, seconds)
                if turn:  # the first round warms up
                    figures[level.name].append(figure)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one level in one round")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; else a temporary")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gwd-", dir=args.folder))
    try:
        figures = asyncio.run(bench(args.rounds, args.seconds, folder))
    finally:
        shutil.rmtree(folder)
    base = figures["memory"]
    lines = [
        {
            "level": name,
            "joins_per_s": round(median(f.per_s for f in found)),
            "ratio": round(median(f.per_s / b.per_s for f, b in zip(found, base, strict=True)), 2),
            "median_ms": round(median(f.median_ms for f in found), 1),
            "p99_ms": round(median(f.p99_ms for f in found), 1),
        }
        for name, found in figures.items()
    ]
    if args.json:
        print(json.dumps(lines, indent=2))
        return
    print(f"{'level':30}{'joins/s':>10}{'ratio':>8}{'median ms':>12}{'p99 ms':>10}")
    for line in lines:
        print(
            f"{line['level']:30}{line['joins_per_s']:>10}{line['ratio']:>8}"
            f"{line['median_ms']:>12}{line['p99_ms']:>10}"
        )


if __name__ == "__main__":
    main()
