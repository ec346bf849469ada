"""Visitors' own programs, in both languages, in front of a whole gateway; over a link that can fail."""

import asyncio
import contextlib
import json
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import staging
from tests.support.closed_loops import forget_connections
from tests.support.faulty_link import FaultyLink

ROOT = Path(__file__).parents[3]
PATIENCE_S = 30.0

PYTHON = [sys.executable, "-m", "tests.support.held_place"]

event_numbers = staging.event_numbers
common_tables = staging.common_tables
gateway = staging.gateway
mint = staging.mint
open_stage = staging.open_stage
operator = staging.operator
parser = staging.parser
short_folder = staging.short_folder
site = staging.site
stage = staging.stage
tables = staging.tables
valkey = staging.valkey

View = dict[str, Any]


class Program:
    """One visitor's program, which is started again and again with the same record."""

    def __init__(self, command: list[str], url: str, event: str, record: Path) -> None:
        self._command, self._url, self._event = command, url, event
        self.record = record
        self.push = "events"
        self._running: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._views: queue.SimpleQueue[View | None] = queue.SimpleQueue()

    def start(self) -> "Program":
        arguments = [self._url, self._event, str(self.record), self.push]
        running = subprocess.Popen(
            [*self._command, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running = running
        views: queue.SimpleQueue[View | None] = queue.SimpleQueue()
        self._views = views

        def read() -> None:
            assert running.stdout is not None
            for line in running.stdout:
                # Killed in the middle of a line, it tells nothing.
                with contextlib.suppress(json.JSONDecodeError):
                    views.put(json.loads(line))
            views.put(None)

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        return self

    def shows(self, holds: Callable[[View], object]) -> View:
        """Wait for a view."""
        deadline = time.monotonic() + PATIENCE_S
        seen: list[View] = []
        while True:
            try:
                view = self._views.get(timeout=max(deadline - time.monotonic(), 0.0))
            except queue.Empty:
                pytest.fail(f"not told within {PATIENCE_S} s; told was {seen[-3:]}")
            assert view is not None, f"it has ended: {self._errors()}; told was {seen[-3:]}"
            seen.append(view)
            if holds(view):
                return view

    def gets(self, status: str) -> View:
        return self.shows(lambda view: view["status"] == status)

    def kill(self) -> None:
        """End it as the system does that needs its memory."""
        if self._running is not None:
            self._running.send_signal(signal.SIGKILL)
            self._running.wait()
            if self._reader is not None:
                self._reader.join()
            for pipe in (self._running.stdout, self._running.stderr):
                if pipe is not None:
                    pipe.close()
            self._running = None

    def _errors(self) -> str:
        assert self._running is not None
        assert self._running.stderr is not None
        return self._running.stderr.read()


@pytest.fixture(params=["python", "node"])
def command(request: pytest.FixtureRequest) -> list[str]:
    if request.param == "python":
        return PYTHON
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on PATH (Debian's package: nodejs)")
    return [node, str(ROOT / "tests" / "support" / "held_place.mjs")]


OpenProgram = Callable[..., Program]


@pytest.fixture
def open_program(command: list[str], tmp_path: Path) -> Iterator[OpenProgram]:
    """Return a program for a stage's event; it ends with the test."""
    opened: list[Program] = []

    def create(stage: staging.Stage, port: int | None = None) -> Program:
        url = f"http://127.0.0.1:{port or stage.gateway.port}"
        program = Program(command, url, stage.event, tmp_path / f"record-{len(opened)}")
        opened.append(program)
        return program

    yield create
    for program in opened:
        program.kill()


class Link:
    """A link to the gateway, in a thread of its own."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.faults = FaultyLink(("127.0.0.1", port))
        self._running = self.faults.running()

    def __enter__(self) -> "Link":
        self._thread.start()
        self._do(self._running.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self._do(self._running.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        forget_connections()

    @property
    def port(self) -> int:
        return int(self.faults.url.rpartition(":")[2])

    def reject(self) -> None:
        self._do(self.faults.reject())

    def heal(self) -> None:
        self._do(self.faults.heal())

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@pytest.fixture
def link(gateway: Any) -> Iterator[Link]:
    with Link(gateway.port) as link:
        yield link
