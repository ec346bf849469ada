"""An event that only observes: everybody goes through untouched, and what would have been is counted."""

import json
import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.ports import StateChange
from tests.support.asking import NOTHING, PROFILES, Asking, said
from tests.support.command_line import Operator as CommandLine
from tests.support.eventually import eventually
from tests.support.gateways import Backend, Server, Tables, event_table, let_through
from tests.support.replies import Reply, ask, ask_raw
from tests.support.running import Running
from tests.support.staging import LISTED_ORIGIN, OpenStage, Stage
from tests.support.visitors import NAVIGATION, Visitor

HOST, MIXED = "observed.example", "mixed.example"
EVENTS = {
    "seen": event_table(HOST, open=["/assets/"], origins=[LISTED_ORIGIN], mode="observe"),
    "watched": event_table(MIXED, paths=["/watched"], mode="observe"),
    "kept": event_table(MIXED, paths=["/kept"]),
}

# What a page under protection would not have got through with.
ODD_TARGETS = ["//book", "/book/./1", "/book;x=1", "/book%2F1", "/book%41", "/book/%zz"]


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    return {**common_tables, **{f"events.{name}": table for name, table in EVENTS.items()}}


@pytest.fixture
def stage(open_stage: OpenStage, request: pytest.FixtureRequest) -> Stage:
    """The observed event of this module, made once."""
    gateway = request.getfixturevalue("gateway")
    if gateway.knows("seen") is None:
        for name in EVENTS:
            open_stage(name)
    operator, mint = (request.getfixturevalue(name) for name in ("operator", "mint"))
    return Stage(gateway, operator, mint, "seen")


def counted(stage: Stage, name: str, event: str = "seen", **labels: str) -> float:
    metrics = stage.gateway.opened.metrics
    metrics.flush()
    value = metrics.registry.get_sample_value(f"gateway_{name}", {"event": event, **labels})
    return value or 0.0


def observed(stage: Stage, outcome: str) -> float:
    return counted(stage, "observed_decisions_total", outcome=outcome)


def is_untouched(reply: Reply) -> bool:
    """Whether it is the backend's answer, without a field of ours."""
    ours = {"set-cookie", "location", "cache-control", "retry-after", "vary"}
    names = {name for name, _ in reply.headers}
    return let_through(reply) and not names & ours and not any("queue" in name for name in names)


def test_who_has_no_place_goes_through_and_is_counted(stage: Stage) -> None:
    before = observed(stage, "no-token")
    carried_out = counted(stage, "decisions_total", outcome="no-token")
    for reply in (stage.visitor().get("/book"), stage.visitor().navigate("/book")):
        assert is_untouched(reply)
    assert observed(stage, "no-token") == before + 2
    assert counted(stage, "decisions_total", outcome="no-token") == carried_out


def test_who_has_a_place_is_neither_claimed_for_nor_sent_away(stage: Stage) -> None:
    waiting = stage.waiting()
    before = observed(stage, "not-yet")
    assert is_untouched(waiting.navigate("/book"))
    assert observed(stage, "not-yet") == before + 1
    served = stage.served()
    before = observed(stage, "claimable")
    claims = stage.operator.read(stage.event).claims
    assert is_untouched(served.navigate("/book"))
    assert observed(stage, "claimable") == before + 1
    assert stage.operator.read(stage.event).claims == claims
    assert not served.has("pass")


def test_a_pass_says_nothing_to_the_backend(stage: Stage) -> None:
    admitted = stage.admitted()
    before = observed(stage, "admitted")
    assert is_untouched(admitted.get("/book"))
    assert observed(stage, "admitted") == before + 1
    assert stage.backend.last.queue_headers == {}
    assert stage.backend.last.all("cookie") == []


def test_no_client_supplies_a_field_that_only_we_may_set(stage: Stage) -> None:
    forged = {"queue-position": "1", "Queue_Visitor": "me", "x-http-method-override": "DELETE"}
    assert is_untouched(stage.visitor().get("/book", forged))
    assert stage.backend.last.queue_headers == {}
    # The site's own ways are not touched.
    assert stage.backend.last.all("x-http-method-override") == ["DELETE"]


def test_what_the_backend_says_to_us_goes_no_further(stage: Stage) -> None:
    stage.backend.says["/said"] = [("Queue-Session", "end"), ("Cache-Control", "public")]
    reply = stage.visitor().get("/said")
    assert (reply.all("queue-session"), reply.all("cache-control")) == ([], ["public"])


@pytest.mark.parametrize("target", ODD_TARGETS)
def test_spellings_that_would_be_refused_arrive_as_they_were_sent(
    stage: Stage, target: str
) -> None:
    before = observed(stage, "unreadable")
    request = f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    reply = ask_raw(stage.gateway.port, request.encode())
    assert reply is not None
    assert let_through(reply), reply
    assert stage.backend.last.target == target
    assert observed(stage, "unreadable") == before + 1


def test_two_places_at_once_are_no_reason_to_turn_back(stage: Stage) -> None:
    one, other = stage.waiting(), stage.waiting()
    before = observed(stage, "unreadable")
    assert is_untouched(one.get("/book", {"queue-token": other.place}))
    assert observed(stage, "unreadable") == before + 1


def test_a_preflight_is_the_backends(stage: Stage) -> None:
    wish = {"origin": LISTED_ORIGIN, "access-control-request-method": "PUT"}
    reply = stage.visitor().ask("OPTIONS", "/book", wish)
    assert let_through(reply)
    assert stage.backend.last.method == "OPTIONS"


