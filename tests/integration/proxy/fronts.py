"""The proxy under real uvicorn: in a thread on asyncio's loop, or as a process of its own on uvloop.

As a program: `python fronts.py BACKEND PORT`.
"""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.aiohttp_upstream import AiohttpUpstream
from gateway.edge.options import ProxyOptions
from gateway.edge.proxy import ReverseProxy
from gateway.errors import AnswerCutShort
from tests.support.servers import free_port

ROOT = Path(__file__).parents[3]
START_TIMEOUT_S = 20.0


def wait_for_port(port: int, alive: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert alive(), "the server died"
            assert time.monotonic() < deadline, "the server does not come up"
            time.sleep(0.02)
        else:
            return


def uvicorn_config(app: ASGIApp, *, http: str = "httptools") -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="websockets-sansio",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )


async def serve(server: uvicorn.Server, proxy: ReverseProxy, listening: socket.socket) -> None:
    await server.serve(sockets=[listening])
    await proxy.aclose()


class Front:
    """A proxy in a thread, for tests that set options or look inside.

    Attributes:
        cut_short: How many answers it ended by an exception.
        running: How many requests it has in hand.
    """

    def __init__(self, options: ProxyOptions, *, http: str = "httptools") -> None:
        self._proxy = ReverseProxy(AiohttpUpstream(options), options)
        self._server = uvicorn.Server(uvicorn_config(self._count, http=http))
        self.cut_short = 0
        self.running = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.port = int(listening.getsockname()[1])
        serving = serve(self._server, self._proxy, listening)
        self._thread = threading.Thread(target=lambda: asyncio.run(serving))
        self._thread.start()
        wait_for_port(self.port, self._thread.is_alive)

    def stop(self) -> None:
        """Fails when it takes long. Repeating it does nothing."""
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.running += 1
        try:
            await self._proxy(scope, receive, send)
        except AnswerCutShort:
            self.cut_short += 1
            raise
        finally:
            self.running -= 1


class FrontProcess:
    """A proxy as a process of its own, whose memory can be watched."""

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def __enter__(self) -> Self:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._backend, str(self.port)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
        )
        wait_for_port(self.port, lambda: self._process.poll() is None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def memory_kib(self) -> int:
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        # proc(5): 5 resets the peak of the resident set.
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def peak_kib(self) -> int:
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise AssertionError(name)


def main() -> None:
    options = ProxyOptions(backend=sys.argv[1])
    proxy = ReverseProxy(AiohttpUpstream(options), options)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(sys.argv[2])))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(uvicorn.Server(uvicorn_config(proxy)), proxy, listening))


if __name__ == "__main__":
    main()
