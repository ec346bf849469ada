"""Traces of a gateway in a process of its own, taken by a collector over OTLP."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.collector import Collector
from tests.support.command_line import Operator, Typist, clean_environment
from tests.support.eventually import eventually
from tests.support.gateways import BACKEND_BODY, Backend, Server
from tests.support.replies import Reply, ask
from tests.support.running import Running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
LEFT_OUT = f"00-{TRACE}-00f067aa0ba902b7-00"

# As good as never, for what is traced only where somebody else has decided so.
HARDLY_EVER = 1e-12


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector().running() as collector:
        yield collector


@pytest.fixture(autouse=True)
def forget(collector: Collector) -> None:
    collector.spans.clear()
    collector.bodies.clear()
    collector.status = 200


class Traced:
    """A running gateway in front of a site."""

    def __init__(
        self,
        running: Running,
        operator: Operator,
        site: Backend,
        stop_site: Callable[[], None],
    ) -> None:
        self.running = running
        self.operator = operator
        self.site = site
        self.stop_site = stop_site
        self.port = urlsplit(running.document["url"]).port or 0

    def ask(self, method: str, target: str, **fields: str) -> Reply:
        named = [(name.replace("_", "-"), value) for name, value in fields.items()]
        return ask(self.port, method, target, [("host", "shop.example"), *named])

    def until_known(self, event: str = "sale") -> None:
        eventually(lambda: self.ask("GET", f"/queue/{event}").status == 200, 20)

    @property
    def log(self) -> list[dict[str, str]]:
        lines = (self.operator.folder / "errors.log").read_text().splitlines()
        return [json.loads(line) for line in lines]


Start = Callable[..., Traced]


@pytest.fixture
def start(collector: Collector) -> Iterator[Start]:
    """Start a gateway with an open event; `trusted` says whether we are a proxy of its operator's."""
    ending = ExitStack()

    def start(
        *,
        ratio: float = 1.0,
        trusted: bool = False,
        endpoint: str = "",
        delay_ms: int = 50,
        **environ: str,
    ) -> Traced:
        # Under /tmp itself: a Unix socket's path must be short.
        folder = Path(tempfile.mkdtemp(prefix="gwt-", dir="/tmp"))
        ending.callback(shutil.rmtree, folder)
        site = Backend()
        server = Server(site)
        server.start()
        ending.callback(server.stop)
        (folder / "gateway.toml").write_text(
            f"""\
[server]
trusted_proxies = {'["127.0.0.1"]' if trusted else "[]"}
[keys]
dir = "keys"
[ledger]
data_dir = "ledger"
[proxy]
backend = "http://127.0.0.1:{server.port}"
[tracing]
sample_ratio = {ratio!r}
endpoint = "{endpoint or collector.url}"
[events.sale]
hosts = ["shop.example"]
"""
        )
        operator = Typist(folder)
        operator("keys", "new")
        running = Running(
            ("--json", "run", "--port", 0, "--admin-port", 0),
            folder,
            env={
                "OTEL_BSP_SCHEDULE_DELAY": str(delay_ms),
                "OTEL_RESOURCE_ATTRIBUTES": "site=hall",
                **environ,
            },
        )
        assert running.process.stdout is not None
        ending.callback(running.process.stdout.close)
        ending.callback(running.end)
        assert operator("event", "create", "sale", "--open").code == 0
        traced = Traced(running, operator, site, server.stop)
        traced.until_known()
        return traced

    with ending:
        yield start


