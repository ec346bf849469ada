"""Side by side: the gateway, a bare ASGI app on the same server, nginx, and the design of textbooks.

    python loadtests/bench.py                 # some three minutes
    python loadtests/bench.py --quick         # a smoke test: half a minute, figures without meaning
    python loadtests/bench.py --only join --json

Everything is started here, on loopback, in a temporary folder, and ended again. What counts is the
ratio of two servers measured one after the other, not the figure of one.
"""

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from redis import Redis

from gateway.ledger.embedded import EmbeddedServer
from loadtests.contestants import Contestant, ContestantProcess
from loadtests.figures import Measured, Round, machine, summary, table
from loadtests.hammer import Job, LoadBroken, LoadGenerator
from loadtests.materials import Materials, SignatureCost, write_settings
from loadtests.nginx import Nginx, nginx_binary
from loadtests.placement import cores, cpu_s, pin
from loadtests.rows import MANY_JOINS, Requests, Row, rows

# The ledger is read at least once a second; after this a document that nobody changes stays the same.
SETTLE_S = 1.2

WARM_UP_S = 0.3

OK = frozenset({200})

KINDS = ("sign", "verify")

_SCRIPT_CALLS = ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_evalsha_ro")


@dataclass(frozen=True, slots=True)
class Options:
    seconds: float
    rounds: int
    connections: int
    only: str


class Bench:
    """The running servers, and the measuring of rows on them."""

    def __init__(
        self,
        options: Options,
        generator: LoadGenerator,
        contestants: dict[str, Contestant],
        materials: Materials,
        ledger: Redis,
        server_core: int | None,
    ) -> None:
        self._options = options
        self._generator = generator
        self._contestants = contestants
        self._materials = materials
        self._ledger = ledger
        self._server_core = server_core
        self._calls_a_join: list[float] = []
        self.notes: list[str] = []

    def run(self) -> list[dict[str, Any]]:
        chosen = [
            row
            for row in rows(self._materials)
            if self._options.only in row.name and {row.server, row.base} <= self._contestants.keys()
        ]
        if not chosen:
            raise SystemExit(f"no row is called {self._options.only!r}")
        measured: dict[str, list[Round]] = {row.name: [] for row in chosen}
        costs: list[SignatureCost] = []
        for row in chosen:
            self._warm_up(row)
        for number in range(self._options.rounds):
            say(f"round {number + 1} of {self._options.rounds}")
            time.sleep(SETTLE_S)
            cost = self._materials.measure_signatures(self._server_core, 0.2)
            for row in chosen:
                measured[row.name].append(self._round(row, cost))
            costs.append(cost)
        self.notes.append(
            "ES256 by OpenSSL, µs of processor time: "
            + ", ".join(f"{kind} {min(c.cpu_us(kind) for c in costs):.1f}" for kind in KINDS)
        )
        if self._calls_a_join:
            calls = median(self._calls_a_join)
            self.notes.append(f"ledger calls a join, {MANY_JOINS} at once: {calls:.4f}")
        return [summary(row, measured[row.name]) for row in chosen]

    def _round(self, row: Row, cost: SignatureCost) -> Round:
        seconds = self._options.seconds
        requests = self._requests(row, seconds)
        base_requests = [requests[0] if row.base_request is None else row.base_request]
        base = self._load(row.base, base_requests, seconds, row, OK)
        calls_before = self._script_calls()
        own = self._load(row.server, requests, seconds, row, row.statuses, once=row.once)
        if row.connections == MANY_JOINS:
            calls = self._script_calls() - calls_before
            self._calls_a_join.append(calls / (own.per_s * seconds))
        say(f"  {row.name}: {own.per_s:,.0f}/s, {row.base} {base.per_s:,.0f}/s")
        return Round(base, own, cost)

    def _warm_up(self, row: Row) -> None:
        requests = self._requests(row, WARM_UP_S)
        self._load(row.server, requests, WARM_UP_S, row, row.statuses, once=row.once)

    def _requests(self, row: Row, seconds: float) -> Requests:
        return row.requests(seconds, self._contestants[row.server].port)

    def _load(
        self,
        server: str,
        requests: Requests,
        seconds: float,
        row: Row,
        statuses: frozenset[int],
        *,
        once: bool = False,
    ) -> Measured:
        contestant = self._contestants[server]
        connections = row.connections or self._options.connections
        before = cpu_s(contestant.pid)
        outcome = self._generator.run(Job(contestant.port, requests, connections, seconds, once))
        after = cpu_s(contestant.pid)
        if not outcome.answers or not outcome.statuses.keys() <= statuses:
            raise LoadBroken(f"{row.name}: {server} answered {dict(outcome.statuses)}")
        used_s = None if before is None or after is None else after - before
        return Measured(
            outcome.answers / outcome.seconds,
            None if used_s is None else used_s * 1e6 / outcome.answers,
        )

    def _script_calls(self) -> int:
        """Count what gateways have sent to the ledger: every call but a few is one of a script."""
        stats: dict[str, Any] = self._ledger.info("commandstats")
        return sum(stats[name]["calls"] for name in _SCRIPT_CALLS if name in stats)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run_bench(options: Options) -> dict[str, Any]:
    """Start everything, measure, end everything."""
    server_core, other_core = cores()
    pin(other_core)
    about = machine()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = EmbeddedServer(folder / "ledger")
        stack.callback(server.stop)
        server.start()
        materials = Materials(folder, server.url)
        contestants = start_contestants(stack, folder, server.url, (server_core, other_core))
        ledger = stack.enter_context(Redis.from_url(server.url, decode_responses=True))
        generator = stack.enter_context(LoadGenerator(other_core))
        bench = Bench(options, generator, contestants, materials, ledger, server_core)
        figures = bench.run()
    if "nginx" not in contestants:
        bench.notes.append("nginx is not installed: no rows about the proxy")
    about["load_average_after"] = machine()["load_average"]
    return {
        "machine": about,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "connections": options.connections,
        "rows": figures,
        "notes": bench.notes,
    }


