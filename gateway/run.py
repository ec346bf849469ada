"""Runs the gateway: one process, or a parent with workers, until it is told to end."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.domain.backoff import is_failure
from gateway.edge.health_probe import HealthProbe
from gateway.edge.middleware import AdmissionMiddleware
from gateway.edge.options import BackendFault, ProxyOptions
from gateway.edge.proxy import ReverseProxy
from gateway.edge.upstream import Upstream
from gateway.errors import GatewayError
from gateway.logs import set_up_logging
from gateway.request_ids import RequestIds, log_fields
from gateway.server.limits import ServerLimits
from gateway.server.protocols import HttpParser
from gateway.server.serve import Address, Listening, StartupFailed, bind_sockets, serve
from gateway.server.shutdown import Shutdown
from gateway.server.workers import run_workers
from gateway.settings import Settings
from gateway.wiring import OpenedGate, open_gate

METRICS_DIR_ENV: Final = "PROMETHEUS_MULTIPROC_DIR"

OnReady = Callable[[str, str], None]
"""Told the URL for visitors and the one of the admin port, once both answer."""


class GatewayApp:
    """Everything that one process answers, with its own beginning and end."""

    def __init__(self, opened: OpenedGate) -> None:
        self._opened = opened
        upstream = _upstream(opened)
        self._proxy: ReverseProxy | None = None
        self._probe: HealthProbe | None = None
        if upstream is not None:
            self._proxy = ReverseProxy(*upstream)
            self._probe = _health_probe(opened, *upstream)
        inner: ASGIApp = opened.interface
        traced = opened.traced
        if self._proxy is not None:
            behind = self._proxy if traced is None else traced.proxy(self._proxy)
            inner = AdmissionMiddleware(behind, opened)
        self._inner: ASGIApp = RequestIds(inner, opened.peers)
        if traced is not None:
            self._inner = traced.requests(self._inner, opened.peers, opened.board)
        self.failure: GatewayError | None = None
        """Why it did not start, where it did not."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._inner(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._opened.start()
        except GatewayError as exc:
            self.failure = exc
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        if self._probe is not None:
            self._probe.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._probe is not None:
            await self._probe.aclose()
        if self._proxy is not None:
            await self._proxy.aclose()
        await self._opened.aclose()
        await send({"type": "lifespan.shutdown.complete"})


async def run_gateway(
    settings: Settings, *, on_ready: OnReady, stop: asyncio.Event | None = None
) -> None:
    """Serve in this process until SIGTERM or SIGINT, or until `stop` is set where one is given.

    Raises:
        SettingsInvalid: The keys that the settings name cannot be used.
        UnsafeServer: The ledger's server has settings under which places would be lost.
        LedgerUnavailable: The embedded ledger did not start.
        OSError: A port is taken.
    """
    set_up_logging(settings.log_level, log_fields)
    opened = open_gate(settings)
    app = GatewayApp(opened)
    shutdown = Shutdown()
    stopping = None if stop is None else asyncio.create_task(_request_on(stop, shutdown))
    try:
        await serve(
            app,
            bind=(settings.server.host, settings.server.port),
            limits=server_limits(settings),
            shutdown=shutdown,
            http=parser_of(settings),
            admin_app=opened.admin,
            admin_bind=(settings.server.admin_host, settings.server.admin_port),
            on_ready=lambda listening: on_ready(*_urls(listening)),
            log_level=settings.log_level,
            handle_signals=stop is None,
        )
    except StartupFailed:
        if app.failure is not None:
            raise app.failure from None
        raise
    finally:
        if stopping is not None:
            stopping.cancel()


