"""nginx and HAProxy alone, with the gateway behind them, and the gateway's own edge, side by side.

    python loadtests/fronts.py             # two minutes
    python loadtests/fronts.py --quick     # does it run? The figures mean nothing
    python loadtests/fronts.py --json

The same admitted visitors ask for the same page everywhere. nginx runs from the files in `deploy/nginx`,
and where it runs scripts from what `gateway config nginx` writes; HAProxy and Envoy, where there are
any, from what `gateway config haproxy` and `gateway config envoy` write.
All that stands before the site shares one core, the gateway behind nginx too; load, site and ledger share
the other.
Rounds go over all rows, each ratio is taken within its round, and medians are shown.
"""

import argparse
import contextlib
import json
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from gateway.ledger.embedded import EmbeddedServer
from loadtests.contestants import Contestant, ContestantProcess
from loadtests.envoy import Envoy, VerifyingEnvoy, envoy_binary
from loadtests.figures import machine
from loadtests.hammer import Job, LoadBroken, LoadGenerator
from loadtests.haproxy import HAProxy, VerifyingHAProxy, haproxy_binary
from loadtests.materials import EVENT, Materials, pass_cookie, request, write_settings
from loadtests.nginx import Nginx, VerifyingNginx, nginx_binary, nginx_runs_scripts
from loadtests.placement import cores, pin
from loadtests.proxy_process import ProxyProcess, Verified

DEPLOY = Path(__file__).parents[1] / "deploy" / "nginx"

VISITORS = 200

ALONE, ASKING, KEEPING, VERIFYING, EDGE = (
    "nginx alone",
    "nginx, asking each time",
    "nginx, keeping admissions",
    "nginx, verifying passes itself",
    "the gateway's own edge",
)
HAPROXY_ALONE, HAPROXY_ASKING, HAPROXY_VERIFIES = (
    "HAProxy alone",
    "HAProxy, asking each time",
    "HAProxy, verifying passes itself",
)
ENVOY_ALONE, ENVOY_ASKING, ENVOY_VERIFIES = (
    "Envoy alone",
    "Envoy, asking each time",
    "Envoy, verifying passes itself",
)
POINTER, POINTER_KEPT = "pointer document, gateway", "pointer document, kept by nginx"


class AskingNginx(Nginx):
    """nginx as it is shipped in `deploy/`, asking the gateway.

    Args:
        gateway: Its port.
        site: The backend's.
        keeps: Whether admissions are kept, as the shipped files have it.
    """

    def __init__(
        self, folder: Path, core: int | None, *, gateway: int, site: int, keeps: bool
    ) -> None:
        super().__init__(folder, core, site)
        self._place = folder
        self._ports = {"8080": gateway, "3000": site}
        self._keeps = keeps

    def _server(self, port: int) -> str:
        ports = {**self._ports, "80": port}
        ours = re.compile(rf"(?<![\d.])({'|'.join(ports)})\b")
        for file in DEPLOY.iterdir():
            text = ours.sub(lambda found: str(ports[found[1]]), file.read_text("utf-8"))
            text = text.replace("/run/nginx-", f"{self._place}/").replace(
                "keepalive 32;", "keepalive 256; keepalive_requests 1000000000;"
            )
            if not self._keeps:
                text = text.replace("proxy_cache admissions;", "")
            (self._place / file.name).write_text(text, "utf-8")
        return "include admission.conf;\ninclude site.conf;"


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    port: int
    requests: Sequence[bytes]
    base: str


@dataclass(frozen=True, slots=True)
class Figures:
    per_s: float
    p99_ms: float


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def start(
    stack: contextlib.ExitStack, folder: Path, ledger_url: str, materials: Materials
) -> list[Row]:
    """Start everything that is compared."""
    server_core, other_core = cores()
    site = stack.enter_context(Nginx(folder / "site", other_core))

    def gateway(name: str, backend: str = "") -> Contestant:
        config = write_settings(folder, f"{name}.toml", ledger_url, backend)
        return stack.enter_context(ContestantProcess("gateway", config, server_core))

    asked = gateway("asked")
    edge = gateway("edge", f"http://127.0.0.1:{site.port}")
    alone = stack.enter_context(Nginx(folder / "alone", server_core, site.port))
    asking, keeping = (
        stack.enter_context(
            AskingNginx(folder / name, server_core, gateway=asked.port, site=site.port, keeps=keeps)
        )
        for name, keeps in (("asking", False), ("keeping", True))
    )
    book = [request("GET", "/book", pass_cookie(held)) for held in materials.new_passes(VISITORS)]
    pointer = [request("GET", f"/queue/{EVENT}")]
    verified = Verified(site.port, asked.port, folder / "keys", materials.generation)
    beside: list[Row] = []

    def add(name: str, proxy: ProxyProcess, base: str) -> None:
        beside.append(Row(name, stack.enter_context(proxy).port, book, base))

    if nginx_runs_scripts():
        add(VERIFYING, VerifyingNginx(folder / "verifying", server_core, verified), ALONE)
    if haproxy_binary() is not None:
        add(HAPROXY_ALONE, HAProxy(folder / "haproxy", server_core, site.port), HAPROXY_ALONE)
        for name, told in ((HAPROXY_ASKING, False), (HAPROXY_VERIFIES, True)):
            row = replace(verified, told=told)
            add(name, VerifyingHAProxy(folder / f"h{told:d}", server_core, row), HAPROXY_ALONE)
    if envoy_binary() is not None:
        add(ENVOY_ALONE, Envoy(folder / "envoy", server_core, site.port), ENVOY_ALONE)
        for name, told in ((ENVOY_ASKING, False), (ENVOY_VERIFIES, True)):
            row = replace(verified, told=told)
            add(name, VerifyingEnvoy(folder / f"e{told:d}", server_core, row), ENVOY_ALONE)
    return [
        Row(ALONE, alone.port, book, ALONE),
        Row(ASKING, asking.port, book, ALONE),
        Row(KEEPING, keeping.port, book, ALONE),
        Row(EDGE, edge.port, book, ALONE),
        *beside,
        Row(POINTER, asked.port, pointer, POINTER),
        Row(POINTER_KEPT, keeping.port, pointer, POINTER),
    ]