def start_contestants(
    stack: contextlib.ExitStack,
    folder: Path,
    ledger_url: str,
    placed: tuple[int | None, int | None],
) -> dict[str, Contestant]:
    """Start all servers. Idle ones cost a read of the ledger each second."""
    server_core, other_core = placed
    config = write_settings(folder, "gateway.toml", ledger_url)
    contestants = {
        name: stack.enter_context(ContestantProcess(name, config, server_core))
        for name in ("bare", "gateway", "starlette", "guarded", "naive")
    }
    if nginx_binary() is not None:
        backend = stack.enter_context(Nginx(folder / "backend", other_core))
        contestants["nginx"] = stack.enter_context(
            Nginx(folder / "nginx", server_core, backend.port)
        )
        url = f"http://127.0.0.1:{backend.port}"
        config = write_settings(folder, "proxy.toml", ledger_url, url)
        contestants["proxy"] = stack.enter_context(
            ContestantProcess("gateway", config, server_core)
        )
    return contestants


def read_options(arguments: Sequence[str] | None = None) -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(description="The gateway beside a bare ASGI app and nginx.")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one run")
    parser.add_argument("--rounds", type=int, default=9, help="of all rows; medians are shown")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows with TEXT in their name")
    parser.add_argument("--quick", action="store_true", help="one short round: a smoke test")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    given = parser.parse_args(arguments)
    seconds, rounds = (0.3, 1) if given.quick else (given.seconds, given.rounds)
    if not (0.1 <= seconds <= 30 and 1 <= rounds <= 50 and 1 <= given.connections <= 900):
        parser.error("0.1 to 30 seconds, 1 to 50 rounds, 1 to 900 connections")
    return Options(seconds, rounds, given.connections, given.only), given.json


def main() -> int:
    options, as_json = read_options()
    # Leave by an exception, so that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        report = run_bench(options)
    except LoadBroken as exc:
        say(f"the run is void: {exc}")
        return 1
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print(table(report["rows"]))
        print("\n".join(["", *report["notes"], f"on {report['machine']}"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
