"""`gateway demo`: everything in one process, and what is left of it after `kill -9`."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.embedded import answers, socket_path
from tests.support.command_line import Operator
from tests.support.running import Running, ask


@pytest.fixture
def start(empty_folder: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(*words: str | int) -> Running:
        running = Running(
            ("demo", "--port", 0, "--admin-port", 0, "--data-dir", "d", *words), empty_folder
        )
        started.append(running)
        return running

    yield run
    for running in started:
        running.end(signal.SIGKILL)
        assert running.process.stdout is not None
        running.process.stdout.close()
    kill_ledger(empty_folder)


def kill_ledger(folder: Path) -> None:
    ledger = folder / "d" / "ledger"
    if answers(socket_path(ledger)):
        os.kill(int((ledger / "valkey.pid").read_text()), signal.SIGKILL)
        until(lambda: not answers(socket_path(ledger)))


def until(predicate: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def join(url: str) -> Any:
    answer = ask(f"{url}/queue/demo/join", "POST")
    assert answer.status == 201, answer.body
    return answer.document


def test_two_visitors_queue_and_one_is_let_in(
    start: Callable[..., Running], empty_folder: Path
) -> None:
    demo = start("--json").document
    operator = Operator(empty_folder)
    url = demo["url"]

    assert demo.keys() == {
        *("url", "admin_url", "event", "protected_url", "config"),
        "operator_key",
    }
    assert demo["event"] == "demo"
    assert demo["protected_url"] == f"{url}/book"
    assert demo["config"] == str(empty_folder / "d" / "gateway.toml")
    assert ask(f"{url}/about").status == 200
    assert ask(f"{url}/assets/style.css").status == 200
    assert ask(f"{demo['admin_url']}/metrics").status == 200
    assert ask(f"{url}/").status == 200
    assert ask(f"{url}/anything-else").status == 401
    assert ask(demo["protected_url"]).status == 401
    first, second = join(url), join(url)
    assert (first["position"], second["position"]) == (1, 2)
    assert ask(demo["protected_url"], token=first["token"]).status == 429

    assert operator("--config", demo["config"], "release", "demo", 1).code == 0

    def has_come() -> bool:
        return ask(demo["protected_url"], token=first["token"]).status == 200

    until(has_come)
    page = ask(demo["protected_url"], token=first["token"]).body.decode()
    assert "<dt>Queue-Position</dt><dd>1</dd>" in page
    assert ask(demo["protected_url"], token=second["token"]).status == 429
    checked = operator("--config", demo["config"], "token", "inspect", first["token"], "--json")
    assert checked.document["genuine"] is True


def test_positions_survive_the_end_of_everything(
    start: Callable[..., Running], empty_folder: Path
) -> None:
    operator = Operator(empty_folder)
    demo = start("--json")
    config = demo.document["config"]
    tokens = [join(demo.document["url"])["token"] for _ in range(2)]
    operator("--config", config, "release", "demo", 1)
    text = Path(config).read_text()

    # The gateway alone: its ledger lives on and is adopted, with no gap.
    demo.end(signal.SIGKILL)
    demo = start("--json")
    assert join(demo.document["url"])["position"] == 3

    # Everything: the ledger comes back from its file.
    demo.end(signal.SIGKILL)
    kill_ledger(empty_folder)
    demo = start("--json")
    url = demo.document["url"]
    assert Path(config).read_text() == text
    for position, token in enumerate(tokens, start=1):
        standing = ask(f"{url}/queue/demo/position", token=token).document
        assert standing["position"] == position
    assert join(url)["position"] > 3
    assert operator("--config", config, "status", "demo", "--json").document["served_up_to"] == 1
    assert operator("--config", config, "release", "demo", 1).code == 0

    def has_come() -> bool:
        return ask(f"{url}/book", token=tokens[1]).status == 200

    until(has_come)

    assert demo.end(signal.SIGTERM) == 0
    assert demo.rest() == ""
    assert not answers(socket_path(empty_folder / "d" / "ledger"))


def test_a_second_demo_on_the_same_folder_is_told_of_the_first(
    start: Callable[..., Running], empty_folder: Path
) -> None:
    first = start("--json")

    second = Operator(empty_folder)("demo", "--port", 0, "--data-dir", "d", "--json")

    assert (second.code, second.out) == (4, "")
    assert str(first.process.pid) in second.error["message"]
    assert first.document["url"] in second.error["message"]
    assert ask(first.document["url"] + "/about").status == 200


def test_people_are_told_what_to_open_and_type(
    start: Callable[..., Running], empty_folder: Path
) -> None:
    demo = start()

    assert demo.end(signal.SIGINT) == 0
    said = demo.rest()
    config = empty_folder / "d" / "gateway.toml"
    assert f"gateway --config {config} release demo 1" in said
    assert "/book in two browsers" in said
    assert not answers(socket_path(empty_folder / "d" / "ledger"))


@pytest.mark.parametrize("flag", ["--port", "--admin-port"])
def test_a_port_that_was_asked_for_and_is_taken_is_a_failure(empty_folder: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": "0", "--admin-port": "0", flag: str(port)}
        words = [word for pair in ports.items() for word in pair]

        ran = Operator(empty_folder)("demo", "--data-dir", "d", *words)

    assert (ran.code, ran.out) == (1, "")
    assert f"port {port} is taken" in ran.err.lower()
    assert not answers(socket_path(empty_folder / "d" / "ledger"))
