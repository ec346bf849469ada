"""HAProxy with one thread: as a proxy alone, and as one that verifies passes."""

import shutil
from pathlib import Path

from gateway.proxyconfig import HAProxyFolder
from loadtests.proxy_process import ProxyProcess, Verified, found_program

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


class HAProxy(ProxyProcess):
    """One HAProxy that passes everything on.

    Args:
        site: The backend's port.
    """

    def __init__(self, folder: Path, core: int | None, site: int) -> None:
        super().__init__(folder, core)
        self._site = site

    def _command(self, port: int) -> list[str]:
        binary = found_program(haproxy_binary(), "haproxy")
        return [binary, "-db", *(word for file in self._write(port) for word in ("-f", str(file)))]

    def _write(self, port: int) -> list[Path]:
        self._folder.mkdir(parents=True)
        config = self._folder / "haproxy.cfg"
        config.write_text(_ALONE.format(port=port, site=self._site))
        return [config]


class VerifyingHAProxy(HAProxy):
    """HAProxy as `gateway config haproxy` sets it up."""

    def __init__(self, folder: Path, core: int | None, verified: Verified) -> None:
        super().__init__(folder, core, verified.site)
        self._files = HAProxyFolder(folder)
        self._verified = verified

    def _write(self, port: int) -> list[Path]:
        self._verified.set_up(self._files, port)
        text = self._files.config.read_text("utf-8")
        self._files.config.write_text(text.replace("global\n", "global\n    nbthread 1\n"), "utf-8")
        return [self._files.config, self._files.folder / "keys.cfg"]

    def _ready(self, started: int, port: int) -> int:
        worker = super()._ready(started, port)
        self._verified.tell(self._files)
        return worker
