"""A soak: an hour of a sale, compressed, with visitors who come, sleep, vanish and return.

    python -m loadtests.waiting_soak
    python -m loadtests.waiting_soak --minutes 10 --visitors 1000 --seed 7

Two gateways on one ledger. So many visitors at a time, each with a place, see the pointer by a stream, by
a WebSocket or by polling; close the lid for a while; are cut off without a word; come back to the other
gateway with nothing but their token; and claim when their turn has come. An operator releases in bursts,
pauses, and restarts one gateway after the other in the middle of it, as for a new version.

It fails when a place is lost, changed or served twice, when somebody is let in early, when a pointer goes
back before somebody's eyes, or when the gateways' memory grows.
"""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeVar

import aiohttp

from gateway.domain.events import EventPolicy
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.ledger.redis import RedisLedger
from gateway.ports import StateChange
from gateway.tokens.keyring import new_key
from loadtests.placement import resident_bytes
from tests.support.fleet import FleetGateway, running_fleet
from tests.support.gateways import Tables
from tests.support.servers import RealServer, valkey_binary

T = TypeVar("T")

EVENT: Final = EventId("sale")

# An hour in so many minutes: windows and sessions are shortened alike.
VIRTUAL_MINUTES: Final = 60
WINDOW_S: Final = 900
SESSION_S: Final = 600

# Nobody waits longer than this for anything that must come.
PATIENCE_S: Final = 120.0

# Memory counts as flat when the last quarter is above the second by no more than a tenth and this much.
ALLOWANCE_BYTES: Final = 6 * 1024 * 1024
ALLOWANCE: Final = 1.1


