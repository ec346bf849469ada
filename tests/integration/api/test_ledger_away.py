"""While the ledger is away: places are kept and shown, nothing is given, and it all goes on afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.gateways import Gateway, Tables, event_table, write_settings
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.staging import Stage, own_server

AWAY = (503, "ledger-away")


@pytest.fixture
def own_valkey(short_folder: Path) -> Iterator[RealServer]:
    with own_server(short_folder) as server:
        yield server


@pytest.fixture
def own_tables(common_tables: Tables, own_valkey: RealServer) -> Tables:
    return {
        **common_tables,
        "ledger": {"url": own_valkey.url, "poll_s": 0.1, "timeout_s": 0.5},
        "events.sale": event_table("sale.example", "fan.example", home_host="sale.example"),
    }


@pytest.fixture
def own_stage(
    short_folder: Path, own_valkey: RealServer, own_tables: Tables, mint: Mint
) -> Iterator[Stage]:
    settings = write_settings(own_valkey.folder / "gateway.toml", own_tables)
    with Operator(own_valkey) as operator:
        operator.create("sale", max_sessions=10)
        with Gateway(settings).running() as gateway:
            yield Stage(gateway, operator, mint, "sale")


def test_an_outage_costs_nobody_a_place(own_stage: Stage) -> None:
    stage, server = own_stage, own_stage.operator.server
    admitted, served, waiting = stage.visitor(), stage.visitor(), stage.visitor()
    for visitor in (admitted, served, waiting):
        visitor.join()
    stage.release(2)
    admitted.claim()
    server.kill()

    joining = stage.visitor().call("join")
    assert joining.verdict == AWAY
    assert int(joining.header("retry-after") or "") >= 1
    for verb in ("claim", "extend", "leave"):
        reply = admitted.call(verb)
        assert reply.verdict == AWAY
        assert int(reply.header("retry-after") or "") >= 1
    assert served.call("claim").verdict == AWAY
    assert waiting.call("claim").status in (429, 503)
    assert waiting.call("position").json()["position"] == 3
    assert served.call("position").json()["status"] == "your-turn"
    assert admitted.call("position").json()["status"] == "admitted"
    assert waiting.call("join").json()["position"] == 3
    assert served.call("join").json()["position"] == 2
    assert waiting.call("refresh").json()["position"] == 3
    assert waiting.call("").json()["served_up_to"] == 2
    assert "Your place is kept" in served.navigate("/queue/sale/room/plain").body.decode()
    assert waiting.navigate("/queue/sale/room/plain").status == 200
    assert waiting.navigate("/queue/sale/room").status == 200
    # Whoever is in and wants to another host stays where they are, and is told why.
    onward = admitted.navigate("/queue/sale/onward?return_to=http://fan.example/tour/7")
    assert onward.status == 503
    assert admitted.navigate("/queue/sale/onward?return_to=/tour/7").location == "/tour/7"
    assert stage.visitor().get("/healthz").status == 200
    unready = stage.visitor().get("/readyz")
    assert unready.verdict == (503, "about:blank")
    assert "ledger" in unready.json()["detail"]

    server.start()
    eventually(lambda: stage.visitor().get("/readyz").status == 200)
    assert served.call("claim").json()["position"] == 2
    assert admitted.call("leave").json()["left"] == "session"
    assert waiting.call("claim").status == 429
    assert stage.visitor().join()["position"] > 3


def test_a_ledger_that_hangs_is_as_good_as_away(own_stage: Stage) -> None:
    stage, server = own_stage, own_stage.operator.server
    waiting = stage.waiting()
    server.freeze()
    assert stage.visitor().call("join").verdict == AWAY
    assert waiting.call("position").json()["position"] == 1
    server.thaw()
    eventually(lambda: stage.visitor().call("join").status == 201)


def test_a_gateway_that_never_read_the_ledger_says_so(own_stage: Stage) -> None:
    own_stage.operator.server.kill()
    place = own_stage.mint.place("sale", 1)
    with Gateway(own_stage.gateway.settings).running() as gateway:
        visitor = Stage(gateway, own_stage.operator, own_stage.mint, "sale").visitor()
        pointer = visitor.call("")
        assert pointer.verdict == (503, "about:blank")
        assert int(pointer.header("retry-after") or "") >= 1
        assert visitor.get("/queue/sale/pointer.jws").verdict == (503, "about:blank")
        for verb in ("join", "position", "claim", "refresh"):
            assert visitor.call(verb, {"queue-token": place}).verdict == AWAY
        assert visitor.navigate("/queue/sale/room/plain").status == 503
        assert visitor.navigate("/queue/sale/room").status == 200
        assert visitor.get("/readyz").status == 503
        own_stage.operator.server.start()
        eventually(lambda: visitor.call("").status == 200)
        assert visitor.call("join").status == 201


def test_an_empty_ledger_is_no_empty_queue(own_stage: Stage) -> None:
    stage = own_stage
    admitted, waiting = stage.admitted(), stage.waiting()
    stage.operator.server.command("FLUSHALL")
    eventually(lambda: stage.visitor().call("").json()["state"] == "suspended")
    assert stage.visitor().call("join").verdict == AWAY
    assert waiting.call("position").json()["position"] == 2
    assert admitted.call("position").json()["status"] == "admitted"
    assert waiting.call("claim").verdict == AWAY