async def run_with_workers(
    settings: Settings, config_path: Path | None, *, on_ready: OnReady
) -> int:
    """Serve visitors in `settings.server.workers` processes, and the admin port in this one.

    Returns:
        The exit status: 1 when the workers did not come up.
    """
    set_up_logging(settings.log_level, log_fields)
    with tempfile.TemporaryDirectory(prefix="gateway-metrics-") as metrics_dir:
        # Workers count into files of this folder; the admin port sums them up.
        os.environ[METRICS_DIR_ENV] = metrics_dir
        opened = open_gate(settings)
        sockets = bind_sockets(settings.server.host, settings.server.port)
        admin_sockets = bind_sockets(settings.server.admin_host, settings.server.admin_port)
        listening = Listening(
            main=tuple(sock.getsockname()[:2] for sock in sockets),
            admin=tuple(sock.getsockname()[:2] for sock in admin_sockets),
        )

        async def admin(ending: Shutdown) -> None:
            await serve(
                opened.admin,
                bind=admin_sockets,
                limits=server_limits(settings),
                shutdown=ending,
                log_level=settings.log_level,
                handle_signals=False,
            )

        try:
            await opened.start()
            return await run_workers(
                worker_command(config_path),
                sockets,
                settings.server.workers,
                drain_s=settings.server.drain_s,
                shutdown=Shutdown(),
                beside=admin,
                on_ready=lambda: on_ready(*_urls(listening)),
            )
        finally:
            await opened.aclose()
            for sock in sockets:
                sock.close()


def worker_command(config_path: Path | None) -> Sequence[str]:
    command = [sys.executable, "-m", "gateway.worker"]
    return command if config_path is None else [*command, "--config", str(config_path)]


def server_limits(settings: Settings) -> ServerLimits:
    server = settings.server
    return ServerLimits(
        receive_timeout_s=server.receive_timeout_s,
        keep_alive_s=server.keep_alive_s,
        header_bytes=server.header_bytes,
        header_count=server.header_count,
        connections_per_client=server.connections_per_client,
        connections=server.connections,
        # A proxy that asks `/auth` speaks for as many clients as one that forwards them.
        trusted=settings.trusted_networks() + settings.forward_auth_networks(),
        drain_s=server.drain_s,
    )


def parser_of(settings: Settings) -> HttpParser:
    return "h11" if settings.server.http == "h11" else "httptools"


def _upstream(opened: OpenedGate) -> tuple[Upstream, ProxyOptions] | None:
    proxy, health = opened.settings.proxy, opened.health
    if not proxy.backend:
        return None
    # Imported here: an edge without a backend of its own does without the client's weight.
    from gateway.edge.aiohttp_upstream import AiohttpUpstream

    def failed(fault: BackendFault) -> None:
        opened.metrics.backend_failed(fault)
        if not proxy.health_path:
            health.note(failed=True, now_s=time.monotonic())

    def answered(status: int) -> None:
        if not proxy.health_path:
            health.note(failed=is_failure(status), now_s=time.monotonic())

    traced = opened.traced
    options = ProxyOptions(
        backend=proxy.backend.rstrip("/"),
        keep_host=proxy.keep_host,
        peers=opened.peers,
        connect_timeout_s=proxy.connect_timeout_s,
        response_timeout_s=proxy.response_timeout_s,
        idle_timeout_s=proxy.idle_timeout_s,
        connections=proxy.connections,
        on_backend_fault=failed if traced is None else traced.faults(failed),
        on_backend_answer=answered if traced is None else traced.answers(answered),
    )
    return AiohttpUpstream(options), options


def _health_probe(
    opened: OpenedGate, upstream: Upstream, options: ProxyOptions
) -> HealthProbe | None:
    path = opened.settings.proxy.health_path
    if not path:
        return None

    def note(failed: bool) -> None:
        opened.health.note(failed=failed, now_s=time.monotonic())

    return HealthProbe(upstream, path, options.authority, note)


async def _request_on(stop: asyncio.Event, shutdown: Shutdown) -> None:
    await stop.wait()
    shutdown.request()


def _urls(listening: Listening) -> tuple[str, str]:
    return _url(listening.main[0]), _url(listening.admin[0])


def _url(address: Address) -> str:
    if isinstance(address, str):
        return f"unix:{address}"
    host, port = address
    parsed = ip_address(host)
    if parsed.is_unspecified:
        host = "127.0.0.1" if parsed.version == 4 else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