def test_a_join_a_claim_and_a_request_of_the_site_are_one_tree(
    start: Start, collector: Collector
) -> None:
    traced = start(ratio=HARDLY_EVER, trusted=True)

    joined = traced.ask("POST", "/queue/sale/join", traceparent=SAMPLED)
    token = joined.json()["token"]
    assert traced.operator("release", "sale", 1).code == 0
    eventually(lambda: traced.ask("GET", "/queue/sale").json()["served_up_to"] == 1, 20)
    claimed = traced.ask("POST", "/queue/sale/claim", queue_token=token, traceparent=SAMPLED)
    seen = traced.ask(
        "GET",
        "/seats?row=secret-row",
        authorization=f"Bearer {claimed.json()['pass']}",
        traceparent=SAMPLED,
        tracestate="proxy=word",
        cookie="sid=secret-cookie",
    )

    assert (seen.status, seen.body) == (200, BACKEND_BODY)
    eventually(lambda: bool(collector.named("backend")) and bool(collector.named("join batch")), 20)
    eventually(lambda: bool(collector.named("GET /{site}")), 20)
    by_id = {span.id: span for span in collector.spans}

    def way_up(name: str) -> list[str]:
        (span,) = collector.named(name)
        names = []
        while span.parent in by_id:
            assert span.trace == TRACE
            span = by_id[span.parent]
            names.append(span.name)
        # The proxy's own span is the root of all three.
        assert (span.trace, span.parent) == (TRACE, "00f067aa0ba902b7")
        return names

    assert way_up("join") == ["POST /queue/{event}/join"]
    assert way_up("ledger claim") == ["claim", "POST /queue/{event}/claim"]
    assert way_up("backend") == ["GET /{site}"]
    (join,) = collector.named("join")
    # The first of an event finds no ceiling yet, and rides once more when there is one.
    batches = collector.named("join batch")
    assert [batch.attributes["gateway.batch.dealt"] for batch in batches] == [0, 1]
    assert join.links == {batch.id for batch in batches}
    for batch in batches:
        assert set(batch.links) == {join.id}
        assert (batch.trace != TRACE, batch.parent) == (True, "")
    deals = collector.named("ledger deal")
    assert [deal.parent for deal in deals] == [batch.id for batch in batches]
    # What was raised between the two serves all who join.
    assert not collector.named("ledger raise")

    (backend,), (request,) = collector.named("backend"), collector.named("GET /{site}")
    assert traced.site.last.all("traceparent") == [f"00-{TRACE}-{backend.id}-01"]
    assert traced.site.last.all("tracestate") == ["proxy=word"]
    assert request.attributes == {
        "http.request.method": "GET",
        "http.route": "/{site}",
        "http.response.status_code": 200,
        "gateway.check": "admitted",
    }
    assert join.attributes == {"gateway.event": "sale", "gateway.outcome": "new"}
    (claim,) = collector.named("claim")
    assert claim.attributes == {"gateway.event": "sale", "gateway.outcome": "passed"}
    assert backend.attributes == {"http.response.status_code": 200}
    assert collector.resource["service.name"] == "admission-gateway"
    assert collector.resource["site"] == "hall"


def test_nothing_of_a_visitor_is_in_what_is_sent(start: Start, collector: Collector) -> None:
    traced = start()
    joined = traced.ask(
        "POST", "/queue/sale/join?why=secret-query", user_agent="secret-agent"
    ).json()
    traced.operator("release", "sale", 1)
    eventually(lambda: traced.ask("GET", "/queue/sale").json()["served_up_to"] == 1, 20)
    passed = traced.ask("POST", "/queue/sale/claim", queue_token=joined["token"]).json()
    pass_token = passed["pass"]
    traced.ask("GET", "/secret-path?q=secret-query", authorization=f"Bearer {pass_token}")
    traced.ask("GET", "/queue/secret-event/position", queue_token="secret.to.ken")
    traced.ask("PROPFIND", "/queue/sale/secret-verb")
    traced.ask("GET", "/queue/sale/position", queue_token=joined["token"])

    eventually(lambda: len(collector.named("GET /queue/{event}/position")) == 2, 20)
    eventually(lambda: bool(collector.named("_OTHER /queue/{unknown}")), 20)
    eventually(lambda: bool(collector.named("backend")), 20)
    traced.running.end()
    everything = b"".join(collector.bodies)
    visitor = json.loads(urlsafe_b64decode(joined["token"].split(".")[1] + "=="))["sub"]
    assert len(visitor) > 10
    parts = [part for token in (joined["token"], pass_token) for part in token.split(".")]
    for word in (visitor, *parts, "127.0.0.1", "shop.example"):
        assert word.encode() not in everything
    assert b"secret" not in everything.lower()
    # What is searched is what there would have been: names are readable in it.
    assert b"/queue/{event}/position" in everything


