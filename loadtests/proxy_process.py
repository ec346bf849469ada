"""A proxy program with one worker on one core, and what one that verifies passes is set up with."""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.domain.positions import Generation
from gateway.proxyconfig import Addresses, Knowledge, ProxyFolder, Subject
from gateway.tokens.keyring import KeyRing
from loadtests.contestants import Contestant
from loadtests.materials import EVENT, HOST, ISSUER
from loadtests.placement import pin
from tests.support.servers import free_port

START_S = 10.0

# Longer than a benchmark takes: what a sync costs is paid on another core.
_GOOD_FOR_S = 3600


class ProxyProcess(ABC):
    """One proxy; a context manager that yields where it answers."""

    def __init__(self, folder: Path, core: int | None) -> None:
        self._folder = folder
        self._core = core
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Contestant:
        port = free_port()
        command = self._command(port)
        before = os.sched_getaffinity(0) if self._core is not None else set[int]()
        pin(self._core)
        try:
            self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        finally:
            if before:
                os.sched_setaffinity(0, before)
        try:
            worker = self._ready(self._process.pid, port)
        except BaseException:
            # Also at an interrupt: who has not entered is not asked to leave.
            self._end()
            raise
        return Contestant(port, worker)

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)

    @abstractmethod
    def _command(self, port: int) -> Sequence[str | Path]:
        """Write the configuration, and return what is started.

        Raises:
            FileNotFoundError: The program is not on this machine.
        """

    def _ready(self, started: int, port: int) -> int:
        """Return the process id of whoever answers, once it can be measured.

        Raises:
            TimeoutError: Nobody did in time.
        """
        _wait_until_listening(port)
        return started


@dataclass(frozen=True, slots=True)
class Verified:
    """What a proxy is set up with that verifies passes.

    Attributes:
        site: The backend's port.
        gateway: The port of the gateway that it asks about everything else.
        keys: The key ring folder.
        told: Whether a sync has told it anything; else it asks about everything.
    """

    site: int
    gateway: int
    keys: Path
    generation: Generation
    told: bool = True

    def set_up(self, files: ProxyFolder, port: int) -> None:
        """Write its folder, as its command does."""
        addresses = (f"127.0.0.1:{number}" for number in (port, self.gateway, self.site))
        keys = KeyRing.load(self.keys).public_keys()
        files.set_up(Subject(EVENT, (HOST,), ISSUER), Addresses(*addresses), keys)

    def tell(self, files: ProxyFolder) -> None:
        """Tell it all that a sync would."""
        if self.told:
            known = Knowledge(self.generation, {}, KeyRing.load(self.keys).public_keys())
            files.sync(good_for_s=_GOOD_FOR_S).tell(known, read_at_s=time.time())


def found_program(path: str | None, name: str) -> str:
    """Return a program's path.

    Raises:
        FileNotFoundError: There is none.
    """
    if path is None:
        raise FileNotFoundError(name)
    return path


def _wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens at port {port}")
