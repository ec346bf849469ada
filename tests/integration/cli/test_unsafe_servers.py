"""A server under whose settings places would be lost is refused at start, with what to change."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Operator
from tests.support.eventually import eventually
from tests.support.running import Running, ask
from tests.support.servers import RealServer, free_port, valkey_binary

NewServer = Callable[..., RealServer]


@pytest.fixture
def new_server() -> Iterator[NewServer]:
    started: list[RealServer] = []

    def start(**settings: str) -> RealServer:
        folder = Path(tempfile.mkdtemp(prefix="gwu-", dir="/tmp"))
        server = RealServer(
            valkey_binary(),
            folder,
            {name.replace("_", "-"): text for name, text in settings.items()},
        )
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()
        shutil.rmtree(server.folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert Operator(tmp_path)("keys", "new").code == 0
    return tmp_path


def settings_for(folder: Path, server: RealServer) -> None:
    (folder / "gateway.toml").write_text(
        f'[ledger]\nurl = "{server.url}"\n[events.sale]\nhosts = ["shop.example"]\n'
    )


def run(folder: Path) -> tuple[int, str]:
    ran = Operator(folder)("--json", "run", "--port", free_port(), "--admin-port", free_port())
    # Behind what it logged, a line each.
    _, _, error = ran.err.rpartition("\n{\n")
    return ran.code, str(json.loads("{" + error)["error"]["message"])


def test_a_server_that_may_evict_keys_is_refused(folder: Path, new_server: NewServer) -> None:
    server = new_server(maxmemory_policy="allkeys-lru")
    settings_for(folder, server)

    code, message = run(folder)

    assert code == 6
    assert "maxmemory-policy noeviction" in message


def test_a_server_without_a_file_is_refused_for_events_that_ask_for_one(
    folder: Path, new_server: NewServer
) -> None:
    server = new_server()
    settings_for(folder, server)
    operator = Operator(folder)
    assert operator("event", "create", "sale", "--open").code == 0
    server.command("CONFIG", "SET", "appendonly", "no")

    code, message = run(folder)

    assert code == 6
    assert "event sale asks for fsync" in message
    assert "appendonly yes" in message


def test_an_event_that_asks_for_more_than_the_server_keeps_is_not_made(
    folder: Path, new_server: NewServer
) -> None:
    settings_for(folder, new_server(appendonly="no"))
    operator = Operator(folder)

    refused = operator("event", "create", "sale", "--json")

    assert (refused.code, refused.error["code"]) == (6, "ledger-unsafe-server")
    assert "--durability memory" in refused.error["message"]
    assert operator("event", "list", "--json").document["events"] == []
    assert operator("event", "create", "sale", "--durability", "memory").code == 0


def test_a_running_gateway_says_so_and_goes_on(folder: Path, new_server: NewServer) -> None:
    server = new_server()
    settings_for(folder, server)
    assert Operator(folder)("event", "create", "sale", "--open").code == 0
    running = Running(["--json", "run", "--port", 0, "--admin-port", 0], folder)
    try:
        ready = f"{running.document['url']}/readyz"
        assert ask(ready).body == b"ready\n"
        server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        eventually(lambda: b"noeviction" in ask(ready).body, 20)
        assert ask(ready).status == 200
    finally:
        running.end()
        assert running.process.stdout is not None
        running.process.stdout.close()
