"""Real proxies in front of a real site, each set up by the files that are shipped for it in `deploy/`.

Of a shipped file only the ports, and where it keeps its own files, are replaced.
"""

import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.fronted import START_TIMEOUT_S, Door, Site, Wire
from tests.support.gateways import Gateway, Server
from tests.support.servers import free_port
from tests.support.staging import Stage
from tests.support.visitors import Visitor

DEPLOY = Path(__file__).parents[2] / "deploy"

LISTENING, GATEWAY, SITE, _ADMIN = "80", "8080", "3000", "9901"

_NGINX_MAIN = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include admission.conf;
    include site.conf;
}
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """One proxy, and what it cannot do.

    Attributes:
        name: Also of its folder in `deploy/`.
        programs: What it may be called.
        arguments: The command line behind the program's name; `{folder}` is where the files are.
        written: Further files, which whoever uses the shipped ones has already.
        away: What a visitor gets while the gateway does not answer.
        retry_when_away: Whether it is told when to come again.
        impatient: Whether a gateway that says nothing is given up within some seconds.
        details: Whether a refusal carries everything that the gateway says, the visitor's place too.
        keeps_claims_out_of_caches: Whether an answer that sets a pass says `no-store`, whatever the site
            says.
        says_private: Whether what a pass has earned says `private` where the site says nothing.
    """

    name: str
    programs: tuple[str, ...]
    arguments: tuple[str, ...]
    written: tuple[tuple[str, str], ...] = ()
    away: int = 503
    retry_when_away: bool = True
    impatient: bool = True
    details: bool = True
    keeps_claims_out_of_caches: bool = True
    says_private: bool = True

    @property
    def program(self) -> str | None:
        """Return where it is installed: on the system, or by pip beside this Python."""
        places = (os.environ.get("PATH", ""), "/usr/sbin:/sbin", str(Path(sys.executable).parent))
        return next(
            (
                found
                for place in places
                for name in self.programs
                if (found := shutil.which(name, path=place))
            ),
            None,
        )


NGINX = Kind(
    "nginx",
    ("nginx",),
    ("-p", "{folder}", "-c", "{folder}/nginx.conf", "-e", "{folder}/error.log"),
    written=(("nginx.conf", _NGINX_MAIN),),
    details=False,
)
CADDY = Kind("caddy", ("caddy",), ("run", "--config", "{folder}/Caddyfile"))
TRAEFIK = Kind(
    "traefik",
    ("traefik",),
    ("--configFile={folder}/traefik.yml",),
    away=500,
    retry_when_away=False,
    impatient=False,
    keeps_claims_out_of_caches=False,
    says_private=False,
)
ENVOY = Kind(
    "envoy",
    ("envoy",),
    (
        "-c",
        "{folder}/envoy.yaml",
        "--concurrency",
        "1",
        "--log-level",
        "warning",
        "--disable-hot-restart",
    ),
    says_private=False,
)
HAPROXY = Kind("haproxy", ("haproxy",), ("-db", "-f", "{folder}/haproxy.cfg"))

KINDS = (NGINX, CADDY, TRAEFIK, ENVOY, HAPROXY)


@dataclass(frozen=True, slots=True)
class Front:
    """A proxy as it runs; `pid` is the process that was started."""

    kind: Kind
    port: int
    site: Site
    wire: Wire
    door: Door
    pid: int


Write = Callable[[Kind, Path, dict[str, int], Iterable[str]], None]


@contextlib.contextmanager
def running_front(
    kind: Kind, gateway: Gateway, door: Door, folder: Path, write: Write | None = None
) -> Iterator[Front]:
    """Run a proxy, from its shipped files or as `write` has it, in front of a new site and the gateway."""
    program = kind.program
    if program is None:
        pytest.skip(f"there is no {kind.name} on this machine")
    folder.mkdir()
    site = Site()
    behind = Server(site)
    behind.start()
    try:
        with Wire(gateway.port).running() as wire:
            port = free_port()
            ports = {LISTENING: port, GATEWAY: wire.port, SITE: behind.port, _ADMIN: free_port()}
            (write or _write)(kind, folder, ports, gateway.settings.events)
            with _process(kind, program, folder, port) as pid:
                yield Front(kind, port, site, wire, door, pid)
    finally:
        site.go_on.set()
        behind.stop()


def _write(kind: Kind, folder: Path, ports: dict[str, int], events: Iterable[str]) -> None:
    ours = re.compile(rf"(?<![\d.])({'|'.join(ports)})\b")
    for file in (DEPLOY / kind.name).iterdir():
        text = ours.sub(lambda found: str(ports[found[1]]), file.read_text("utf-8"))
        # Where a proxy must be told each event's name.
        text = text.replace(
            "[pass-sale, __Host-pass-sale]", str([f"pass-{event}" for event in events])
        )
        for place in ("/run/nginx-", "/etc/traefik/", "/etc/haproxy/"):
            text = text.replace(place, f"{folder}/")
        (folder / file.name).write_text(text, "utf-8")
    for name, text in kind.written:
        (folder / name).write_text(text, "utf-8")
    # Started by root, nginx's workers are somebody else, who must find the way to their files.
    for way in (folder, *folder.parents[:2]):
        way.chmod(0o711)


@contextlib.contextmanager
def _process(kind: Kind, program: str, folder: Path, port: int) -> Iterator[int]:
    log = folder / "output.log"
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *(word.format(folder=folder) for word in kind.arguments)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: process.poll() is not None or _answers(port), START_TIMEOUT_S)
        assert process.poll() is None, log.read_text("utf-8")
        yield process.pid
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def _answers(port: int) -> bool:
    """Whether it answers as it will: some listen before they have read the rest of their settings."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/queue/", headers={"host": "nobody.example"})
        return connection.getresponse().headers.get("content-type") == "application/problem+json"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Before:
    """One event as visitors see it through a proxy."""

    def __init__(self, stage: Stage, front: Front) -> None:
        self.stage = stage
        self.front = front
        self.kind = front.kind
        self.site = front.site

    def visitor(self) -> Visitor:
        return Visitor(self.front.port, self.stage.host, event=self.stage.event)

    def waiting(self) -> Visitor:
        visitor = self.visitor()
        visitor.join()
        return visitor

    def served(self) -> Visitor:
        visitor = self.waiting()
        self.stage.release(1 + int(visitor.call("position").json()["ahead"]))
        return visitor

    def admitted(self) -> Visitor:
        visitor = self.served()
        visitor.claim()
        return visitor

    @property
    def reached(self) -> int:
        return len(self.site.seen)
