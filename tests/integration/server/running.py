"""Runs `program.py` and talks to it; ends it by its own process id whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.integration.server.client import Client, get

ROOT = Path(__file__).parents[3]


class Program:
    def __init__(self, *arguments: str, waits: bool = True) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.server.program", *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As in a terminal: a group of its own, which Ctrl-C signals as a whole.
            start_new_session=True,
        )
        self.port = self.admin_port = 0
        if waits:
            ready = self.next_line()
            self.port, self.admin_port = ready["main"][1], ready["admin"][1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def next_line(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def connect(self) -> Client:
        return Client.connect(self.port)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def children(self) -> set[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in path.read_text("utf-8").split()}

    def end(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(30)

    def pid(self) -> int:
        """Ask who answers."""
        with self.connect() as client:
            return int(client.ask(get("/pid", "Connection: close")).body)


def until(holds: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        # A child whose parent was killed may wait, dead, for an init that does not reap it.
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
