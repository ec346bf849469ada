"""An event that the settings name and the ledger does not have is told everywhere; nobody gets a 404."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import command_line
from tests.support.eventually import eventually
from tests.support.gateways import Gateway, Tables, event_table, let_through, write_settings
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.replies import ask
from tests.support.servers import RealServer
from tests.support.staging import own_server
from tests.support.visitors import Visitor

EVENT, HOST = "sale", "sale.example"
MESSAGE = "the ledger does not have an event that the settings name"


@pytest.fixture
def server(short_folder: Path) -> Iterator[RealServer]:
    with own_server(short_folder) as server:
        yield server


def gateway_of(server: RealServer, common_tables: Tables, **more: dict[str, Any]) -> Gateway:
    """Return a gateway on a ledger, whose settings name the event."""
    tables = {
        **common_tables,
        **more,
        "ledger": {"url": server.url, "poll_s": 0.1},
        f"events.{EVENT}": event_table(HOST),
    }
    return Gateway(write_settings(server.folder / "gateway.toml", tables))


@pytest.fixture
def gateway(common_tables: Tables, server: RealServer, mint: Mint) -> Iterator[Gateway]:
    """A gateway whose ledger is empty, as after the loss of everything that knew the event."""
    with gateway_of(server, common_tables, keys={"dir": str(mint.folder)}).running() as running:
        yield running


def readiness(gateway: Gateway) -> str:
    reply = ask(gateway.port, "GET", "/readyz", [("host", HOST)])
    assert reply.status == 200
    return reply.body.decode()


def measured(gateway: Gateway, name: str) -> str | None:
    metrics = gateway.opened.metrics.exposition().decode()
    prefix = f'gateway_{name}{{event="{EVENT}"}} '
    found = [line.removeprefix(prefix) for line in metrics.splitlines() if line.startswith(prefix)]
    return found[0] if found else None


def test_it_is_said_to_visitors_probes_and_metrics(gateway: Gateway) -> None:
    visitor = Visitor(gateway.port, HOST, event=EVENT)
    for reply in (visitor.call("join"), visitor.get("/book"), visitor.call("")):
        assert reply.status == 503
        assert int(reply.header("retry-after") or "") >= 1
    assert f"gateway recover {EVENT}" in readiness(gateway)
    assert measured(gateway, "event_missing") == "1.0"
    # Nothing was ever there that anybody knows: the state is not lost, there is none.
    assert measured(gateway, "suspended") == "0.0"
    # A name that nobody put into the settings is still no event.
    assert Visitor(gateway.port, HOST, event="other").call("join").status == 404


def test_the_log_says_it_once(
    common_tables: Tables, server: RealServer, caplog: pytest.LogCaptureFixture
) -> None:
    tables = {
        **common_tables,
        "ledger": {"url": server.url, "poll_s": 0.05},
        f"events.{EVENT}": event_table(HOST),
    }
    settings = write_settings(server.folder / "gateway.toml", tables)
    with caplog.at_level(logging.WARNING), Gateway(settings).running() as gateway:
        with Operator(server) as operator:
            operator.create("another")
        # It has read the list again by then.
        eventually(lambda: gateway.knows("another") is not None)
        said = [record for record in caplog.records if record.getMessage() == MESSAGE]
    assert [record.__dict__["events"] for record in said] == [[EVENT]]
    assert said[0].__dict__["if_it_was_there"] == "gateway recover EVENT"


def test_it_is_over_once_the_event_is_made(gateway: Gateway, server: RealServer) -> None:
    assert measured(gateway, "event_missing") == "1.0"
    with Operator(server) as operator:
        operator.create(EVENT)
        visitor = Visitor(gateway.port, HOST, event=EVENT)
        eventually(lambda: visitor.call("join").status == 201)
        assert measured(gateway, "event_missing") == "0.0"
        assert readiness(gateway) == "ready\n"
        operator.release(EVENT)
        eventually(lambda: let_through(visitor.get("/book")))
        # Deleted is not lost: there is a tombstone.
        operator.delete(EVENT)
        eventually(lambda: visitor.get("/book").status == 410)
        assert measured(gateway, "event_missing") == "0.0"


def test_an_event_deleted_before_this_gateway_began_is_not_missing(
    common_tables: Tables, server: RealServer
) -> None:
    with Operator(server) as operator:
        operator.create(EVENT)
        operator.delete(EVENT)
    # Not even the list knows it; the settings still do.
    server.command("DEL", "q:events")
    with gateway_of(server, common_tables).running() as gateway:
        assert Visitor(gateway.port, HOST, event=EVENT).call("join").status == 404
        assert readiness(gateway) == "ready\n"


def test_an_event_is_found_though_the_list_of_events_is_gone(
    common_tables: Tables, server: RealServer
) -> None:
    with Operator(server) as operator:
        operator.create(EVENT)
    server.command("DEL", "q:events")
    with gateway_of(server, common_tables).running() as gateway:
        assert Visitor(gateway.port, HOST, event=EVENT).call("join").status == 201


def test_the_first_token_that_is_shown_proves_that_it_is_lost(gateway: Gateway, mint: Mint) -> None:
    visitor = Visitor(gateway.port, HOST, event=EVENT)
    visitor.cookies[f"queue-{EVENT}"] = mint.place(EVENT, 1_795_000_000, 7)
    assert visitor.call("position").status == 503
    eventually(lambda: measured(gateway, "suspended") == "1.0")
    assert measured(gateway, "event_missing") == "0.0"


def test_the_command_line_says_what_to_do(gateway: Gateway, server: RealServer) -> None:
    typed = command_line.Operator(server.folder)
    one = typed("status", EVENT)
    assert one.code == 3
    assert f"gateway recover {EVENT}" in one.err
    every = typed("status")
    assert every.code == 0
    assert f"gateway recover {EVENT}" in every.out
    assert json.loads(typed("status", "--json").out) == {"events": [], "missing": [EVENT]}
