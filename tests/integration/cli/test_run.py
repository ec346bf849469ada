"""`gateway run`: starts, answers, ends."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.ledger.embedded import answers, socket_path
from tests.support.command_line import CONFIG, Operator
from tests.support.running import Running, ask


@pytest.fixture
def start(empty_folder: Path) -> Iterator[Callable[..., Running]]:
    (empty_folder / "gateway.toml").write_text(CONFIG)
    started: list[Running] = []

    def run(*words: str | int) -> Running:
        running = Running(("run", "--port", 0, "--admin-port", 0, *words), empty_folder)
        started.append(running)
        return running

    yield run
    for running in started:
        running.end(signal.SIGTERM)
        assert running.process.stdout is not None
        running.process.stdout.close()


def test_without_a_key_it_says_how_to_make_one(tmp_path: Path) -> None:
    ran = Operator(tmp_path)("run", "--port", 0, "--admin-port", 0)

    assert (ran.code, ran.out) == (4, "")
    assert "gateway keys new" in ran.err


@pytest.mark.parametrize("workers", [1, 2])
def test_it_answers_until_it_is_told_to_end(
    start: Callable[..., Running], empty_folder: Path, workers: int
) -> None:
    operator = Operator(empty_folder)
    operator("keys", "new")

    gateway = start("--json", "--workers", workers)

    assert gateway.document.keys() == {"url", "admin_url"}
    assert ask(gateway.document["url"] + "/healthz").status == 200
    assert ask(gateway.document["admin_url"] + "/metrics").status == 200
    assert operator("event", "create", "sale", "--open").code == 0
    assert operator("status", "sale").code == 0
    assert gateway.end(signal.SIGTERM) == 0
    assert not answers(socket_path(empty_folder / "ledger"))


def test_it_says_where_it_answers(start: Callable[..., Running], empty_folder: Path) -> None:
    Operator(empty_folder)("keys", "new")

    gateway = start()

    assert gateway.first_line.startswith("The gateway answers at http://127.0.0.1:")
    assert gateway.end(signal.SIGINT) == 0
