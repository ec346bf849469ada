"""A crowd that waits: how long until everybody has the new pointer, and what each of them costs.

    python -m loadtests.waiting_crowd --clients 100000
    python -m loadtests.waiting_crowd --kinds sse,naive --clients 10000 --json

Holds so many connections on loopback, from many source addresses, at several gateways beside each other on
one ledger; releases a batch, and notes at every client when the new pointer arrived, counted from the
moment before the release was asked for. Kinds:

    sse        GET /queue/{event}/events
    websocket  GET /queue/{event}/ws
    poll       GET /queue/{event} through an nginx that caches, every `--poll-s` seconds
    naive      what textbooks do: Starlette's StreamingResponse, a task and a queue for each client

Everything is started here, on loopback, and ended again. The clients need a good part of the two cores
that the figures were made on: what is told is told of both together.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from gateway.domain.events import Durability, EventPolicy
from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.ports import JoinRequest
from gateway.tokens.keyring import new_key
from loadtests.crowd_nginx import caching_nginx
from loadtests.placement import cpu_s, resident_bytes
from tests.support.fleet import FleetGateway, running_fleet
from tests.support.gateways import Tables
from tests.support.servers import RealServer, free_port, valkey_binary

EVENT: Final = EventId("sale")

# Machines like the one that this was written on allow 20,000 descriptors to a process.
MOST_PER_PROCESS: Final = 17_000

# Far more than are released, so that no release is capped.
PLACES: Final = 2_000
BATCH: Final = 20

ARRIVAL_TIMEOUT_S: Final = 60.0
BETWEEN_ROUNDS_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Servers:
    """What a crowd connects to.

    Attributes:
        ports: Each gets an equal share of the crowd.
        pids: Whose memory and processor time count.
    """

    ports: Sequence[int]
    pids: Sequence[int]

    def cpu_s(self) -> float:
        return sum(cpu_s(pid) or 0.0 for pid in self.pids)

    def memory_bytes(self) -> int:
        return sum(resident_bytes(pid) for pid in self.pids)


@dataclass(frozen=True, slots=True)
class Round:
    """One release: seconds from the release to the arrival, seconds of processor time."""

    p50_s: float
    p99_s: float
    last_s: float
    missing: int
    server_cpu_s: float
    client_cpu_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """What one kind costs; times are medians over the rounds, but `worst_s`, the last of all rounds.

    Attributes:
        memory_bytes: For each connection, resident in the servers.
        kernel_bytes: For each connection, of the kernel's, on both sides.
        idle_cpu: Cores that the servers use while nothing happens but heartbeats or polls.
        server_us, client_us: Processor time for each client and release.
        asked_per_s: Answers a second that all pollers together had.
    """

    kind: str
    clients: int
    gathered_s: float
    p50_s: float
    p99_s: float
    last_s: float
    worst_s: float
    missing: int
    memory_bytes: float
    kernel_bytes: float
    idle_cpu: float
    server_us: float
    client_us: float
    asked_per_s: float


class ClientProcess:
    """A `loadtests.crowd_client` and the talk with it."""

    def __init__(self, kind: str, port: int, count: int, number: int, poll_s: float) -> None:
        kind = "sse" if kind == "naive" else kind
        # 4,000 connections an address, each process with addresses of its own.
        sources = [f"127.{number + 1}.0.{n + 1}" for n in range(max(count // 4000 + 1, 16))]
        words = [sys.executable, "-m", "loadtests.crowd_client", "--kind", kind]
        words += ["--port", str(port), "--event", EVENT, "--count", str(count)]
        words += ["--sources", ",".join(sources), "--poll-s", str(poll_s)]
        words += ["--timeout-s", str(ARRIVAL_TIMEOUT_S)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid

    async def hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        if not line:
            raise RuntimeError("a process of the crowd has ended")
        document: dict[str, Any] = json.loads(line)
        return document

    def tell(self, **document: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


async def measure(kind: str, servers: Servers, ledger: RedisLedger, args: Any) -> Result:
    memory_before, kernel_before = servers.memory_bytes(), _kernel_bytes()
    began = time.monotonic()
    share, rest = divmod(args.clients, len(servers.ports))
    crowd = [
        ClientProcess(kind, port, share + (1 if number < rest else 0), number, args.poll_s)
        for number, port in enumerate(servers.ports)
    ]
    try:
        ready = await asyncio.gather(*(client.hear() for client in crowd))
        held = sum(report["ready"] for report in ready)
        gathered_s = time.monotonic() - began
        _note(f"{kind}: {held:,} connections after {gathered_s:.0f} s")
        memory = (servers.memory_bytes() - memory_before) / held
        kernel = (_kernel_bytes() - kernel_before) / held
        await asyncio.sleep(args.settle_s)
        idle_cpu, asked_per_s = await _idle(servers, crowd)
        rounds = []
        for number in range(args.rounds):
            rounds.append(await _release(servers, crowd, ledger, held))
            _note(
                f"{kind}: round {number + 1}: median {rounds[-1].p50_s:.3f} s, 99th percentile "
                f"{rounds[-1].p99_s:.3f} s, last {rounds[-1].last_s:.3f} s"
            )
            await asyncio.sleep(BETWEEN_ROUNDS_S)
    finally:
        for client in crowd:
            client.end()
    return Result(
        kind=kind,
        clients=held,
        gathered_s=gathered_s,
        p50_s=median(r.p50_s for r in rounds),
        p99_s=median(r.p99_s for r in rounds),
        last_s=median(r.last_s for r in rounds),
        worst_s=max(r.last_s for r in rounds),
        missing=sum(r.missing for r in rounds) + args.clients - held,
        memory_bytes=memory,
        kernel_bytes=kernel,
        idle_cpu=idle_cpu,
        server_us=median(r.server_cpu_s for r in rounds) / held * 1e6,
        client_us=median(r.client_cpu_s for r in rounds) / held * 1e6,
        asked_per_s=asked_per_s,
    )


async def _idle(servers: Servers, crowd: Sequence[ClientProcess]) -> tuple[float, float]:
    asked, cpu, began = await _asked(crowd), servers.cpu_s(), time.monotonic()
    await asyncio.sleep(10)
    lasted_s = time.monotonic() - began
    used = (servers.cpu_s() - cpu) / lasted_s
    return used, (await _asked(crowd) - asked) / lasted_s


async def _asked(crowd: Sequence[ClientProcess]) -> int:
    for client in crowd:
        client.tell(count=True)
    return sum([(await client.hear())["requests"] for client in crowd])


async def _release(
    servers: Servers, crowd: Sequence[ClientProcess], ledger: RedisLedger, held: int
) -> Round:
    snapshot = await ledger.read(EVENT)
    target = snapshot.served_up_to + BATCH
    for client in crowd:
        client.tell(watch=f'"served_up_to":{target},')
    await asyncio.sleep(0.3)
    cpu, client_cpu = servers.cpu_s(), sum(cpu_s(client.pid) or 0.0 for client in crowd)
    asked_at = time.monotonic()
    await ledger.release(EVENT, to=target)
    reports = await asyncio.gather(*(client.hear() for client in crowd))
    arrived = sorted(at - asked_at for report in reports for at in report["arrived"])
    if not arrived:
        raise RuntimeError("the new pointer arrived nowhere")
    return Round(
        p50_s=arrived[len(arrived) // 2],
        p99_s=arrived[min(len(arrived) * 99 // 100, len(arrived) - 1)],
        last_s=arrived[-1],
        missing=held - len(arrived),
        server_cpu_s=servers.cpu_s() - cpu,
        client_cpu_s=sum(cpu_s(client.pid) or 0.0 for client in crowd) - client_cpu,
    )


@contextlib.asynccontextmanager
async def gateways(folder: Path, ledger_url: str, count: int) -> AsyncIterator[list[FleetGateway]]:
    new_key(folder / "keys", now_s=time.time())
    tables: Tables = {
        "server": {"connections": 19_000, "connections_per_client": 19_000},
        "push": {"connections": 18_000, "connections_per_client": 18_000},
        "keys": {"dir": str(folder / "keys")},
        "ledger": {"url": ledger_url},
        "events.sale": {"hosts": ["127.0.0.1"]},
    }
    names = "abcdefghijklmnopqrstuvwxyz"[:count]
    async with running_fleet(folder, names, tables) as fleet:
        yield fleet


@contextlib.asynccontextmanager
async def servers_for(
    kind: str, folder: Path, ledger_url: str, processes: int
) -> AsyncIterator[Servers]:
    if kind == "naive":
        ports = [free_port() for _ in range(processes)]
        with _naive_rooms(ledger_url, ports) as pids:
            await asyncio.gather(*(_answers(port) for port in ports))
            yield Servers(ports, pids)
        return
    count = 1 if kind == "poll" else processes
    async with gateways(folder, ledger_url, count) as fleet:
        ports = [int(gateway.url.rpartition(":")[2]) for gateway in fleet]
        pids = [gateway.pid for gateway in fleet]
        if kind != "poll":
            yield Servers(ports, pids)
            return
        with caching_nginx(folder / "nginx", ports[0], processes) as (port, workers):
            yield Servers([port] * processes, [*pids, *workers])


@contextlib.contextmanager
def _naive_rooms(ledger_url: str, ports: Sequence[int]) -> Iterator[list[int]]:
    command = [sys.executable, "-m", "loadtests.naive_room", "--ledger", ledger_url, "--port"]
    rooms = [subprocess.Popen([*command, str(port)]) for port in ports]
    try:
        yield [room.pid for room in rooms]
    finally:
        for room in rooms:
            room.kill()
            room.wait(30)


async def _answers(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("a server did not start")


async def run(args: Any) -> list[Result]:
    results = []
    for kind in args.kinds.split(","):
        with tempfile.TemporaryDirectory(prefix="crowd-") as name:
            folder = Path(name)
            ledger_folder = folder / "l"
            ledger_folder.mkdir()
            server = RealServer(valkey_binary(), ledger_folder)
            server.start()
            ledger = RedisLedger(server.url, timeout_s=10)
            try:
                await ledger.create(EVENT, EventPolicy(durability=Durability.FSYNC), opened=True)
                joins = (ledger.join(EVENT, JoinRequest(f"v{n}")) for n in range(PLACES))
                await asyncio.gather(*joins)
                processes = args.processes or -(-args.clients // MOST_PER_PROCESS)
                async with servers_for(kind, folder, server.url, processes) as servers:
                    results.append(await measure(kind, servers, ledger, args))
            finally:
                await ledger.aclose()
                server.kill()
    return results


def _kernel_bytes() -> int:
    """Return what the kernel holds in its caches of objects: sockets, buffers, descriptors."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("Slab:"):
            return int(line.split()[1]) * 1024
    return 0


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _table(results: Sequence[Result]) -> str:
    lines = [
        "| kind | clients | median | 99 % | last | KiB a client (+ kernel) | µs server + client |"
        " idle cores | answers/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {r.kind} | {r.clients:,} | {r.p50_s:.2f} s | {r.p99_s:.2f} s | {r.last_s:.2f} s | "
        f"{r.memory_bytes / 1024:.1f} (+ {r.kernel_bytes / 1024:.1f}) | "
        f"{r.server_us:.1f} + {r.client_us:.1f} | {r.idle_cpu:.2f} | {r.asked_per_s:,.0f} |"
        for r in results
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", default="sse,websocket,poll", help="comma-separated")
    parser.add_argument("--clients", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=0, help="gateways; 0 for as few as can be")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--settle-s", type=float, default=5.0)
    parser.add_argument("--poll-s", type=float, default=10.0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = asyncio.run(run(args))
    print(json.dumps([asdict(r) for r in results], indent=2) if args.json else _table(results))
    if any(result.missing for result in results):
        sys.exit("some clients were not told, or were not held")


if __name__ == "__main__":
    main()
