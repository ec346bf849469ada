"""The worker's side: sockets that come from the parent, and the line to it."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp

from gateway.server.limits import ServerLimits
from gateway.server.protocols import HttpParser
from gateway.server.serve import Listening, serve
from gateway.server.shutdown import Shutdown


class Parent(asyncio.Protocol):
    """The line to the process that started this one; it breaks when that process ends."""

    def __init__(self, on_gone: Callable[[], None]) -> None:
        self._on_gone = on_gone

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's words
        self._on_gone()


async def serve_as_worker(
    app: ASGIApp,
    *,
    fds: Sequence[int],
    parent_fd: int,
    limits: ServerLimits,
    shutdown: Shutdown,
    http: HttpParser = "httptools",
    log_config: dict[str, Any] | None = None,
    log_level: str = "info",
) -> None:
    """Serve as one of `run_workers`' children; end with the parent, however that ends.

    Args:
        fds: Of the listening sockets (`--fd`).
        parent_fd: Of the line to the parent (`--parent-fd`).
    """
    sockets = [_inherited(fd) for fd in fds]
    line, _ = await asyncio.get_running_loop().create_unix_connection(
        lambda: Parent(shutdown.request), sock=_inherited(parent_fd)
    )

    def on_ready(_: Listening) -> None:
        line.write(b"\n")

    try:
        await serve(
            app,
            bind=sockets,
            limits=limits,
            shutdown=shutdown,
            http=http,
            on_ready=on_ready,
            log_config=log_config,
            log_level=log_level,
        )
    finally:
        line.close()


def _inherited(fd: int) -> socket.socket:
    # Not to be inherited further: a grandchild would keep the port and the line open.
    os.set_inheritable(fd, False)
    return socket.socket(fileno=fd)
