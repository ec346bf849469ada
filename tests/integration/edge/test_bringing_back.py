"""An event whose ledger lost everything comes back: by the gateways, by their files, by the tokens."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import command_line
from tests.support.eventually import eventually
from tests.support.gateways import (
    GatewayProcess,
    Tables,
    event_table,
    let_through,
    write_settings,
)
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.staging import own_server
from tests.support.visitors import Visitor

EVENT = "sale"
HOST = "sale.example"

Start = Callable[[str], GatewayProcess]


@pytest.fixture
def server(short_folder: Path) -> Iterator[RealServer]:
    with own_server(short_folder) as server:
        yield server


@pytest.fixture
def operator(server: RealServer) -> Iterator[Operator]:
    with Operator(server) as operator:
        operator.create(EVENT)
        yield operator


@pytest.fixture
def start(common_tables: Tables, server: RealServer) -> Iterator[Start]:
    """Start a gateway by name; its settings and its floors are in a folder of that name."""
    started: list[GatewayProcess] = []

    def start_one(name: str) -> GatewayProcess:
        folder = server.folder / name
        folder.mkdir(exist_ok=True)
        tables = {
            **common_tables,
            "ledger": {"url": server.url, "poll_s": 0.1},
            f"events.{EVENT}": event_table(HOST),
        }
        write_settings(folder / "gateway.toml", tables)
        process = GatewayProcess(folder / "gateway.toml")
        started.append(process)
        process.wait_until_up()
        return process

    yield start_one
    for process in started:
        process.stop()


def at(gateway: GatewayProcess, token: str | None = None) -> Visitor:
    visitor = Visitor(gateway.port, HOST, event=EVENT)
    if token is not None:
        visitor.cookies[f"queue-{EVENT}"] = token
    return visitor


def join(gateway: GatewayProcess) -> Visitor:
    visitor = at(gateway)
    eventually(lambda: visitor.call("join").status in {200, 201})
    return visitor


def position(visitor: Visitor) -> int:
    answer = visitor.call("position")
    assert answer.status == 200, answer.status
    return int(answer.json()["position"])


def public(gateway: GatewayProcess, name: str) -> int:
    return int(at(gateway).call("").json()[name])


def is_told(gateway: GatewayProcess, name: str, value: object) -> bool:
    return bool(at(gateway).call("").json().get(name) == value)


def test_gateways_bring_an_emptied_ledger_back(
    server: RealServer, operator: Operator, start: Start
) -> None:
    one, two = start("one"), start("two")
    people = [join(gateway) for gateway in (one, two, one, two)]
    operator.release(EVENT, 2)
    eventually(partial(is_told, one, "served_up_to", 2))
    eventually(partial(is_told, two, "served_up_to", 2))
    generation = public(one, "generation")

    server.command("FLUSHALL")

    late = [join(two), join(one)]
    assert [position(visitor) for visitor in people] == [1, 2, 3, 4]
    assert len({position(visitor) for visitor in [*people, *late]}) == 6
    assert min(position(visitor) for visitor in late) > 4
    for gateway in (one, two):
        assert public(gateway, "generation") == generation
        assert public(gateway, "served_up_to") == 2
    # The gap counts for nobody: the next release lets in those who wait, in their order.
    operator.release(EVENT, 3)
    snapshot = operator.read(EVENT)
    assert snapshot.served_up_to == min(position(visitor) for visitor in late)
    assert snapshot.healed is not None
    assert (snapshot.healed.why, snapshot.healed.silent) == ("lost", 0)


def test_floors_in_a_file_survive_a_gateway_and_its_ledger(
    server: RealServer, operator: Operator, start: Start
) -> None:
    gateway = start("one")
    person = join(gateway)
    operator.release(EVENT, 1)
    eventually(partial(is_told, gateway, "served_up_to", 1))
    join(gateway)
    gateway.stop()
    server.command("FLUSHALL")

    again = start("one")

    eventually(partial(is_told, again, "served_up_to", 1))
    assert position(at(again, person.place)) == 1
    assert position(join(again)) > 2


def test_tokens_alone_bring_it_back_by_the_operators_word(
    server: RealServer, operator: Operator, start: Start, common_tables: Tables
) -> None:
    gateway = start("one")
    people = [join(gateway) for _ in range(5)]
    operator.release(EVENT, 2)
    eventually(partial(is_told, gateway, "served_up_to", 2))
    claimed = people[1]
    claimed.claim()
    gateway.stop()
    server.command("FLUSHALL")
    shutil.rmtree(server.folder / "one" / "gateway-data")

    again = start("one")
    shown = [at(again, person.place) for person in people]
    shown[1].cookies[f"pass-{EVENT}"] = claimed.held
    typed = command_line.Operator(server.folder / "one")
    assert shown[4].call("position").status == 503
    assert shown[1].get("/book").status == 503
    assert at(again).call("join").status == 503

    def plan() -> dict[str, int]:
        answer = typed("recover", EVENT, "--dry-run", "--json")
        return dict(answer.document) if answer.code == 0 else {}

    eventually(lambda: plan().get("issued") == 5 and plan().get("served_up_to") == 2)
    refused = typed("event", "create", EVENT, "--json")
    assert (refused.code, refused.error["code"]) == (6, "state-lost")

    done = typed("recover", EVENT, "--yes", "--json", "--state", "open")

    assert done.code == 0, done.err
    eventually(partial(is_told, again, "served_up_to", 2))
    assert [position(visitor) for visitor in shown] == [1, 2, 3, 4, 5]
    assert position(join(again)) == done.document["goes_on_above"] + 1
    twice = typed("recover", EVENT, "--yes", "--json", "--issued", "9", "--generation", "1")
    assert (twice.code, twice.error["code"]) == (4, "refused")


def test_after_a_recovery_who_holds_a_pass_is_inside_and_counted(
    server: RealServer, start: Start
) -> None:
    with Operator(server) as operator:
        operator.create(EVENT, max_sessions=2)
        gateway = start("one")
        people = [join(gateway) for _ in range(5)]
        operator.release(EVENT, 4)
        eventually(partial(is_told, gateway, "served_up_to", 4))
        for person in people[:2]:
            person.claim()
        assert people[2].call("claim").problem == "backend-full"
        gateway.stop()
        server.command("FLUSHALL")
        shutil.rmtree(server.folder / "one" / "gateway-data")

        again = start("one")
        typed = command_line.Operator(server.folder / "one")
        shown = [at(again, person.place) for person in people]
        for visitor, person in zip(shown[:2], people[:2], strict=True):
            visitor.cookies[f"pass-{EVENT}"] = person.held
        # One of those inside comes by before the recovery, the other does not for a while.
        assert shown[0].get("/book").status == 503
        assert shown[4].call("position").status == 503
        rules = ("--max-sessions", "2", "--state", "open", "--served-up-to", "4", "--issued", "5")
        eventually(lambda: typed("recover", EVENT, "--dry-run", "--json").code == 0)
        done = typed("recover", EVENT, *rules, "--yes", "--json")
        assert (done.code, done.document["sessions_held"]) == (0, 2), done.err

        eventually(lambda: let_through(shown[0].get("/book")))
        assert shown[2].get("/book").problem == "backend-full"
        eventually(lambda: operator.read(EVENT).sessions_held == 1)
        assert "1 of them only held free" in typed("status", EVENT).out
        assert let_through(shown[1].get("/book"))
        eventually(lambda: operator.read(EVENT).sessions_held == 0)
        assert operator.read(EVENT).active_sessions == 2
        assert shown[2].get("/book").problem == "backend-full"
        shown[0].call("leave")
        eventually(lambda: let_through(shown[2].get("/book")))
