"""HAProxy with one thread: as a proxy alone, and as one that verifies passes."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from gateway.domain.positions import Generation
from gateway.proxyconfig import Addresses, HAProxyFolder, Knowledge, Subject
from gateway.tokens.keyring import KeyRing
from loadtests.contestants import Contestant
from loadtests.materials import EVENT, HOST, ISSUER
from loadtests.nginx import free_port, wait_until_listening
from loadtests.placement import pin

# Longer than a benchmark takes: what a sync costs is paid on another core.
_GOOD_FOR_S = 3600

_ALONE = """\
global
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
frontend visitors
    bind 127.0.0.1:{port}
    http-request set-header X-Forwarded-For %[src]
    default_backend site
backend site
    server site 127.0.0.1:{site}
"""


def haproxy_binary() -> str | None:
    return shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")


class HAProxy:
    """One HAProxy that passes everything on; a context manager that yields where it answers.

    Args:
        site: The backend's port.
    """

    def __init__(self, folder: Path, core: int | None, site: int) -> None:
        self._folder = folder
        self._core = core
        self._site = site
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Contestant:
        binary = haproxy_binary()
        if binary is None:
            raise FileNotFoundError("haproxy")
        port = free_port()
        files = [word for file in self._write(port) for word in ("-f", str(file))]
        before = os.sched_getaffinity(0) if self._core is not None else set[int]()
        pin(self._core)
        try:
            self._process = subprocess.Popen([binary, "-db", *files], stderr=subprocess.DEVNULL)
        finally:
            if before:
                os.sched_setaffinity(0, before)
        try:
            wait_until_listening(port)
            self._listening()
        except BaseException:
            self._end()
            raise
        return Contestant(port, self._process.pid)

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)

    def _write(self, port: int) -> list[Path]:
        self._folder.mkdir(parents=True)
        config = self._folder / "haproxy.cfg"
        config.write_text(_ALONE.format(port=port, site=self._site))
        return [config]

    def _listening(self) -> None:
        """Do what is to be done once it runs."""


class VerifyingHAProxy(HAProxy):
    """HAProxy as `gateway config haproxy` sets it up, with all that a sync would tell it.

    Args:
        gateway: The port of the gateway that it asks about everything else.
        keys: The key ring folder.
        told: Whether a sync has told it anything; else it asks about everything.
    """

    def __init__(
        self,
        folder: Path,
        core: int | None,
        *,
        site: int,
        gateway: int,
        keys: Path,
        generation: Generation,
        told: bool,
    ) -> None:
        super().__init__(folder, core, site)
        self._files = HAProxyFolder(folder)
        self._gateway = gateway
        self._keys = KeyRing.load(keys).public_keys()
        self._generation = generation
        self._told = told

    def _write(self, port: int) -> list[Path]:
        addresses = (f"127.0.0.1:{number}" for number in (port, self._gateway, self._site))
        self._files.set_up(Subject(EVENT, (HOST,), ISSUER), Addresses(*addresses), self._keys)
        text = self._files.config.read_text("utf-8")
        self._files.config.write_text(text.replace("global\n", "global\n    nbthread 1\n"), "utf-8")
        return [self._files.config, self._files.folder / "keys.cfg"]

    def _listening(self) -> None:
        if self._told:
            known = Knowledge(self._generation, {}, self._keys)
            self._files.sync(good_for_s=_GOOD_FOR_S).tell(known, read_at_s=time.time())
