"""HAProxy's runtime socket: maps that change while it runs (HAProxy Management Guide, section 9.3)."""

import re
import socket
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from gateway.proxyconfig.sync import ProxyAway

_TIMEOUT_S: Final = 2.0
# One command and what it carries must fit into a buffer of HAProxy's, 16 KiB by default.
_LINES_AT_ONCE: Final = 80
_VERSION: Final = re.compile(r"New version created: ([0-9]+)")
_PID: Final = re.compile(r"^Pid: ([0-9]+)$", re.MULTILINE)


class RuntimeMaps:
    """Changes the maps of whichever HAProxy listens at `path` now.

    Every method raises `ProxyAway`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def process(self) -> int:
        """Return the process that answers: another one has read its maps from their files."""
        found = _PID.search(self._ask("show info"))
        if found is None:
            raise ProxyAway(f"{self._path}: what answers there is no HAProxy")
        return int(found[1])

    def replace(self, map_file: Path, entries: Mapping[str, str]) -> None:
        """Put `entries` in the place of all there are, for HAProxy's requests in one step."""
        found = _VERSION.search(self._ask(f"prepare map {map_file}"))
        if found is None:
            raise ProxyAway(
                f"{self._path}: HAProxy knows no map {map_file}; start it with its haproxy.cfg"
            )
        version = found[1]
        self._fill(f"add map @{version} {map_file}", entries.items())
        self._order(f"commit map @{version} {map_file}")

    def add(self, map_file: Path, entries: Mapping[str, str]) -> None:
        """Add entries whose keys are new."""
        self._fill(f"add map {map_file}", entries.items())

    def _fill(self, command: str, entries: Iterable[tuple[str, str]]) -> None:
        left = iter(entries)
        while some := list(islice(left, _LINES_AT_ONCE)):
            lines = "".join(f"{key} {value}\n" for key, value in some)
            self._order(f"{command} <<\n{lines}")

    def _order(self, command: str) -> None:
        # What succeeded is answered by an empty line.
        if said := self._ask(command).strip():
            raise ProxyAway(f"{self._path}: HAProxy says: {said.splitlines()[0]}")

    def _ask(self, command: str) -> str:
        said = b""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_TIMEOUT_S)
                connection.connect(str(self._path))
                connection.sendall(f"{command}\n".encode())
                while piece := connection.recv(65_536):
                    said += piece
        except OSError as exc:
            raise ProxyAway(f"{self._path}: {exc.strerror or exc}; is HAProxy running?") from exc
        return said.decode("utf-8", "replace")
