"""The topology of `deploy/compose`, from its shipped files, as processes of this machine.

Of each file only what containers have of their own is replaced: names and ports, and where files are.
Prometheus and Grafana are left out.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from gateway.tokens.keyring import new_key
from tests.support.command_line import clean_environment
from tests.support.eventually import eventually
from tests.support.fronts import NGINX
from tests.support.running import Running, ask
from tests.support.servers import free_port, valkey_binary

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose"

EVENT, HOST = "sale", "booking.example"
SETTLE_TIMEOUT_S = 30.0

_HERE = "127.0.0.1"
_OURS = {"gateway": ("8080", "8081"), "valkey": ("6379",), "sentinel": ("26379",), "site": ("80",)}
_NGINX_OWN = """\
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
"""


def compose_document() -> Any:
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text("utf-8"))


class ComposedGateway:
    """One gateway; it keeps its ports, its folder and its floors through all its lives."""

    def __init__(self, folder: Path, text: str, ports: tuple[int, int]) -> None:
        self._folder = folder
        self.config = folder / "gateway.toml"
        self.url, self.admin_url = (f"http://{_HERE}:{port}" for port in ports)
        self._running: Running | None = None
        folder.mkdir()
        text = text.replace("/etc/gateway/keys", str(folder.parent / "keys"))
        text = text.replace("/etc/gateway", str(folder)).replace("/var/lib/gateway", str(folder))
        text = text.replace('"0.0.0.0"', f'"{_HERE}"').replace("10.89.0.0/24", "127.0.0.0/8")
        for container_port, port in zip(("8080", "8081"), ports, strict=True):
            text = re.sub(rf"(port = ){container_port}\b", rf"\g<1>{port}", text)
        self.config.write_text(text, "utf-8")

    def start(self) -> None:
        """Return once it answers."""
        # The whole crowd comes from one address here.
        words: list[str | Path | int] = ["--config", self.config, "--json", "run"]
        self._running = Running(words, self._folder, {"GATEWAY_JOINS__BURST": "0"})

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End it, by default as an orchestrator does; return the exit status."""
        running, self._running = self._running, None
        if running is None:
            return 0
        status = running.end(by)
        assert running.process.stdout is not None
        running.process.stdout.close()
        return status

    def joins(self) -> float:
        """Return how many joins this life has answered."""
        text = ask(f"{self.admin_url}/metrics").body.decode()
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith("gateway_joins_total{")
        )


class Composed:
    """All of it, in a folder with a short path."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._document = compose_document()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ports = {
            f"{name}:{port}": free_port()
            for name in self._document["services"]
            for port in _OURS.get(name.partition("-")[0], ())
        }
        self.port = free_port()
        new_key(folder / "keys", now_s=time.time())
        text = self._translated((COMPOSE / "gateway.toml").read_text("utf-8"))
        self.gateways = [
            ComposedGateway(
                folder / name, text, (self._ports[f"{name}:8080"], self._ports[f"{name}:8081"])
            )
            for name in self._named("gateway")
        ]

    @contextlib.contextmanager
    def running(self) -> Iterator["Composed"]:
        # Whatever goes wrong with one of them, all the others are ended too.
        with contextlib.ExitStack() as ending:
            ending.callback(self._end_processes)
            for name in self._named("valkey"):
                self._start_from_command(name, "valkey.conf")
            for name in self._named("sentinel"):
                self._start_from_command(name, "sentinel.conf")
            eventually(self._ledger_is_replicated, SETTLE_TIMEOUT_S)
            self.operate(
                "event", "create", EVENT, "--max-sessions", "100", "--durability", "replicas"
            )
            self.operate("event", "open", EVENT)
            for gateway in self.gateways:
                ending.callback(gateway.end)
                gateway.start()
            self._start_nginx()
            yield self

    def _end_processes(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()

    def operate(self, *words: str) -> str:
        """Run a command of `gateway` with the settings of the first gateway."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "--config", str(self.gateways[0].config), *words],
            env=clean_environment(None),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _named(self, kind: str) -> list[str]:
        return [name for name in self._document["services"] if name.startswith(f"{kind}-")]

    def _translated(self, text: str) -> str:
        for address, port in self._ports.items():
            text = re.sub(rf"\b{address}\b", f"{_HERE}:{port}", text)
        return text

    def _start_from_command(self, name: str, config: str) -> None:
        """Run what the container runs: the shell's words of compose.yaml."""
        (container_port,) = _OURS[name.partition("-")[0]]
        folder = self._folder / name
        folder.mkdir()
        primary = self._ports["valkey-1:6379"]
        text = (COMPOSE / config).read_text("utf-8")
        text = re.sub(
            r"^port \d+", f"port {self._ports[f'{name}:{container_port}']}", text, flags=re.M
        )
        text = text.replace("valkey-1 6379", f"{_HERE} {primary}").replace("/data", str(folder))
        text = text.replace("bind * -::*", f"bind {_HERE}")
        given = folder / f"given-{config}"
        given.write_text(text, "utf-8")
        *shell, script = self._document["services"][name]["command"]
        script = script.replace("$$", "$").replace(f"/etc/{config}", str(given))
        script = script.replace("/data", str(folder)).replace("6379", str(primary))
        script = re.sub(r"exec valkey-server (\S+)", rf"exec {valkey_binary()} \1", script)
        script = re.sub(
            r"exec valkey-sentinel (\S+)", rf"exec {valkey_binary()} \1 --sentinel", script
        )
        environment = self._document["services"][name].get("environment", {})
        self._start(folder, [*shell, script], {key: _HERE for key in environment})

    def _start_nginx(self) -> None:
        program = NGINX.program
        assert program is not None
        folder = self._folder / "nginx"
        folder.mkdir()
        for used in self._document["services"]["nginx"]["configs"]:
            file = COMPOSE / self._document["configs"][used["source"]]["file"]
            text = self._translated(file.read_text("utf-8"))
            text = text.replace("/run/", f"{folder}/").replace("http {\n", _NGINX_OWN)
            text = text.replace("listen 80;", f"listen {_HERE}:{self.port};")
            (folder / Path(used["target"]).name).write_text(text, "utf-8")
        # Started by root, nginx's workers are somebody else, who must find the way to their files.
        for way in (folder, self._folder):
            way.chmod(0o711)
        words = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        self._start(folder, [*words, "-e", "error.log", "-g", "daemon off;"])
        eventually(self._answers, SETTLE_TIMEOUT_S)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return ask(f"http://{_HERE}:{self.port}/queue/{EVENT}").status == 200
        return False

    def _start(self, folder: Path, words: list[str], env: dict[str, str] | None = None) -> None:
        with (folder / "output.log").open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    words,
                    cwd=folder,
                    env={**os.environ, **(env or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )

    def _ledger_is_replicated(self) -> bool:
        ports = (self._ports["sentinel-1:26379"], self._ports["valkey-2:6379"])
        sentinel, replica = (
            redis.Redis(port=port, decode_responses=True, socket_timeout=1) for port in ports
        )
        with contextlib.suppress(redis.RedisError), sentinel, replica:
            state: Any = sentinel.sentinel_master(EVENT)
            replication: Any = replica.info("replication")
            found = (state["num-slaves"], state["num-other-sentinels"])
            return bool(found == (1, 2) and replication["master_link_status"] == "up")
        return False


@contextlib.contextmanager
def running_composed() -> Iterator[Composed]:
    if NGINX.program is None:
        pytest.skip("there is no nginx on this machine")
    base = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="gc-", dir=base))
    try:
        with Composed(folder).running() as composed:
            yield composed
    finally:
        shutil.rmtree(folder, ignore_errors=True)
