"""What a proxy under test stands between: a site that streams, and a gateway that can be away."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.closed_loops import forget_connections
from tests.support.faulty_link import FaultyLink
from tests.support.gateways import Backend

START_TIMEOUT_S = 30.0


class Site(Backend):
    """The booking site, with a form that says what it got, and a stream that waits to be told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/book/form":
            await self._repeat(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/book/stream":
            await self._stream(send)
        else:
            await super().__call__(scope, receive, send)

    async def _repeat(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status = 404 if scope["query_string"] == b"missing" else 200
        headers = [
            (b"content-length", str(len(body)).encode()),
            (b"set-cookie", b"basket=1; Path=/"),
            (b"set-cookie", b"seat=2; Path=/"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _stream(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"data: one\n\n", "more_body": True})
        await asyncio.to_thread(self.go_on.wait, START_TIMEOUT_S)
        await send({"type": "http.response.body", "body": b"data: two\n\n"})


class Door:
    """Counts what comes to a gateway: put around the whole of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def around(self, app: ASGIApp) -> ASGIApp:
        async def counting(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "lifespan":
                self.asked.append(scope["path"])
            await app(scope, receive, send)

        return counting

    def count(self, path: str) -> int:
        """Return how often it was asked for a path; Envoy's question has the visitor's own behind it."""
        return sum(
            asked == path or asked.startswith(f"{path}/envoy/") for asked in list(self.asked)
        )


class Wire:
    """The link between proxy and gateway, on a thread of its own; can be cut."""

    def __init__(self, gateway_port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._link = FaultyLink(("127.0.0.1", gateway_port))
        self._over: asyncio.Event | None = None
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))

    @property
    def port(self) -> int:
        return int(self._link.url.rpartition(":")[2])

    async def _run(self) -> None:
        self._over = asyncio.Event()
        async with self._link.running():
            self._up.set()
            await self._over.wait()

    @contextlib.contextmanager
    def running(self) -> Iterator["Wire"]:
        self._thread.start()
        assert self._up.wait(START_TIMEOUT_S)
        try:
            yield self
        finally:
            assert self._over is not None
            self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()
            self._loop.close()
            forget_connections()

    @contextlib.contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens where the gateway was."""
        self._do(self._link.reject())
        try:
            yield
        finally:
            self._do(self._link.heal())

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """The gateway accepts, and never says a word."""
        self._loop.call_soon_threadsafe(self._link.black_hole)
        try:
            yield
        finally:
            self._do(self._link.heal())

    def _do(self, fault: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(fault, self._loop).result(START_TIMEOUT_S)
