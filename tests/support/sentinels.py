"""A real primary with replicas, and the Sentinels that replace it when it is away."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from tests.support.eventually import eventually
from tests.support.servers import START_TIMEOUT_S, RealServer, free_port

SERVICE = "sale"
SETTLE_TIMEOUT_S = 30.0

# How long the primary may be silent before the Sentinels replace it.
DOWN_AFTER_MS = 500


class WatchedServers:
    """Servers on ports of this machine, of which `sentinels` choose the primary.

    Args:
        folder: Where each process gets a folder; its path must be short (unix(7), sun_path).
    """

    def __init__(
        self, binary: Path, folder: Path, *, replicas: int = 2, sentinels: int = 3
    ) -> None:
        self._binary = binary
        self._folder = folder
        self.servers = [self._server() for _ in range(1 + replicas)]
        self._sentinel_ports = [free_port() for _ in range(sentinels)]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @property
    def hosts(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._sentinel_ports)

    @property
    def url(self) -> str:
        return f"redis+sentinel://{self.hosts}/{SERVICE}"

    def start(self, *, until_settled: bool = True) -> None:
        """Return once the replicas are in step and every Sentinel knows all servers and Sentinels.

        Args:
            until_settled: Whether to wait for the Sentinels too.
        """
        primary, *replicas = self.servers
        primary.start()
        for replica in replicas:
            replica.start()
            replica.command("REPLICAOF", "127.0.0.1", primary.settings["port"])
        eventually(
            lambda: all(
                "master_link_status:up" in replica.raw("INFO", "replication")
                for replica in replicas
            ),
            SETTLE_TIMEOUT_S,
        )
        for port in self._sentinel_ports:
            self._start_sentinel(port, int(primary.settings["port"]))
        if until_settled:
            # They greet each other every two seconds, which the tests of failovers leave as it is.
            self._greet_every(100)
            eventually(self._is_settled, SETTLE_TIMEOUT_S)
            self._greet_every(2000)

    def primary(self) -> RealServer:
        """Return the server that the first Sentinel that answers names now."""
        _, port = self._ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
        return next(server for server in self.servers if server.settings["port"] == port)

    def promote_another(self) -> None:
        """Have a replica promoted while the primary is well, as for an upgrade."""
        self._ask("SENTINEL", "FAILOVER", SERVICE)

    def freeze_sentinel(self, number: int) -> None:
        """Stop one where it is (SIGSTOP): it takes connections and never answers."""
        os.kill(self._sentinels[number].pid, signal.SIGSTOP)

    def kill(self) -> None:
        # The Sentinels first, so that they do not put another in a killed one's place.
        for sentinel in self._sentinels:
            sentinel.kill()
            sentinel.wait()
        for server in self.servers:
            server.kill()
            shutil.rmtree(server.folder, ignore_errors=True)

    def _ask(self, *words: str) -> list[str]:
        for port in self._sentinel_ports:
            with contextlib.suppress(redis.RedisError), self._client(port) as client:
                return list(client.execute_command(*words))
        raise AssertionError("no Sentinel answers")

    def _greet_every(self, period_ms: int) -> None:
        for port in self._sentinel_ports:
            with self._client(port) as client:
                client.execute_command("SENTINEL", "DEBUG", "publish-period", period_ms)

    def _is_settled(self) -> bool:
        return all(self._knows_all(port) for port in self._sentinel_ports)

    def _knows_all(self, port: int) -> bool:
        with self._client(port) as client:
            state = client.sentinel_master(SERVICE)
        return bool(
            state["num-slaves"] == len(self.servers) - 1
            and state["num-other-sentinels"] == len(self._sentinel_ports) - 1
        )

    @staticmethod
    def _client(port: int) -> redis.Redis:
        return redis.Redis(port=port, decode_responses=True, socket_timeout=0.5)

    def _server(self) -> RealServer:
        own = Path(tempfile.mkdtemp(prefix="r", dir=self._folder))
        settings = {"port": str(free_port()), "repl-diskless-sync-delay": "0"}
        return RealServer(self._binary, own, settings)

    def _start_sentinel(self, port: int, primary_port: int) -> None:
        folder = Path(tempfile.mkdtemp(prefix="s", dir=self._folder))
        config = folder / "conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nlogfile {folder / 'log'}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary_port} {len(self._sentinel_ports) // 2 + 1}\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        process = subprocess.Popen(
            [str(self._binary), str(config), "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._sentinels.append(process)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _listens(port):
            assert process.poll() is None, f"the Sentinel died; see {folder / 'log'}"
            assert time.monotonic() < deadline, "the Sentinel does not answer"
            time.sleep(0.005)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
        return True
    return False
