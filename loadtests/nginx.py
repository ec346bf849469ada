"""nginx with one worker, from a temporary folder: the backend, a proxy alone, one that verifies passes."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from gateway.domain.positions import Generation
from gateway.proxyconfig import Addresses, Knowledge, NginxFolder, Subject
from gateway.tokens.keyring import KeyRing
from loadtests.contestants import Contestant
from loadtests.materials import EVENT, HOST, ISSUER
from loadtests.placement import pin

START_S = 10.0
LARGE_BYTES = 100 * 1024

# Buffers large enough for the whole answer: with the default ones nginx would write a part of it to a file.
_MAIN = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""

_BACKEND = """\
server {{
    listen 127.0.0.1:{port} backlog=2048;
    default_type text/plain;
    location = /book {{ return 200 "Choose your seat.\\n"; }}
    location /files/ {{ root {folder}; }}
}}
"""

_PROXY = """\
upstream site {{
    server 127.0.0.1:{backend};
    keepalive 256;
    keepalive_requests 1000000000;
}}
server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
        proxy_pass http://site;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_buffers 32 8k;
    }}
}}
"""


# Where the packages of the distributions and of nginx itself put it.
_SCRIPTS = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")

# Longer than a benchmark takes: what a sync costs is paid on another core.
_GOOD_FOR_S = 3600


def nginx_runs_scripts() -> bool:
    return _SCRIPTS.exists()


def nginx_binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Nginx:
    """One nginx; a context manager that yields where it answers.

    Args:
        backend: The port to pass everything on to; None for the backend itself.
    """

    def __init__(self, folder: Path, core: int | None, backend: int | None = None) -> None:
        self._folder = folder
        self._core = core
        self._backend = backend
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Contestant:
        binary = nginx_binary()
        if binary is None:
            raise FileNotFoundError("nginx")
        port = free_port()
        config = self._write(port)
        command = [binary, "-p", str(self._folder), "-c", str(config)]
        before = os.sched_getaffinity(0) if self._core is not None else set[int]()
        pin(self._core)
        try:
            self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        finally:
            if before:
                os.sched_setaffinity(0, before)
        try:
            worker = _wait_for(self._process.pid, port)
            self._listening()
            return Contestant(port, worker)
        except BaseException:
            # Also at an interrupt: who has not entered is not asked to leave.
            self._end()
            raise

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)

    def _write(self, port: int) -> Path:
        files = self._folder / "files"
        files.mkdir(parents=True)
        (files / "large").write_bytes(b"x" * LARGE_BYTES)
        server = self._server(port)
        config = self._folder / "nginx.conf"
        config.write_text(_MAIN.format(user=_user(), folder=self._folder, http=server))
        return config

    def _listening(self) -> None:
        """Do what is to be done once it runs."""

    def _server(self, port: int) -> str:
        """Return what goes into `http { }`; files beside it are found by their names."""
        if self._backend is None:
            return _BACKEND.format(port=port, folder=self._folder)
        return _PROXY.format(port=port, backend=self._backend)


class VerifyingNginx(Nginx):
    """nginx as `gateway config nginx` sets it up, with all that a sync would tell it.

    Args:
        site: The backend's port.
        gateway: The port of the gateway that it asks about everything else.
        keys: The key ring folder.
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
    ) -> None:
        super().__init__(folder, core, site)
        self._files = NginxFolder(folder)
        self._ports = gateway, site
        self._keys = KeyRing.load(keys).public_keys()
        self._generation = generation

    def _write(self, port: int) -> Path:
        addresses = (f"127.0.0.1:{number}" for number in (port, *self._ports))
        self._files.set_up(Subject(EVENT, (HOST,), ISSUER), Addresses(*addresses), self._keys)
        for file in self._files.folder.glob("*.conf"):
            text = file.read_text("utf-8").replace("/run/nginx-", f"{self._files.folder}/")
            # As it is alone: one worker, connections to spare, and none that is closed meanwhile.
            for said, alone in (
                ("modules/ngx_http_js_module.so", str(_SCRIPTS)),
                ("worker_processes auto;", f"daemon off;\n{_user()}\nworker_processes 1;"),
                ("access_log off;", "access_log off;\n    keepalive_requests 1000000000;"),
                (f"listen 127.0.0.1:{port};", f"listen 127.0.0.1:{port} backlog=2048;"),
                ("keepalive 32;", "keepalive 256; keepalive_requests 1000000000;"),
            ):
                text = text.replace(said, alone)
            file.write_text(text, "utf-8")
        return self._files.config

    def _listening(self) -> None:
        known = Knowledge(self._generation, {}, self._keys)
        self._files.sync(good_for_s=_GOOD_FOR_S).tell(known, read_at_s=time.time())


def _user() -> str:
    # A worker that gave up root's rights could not read the temporary folder.
    return "user root;" if os.getuid() == 0 else ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(port: int) -> None:
    """Wait until somebody listens at a port.

    Raises:
        TimeoutError: Nobody did in time.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens at port {port}")


def _wait_for(master: int, port: int) -> int:
    """Return the worker's process id once it answers. The master listens before there is one."""
    children = Path(f"/proc/{master}/task/{master}/children")
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return int(children.read_text().split()[0]) if children.exists() else master
        except (OSError, IndexError):
            time.sleep(0.02)
    raise TimeoutError("nginx did not start")
