"""While the ledger is away: held passes go on, places are kept and shown, and nobody is let in early."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.positions import EventId
from gateway.errors import StateLost
from tests.support.eventually import eventually
from tests.support.gateways import Gateway, Tables, event_table, write_settings
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.pages import without_script
from tests.support.servers import RealServer
from tests.support.staging import Stage, own_server

AWAY = (503, "ledger-away")
NO_TOKEN = (401, "no-token")
NOT_YET = (429, "not-yet")

# The longest time between two reads that the settings allow: what is counted is not the watch's.
RARELY_S = 10


@pytest.fixture
def own_valkey(short_folder: Path) -> Iterator[RealServer]:
    with own_server(short_folder) as server:
        yield server


def staged(
    tables: Tables, server: RealServer, mint: Mint, poll_s: float, event: str = "sale"
) -> Iterator[Stage]:
    settings = write_settings(
        server.folder / "gateway.toml",
        {
            **tables,
            "ledger": {"url": server.url, "poll_s": poll_s, "timeout_s": 0.5},
            "events.sale": event_table("sale.example", open=["/assets/"], finish=["/pay"]),
        },
    )
    with Operator(server) as operator:
        operator.create(event)
        with Gateway(settings).running() as gateway:
            yield Stage(gateway, operator, mint, event)


@pytest.fixture
def stage(common_tables: Tables, own_valkey: RealServer, mint: Mint) -> Iterator[Stage]:
    """An event on a ledger that the test may break."""
    yield from staged(common_tables, own_valkey, mint, 0.1)


@pytest.fixture
def quiet_stage(common_tables: Tables, own_valkey: RealServer, mint: Mint) -> Iterator[Stage]:
    """An event whose gateway hardly ever reads the ledger by itself."""
    yield from staged(common_tables, own_valkey, mint, RARELY_S)


def test_a_crash_of_the_ledger_stops_nobody_inside_and_lets_nobody_in(stage: Stage) -> None:
    server = stage.operator.server
    admitted, served, waiting = stage.waiting(), stage.waiting(), stage.waiting()
    stage.release(2)
    admitted.claim()
    served_place = served.place
    server.kill()

    assert admitted.get("/book").status == 200
    assert admitted.ask("POST", "/book", body=b"x").status == 200
    held_up = served.get("/book")
    assert held_up.verdict == AWAY
    assert int(held_up.header("retry-after") or "") >= 1
    assert waiting.get("/book").verdict == NOT_YET
    assert waiting.call("position").json()["position"] == 3
    assert stage.visitor().get("/book").verdict == NO_TOKEN
    joining = stage.visitor().call("join")
    assert joining.verdict == AWAY
    assert int(joining.header("retry-after") or "") >= 1
    assert stage.visitor().get("/assets/x").status == 200
    page = served.navigate(served.navigate("/book").location)
    assert "Your place is kept" in page.body.decode()
    for _ in range(20):
        for visitor in (served, waiting, stage.visitor()):
            assert visitor.get("/book").status != 200

    server.start()
    eventually(lambda: stage.visitor().get("/book", {"queue-token": served_place}).status == 200)
    assert admitted.get("/book").status == 200
    assert waiting.get("/book").verdict == NOT_YET
    assert stage.visitor().join()["position"] > 3
    stage.release()
    assert waiting.get("/book").status == 200
    assert stage.operator.read("sale").active_sessions == 3


def test_an_answer_of_the_backend_goes_out_though_its_word_cannot_be_noted(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.backend.says["/end"] = [("queue-session", "end"), ("x-own", "1")]
    stage.backend.says["/longer"] = [("queue-session", "extend=3000")]
    stage.operator.server.kill()
    for target in ("/end", "/longer"):
        reply = visitor.get(target)
        assert (reply.status, reply.header("queue-session"), reply.cookies) == (200, None, {})
    # It could not be noted, so the session runs to its end.
    assert visitor.get("/book").status == 200


@pytest.fixture
def remembers_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that cannot bring an event back, as one that knows no record of it."""

    async def present(event: EventId) -> bool:
        raise StateLost(event)

    monkeypatch.setattr(stage.gateway.opened.ledger, "present", present)


@pytest.mark.usefixtures("remembers_nothing")
def test_an_emptied_ledger_is_never_an_open_door(stage: Stage) -> None:
    admitted, served, waiting = stage.waiting(), stage.waiting(), stage.waiting()
    stage.release(2)
    admitted.claim()
    stage.operator.server.command("FLUSHALL")
    eventually(lambda: stage.visitor().get("/book").status == 503)
    for visitor in (served, waiting, stage.visitor()):
        reply = visitor.get("/book")
        assert reply.verdict == AWAY
        assert int(reply.header("retry-after") or "") >= 1
    page = stage.visitor().navigate(without_script(stage.visitor().navigate("/book").location))
    assert page.status == 503
    assert admitted.get("/book").status == 200
    assert waiting.call("position").json()["position"] == 3
    assert stage.visitor().call("join").verdict == AWAY


