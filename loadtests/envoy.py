"""Envoy with one worker: as a proxy alone, and as one that verifies passes."""

import shutil
import sys
from pathlib import Path

from gateway.proxyconfig import EnvoyFolder
from loadtests.proxy_process import ProxyProcess, Verified, found_program

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


class Envoy(ProxyProcess):
    """One Envoy that passes everything on.

    Args:
        site: The backend's port.
    """

    def __init__(self, folder: Path, core: int | None, site: int) -> None:
        super().__init__(folder, core)
        self._site = site

    def _command(self, port: int) -> list[str | Path]:
        binary = found_program(envoy_binary(), "envoy")
        words = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
        return [binary, "-c", self._write(port), *words]

    def _write(self, port: int) -> Path:
        self._folder.mkdir(parents=True)
        config = self._folder / "envoy.yaml"
        config.write_text(_ALONE.format(port=port, site=self._site))
        return config


class VerifyingEnvoy(Envoy):
    """Envoy as `gateway config envoy` sets it up."""

    def __init__(self, folder: Path, core: int | None, verified: Verified) -> None:
        super().__init__(folder, core, verified.site)
        self._files = EnvoyFolder(folder)
        self._verified = verified

    def _write(self, port: int) -> Path:
        self._verified.set_up(self._files, port)
        return self._files.config

    def _ready(self, started: int, port: int) -> int:
        worker = super()._ready(started, port)
        self._verified.tell(self._files)
        return worker
