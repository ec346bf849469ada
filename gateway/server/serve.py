"""One process that serves: the application, beside it perhaps the admin one, in one event loop.

uvicorn does the work, with its defaults that we do not want switched off: it believes
`X-Forwarded-For` from loopback, waits for ever for streams at SIGTERM, and adds a `Date` beside the
backend's own (the application adds ours).
"""

import asyncio
import contextlib
import errno
import math
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar, cast

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.loops.auto import auto_loop_factory

from gateway.errors import GatewayError
from gateway.server.descriptors import fitted
from gateway.server.limits import ServerLimits
from gateway.server.protocols import HttpParser, protocol_class
from gateway.server.shutdown import Shutdown
from gateway.server.signals import ending_by_signal

T = TypeVar("T")

Address: TypeAlias = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""

Bind: TypeAlias = tuple[str, int] | Sequence[socket.socket]
"""Where to listen: a host and a port (0 for a free one), or sockets that are bound already."""

BACKLOG: Final = 2048

# Nothing long comes up from a waiting visitor; uvicorn would keep 16 MiB for each.
WEBSOCKET_MESSAGE_BYTES: Final = 1_048_576

# uvicorn's 20 s cost a fifth of a core at 100,000 sockets; proxies' idle timers are 60 s, and the
# push sends its own heartbeats well within them.
WEBSOCKET_PING_S: Final = 120.0
WEBSOCKET_PONG_S: Final = 60.0


class StartupFailed(GatewayError):
    """The application's lifespan did not start; its own log line says why."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the server really listens; ports that were 0 are known here."""

    main: tuple[Address, ...]
    admin: tuple[Address, ...]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where it is installed, else on asyncio."""
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        return runner.run(main)


def bind_sockets(host: str, port: int) -> list[socket.socket]:
    """Bind every address of `host`, all at one port.

    Raises:
        OSError: An address is taken, or none could be bound.
    """
    sockets: list[socket.socket] = []
    unusable: OSError | None = None
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, kind, protocol, _, address in dict.fromkeys(infos):
        try:
            sock = _bind(family, kind, protocol, (address[0], port, *address[2:]))
        except OSError as exc:
            # A name such as localhost may have an address of a family that this machine lacks.
            if exc.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                for bound in sockets:
                    bound.close()
                raise
            unusable = exc
        else:
            sockets.append(sock)
            port = sock.getsockname()[1]
    if not sockets and unusable is not None:
        raise unusable
    return sockets


def _bind(
    family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, address: tuple[Any, ...]
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Two sockets, not one for both: "0.0.0.0" and "::" then mean what they say.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError as exc:
        sock.close()
        raise OSError(
            exc.errno, f"{address[0]} port {address[1]}: {os.strerror(exc.errno or 0)}"
        ) from exc
    return sock


async def serve(
    app: ASGIApp,
    *,
    bind: Bind,
    limits: ServerLimits,
    shutdown: Shutdown,
    http: HttpParser = "httptools",
    admin_app: ASGIApp | None = None,
    admin_bind: Bind | None = None,
    on_ready: Callable[[Listening], None] | None = None,
    log_config: dict[str, Any] | None = None,
    log_level: str = "info",
    handle_signals: bool = True,
) -> None:
    """Serve until `shutdown` is requested, then end well.

    At the end nothing new is accepted, requests in flight have `limits.drain_s`, streams that wait
    for `shutdown` end themselves, the rest is cut off. The admin application is the last to go, so
    that it can be seen how the end proceeds. It has counts of its own: a crowd on the main port never
    locks the operator out.

    Args:
        shutdown: Also requested here by SIGTERM or SIGINT; a second signal forces it.
        on_ready: Called once when every address answers.
        log_config: For `logging.config`; None leaves logging as it is.

    Raises:
        StartupFailed: A lifespan failed to start.
        OSError: An address cannot be bound.
    """
    limits = fitted(limits)
    parts = [_Part(app, bind, limits, http, log_config, log_level)]
    started: list[_Part] = []
    try:
        if admin_app is not None and admin_bind is not None:
            parts.append(_Part(admin_app, admin_bind, limits, http, None, log_level))
        listening = Listening(
            main=parts[0].addresses(),
            admin=tuple(a for part in parts[1:] for a in part.addresses()),
        )
        with ending_by_signal(shutdown) if handle_signals else contextlib.nullcontext():
            try:
                for part in parts:
                    await part.start()
                    started.append(part)
                if on_ready is not None:
                    on_ready(listening)
                await shutdown.wait()
            finally:
                for part in started:
                    await part.stop(shutdown)
    finally:
        for part in parts:
            part.close()


class _Part:
    """One application on its sockets."""

    def __init__(
        self,
        app: ASGIApp,
        bind: Bind,
        limits: ServerLimits,
        http: HttpParser,
        log_config: dict[str, Any] | None,
        log_level: str,
    ) -> None:
        self._config = Config(
            # uvicorn has types of its own for the same protocol, narrower than Starlette's.
            cast("Any", app),
            interface="asgi3",
            http=protocol_class(http, limits),
            ws="websockets-sansio",
            ws_max_size=WEBSOCKET_MESSAGE_BYTES,
            ws_ping_interval=WEBSOCKET_PING_S,
            ws_ping_timeout=WEBSOCKET_PONG_S,
            ws_per_message_deflate=False,
            lifespan="on",
            log_config=log_config,
            log_level=log_level,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=max(1, math.ceil(limits.drain_s)),
        )
        self._server = Server(self._config)
        self._sockets = list(_as_sockets(bind))

    def addresses(self) -> tuple[Address, ...]:
        return tuple(_address(sock) for sock in self._sockets)

    async def start(self) -> None:
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        try:
            await self._server.startup(sockets=self._sockets)
        except SystemExit as exc:
            raise StartupFailed("the application did not start") from exc

    async def stop(self, shutdown: Shutdown) -> None:
        drain = asyncio.ensure_future(self._server.shutdown(sockets=self._sockets))
        forced = asyncio.ensure_future(shutdown.wait_forced())
        await asyncio.wait({drain, forced}, return_when=asyncio.FIRST_COMPLETED)
        forced.cancel()
        drain.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drain
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def _as_sockets(bind: Bind) -> Sequence[socket.socket]:
    match bind:
        case (str(host), int(port)):
            return bind_sockets(host, port)
        case _:
            return bind


def _address(sock: socket.socket) -> Address:
    name = sock.getsockname()
    return str(name) if isinstance(name, str) else (str(name[0]), int(name[1]))
