"""Several processes on one port: replaced when they die, one by one at SIGHUP, gone with the parent."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from gateway.server.workers import restart_delay_s
from tests.integration.server.client import Client, get
from tests.integration.server.running import Program, is_running, until


@pytest.fixture(params=[[], ["--asyncio"]], ids=["uvloop", "asyncio"])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    with Program("parent", *request.param) as program:
        yield program


def workers_of(program: Program, count: int = 2) -> set[int]:
    """Ask until every worker has answered."""
    pids: set[int] = set()

    def all_answered() -> bool:
        pids.add(program.pid())
        return len({pid for pid in pids if is_running(pid)}) >= count

    until(all_answered)
    return {pid for pid in pids if is_running(pid)}


def until_ended(pids: Iterable[int]) -> None:
    until(lambda: not any(is_running(pid) for pid in pids))


def assert_stays(program: Program, workers: set[int]) -> None:
    """Nobody is started whom nobody needs."""
    for _ in range(20):
        assert program.children() == workers
        time.sleep(0.05)


def test_all_workers_answer_on_one_port(program: Program) -> None:
    assert program.process.pid not in workers_of(program)
    with Client.connect(program.admin_port) as admin:
        answer = admin.ask(get("/pid"))
    assert int(answer.body) == program.process.pid


def test_a_worker_that_is_killed_is_replaced(program: Program) -> None:
    before = workers_of(program)
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    until(lambda: not is_running(victim))
    after = workers_of(program)
    assert victim not in after
    assert before < after


def test_no_connection_is_refused_while_all_workers_are_dead(program: Program) -> None:
    for pid in workers_of(program):
        os.kill(pid, signal.SIGKILL)
    assert program.pid()


def test_a_killed_parent_takes_its_workers_along(program: Program) -> None:
    pids = workers_of(program)
    program.process.kill()
    program.process.wait()
    until_ended(pids)


def test_sigterm_ends_all_and_serves_what_is_in_flight(program: Program) -> None:
    pids = workers_of(program)
    with program.connect() as client, program.connect() as streaming:
        client.send(get("/nap"))
        streaming.send(get("/stream"))
        streaming.read_answer(to_head=True)
        program.signal(signal.SIGTERM)
        assert client.read_answer().body == b"slept"
        assert streaming.read_to_end().endswith(b"data: bye\n\n\r\n0\r\n\r\n")
    assert program.end() == 0
    assert not any(is_running(pid) for pid in pids)


def test_a_terminals_ctrl_c_ends_all_well(program: Program) -> None:
    with program.connect() as client:
        client.send(get("/nap"))
        time.sleep(0.2)
        os.killpg(program.process.pid, signal.SIGINT)
        assert client.read_answer().body == b"slept"
    assert program.end() == 0


def test_a_second_signal_kills() -> None:
    with Program("parent", "--drain", "600") as program, program.connect() as client:
        pids = workers_of(program)
        client.send(get("/endless"))
        client.read_answer(to_head=True)
        program.signal(signal.SIGTERM)
        time.sleep(0.2)
        program.signal(signal.SIGTERM)
        assert program.end() == 0
        assert not any(is_running(pid) for pid in pids)


class SmallLoad:
    """Clients that ask all the time, each on a connection that it keeps while it can."""

    def __init__(self, program: Program) -> None:
        self.answered: Counter[int] = Counter()
        self.failures: list[str] = []
        self._program = program
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n % 2 == 0,)) for n in range(4)]

    def __enter__(self) -> "SmallLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, keeps: bool) -> None:
        try:
            while not self._ends.is_set():
                with self._program.connect() as client:
                    more = True
                    while more and not self._ends.is_set():
                        answer = client.ask(get("/pid", *([] if keeps else ["Connection: close"])))
                        self.answered[int(answer.body)] += 1
                        more = answer.headers.get("connection") != "close"
                        time.sleep(0.005)
        except Exception as exc:
            self.failures.append(repr(exc))


def test_sighup_replaces_every_worker_and_loses_no_request(program: Program) -> None:
    with SmallLoad(program) as load:
        for _ in range(2):
            before = workers_of(program)
            program.signal(signal.SIGHUP)
            until_ended(before)
        assert_stays(program, workers_of(program))
    assert load.failures == []
    assert len(load.answered) >= 5
    assert sum(load.answered.values()) > 100


def test_a_new_worker_that_does_not_come_up_replaces_nobody(tmp_path: Path) -> None:
    obstacle = tmp_path / "obstacle"
    with Program("parent", "--fails-if-exists", str(obstacle)) as program:
        before = workers_of(program)
        obstacle.touch()
        program.signal(signal.SIGHUP)
        time.sleep(1.5)
        assert workers_of(program) == before
        obstacle.unlink()
        assert_stays(program, before)
        program.signal(signal.SIGHUP)
        until_ended(before)
        program.signal(signal.SIGTERM)
        assert program.end() == 0


@pytest.mark.parametrize("fails", ["exit", "lifespan"])
def test_workers_that_never_come_up_are_given_up(fails: str) -> None:
    with Program("parent", "--fails", fails, waits=False) as program:
        assert program.end() == 1
        assert "the workers do not come up" in program.process.communicate()[1]


def test_a_start_that_is_interrupted_leaves_nobody_behind() -> None:
    with Program("parent", "--fails", "hang", waits=False) as program:
        until(lambda: len(program.children()) == 2)
        pids = program.children()
        program.signal(signal.SIGTERM)
        assert program.end() == 0
        until_ended(pids)


@pytest.mark.parametrize(
    ("deaths", "workers", "delay_s"),
    [(1, 1, 0.1), (2, 1, 0.2), (4, 4, 0.1), (5, 4, 0.2), (7, 1, 6.4), (8, 1, 10.0), (500, 1, 10.0)],
)
def test_restarts_come_ever_more_slowly(deaths: int, workers: int, delay_s: float) -> None:
    assert restart_delay_s(deaths, workers) == pytest.approx(delay_s)
