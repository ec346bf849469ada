"""Gateways that push, on our own server and on a plain uvicorn; how often they do is the test's to say."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

from gateway.edge import AdmissionMiddleware
from gateway.push.hub import Hubs
from gateway.push.urgency import Pace
from gateway.run import server_limits
from gateway.server.protocols import HttpParser
from gateway.server.serve import Listening, run, serve
from gateway.server.shutdown import Shutdown
from gateway.settings import Settings
from gateway.wiring import open_gate
from tests.support.eventually import eventually
from tests.support.gateways import START_TIMEOUT_S, STOP_TIMEOUT_S, Backend, Gateway, Server

Way: TypeAlias = Literal["httptools", "h11", "plain"]
"""How frames go out: from our own server with either parser, or over ASGI on a plain uvicorn."""

WAYS: tuple[Way, ...] = ("httptools", "h11", "plain")

# Silence unless something changes, and a burst is one frame: frames can be counted.
QUIET = Pace(least_s=0.2, leisure_s=3600, heartbeat_s=3600)


class OwnServer:
    """`gateway.server` in a thread, as `gateway run` has it."""

    def __init__(self, app: Any, settings: Settings, http: HttpParser) -> None:
        self.port = 0
        self._shutdown = Shutdown()
        self._loop: asyncio.AbstractEventLoop
        self._answers = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(app, settings, http), daemon=True)

    def _run(self, app: Any, settings: Settings, http: HttpParser) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            await serve(
                app,
                bind=("127.0.0.1", 0),
                limits=server_limits(settings),
                shutdown=self._shutdown,
                http=http,
                on_ready=self._on_ready,
                log_level="critical",
                handle_signals=False,
            )

        run(main())

    def _on_ready(self, listening: Listening) -> None:
        address = listening.main[0]
        assert not isinstance(address, str)
        self.port = address[1]
        self._answers.set()

    def start(self) -> None:
        self._thread.start()
        assert self._answers.wait(START_TIMEOUT_S), "the server did not start"

    def begin_to_stop(self) -> None:
        self._loop.call_soon_threadsafe(self._shutdown.request)

    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        if not self.has_ended():
            self.begin_to_stop()
        self._thread.join(STOP_TIMEOUT_S)
        assert self.has_ended(), "the server does not end: is a stream still open?"


class PushingGateway(Gateway):
    """A gateway whose streams a test can count."""

    def __init__(self, settings: Settings, way: Way, pace: Pace = QUIET) -> None:
        self.settings = settings
        self.backend = Backend()
        self.opened = open_gate(settings, pace=pace)
        app = AdmissionMiddleware(self.backend, self.opened)
        self.server: OwnServer | Server = (
            Server(app) if way == "plain" else OwnServer(app, settings, way)
        )

    @property
    def port(self) -> int:
        return self.server.port

    @contextlib.contextmanager
    def running(self) -> Iterator["PushingGateway"]:
        self.server.start()
        try:
            yield self
        finally:
            # A uvicorn of somebody else's tells its application nothing until its streams have ended.
            if isinstance(self.server, Server):
                eventually(lambda: self.open_streams == 0)
            self.server.stop()

    @property
    def hubs(self) -> Hubs:
        return self.opened._hubs

    @property
    def open_streams(self) -> int:
        return self.hubs.limits.total

    def metric(self, name: str, **labels: str) -> float:
        return self.opened.metrics.registry.get_sample_value(f"gateway_{name}", labels) or 0.0
