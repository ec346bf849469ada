"""A real nginx in front of a real gateway, with one thing done wrong where a test wants it."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from starlette.types import Receive, Scope, Send

from gateway.doctor.chain import Chain
from gateway.doctor.examination import Examination, Wishes
from gateway.doctor.findings import Finding, Status
from gateway.doctor.inside import Inside
from gateway.doctor.wire import Wire, parse_url
from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from tests.support.eventually import eventually
from tests.support.gateways import Backend, Gateway
from tests.support.servers import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin")

EVENT, HOST = "sale", "localhost"

# All of 127/8 is this machine: so the visitor, the proxy and the gateway have addresses of their own.
VISITOR_ADDRESS, NGINX_ADDRESS = "127.0.0.2", "127.0.0.3"

_HEAD = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=kept:1m;
    absolute_redirect off;
    merge_slashes off;
    proxy_http_version 1.1;
    proxy_bind 127.0.0.3;
    {http}
    server {{ listen 127.0.0.1:{port} default_server {tls}; {certificate} {default} }}
    server {{
        listen 127.0.0.1:{port} {tls};
        {certificate}
        server_name localhost 127.0.0.1;
"""

_QUEUE = """
        location /queue/ {{
            proxy_pass http://127.0.0.1:{gateway};
            {host}
            {forwarded_for}
            {proto}
            {upgrade}
            {queue}
        }}
"""

_ASKING = """
        location = /_gate {{
            internal;
            proxy_pass http://127.0.0.1:{gateway}/auth?profile=nginx;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            {told}
            {gate}
        }}
        location {protected} {{
            auth_request /_gate;
            auth_request_set $queue_location $upstream_http_queue_location;
            auth_request_set $queue_event $upstream_http_queue_event;
            auth_request_set $queue_position $upstream_http_queue_position;
            auth_request_set $queue_visitor $upstream_http_queue_visitor;
            auth_request_set $queue_cookie $upstream_http_set_cookie;
            add_header Set-Cookie $queue_cookie;
            error_page 401 403 = @wait;
            proxy_pass http://127.0.0.1:{backend};
            proxy_set_header Host $http_host;
            {identity}
            {page}
        }}
        location @wait {{
            add_header Cache-Control "{refusals}" always;
            if ($queue_location = "") {{ return 403; }}
            return 303 $queue_location;
        }}
"""

_THROUGH = """
        location / {{
            proxy_pass http://127.0.0.1:{gateway};
            {host}
            {forwarded_for}
            {proto}
            {upgrade}
            {page}
        }}
"""


@dataclass
class Front:
    """nginx as it should be; each attribute is a part that can be done wrong.

    Attributes:
        asks: Whether nginx asks `/auth` and passes on to the backend itself; else all goes to the gateway.
    """

    asks: bool = True
    tls: bool = False
    http: str = ""
    host: str = "proxy_set_header Host $http_host;"
    forwarded_for: str = "proxy_set_header X-Forwarded-For $remote_addr;"
    proto: str = "proxy_set_header X-Forwarded-Proto $scheme;"
    upgrade: str = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
    queue: str = ""
    told: str = (
        "proxy_set_header X-Original-URI $request_uri; proxy_set_header X-Original-Method $request_method;"
        "proxy_set_header X-Original-Host $http_host; proxy_set_header X-Original-Proto $scheme;"
    )
    gate: str = ""
    protected: str = "/"
    identity: str = (
        "proxy_set_header Queue-Event $queue_event; proxy_set_header Queue-Position $queue_position;"
        'proxy_set_header Queue-Visitor $queue_visitor; proxy_set_header Queue-Token "";'
    )
    page: str = ""
    refusals: str = "no-store"
    more: str = ""
    default: str = "return 421;"
    routes_queue: bool = True

    def config(
        self, folder: Path, port: int, site: "Site", certificate: tuple[Path, Path] | None
    ) -> str:
        parts = [_HEAD]
        if self.asks:
            parts += [_QUEUE] if self.routes_queue else []
            parts.append(_ASKING)
        else:
            parts.append(_THROUGH)
        keys = ""
        if certificate is not None:
            keys = f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};"
        values = {
            **vars(self),
            "folder": folder,
            "port": port,
            "gateway": site.gateway.port,
            "backend": site.backend_port,
            "tls": "ssl" if self.tls else "",
            "certificate": keys,
        }
        # The parts of the test's own come last, with braces of nginx's in them.
        text = "".join(part.format(**values) for part in parts) + f"{self.more}\n    }}\n}}\n"
        text = text.replace("TO_GATEWAY", f"proxy_pass http://127.0.0.1:{site.gateway.port};")
        return text.replace("TO_BACKEND", f"proxy_pass http://127.0.0.1:{site.backend_port};")


