"""Envoy with one worker: as a proxy alone, and as one that verifies passes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from gateway.domain.positions import Generation
from gateway.proxyconfig import Addresses, EnvoyFolder, Knowledge, Subject
from gateway.tokens.keyring import KeyRing
from loadtests.contestants import Contestant
from loadtests.materials import EVENT, HOST, ISSUER
from loadtests.nginx import free_port, wait_until_listening
from loadtests.placement import pin

# Longer than a benchmark takes: what a sync costs is paid on another core.
_GOOD_FOR_S = 3600

_TYPE = "type.googleapis.com/envoy.extensions.filters"
_ALONE = f"""\
static_resources:
  listeners:
    - name: visitors
      address: {{{{socket_address: {{{{address: 127.0.0.1, port_value: {{port}}}}}}}}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": {_TYPE}.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: visitors
                use_remote_address: true
                route_config:
                  virtual_hosts:
                    - name: everything
                      domains: ["*"]
                      routes:
                        - match: {{{{prefix: /}}}}
                          route: {{{{cluster: site, timeout: 0s}}}}
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": {_TYPE}.http.router.v3.Router
                      suppress_envoy_headers: true
  clusters:
    - name: site
      connect_timeout: 2s
      type: STATIC
      load_assignment:
        cluster_name: site
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address: {{{{socket_address: {{{{address: 127.0.0.1, port_value: {{site}}}}}}}}}}
"""


def envoy_binary() -> str | None:
    """Return where it is installed: on the system, or by pip beside this Python."""
    return shutil.which("envoy") or shutil.which("envoy", path=str(Path(sys.executable).parent))


class Envoy:
    """One Envoy that passes everything on; a context manager that yields where it answers.

    Args:
        site: The backend's port.
    """

    def __init__(self, folder: Path, core: int | None, site: int) -> None:
        self._folder = folder
        self._core = core
        self._site = site
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Contestant:
        binary = envoy_binary()
        if binary is None:
            raise FileNotFoundError("envoy")
        port = free_port()
        words = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
        before = os.sched_getaffinity(0) if self._core is not None else set[int]()
        pin(self._core)
        try:
            self._process = subprocess.Popen(
                [binary, "-c", self._write(port), *words], stderr=subprocess.DEVNULL
            )
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

    def _write(self, port: int) -> Path:
        self._folder.mkdir(parents=True)
        config = self._folder / "envoy.yaml"
        config.write_text(_ALONE.format(port=port, site=self._site))
        return config

    def _listening(self) -> None:
        """Do what is to be done once it runs."""


class VerifyingEnvoy(Envoy):
    """Envoy as `gateway config envoy` sets it up, with all that a sync would tell it.

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
        self._files = EnvoyFolder(folder)
        self._gateway = gateway
        self._keys = KeyRing.load(keys).public_keys()
        self._generation = generation
        self._told = told

    def _write(self, port: int) -> Path:
        addresses = (f"127.0.0.1:{number}" for number in (port, self._gateway, self._site))
        self._files.set_up(Subject(EVENT, (HOST,), ISSUER), Addresses(*addresses), self._keys)
        return self._files.config

    def _listening(self) -> None:
        if self._told:
            known = Knowledge(self._generation, {}, self._keys)
            self._files.sync(good_for_s=_GOOD_FOR_S).tell(known, read_at_s=time.time())