@pytest.mark.usefixtures("remembers_nothing")
@pytest.mark.parametrize(
    "damage",
    [
        ("DEL", "state"),
        ("SET", "state", "x"),
        ("HSET", "state", "generation", "x"),
        ("HSET", "state", "state", "ajar"),
        ("DEL", "served"),
        ("SET", "served", "lots"),
        ("SET", "served", "-1"),
        ("SET", "served", "9007199254740993"),
        ("DEL", "issued"),
        ("LPUSH", "served", "x"),
        ("DEL", "config"),
    ],
    ids=" ".join,
)
def test_a_damaged_state_is_never_an_open_door(stage: Stage, damage: tuple[str, ...]) -> None:
    admitted, waiting = stage.admitted(), stage.waiting()
    verb, name, *rest = damage
    server, key = stage.operator.server, f"q:{{sale}}:{name}"
    if verb in ("SET", "LPUSH"):
        server.command("DEL", key)
    server.command(verb, key, *rest)
    eventually(lambda: stage.visitor().get("/book").status == 503)
    assert waiting.get("/book").verdict == AWAY
    assert waiting.call("claim").verdict == AWAY
    assert admitted.get("/book").status == 200


def test_a_state_that_only_a_newer_gateway_understands_lets_nobody_in(stage: Stage) -> None:
    admitted, served, waiting = stage.waiting(), stage.waiting(), stage.waiting()
    stage.release(2)
    admitted.claim()
    stage.operator.server.command("HSET", "q:{sale}:state", "layout", "99")
    assert served.get("/book").verdict == AWAY
    assert waiting.get("/book").verdict == NOT_YET
    assert stage.visitor().call("join").verdict == AWAY
    assert admitted.get("/book").status == 200


def test_a_gateway_that_never_read_the_event_answers_503(stage: Stage) -> None:
    held, place = stage.admitted().held, stage.waiting().place

    def lose() -> None:
        stage.operator.server.restart()
        stage.lose()

    for accident in (stage.operator.server.kill, lose):
        # Away at the start, and then there, with a state that is lost.
        accident()
        with Gateway(stage.gateway.settings).running() as gateway:
            other = Stage(gateway, stage.operator, stage.mint, "sale")
            for headers in ({}, {"queue-token": held}, {"queue-token": place}):
                assert other.visitor().get("/book", headers).verdict == AWAY
            assert other.told_to_wait(other.visitor().navigate("/book"))
            assert other.visitor().get("/assets/x").status == 200
            assert [seen.target for seen in other.reached] == ["/assets/x"]


def test_a_deleted_event_stays_closed_for_every_gateway(stage: Stage) -> None:
    held = stage.admitted().held
    stage.delete()
    assert stage.visitor().get("/book", {"queue-token": held}).verdict == (410, "event-closed")
    with Gateway(stage.gateway.settings).running() as gateway:
        other = Stage(gateway, stage.operator, stage.mint, "sale")
        for headers in ({}, {"queue-token": held}):
            assert other.visitor().get("/book", headers).status in (410, 503)
        assert other.reached == []


def test_an_edge_that_has_not_read_for_half_a_minute_gives_no_new_pass(quiet_stage: Stage) -> None:
    stage = quiet_stage
    admitted, served, waiting = stage.waiting(), stage.waiting(), stage.waiting()
    stage.release(2)
    admitted.claim()
    board = stage.gateway.opened.board
    fresh = stage.gateway.knows("sale")
    assert fresh is not None
    # As if the last good read had been so long ago.
    board._held[fresh.event] = dataclasses.replace(fresh, read_at_s=time.monotonic() - 31)
    assert served.get("/book").verdict == AWAY
    assert admitted.get("/book").status == 200
    assert waiting.get("/book").verdict == NOT_YET
    assert stage.operator.read("sale").claims == 1
    board._held[fresh.event] = dataclasses.replace(fresh, read_at_s=time.monotonic() - 25)
    assert served.get("/book").status == 200


def commands(server: RealServer) -> dict[str, int]:
    """Return how often each command was carried out since the last reset."""
    told = server.command("INFO", "commandstats")
    return {name.removeprefix("cmdstat_"): int(row["calls"]) for name, row in told.items()}


def test_an_admitted_check_costs_no_ledger_call(quiet_stage: Stage) -> None:
    stage, server = quiet_stage, quiet_stage.operator.server
    visitor = stage.admitted()
    waiting = stage.waiting()
    stage.settle()
    server.command("CONFIG", "RESETSTAT")
    for _ in range(25):
        assert visitor.get("/book").status == 200
        assert visitor.ask("POST", "/pay", body=b"x").status == 200
        assert waiting.get("/book").status == 429
        assert stage.visitor().get("/book").status == 401
        assert waiting.call("position").status == 200
        assert waiting.call("").status == 200
    assert set(commands(server)) <= {"info", "config|resetstat"}


def test_the_first_request_of_a_session_costs_one(quiet_stage: Stage) -> None:
    stage, server = quiet_stage, quiet_stage.operator.server
    # The first claim of all loads the script.
    stage.admitted()
    visitor = stage.served()
    stage.settle()
    server.command("CONFIG", "RESETSTAT")
    for _ in range(5):
        assert visitor.get("/book").status == 200
    assert commands(server)["evalsha"] == 1