def measure(
    rows: Sequence[Row], run: Callable[[Job], Any], rounds: int, seconds: float, connections: int
) -> dict[str, list[Figures]]:
    """Go over all rows, `rounds` times.

    Raises:
        LoadBroken: Somebody was not let in, so the figures would be about something else.
    """
    measured: dict[str, list[Figures]] = {row.name: [] for row in rows}
    for number in range(-1, rounds):
        for row in rows:
            outcome = run(Job(row.port, row.requests, connections, seconds, timed=True))
            if outcome.statuses.keys() != {200}:
                raise LoadBroken(f"{row.name} answered {dict(outcome.statuses)}")
            figures = Figures(
                outcome.answers / outcome.seconds,
                quantiles(outcome.delays_s, n=100)[98] * 1000,
            )
            say(f"{row.name}: {figures.per_s:,.0f}/s, p99 {figures.p99_ms:.1f} ms")
            if number >= 0:  # the first round warms up
                measured[row.name].append(figures)
    return measured


def summary(rows: Sequence[Row], measured: dict[str, list[Figures]]) -> list[dict[str, Any]]:
    def over(row: Row, of: Callable[[Figures], float]) -> float:
        pairs = zip(measured[row.name], measured[row.base], strict=True)
        return median(of(own) / of(base) for own, base in pairs)

    return [
        {
            "name": row.name,
            "per_s": median(figures.per_s for figures in measured[row.name]),
            "p99_ms": median(figures.p99_ms for figures in measured[row.name]),
            "against": row.base,
            "per_s_ratio": over(row, lambda figures: figures.per_s),
            "p99_ratio": over(row, lambda figures: figures.p99_ms),
        }
        for row in rows
    ]


def table(figures: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| row | per s | ratio | p99 ms | ratio | against |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['name']} | {row['per_s']:,.0f} | {row['per_s_ratio']:.2f} | {row['p99_ms']:.1f} "
        f"| {row['p99_ratio']:.2f} | {row['against']} |"
        for row in figures
    ]
    return "\n".join(lines)


def run_fronts(rounds: int, seconds: float, connections: int) -> dict[str, Any]:
    """Start everything, measure, end everything.

    Raises:
        LoadBroken: See `measure`.
    """
    _, other_core = cores()
    pin(other_core)
    about = machine()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fronts-")))
        server = EmbeddedServer(folder / "ledger")
        stack.callback(server.stop)
        server.start()
        materials = Materials(folder, server.url)
        rows = start(stack, folder, server.url, materials)
        generator = stack.enter_context(LoadGenerator(other_core))
        measured = measure(rows, generator.run, rounds, seconds, connections)
    about["load_average_after"] = machine()["load_average"]
    return {"machine": about, "rows": summary(rows, measured)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="of one run; an admission is kept for as long"
    )
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--quick", action="store_true", help="one short round: a smoke test")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    given = parser.parse_args()
    rounds, seconds = (1, 0.3) if given.quick else (given.rounds, given.seconds)
    if not (1 <= rounds <= 20 and 0.1 <= seconds <= 10 and 1 <= given.connections <= 200):
        parser.error("1 to 20 rounds, 0.1 to 10 seconds, 1 to 200 connections")
    if nginx_binary() is None:
        parser.error("there is no nginx here: install it (apt-get install nginx-light)")
    # Leave by an exception, so that what was started is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        report = run_fronts(rounds, seconds, given.connections)
    except LoadBroken as exc:
        say(f"the run is void: {exc}")
        return 1
    if given.json:
        print(json.dumps(report, indent=2))
    else:
        print(table(report["rows"]))
        print(f"\non {report['machine']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
