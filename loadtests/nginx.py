"""nginx with one worker, from a temporary folder: the backend, a proxy alone, one that verifies passes."""

import os
import shutil
import socket
import time
from pathlib import Path

from gateway.proxyconfig import NginxFolder
from loadtests.proxy_process import START_S, ProxyProcess, Verified, found_program

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


def nginx_runs_scripts() -> bool:
    return _SCRIPTS.exists()


def nginx_binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


class Nginx(ProxyProcess):
    """One nginx.

    Args:
        backend: The port to pass everything on to; None for the backend itself.
    """

    def __init__(self, folder: Path, core: int | None, backend: int | None = None) -> None:
        super().__init__(folder, core)
        self._backend = backend

    def _command(self, port: int) -> list[str]:
        binary = found_program(nginx_binary(), "nginx")
        return [binary, "-p", str(self._folder), "-c", str(self._write(port))]

    def _ready(self, started: int, port: int) -> int:
        return _wait_for(started, port)

    def _write(self, port: int) -> Path:
        files = self._folder / "files"
        files.mkdir(parents=True)
        (files / "large").write_bytes(b"x" * LARGE_BYTES)
        server = self._server(port)
        config = self._folder / "nginx.conf"
        config.write_text(_MAIN.format(user=_user(), folder=self._folder, http=server))
        return config

    def _server(self, port: int) -> str:
        """Return what goes into `http { }`; files beside it are found by their names."""
        if self._backend is None:
            return _BACKEND.format(port=port, folder=self._folder)
        return _PROXY.format(port=port, backend=self._backend)


class VerifyingNginx(Nginx):
    """nginx as `gateway config nginx` sets it up."""

    def __init__(self, folder: Path, core: int | None, verified: Verified) -> None:
        super().__init__(folder, core, verified.site)
        self._files = NginxFolder(folder)
        self._verified = verified

    def _write(self, port: int) -> Path:
        self._verified.set_up(self._files, port)
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

    def _ready(self, started: int, port: int) -> int:
        worker = super()._ready(started, port)
        self._verified.tell(self._files)
        return worker


def _user() -> str:
    # A worker that gave up root's rights could not read the temporary folder.
    return "user root;" if os.getuid() == 0 else ""


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
