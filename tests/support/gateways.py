"""A whole gateway under test: the real interface and edge on uvicorn, around a backend that remembers."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.domain.events import EventSnapshot
from gateway.domain.positions import EventId
from gateway.edge import AdmissionMiddleware
from gateway.settings import Settings, load_settings
from gateway.wiring import OpenedGate, open_gate
from tests.support.closed_loops import forget_connections
from tests.support.eventually import eventually
from tests.support.replies import Reply, ask

Tables: TypeAlias = Mapping[str, Mapping[str, object]]
Parser: TypeAlias = Literal["httptools", "h11"]

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 15.0

BACKEND_BODY = b"the booking site"


def let_through(reply: Reply) -> bool:
    """Whether an answer is the backend's."""
    return (reply.status, reply.body) == (200, BACKEND_BODY)


def write_settings(path: Path, tables: Tables) -> Settings:
    """Write a settings file, and read it as the gateway does."""
    # Strings, numbers, booleans and lists are written alike in JSON and TOML.
    lines = []
    for table, values in tables.items():
        lines.append(f"[{table}]")
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return load_settings(path, {})


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that reached the backend."""

    kind: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def queue_headers(self) -> dict[str, str]:
        """Return what says who comes, in any spelling that some server takes for it."""
        return {
            name: value
            for name, value in self.headers
            if name.replace("_", "-").replace(".", "-").startswith("queue-")
        }


class Backend:
    """The booking site: answers 200 to everything, echoes on WebSockets, and remembers.

    Attributes:
        says: Further fields of the answer, by path.
        pages: Another body than the usual one, by path.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.says: dict[str, list[tuple[str, str]]] = {}
        self.pages: dict[str, bytes] = {}

    @property
    def last(self) -> Seen:
        return self.seen[-1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        self.seen.append(_seen(scope))
        said = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in self.says.get(scope["path"], [])
        ]
        if scope["type"] == "websocket":
            await _echo(receive, send, said)
            return
        while (await receive()).get("more_body", False):
            pass
        body = self.pages.get(scope["path"], BACKEND_BODY)
        headers = [(b"content-length", str(len(body)).encode()), *said]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _seen(scope: Scope) -> Seen:
    query = scope["query_string"].decode("latin-1")
    return Seen(
        kind=scope["type"],
        method=scope.get("method", "GET"),
        target=scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""),
        headers=tuple(
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ),
    )


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _echo(receive: Receive, send: Send, said: list[tuple[bytes, bytes]]) -> None:
    await receive()
    await send({"type": "websocket.accept", "headers": said})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


class Server:
    """Any ASGI app on uvicorn, in a thread of this process."""

    def __init__(
        self, app: ASGIApp, *, parser: Parser = "httptools", lifespan: Literal["on", "off"] = "on"
    ) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            http=parser,
            ws="websockets-sansio",
            lifespan=lifespan,
            log_level="critical",
            date_header=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def start(self) -> None:
        self._thread.start()
        eventually(lambda: self._server.started or not self._thread.is_alive(), START_TIMEOUT_S)
        assert self._server.started, "the server did not start"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_TIMEOUT_S)
        assert not self._thread.is_alive(), "the server does not end: is a task still running?"
        self._socket.close()
        forget_connections()


class Gateway:
    """One gateway, with everything that an operator or a test may look into.

    Args:
        guarded: Whether a backend stands behind the edge; else only the interface answers.
        around: Puts something around the whole of it, to see what comes in.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        backend: Backend | None = None,
        parser: Parser = "httptools",
        guarded: bool = True,
        around: Callable[[ASGIApp], ASGIApp] | None = None,
    ) -> None:
        self.settings = settings
        self.backend = backend or Backend()
        self.opened: OpenedGate = open_gate(settings)
        app: ASGIApp = AdmissionMiddleware(self.backend, self.opened)
        if not guarded:
            app = _Unguarded(self.opened)
        if around is not None:
            app = around(app)
        self._server = Server(app, parser=parser)

    @property
    def port(self) -> int:
        return self._server.port

    def knows(self, event: str) -> EventSnapshot | None:
        """Return what the gateway remembers of an event."""
        return self.opened.board.get(EventId(event))

    @contextlib.contextmanager
    def running(self) -> Iterator["Gateway"]:
        self._server.start()
        try:
            yield self
        finally:
            self._server.stop()


class _Unguarded:
    """The interface alone, with its own beginning and end."""

    def __init__(self, opened: OpenedGate) -> None:
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._opened.interface(scope, receive, send)
            return
        await receive()
        await self._opened.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._opened.aclose()
        await send({"type": "lifespan.shutdown.complete"})


def process_app() -> ASGIApp:
    """Make the app of a gateway in a process of its own; its settings are named by GATEWAY_CONFIG."""
    return AdmissionMiddleware(Backend(), open_gate())


class GatewayProcess:
    """A gateway in a process of its own."""

    def __init__(self, config: Path) -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(128)
            self.port = int(listening.getsockname()[1])
            self._process = subprocess.Popen(
                _command(listening.fileno()),
                env={**os.environ, "GATEWAY_CONFIG": str(config)},
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def wait_until_up(self) -> None:
        # The socket listens already: the answer comes as soon as there is somebody to give it.
        assert ask(self.port, "GET", "/healthz", [("host", "any.example")]).status == 200

    def stop(self) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
        self._process.wait()


def _command(listening: int) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", "--factory", "tests.support.gateways:process_app"),
        *("--fd", str(listening), "--ws", "websockets-sansio", "--log-level", "critical"),
        *("--no-date-header", "--no-server-header", "--no-proxy-headers", "--no-access-log"),
    ]


def event_table(*hosts: str, **more: Any) -> dict[str, object]:
    """Return the settings of one event."""
    return {"hosts": list(hosts), **more}
