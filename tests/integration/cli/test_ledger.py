"""Which ledger a command asks, and what it says when that is away or has lost something."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from gateway.cli.bridge import has_other_clients
from gateway.ledger.embedded import answers, socket_path
from gateway.ledger.redis import RedisLedger
from tests.support.command_line import Operator, Sale
from tests.support.servers import free_port


def test_an_embedded_ledger_runs_for_as_long_as_a_command_takes(empty_folder: Path) -> None:
    operator = Operator(empty_folder)

    assert operator("event", "create", "sale", "--open").code == 0
    socket = socket_path(empty_folder / "gateway-data" / "ledger")
    assert not answers(socket)
    listed = operator("event", "list", "--json")

    assert [entry["event"] for entry in listed.document["events"]] == ["sale"]
    assert not answers(socket)


def test_an_empty_ledger_is_said_to_be_one(empty_folder: Path) -> None:
    operator = Operator(empty_folder)

    assert operator("status", "--json").document == {"events": [], "missing": []}
    said = operator("event", "list")
    assert (said.code, "gateway event create NAME" in said.out) == (0, True)
    assert "gateway-data/ledger" in said.out


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("status", "sale"),
        ("event", "list"),
        ("event", "create", "sale"),
        ("event", "pause", "sale"),
        ("release", "sale", "5"),
    ],
)
def test_a_ledger_that_cannot_be_reached_is_exit_6(
    tmp_path: Path, typed: Operator, words: tuple[str, ...]
) -> None:
    config = tmp_path / "away.toml"
    config.write_text(f'[ledger]\nurl = "redis://127.0.0.1:{free_port()}/0"\n')
    begun = time.monotonic()

    ran = typed("--config", config, *words, "--json")

    assert (ran.code, ran.out) == (6, "")
    assert ran.error["code"] == "ledger-unreachable"
    assert "[ledger] url" in ran.error["message"]
    assert time.monotonic() - begun < 5


def test_an_event_whose_state_is_lost_is_shown_and_is_exit_6(typed: Operator, sale: Sale) -> None:
    sale.ask(lambda ledger: ledger.redis.delete(f"q:{{{sale.event}}}:served"))

    everything = typed("status", "--json")
    alone = typed("status", sale.event, "--json")

    assert (everything.code, alone.code) == (6, 6)
    found = [entry for entry in everything.document["events"] if entry["event"] == sale.event]
    assert found == [{"event": sale.event, "error": "state-lost"}]
    assert json.loads(everything.err)["error"]["code"] == "state-lost"
    assert "lost" in typed("status").out
    # Other tests look at all events too.
    sale.ask(lambda ledger: ledger.redis.set(f"q:{{{sale.event}}}:served", "0"))


def test_a_server_that_somebody_else_uses_by_now_is_not_stopped(sale: Sale) -> None:
    async def inside(ledger: RedisLedger) -> bool:
        await ledger.ping()
        return await asyncio.to_thread(has_other_clients, socket)

    socket = Path(sale.url.removeprefix("unix://"))

    assert sale.ask(inside)
    assert not has_other_clients(socket)
    assert not has_other_clients(socket.with_name("nobody"))


def test_a_folder_that_cannot_hold_a_ledger_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "gateway.toml").write_text('[ledger]\ndata_dir = "file/ledger"\n')

    ran = Operator(tmp_path)("status")

    assert ran.code == 6
    assert "file/ledger: Not a directory" in ran.err
    assert "Traceback" not in ran.err
