"""An app of `examples/` on uvicorn, as its README starts it, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.command_line import clean_environment
from tests.support.replies import ask

EXAMPLES = Path(__file__).parents[3] / "examples"

END_TIMEOUT_S = 30


class Site:
    """One app, listening at `port` from the beginning on."""

    def __init__(self, module: str, folder: Path, environ: Mapping[str, str]) -> None:
        self._errors = folder / "errors.log"
        with socket.socket() as listening, self._errors.open("wb") as errors:
            listening.bind(("127.0.0.1", 0))
            listening.listen(128)
            self.port = int(listening.getsockname()[1])
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "uvicorn", f"{module}:app", "--no-date-header"),
                    *("--app-dir", str(EXAMPLES), "--fd", str(listening.fileno())),
                    *("--timeout-graceful-shutdown", "5"),
                ],
                cwd=folder,
                env=clean_environment(environ),
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def wait_until_up(self) -> None:
        # The socket listens already: the answer comes as soon as there is somebody to give it.
        reply = ask(self.port, "GET", "/healthz", [("host", "localhost")])
        assert reply.status == 200, self.said

    def wait(self) -> int:
        """Return the exit status of a server that ends by itself."""
        return self._process.wait(END_TIMEOUT_S)

    def stop(self) -> int:
        """Tell it to end, as a terminal or a service manager does; return the exit status."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def said(self) -> str:
        """Return everything that it logged."""
        return self._errors.read_text()