def test_a_visitor_has_no_say_in_what_is_traced(start: Start, collector: Collector) -> None:
    traced = start(ratio=HARDLY_EVER)

    joined = traced.ask("POST", "/queue/sale/join", traceparent=SAMPLED).json()
    traced.operator("release", "sale", 1)
    eventually(lambda: traced.ask("GET", "/queue/sale").json()["served_up_to"] == 1, 20)
    reply = traced.ask(
        "GET",
        "/",
        queue_token=joined["token"],
        traceparent=SAMPLED,
        tracestate="visitor=word",
    )

    assert reply.status == 200
    (told,) = traced.site.last.all("traceparent")
    assert TRACE not in told
    # Nor has the visitor in what the site traces.
    assert told.endswith("-00")
    assert traced.site.last.all("tracestate") == []
    traced.running.end()
    assert collector.spans == []


def test_every_traced_request_of_a_visitor_begins_a_trace(
    start: Start, collector: Collector
) -> None:
    traced = start()
    traced.ask("POST", "/queue/sale/join", traceparent=SAMPLED)
    eventually(lambda: bool(collector.named("POST /queue/{event}/join")), 20)
    (request,) = collector.named("POST /queue/{event}/join")
    assert (request.parent, request.trace != TRACE) == ("", True)


def test_what_a_trusted_proxy_leaves_out_is_left_out(start: Start, collector: Collector) -> None:
    traced = start(trusted=True)
    joined = traced.ask("POST", "/queue/sale/join", traceparent=LEFT_OUT).json()
    traced.operator("release", "sale", 1)
    eventually(
        lambda: traced.ask("GET", "/queue/sale", traceparent=LEFT_OUT).json()["served_up_to"] == 1,
        20,
    )

    traced.ask("GET", "/", queue_token=joined["token"], traceparent=LEFT_OUT)

    assert traced.site.last.all("traceparent") == [LEFT_OUT]
    traced.running.end()
    names = {span.name for span in collector.spans}
    assert "GET /queue/{event}" in names  # before, without a word of the proxy's
    assert not names & {"join", "claim", "join batch", "backend", "POST /queue/{event}/join"}


def test_joins_that_ride_together_are_linked_and_the_others_left_out(
    start: Start, collector: Collector
) -> None:
    traced = start(ratio=HARDLY_EVER, trusted=True)

    def join(number: int) -> int:
        words = {"traceparent": SAMPLED} if number % 2 else {}
        return traced.ask("POST", "/queue/sale/join", **words).status

    with ThreadPoolExecutor(16) as visitors:
        assert set(visitors.map(join, range(60))) == {201}

    traced.running.end()
    joins, batches = collector.named("join"), collector.named("join batch")
    assert len(joins) == 30
    batches_of = {join.id: {b.id for b in batches if join.id in b.links} for join in joins}
    assert all(batches_of[join.id] == join.links != set() for join in joins)
    assert {link for batch in batches for link in batch.links} == batches_of.keys()
    # Each round trip is in one trace only: no visitor's, however the work is shared out.
    deals = collector.named("ledger deal")
    assert sorted(deal.parent for deal in deals) == sorted(batch.id for batch in batches)


def test_a_broken_traceparent_breaks_nothing(start: Start, collector: Collector) -> None:
    traced = start(trusted=True)
    for words in ("", "00-0-0-01", f"ff-{TRACE}-00f067aa0ba902b7-01", "x" * 5000):
        assert traced.ask("POST", "/queue/sale/join", traceparent=words).status == 201
    eventually(lambda: len(collector.named("POST /queue/{event}/join")) == 4, 20)
    assert all(span.parent == "" for span in collector.named("POST /queue/{event}/join"))


def test_a_stream_is_told_of_when_it_begins(start: Start, collector: Collector) -> None:
    traced = start()
    connection = http.client.HTTPConnection("127.0.0.1", traced.port, timeout=20)
    try:
        connection.request("GET", "/queue/sale/events", headers={"host": "shop.example"})
        assert connection.getresponse().status == 200
        eventually(lambda: bool(collector.named("GET /queue/{event}/events")), 20)
    finally:
        connection.close()