@dataclass(slots=True)
class Findings:
    """What happened, and what must not have."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    admitted: dict[int, str] = field(default_factory=dict)
    released_to: int = 0
    memory: list[int] = field(default_factory=list)

    def wrong(self, text: str) -> None:
        self.violations.append(text)


class Visitor:
    """One person with a phone: a place, and whatever comes between."""

    def __init__(
        self,
        name: str,
        fleet: list[FleetGateway],
        http: aiohttp.ClientSession,
        chance: random.Random,
        findings: Findings,
    ) -> None:
        self._name = name
        self._fleet = fleet
        self._http = http
        self._chance = chance
        self._findings = findings
        self._token = ""
        self._position = 0
        self._seen = 0

    async def live(self) -> None:
        """Join, wait, get in, leave."""
        joined = await self._persistently("POST", "join", {"Idempotency-Key": self._key()})
        self._token, self._position = joined["token"], joined["position"]
        self._findings.counts["joined"] += 1
        while not await self._my_turn():
            await self._one_of(
                (6, self._watch_stream), (3, self._watch_socket), (3, self._poll), (2, self._sleep)
            )
        passed = await self._persistently("POST", "claim", self._shown())
        if passed["position"] != self._position:
            self._findings.wrong(f"{self._position} was let in as {passed['position']}")
        if self._position > self._findings.released_to:
            self._findings.wrong(f"{self._position} was let in before anybody let them in")
        before = self._findings.admitted.setdefault(self._position, self._name)
        if before != self._name:
            self._findings.wrong(f"{self._position} was let in twice")
        self._findings.counts["admitted"] += 1
        await self._persistently("POST", "leave", {"Queue-Token": passed["pass"]})

    async def _one_of(self, *ways: tuple[int, Any]) -> None:
        (way,) = self._chance.choices([w for _, w in ways], [weight for weight, _ in ways])
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
            await way()

    async def _my_turn(self) -> bool:
        standing = await self._persistently("GET", "position", self._shown())
        if standing["position"] != self._position:
            self._findings.wrong(f"{self._position} became {standing['position']}")
        self._note(standing["served_up_to"])
        is_served: bool = standing["turn"] <= standing["served_up_to"]
        if (standing["status"] != "waiting") != is_served:
            self._findings.wrong(f"{self._position}: {standing}")
        return is_served

    def _note(self, served_up_to: int) -> bool:
        """Note a pointer that was seen in a stream; return whether the turn has come."""
        # Another gateway may be a moment behind: what was seen stays seen, as the page does it.
        self._seen = max(self._seen, served_up_to)
        return self._seen >= self._position

    async def _watch_stream(self) -> None:
        last = 0
        async with self._http.get(self._url("events"), timeout=self._stay()) as stream:
            async for line in stream.content:
                if line.startswith(b"data: {") and b"served_up_to" in line:
                    last = self._in_order(last, json.loads(line[6:]))
                    if self._note(last):
                        return

    async def _watch_socket(self) -> None:
        last = 0
        async with (
            asyncio.timeout(self._chance.uniform(1, 20)),
            self._http.ws_connect(self._url("ws")) as socket,
        ):
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    last = self._in_order(last, json.loads(message.data))
                    if self._note(last):
                        return

    def _in_order(self, last: int, document: dict[str, Any]) -> int:
        self._findings.counts["documents"] += 1
        served: int = document["served_up_to"]
        if served < last:
            self._findings.wrong(f"a pointer went back in one stream: {last} to {served}")
        return served

    async def _poll(self) -> None:
        for _ in range(self._chance.randrange(1, 5)):
            async with self._http.get(self._url(""), timeout=self._stay()) as answer:
                if answer.status == 200 and self._note((await answer.json())["served_up_to"]):
                    return
            await asyncio.sleep(self._chance.uniform(0.5, 3))

    async def _sleep(self) -> None:
        self._findings.counts["slept"] += 1
        await asyncio.sleep(self._chance.uniform(2, 30))

    async def _persistently(self, method: str, verb: str, headers: dict[str, str]) -> Any:
        """Ask until there is an answer, at one gateway or the other."""
        deadline = time.monotonic() + PATIENCE_S
        answered = ""
        while time.monotonic() < deadline:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
                async with self._http.request(
                    method, self._url(verb), headers=headers, timeout=aiohttp.ClientTimeout(20)
                ) as answer:
                    document = await answer.json(content_type=None)
                    if answer.status in (200, 201):
                        return document
                    answered = f"{answer.status} {document.get('type')}"
                    self._findings.counts[f"{verb} {answered}"] += 1
                    if answer.status not in (429, 503):
                        break
            await asyncio.sleep(self._chance.uniform(0.3, 2))
        self._findings.wrong(f"{self._name} ({self._position}): no {verb}: {answered}")
        raise LostPlace

    def _shown(self) -> dict[str, str]:
        return {"Queue-Token": self._token}

    def _key(self) -> str:
        return f"{self._chance.getrandbits(192):048x}"

    def _stay(self) -> aiohttp.ClientTimeout:
        """Some stay for a while, some are gone at once; nobody says good-bye."""
        return aiohttp.ClientTimeout(total=self._chance.uniform(0.2, 25))

    def _url(self, verb: str) -> str:
        gateway = self._chance.choice(self._fleet)
        return f"{gateway.url}/queue/{EVENT}" + (f"/{verb}" if verb else "")


class LostPlace(Exception):
    """A visitor got no further; noted already."""


class Sale:
    """The operator, the door, and the watch over memory."""

    def __init__(
        self, fleet: list[FleetGateway], ledger: RedisLedger, chance: random.Random, minutes: float
    ) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._chance = chance
        self._ends_at = time.monotonic() + minutes * 60
        self.findings = Findings()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._ends_at

    async def run(self, visitors: int, seed: int) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        # Whatever fails ends all of it at once: visitors without an operator would only wait.
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            asyncio.TaskGroup() as group,
        ):
            beside = [
                group.create_task(task())
                for task in (self._release, self._weigh, self._roll, self._report)
            ]
            streams = [self._stream(http, seed * 10_000 + n) for n in range(visitors)]
            await asyncio.gather(*streams)
            for task in beside:
                task.cancel()

    async def _stream(self, http: aiohttp.ClientSession, seed: int) -> None:
        """One visitor after the other, until the sale is over; who has a place sees it through."""
        chance = random.Random(seed)
        await asyncio.sleep(chance.uniform(0, 10))
        for number in range(1_000_000):
            if self.is_over:
                return
            with contextlib.suppress(LostPlace):
                name = f"{seed}.{number}"
                await Visitor(name, self._fleet, http, chance, self.findings).live()

    async def _release(self) -> None:
        """Bursts by hand, so that a place waits for half a virtual minute to some of them."""
        while True:
            await asyncio.sleep(self._chance.uniform(0.2, 3))
            snapshot = await self._until_done(partial(self._ledger.read, EVENT))
            by = self._chance.randrange(1, max(snapshot.waiting // 3, 2))
            if self._chance.random() < 0.05:
                await self._change(StateChange.PAUSE, "One moment.")
                self.findings.counts["paused"] += 1
                await asyncio.sleep(self._chance.uniform(0.5, 5))
                await self._change(StateChange.RESUME)
            # Noted before it is asked for: nobody may be let in beyond it.
            to = snapshot.served_up_to + by
            self.findings.released_to = max(self.findings.released_to, to)
            await self._until_done(partial(self._ledger.release, EVENT, to=to))
            self.findings.counts["released"] += 1

    async def _change(self, change: StateChange, message: str = "") -> None:
        await self._until_done(partial(self._ledger.change_state, EVENT, change, message=message))

    async def _until_done(self, act: Callable[[], Awaitable[T]]) -> T:
        """Carry out what may be repeated; a machine that is overloaded answers late."""
        while True:
            try:
                return await act()
            except LedgerUnavailable:
                self.findings.counts["operator asked again"] += 1
                await asyncio.sleep(1)

    async def _roll(self) -> None:
        """Restart the gateways one after the other, once, a third into the sale."""
        await asyncio.sleep((self._ends_at - time.monotonic()) / 3)
        for gateway in self._fleet:
            await gateway.restart(by=signal.SIGTERM)
            self.findings.counts["restarted"] += 1
            self.findings.memory.clear()
            await asyncio.sleep(5)

    async def _weigh(self) -> None:
        while True:
            await asyncio.sleep(2)
            if all(gateway.is_running for gateway in self._fleet):
                self.findings.memory.append(sum(resident_bytes(g.pid) for g in self._fleet))

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(15)
            memory = self.findings.memory[-1] / 2**20 if self.findings.memory else 0
            print(
                f"{max(self._ends_at - time.monotonic(), 0):4.0f} s left: "
                f"{self.findings.counts['joined']} joined, {self.findings.counts['admitted']} let in, "
                f"{memory:.1f} MiB, {len(self.findings.violations)} violations",
                file=sys.stderr,
                flush=True,
            )


def judge_memory(samples: list[int]) -> str | None:
    """Say what is wrong with the memory, if it grew from the second quarter to the last."""
    quarter = len(samples) // 4
    if quarter == 0:
        return "the soak was too short to judge the memory"
    before, after = median(samples[quarter : 2 * quarter]), median(samples[-quarter:])
    if after > before * ALLOWANCE + ALLOWANCE_BYTES:
        return f"memory grew from {before / 2**20:.1f} to {after / 2**20:.1f} MiB"
    return None


@contextlib.asynccontextmanager
async def _ground(
    folder: Path, minutes: float
) -> AsyncIterator[tuple[list[FleetGateway], RedisLedger]]:
    faster = VIRTUAL_MINUTES / minutes
    new_key(folder / "keys", now_s=time.time())
    (folder / "l").mkdir()
    server = RealServer(valkey_binary(), folder / "l")
    server.start()
    ledger = RedisLedger(server.url, timeout_s=10)
    policy = EventPolicy(
        window_s=max(int(WINDOW_S / faster), 10), session_s=max(int(SESSION_S / faster), 10)
    )
    try:
        await ledger.create(EVENT, policy, opened=True)
        tables: Tables = {
            "keys": {"dir": str(folder / "keys")},
            "ledger": {"url": server.url},
            "joins": {"burst": 0},
            "events.sale": {"hosts": ["127.0.0.1"]},
        }
        async with running_fleet(folder, "ab", tables) as fleet:
            yield fleet, ledger
    finally:
        await ledger.aclose()
        server.kill()


async def soak(minutes: float, visitors: int, seed: int) -> Findings:
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        async with _ground(Path(name), minutes) as (fleet, ledger):
            sale = Sale(fleet, ledger, random.Random(seed), minutes)
            await sale.run(visitors, seed)
    growth = judge_memory(sale.findings.memory)
    if growth is not None:
        sale.findings.wrong(growth)
    if sale.findings.counts["joined"] != sale.findings.counts["admitted"]:
        sale.findings.wrong("some who joined were never let in")
    return sale.findings


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--visitors", type=int, default=400, help="at one time")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    findings = asyncio.run(soak(args.minutes, args.visitors, args.seed))
    memory = [round(sample / 2**20, 1) for sample in findings.memory]
    report = {
        "seed": args.seed,
        "counts": dict(findings.counts.most_common()),
        "memory_mib": {"first": memory[:1], "most": max(memory, default=0), "last": memory[-1:]},
        "violations": findings.violations[:50],
    }
    print(json.dumps(report, indent=2))
    if findings.violations:
        sys.exit(f"{len(findings.violations)} violations; the same again: --seed {args.seed}")


if __name__ == "__main__":
    main()
