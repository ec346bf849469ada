"""An edge with public keys only: it checks passes, and gives none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.gateways import BACKEND_BODY, Gateway, Tables, event_table, write_settings
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.staging import Stage
from tests.support.visitors import Visitor

HOME, FAN = "tour.example", "fan.example"
CLAIM_FIRST = (403, "claim-first")
AWAY = (503, "ledger-away")


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    """The issuer's settings; the event is at home there."""
    return {
        **common_tables,
        "events.tour": event_table(HOME, FAN),
        "events.sale": event_table("sale.example"),
    }


@pytest.fixture(scope="module")
def edge(
    gateway: Gateway, tables: Tables, mint: Mint, short_folder: Path, valkey: RealServer
) -> Iterator[Gateway]:
    """Another gateway for the same events, that was given a file of public keys and no folder."""
    folder = short_folder / "edge-without-keys"
    folder.mkdir()
    keys = {"jwks": str(mint.write_jwks(folder / "keys.jwks")), "dir": str(folder / "none")}
    settings = write_settings(folder / "gateway.toml", {**tables, "keys": keys})
    with Gateway(settings).running() as running:
        yield running


@pytest.fixture(scope="module")
def events(operator: Operator, gateway: Gateway, edge: Gateway) -> None:
    names = ("tour", "sale")
    for name in names:
        operator.create(name)
    eventually(lambda: all(each.knows(name) for each in (gateway, edge) for name in names))


@pytest.fixture
def issuer(gateway: Gateway, operator: Operator, mint: Mint, events: None) -> Stage:
    return Stage(gateway, operator, mint, "sale")


@pytest.fixture
def checking(edge: Gateway, operator: Operator, mint: Mint, events: None) -> Stage:
    return Stage(edge, operator, mint, "sale")


def test_it_checks_passes_without_a_ledger_call(issuer: Stage, checking: Stage) -> None:
    held = issuer.admitted().held
    before = calls(checking)
    reply = checking.visitor().get("/book", {"queue-token": held})
    assert (reply.status, reply.body) == (200, BACKEND_BODY)
    assert checking.backend.last.queue_headers["queue-event"] == "sale"
    assert calls(checking) == before


def calls(stage: Stage) -> int:
    """Return how often this gateway has asked the ledger for anything but a read."""
    lines = stage.gateway.opened.metrics.exposition().decode().splitlines()
    counted = [line for line in lines if line.startswith("gateway_ledger_calls_total{")]
    return sum(int(float(line.split()[-1])) for line in counted if 'call="claim"' in line)


def test_it_tells_an_app_to_claim_first(issuer: Stage, checking: Stage) -> None:
    place = issuer.served().place
    checking.settle()
    assert checking.visitor().get("/book", {"queue-token": place}).verdict == CLAIM_FIRST
    held = issuer.visitor().call("claim", {"queue-token": place}).json()["pass"]
    assert checking.visitor().get("/book", {"queue-token": held}).status == 200


def test_it_sends_a_browser_to_the_waiting_page(issuer: Stage, checking: Stage) -> None:
    place = issuer.served().place
    checking.settle()
    cookie = {"cookie": f"queue-sale={place}"}
    assert checking.told_to_wait(checking.visitor().navigate("/book", cookie))


def test_it_refuses_strangers_and_who_waits_as_every_edge_does(
    issuer: Stage, checking: Stage
) -> None:
    waiting = issuer.waiting().place
    assert checking.visitor().get("/book").verdict == (401, "no-token")
    reply = checking.visitor().get("/book", {"queue-token": waiting})
    assert reply.verdict == (429, "not-yet")


def test_it_gives_no_places_and_no_passes(issuer: Stage, checking: Stage) -> None:
    visitor = issuer.admitted()
    place, held = {"queue-token": visitor.place}, {"queue-token": visitor.held}
    asking = checking.visitor()
    assert asking.call("join").verdict == AWAY
    assert asking.call("join", place).verdict == AWAY
    assert asking.call("claim", place).verdict == CLAIM_FIRST
    assert asking.call("claim", held).verdict == CLAIM_FIRST
    assert asking.call("extend", held).verdict == AWAY
    assert asking.call("refresh", place).verdict == AWAY
    assert asking.cookies == {}
    read = checking.operator.read("sale")
    assert read.issued == visitor.call("position").json()["position"]


def test_it_shows_where_a_visitor_stands(issuer: Stage, checking: Stage) -> None:
    visitor = issuer.waiting()
    here = visitor.call("position").json()
    there = checking.visitor().call("position", {"queue-token": visitor.place}).json()
    assert {**there, "served_up_to": 0} == {**here, "served_up_to": 0}


def test_it_publishes_the_keys_it_checks_with(issuer: Stage, checking: Stage) -> None:
    keys = [stage.visitor().get("/.well-known/jwks.json").body for stage in (issuer, checking)]
    assert keys[0] == keys[1]


def test_a_session_that_was_left_is_refused_here_within_a_second(
    issuer: Stage, checking: Stage
) -> None:
    visitor = issuer.admitted()
    held = {"queue-token": visitor.held}
    assert checking.visitor().get("/book", held).status == 200
    visitor.call("leave")
    eventually(lambda: checking.visitor().get("/book", held).status == 410, 1.0)


def test_a_browser_is_handed_over_to_a_host_that_cannot_sign(
    gateway: Gateway, edge: Gateway, operator: Operator, mint: Mint, events: None
) -> None:
    # The home host has the keys, the other one's edge only checks.
    fan = Visitor(edge.port, FAN, event="tour")
    home = Visitor(gateway.port, HOME, event="tour")
    sent = fan.navigate("/book/7")
    assert sent.location == f"http://{HOME}/queue/tour/room?return_to=http%3A//{FAN}/book/7"
    home.join()
    Stage(gateway, operator, mint, "tour").release()
    home.claim()
    way = sent.location.removeprefix(f"http://{HOME}").replace("/room?", "/onward?")
    handed = home.navigate(way)
    entered = fan.navigate(handed.location.removeprefix(f"http://{FAN}"))
    assert entered.location == "/book/7"
    assert fan.navigate("/book/7").body == BACKEND_BODY
    assert edge.backend.last.queue_headers["queue-position"] == "1"