def test_a_schedule_that_lets_people_in_is_traced(start: Start, collector: Collector) -> None:
    traced = start()
    traced.ask("POST", "/queue/sale/join")
    traced.operator("event", "set", "sale", "--release-people", 60, "--release-every", "1s")

    def moved() -> bool:
        calls = collector.named("release schedule")
        return any(call.attributes["gateway.let_in"] == 1 for call in calls)

    eventually(moved, 20)
    by_id = {span.id: span for span in collector.spans}
    asked = [by_id[span.parent] for span in collector.named("ledger schedule")]
    assert {span.name for span in asked} == {"release schedule"}


def test_a_backend_that_is_away_is_a_failed_span(start: Start, collector: Collector) -> None:
    traced = start()
    joined = traced.ask("POST", "/queue/sale/join").json()
    traced.operator("release", "sale", 1)
    eventually(lambda: traced.ask("GET", "/queue/sale").json()["served_up_to"] == 1, 20)
    traced.stop_site()
    assert traced.ask("GET", "/", queue_token=joined["token"]).status == 502
    eventually(lambda: bool(collector.named("GET /{site}")), 20)
    (backend,) = collector.named("backend")
    assert (backend.failed, backend.attributes["error.type"]) == (True, "unreachable")


def test_the_last_spans_are_sent_at_the_end(start: Start, collector: Collector) -> None:
    traced = start(delay_ms=3_600_000)
    traced.ask("POST", "/queue/sale/join")
    assert collector.spans == []

    assert traced.running.end() == 0

    assert len(collector.named("POST /queue/{event}/join")) == 1


@pytest.mark.parametrize("trouble", ["refuses", "is away"])
def test_a_collector_in_trouble_stops_nothing_and_is_told_of_once(
    start: Start, collector: Collector, trouble: str
) -> None:
    collector.status = 400
    # Port 9 of loopback: nobody listens there.
    traced = start(endpoint="http://127.0.0.1:9" if trouble == "is away" else "")
    for _ in range(5):
        assert traced.ask("POST", "/queue/sale/join").status == 201

    def told() -> list[dict[str, str]]:
        return [line for line in traced.log if "traces are not taken" in line["message"]]

    if trouble == "refuses":
        eventually(lambda: len(told()) == 1, 20)
        collector.status = 200
        traced.ask("POST", "/queue/sale/join")
        eventually(lambda: bool(collector.named("join")), 20)
        assert len(told()) == 1
    # While the exporter still tries again, the end does not wait for it to give up.
    assert traced.running.end() == 0
    assert {line["logger"].partition(".")[0] for line in traced.log} <= {"gateway", "uvicorn"}


def test_a_collector_that_never_answers_does_not_hold_up_the_end(start: Start) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        # Left to itself the exporter would wait an hour.
        traced = start(endpoint=url, OTEL_EXPORTER_OTLP_TIMEOUT="3600")
        traced.ask("POST", "/queue/sale/join")
        reached, _ = listening.accept()
        with reached:
            assert traced.running.end() == 0


def test_without_the_packages_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('[tracing]\nsample_ratio = 0.01\n[keys]\ndir = "keys"\n')
    Typist(tmp_path)("keys", "new")
    done = run_without_packages(
        tmp_path, "sys.argv[1:] = ['run']; from gateway.cli import main; sys.exit(main())"
    )
    assert done.returncode != 0
    assert "admission-gateway[otel]" in done.stderr


def test_without_tracing_its_packages_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text('[keys]\ndir = "keys"\n')
    Typist(tmp_path)("keys", "new")
    done = run_without_packages(
        tmp_path,
        "from gateway.run import GatewayApp; from gateway.wiring import open_gate\n"
        "GatewayApp(open_gate())",
    )
    assert (done.returncode, done.stderr) == (0, "")


def run_without_packages(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    hiding = "import sys; sys.modules['opentelemetry'] = None\n"
    return subprocess.run(
        [sys.executable, "-c", hiding + program],
        cwd=folder,
        env=clean_environment({"PYTHONPATH": str(Path(__file__).parents[3])}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
