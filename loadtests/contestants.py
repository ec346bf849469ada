"""The servers that are compared: each in a process of its own, all on `gateway.server.serve`.

Same loop, parser and limits for all of them, so that a ratio tells about what runs on the server and
not about the server.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.middleware import AdmissionMiddleware
from gateway.run import parser_of, run_gateway, server_limits
from gateway.server.serve import run, serve
from gateway.server.shutdown import Shutdown
from gateway.settings import Settings, load_settings
from gateway.wiring import open_gate
from loadtests.naive import NaiveRoom
from loadtests.placement import pin

START_S = 30.0

OnPort = Callable[[int], None]


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer 200 with a small body: the least that an ASGI app can do."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"text/plain"), (b"content-length", b"3")],
        }
    )
    await send({"type": "http.response.body", "body": b"ok\n"})


async def _live(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def starlette_site() -> ASGIApp:
    async def book(_: Request) -> Response:
        return PlainTextResponse("Choose your seat.\n")

    return Starlette(routes=[Route("/book", book)])


def _app(name: str, settings: Settings) -> ASGIApp:
    match name:
        case "bare":
            return bare
        case "starlette":
            return starlette_site()
        case "guarded":
            return AdmissionMiddleware(starlette_site(), open_gate(settings))
        case "naive":
            return NaiveRoom(settings)
        case _:
            raise ValueError(name)


async def _serve(name: str, settings: Settings, on_port: OnPort) -> None:
    if name == "gateway":
        # The whole product, with its default logging and metrics.
        await run_gateway(settings, on_ready=lambda url, _: on_port(urlsplit(url).port or 0))
        return
    await serve(
        # uvicorn's types of the same protocol are narrower than Starlette's.
        cast("Any", _app(name, settings)),
        bind=("127.0.0.1", 0),
        limits=server_limits(settings),
        shutdown=Shutdown(),
        http=parser_of(settings),
        on_ready=lambda listening: on_port(int(listening.main[0][1])),
    )


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server that answers at `port`; `pid` is where its processor time is spent."""

    port: int
    pid: int


class ContestantProcess:
    """Runs one of the servers; a context manager.

    Args:
        name: `bare`, `starlette`, `guarded`, `naive` or `gateway`.
        config: The gateway's settings; the limits of every server come from them.
    """

    def __init__(self, name: str, config: Path, core: int | None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._name = name
        self._pipe, self._far = spawn.Pipe()
        self._process = spawn.Process(
            target=_work, args=(name, config, core, self._far), daemon=True
        )

    def __enter__(self) -> Contestant:
        self._process.start()
        self._far.close()
        port = 0
        try:
            if self._pipe.poll(START_S):
                with suppress(EOFError):
                    port = int(self._pipe.recv())
        finally:
            # Also at an interrupt: who has not entered is not asked to leave.
            if not port:
                self._end()
        if not port:
            raise RuntimeError(f"{self._name} did not start")
        return Contestant(port, self._process.pid or 0)

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.terminate()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()


def _work(name: str, config: Path, core: int | None, pipe: Connection) -> None:
    pin(core)

    def follow() -> None:
        # The pipe breaks when the benchmark ends, in whatever way; no server may outlive it.
        try:
            pipe.recv()
        except EOFError:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_port(port: int) -> None:
        pipe.send(port)
        threading.Thread(target=follow, daemon=True).start()

    settings = load_settings(config, {})
    run(_serve(name, settings, on_port))
