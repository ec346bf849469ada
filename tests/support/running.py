"""A `gateway run` or `gateway demo` as a process of its own, and requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.command_line import clean_environment

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Running:
    """Started from the command line; `first_line` is what it said once it answered."""

    def __init__(
        self,
        words: Sequence[str | Path | int],
        folder: Path,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._errors = (folder / "errors.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway", *map(str, words)],
            cwd=folder,
            env=clean_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        # A process that never says a word must not hang the run.
        watchdog = threading.Timer(START_TIMEOUT_S, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        watchdog.cancel()
        assert self.first_line, (folder / "errors.log").read_text()

    @property
    def document(self) -> Any:
        return json.loads(self.first_line)

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait, and return the exit status."""
        if self.process.poll() is None:
            os.kill(self.process.pid, by)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        finally:
            self.close()

    def rest(self) -> str:
        """Return what it printed after the first line. To be called once it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._errors.close()


def ask(url: str, method: str = "GET", *, token: str | None = None) -> Answered:
    """Send one request without following redirects."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        headers = {} if token is None else {"Queue-Token": token}
        connection.request(method, parts.path or "/", headers=headers)
        answer = connection.getresponse()
        return Answered(answer.status, dict(answer.headers), answer.read())
    finally:
        connection.close()