class Echo(Backend):
    """A booking site of which one page repeats the fields of its request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/headers":
            await super().__call__(scope, receive, send)
            return
        body = b"\n".join(name + b": " + value for name, value in scope["headers"])
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Site:
    gateway: Gateway
    backend: Echo
    backend_port: int

    @contextlib.contextmanager
    def behind(self, front: Front, certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
        """Put an nginx in front; yields its port."""
        folder = Path(tempfile.mkdtemp(prefix="gwd-", dir="/tmp"))
        # Started by root, its workers are somebody else, who must find the way to their files.
        folder.chmod(0o711)
        port = free_port()
        (folder / "nginx.conf").write_text(front.config(folder, port, self, certificate), "utf-8")
        assert NGINX is not None
        process = subprocess.Popen(
            [
                NGINX,
                "-p",
                str(folder),
                "-c",
                str(folder / "nginx.conf"),
                "-e",
                str(folder / "error.log"),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: listens(port) or process.poll() is not None)
            assert process.poll() is None, (folder / "error.log").read_text("utf-8")
            yield port
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGTERM)
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


class Collecting:
    """A proxy that passes everything on but collects what an event stream says, as some CDNs do."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._open: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for connection in [self._listening, *self._open]:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                visitor, _ = self._listening.accept()
                threading.Thread(target=self._relay, args=(visitor,), daemon=True).start()

    def _relay(self, visitor: socket.socket) -> None:
        site = socket.create_connection(("127.0.0.1", self._behind))
        self._open += [visitor, site]
        with contextlib.suppress(OSError):
            # A request of the doctor's is one piece, but for a body behind it.
            request = visitor.recv(65_536)
            site.sendall(request)
            threading.Thread(target=_pump, args=(visitor, site), daemon=True).start()
            if b"/events HTTP" not in request:
                _pump(site, visitor)
                return
            head, _, _ = site.recv(65_536).partition(b"\r\n\r\n")
            visitor.sendall(head + b"\r\n\r\n")
            while site.recv(65_536):
                pass


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@dataclass
class Report:
    """What the doctor found."""

    findings: Sequence[Finding]
    requests: int
    _by_check: dict[str, Finding] = field(init=False)

    def __post_init__(self) -> None:
        names = Counter(finding.check for finding in self.findings)
        assert not [name for name, count in names.items() if count > 1]
        self._by_check = {finding.check: finding for finding in self.findings}

    def __getitem__(self, check: str) -> Finding:
        return self._by_check[check]

    def having(self, *statuses: Status) -> set[str]:
        return {finding.check for finding in self.findings if finding.status in statuses}

    @property
    def troubles(self) -> dict[str, str]:
        """Return what is not well, with its status."""
        return {
            finding.check: finding.status.value
            for finding in self.findings
            if finding.status in (Status.FAULT, Status.WARNING)
        }


QUICK: Final = Wishes(heartbeat=False)


def examine(
    url: str,
    site: Site | None = None,
    wishes: Wishes = QUICK,
    *,
    event: str | None = None,
    ca: Path | None = None,
) -> Report:
    """Let the doctor look; with the settings and the ledger of `site` where one is given."""

    async def run() -> Report:
        origin, target = parse_url(url)
        connect = ("127.0.0.1", origin.port)
        wire = Wire(
            origin, connect=connect, source=VISITOR_ADDRESS, ca=None if ca is None else str(ca)
        )
        chain = Chain(wire, target, wire, None if event is None else EventId(event))
        if site is None:
            found = await Examination(chain, None, wishes, _silent).run()
        else:
            settings = site.gateway.settings
            ledger = RedisLedger(settings.ledger.url)
            try:
                found = await Examination(chain, Inside(settings, ledger), wishes, _silent).run()
            finally:
                await ledger.aclose()
        return Report(found, chain.asked)

    return asyncio.run(run())


def _silent(check: str, finding: Finding | None) -> None:
    pass


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
