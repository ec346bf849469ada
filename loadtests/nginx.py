"""nginx as the backend and as the proxy to compare with, each with one worker, from a temporary folder."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from loadtests.contestants import Contestant
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
            return Contestant(port, _wait_for(self._process.pid, port))
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
        # A worker that gave up root's rights could not read the temporary folder.
        user = "user root;" if os.getuid() == 0 else ""
        config = self._folder / "nginx.conf"
        config.write_text(_MAIN.format(user=user, folder=self._folder, http=server))
        return config

    def _server(self, port: int) -> str:
        """Return what goes into `http { }`; files beside it are found by their names."""
        if self._backend is None:
            return _BACKEND.format(port=port, folder=self._folder)
        return _PROXY.format(port=port, backend=self._backend)


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