def test_a_pause_stops_nobody(stage: Stage) -> None:
    stage.change(StateChange.PAUSE)
    assert is_untouched(stage.visitor().get("/book"))
    stage.change(StateChange.RESUME)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_proxy_that_asks_hears_yes_and_empty_fields(stage: Stage, profile: str) -> None:
    asking = Asking(profile, stage.visitor())
    for target, headers in (
        ("/book", {}),
        ("/book", NAVIGATION),
        ("/book", {"queue-token": stage.waiting().place}),
        ("/book//x", {}),
    ):
        reply = asking.about(target, headers)
        assert (reply.status, said(reply)) == (200, NOTHING)
        assert reply.all("set-cookie") == []
        assert reply.header("cache-control") == "no-store"


def test_where_another_event_protects_the_host_nothing_is_opened(stage: Stage) -> None:
    visitor = Visitor(stage.gateway.port, MIXED)
    assert is_untouched(visitor.get("/watched/1"))
    reached = len(stage.backend.seen)
    assert visitor.get("/kept/1").verdict == (401, "no-token")
    assert visitor.get("/elsewhere").verdict == (401, "no-token")
    assert visitor.get("/watched//1").status == 400
    assert visitor.get("/watched%2F..%2Fkept").status == 400
    assert len(stage.backend.seen) == reached


def test_no_request_switches_it_on_or_off(stage: Stage) -> None:
    visitor = Visitor(stage.gateway.port, MIXED)
    for headers in (
        {"queue-mode": "observe"},
        {"mode": "observe"},
        {"x-forwarded-host": HOST},
        {"x-original-uri": "/watched/1"},
        {"cookie": "mode=observe"},
    ):
        assert visitor.get("/kept/1?mode=observe", headers).status == 401, headers
        assert visitor.get("/watched/1?mode=enforce", headers).status == 200
    request = f"GET /kept HTTP/1.1\r\nHost: {MIXED}\r\nHost: {HOST}\r\nConnection: close\r\n\r\n"
    reply = ask_raw(stage.gateway.port, request.encode())
    assert reply is None or reply.status == 400


def test_a_websocket_goes_through_too(stage: Stage) -> None:
    lines = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    request = "\r\n".join(["GET /chat HTTP/1.1", f"Host: {HOST}", *lines, key, "", ""])
    reply = ask_raw(stage.gateway.port, request.encode())
    assert reply is not None
    assert reply.status == 101


def test_it_is_loud(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    assert counted(stage, "observing") == 1
    assert counted(stage, "observing", event="kept") == 0
    ready = ask(stage.gateway.port, "GET", "/readyz", [("host", HOST)])
    assert "event seen: observed only, everybody is let through" in ready.body.decode()
    with caplog.at_level(logging.INFO):
        stage.visitor().ask("POST", "/hooks/of-a-bank/77", body=b"")
    (line,) = [record.__dict__ for record in caplog.records if "shape" in record.__dict__]
    assert (line["event"], line["outcome"]) == ("seen", "no-token")
    assert (line["method"], line["shape"]) == ("POST", "/hooks/of-a-bank/*")


@pytest.fixture
def site_behind() -> Iterator[tuple[Backend, int]]:
    backend = Backend()
    server = Server(backend)
    server.start()
    yield backend, server.port
    server.stop()


def test_our_own_proxy_observes_and_says_so(
    short_folder: Path, site_behind: tuple[Backend, int]
) -> None:
    backend, port = site_behind
    folder = short_folder / "observing"
    folder.mkdir()
    (folder / "gateway.toml").write_text(
        f'[keys]\ndir = "keys"\n[ledger]\ndata_dir = "ledger"\n'
        f'[proxy]\nbackend = "http://127.0.0.1:{port}"\n'
        '[events.sale]\nhosts = ["127.0.0.1"]\nmode = "observe"\n'
    )
    command_line = CommandLine(folder)
    command_line("keys", "new")
    running = Running(("run", "--port", 0, "--admin-port", 0, "--json"), folder)
    try:
        public = int(running.document["url"].rpartition(":")[2])
        admin = int(running.document["admin_url"].rpartition(":")[2])
        # No event is in the ledger yet: that stops nobody either.
        reply = ask(public, "GET", "/book/a%2Fb;x", [("host", "127.0.0.1"), ("queue-event", "x")])
        assert is_untouched(reply)
        assert (backend.last.target, backend.last.queue_headers) == ("/book/a%2Fb;x", {})
        assert command_line("event", "create", "sale", "--open").code == 0
        row = 'gateway_observed_decisions_total{event="sale",outcome="no-token"} 1.0'
        assert is_untouched(ask(public, "GET", "/book", [("host", "127.0.0.1")]))
        eventually(lambda: row in metrics_of(admin), 5)
        status = command_line("status", "sale")
        assert "EVERYBODY IS LET THROUGH" in status.out
        assert command_line("status", "sale", "--json").document["mode"] == "observe"
        assert command_line("status").out.count("EVERYBODY IS LET THROUGH") == 1
    finally:
        running.end(signal.SIGTERM)
        assert running.process.stdout is not None
        running.process.stdout.close()
    lines = [json.loads(line) for line in (folder / "errors.log").read_text().splitlines()]
    loud = [line for line in lines if "everybody is let through" in line["message"]]
    assert [(line["level"], line["event"]) for line in loud] == [("warning", "sale")]


def metrics_of(port: int) -> str:
    reply = ask(port, "GET", "/metrics", [("host", "127.0.0.1")])
    return reply.body.decode()
