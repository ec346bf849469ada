"""ASGI apps around the interface and the proxy, which make a span of a request."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Final

from opentelemetry.trace import Span, SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.calls import client_address
from gateway.domain.peers import Peers
from gateway.tracing.spans import (
    EVENT,
    STATUS,
    TRACEPARENT,
    TRACESTATE,
    Attributes,
    Tracing,
    fail,
    fields_for_backend,
)

METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
OTHER_METHOD: Final = "_OTHER"

SITE: Final = "/{site}"
"""The route of whatever belongs to the site: its paths are many, and may tell who asks for what."""

_UNKNOWN: Final = "/queue/{unknown}"
_EVENT_PATH: Final = "/queue/{event}"

# Asked every few seconds by machines, and nobody waits for them.
_PROBES: Final = frozenset({"/healthz", "/readyz"})

# These stay open; what took its time is over when they begin.
_STREAMS: Final = frozenset({f"{_EVENT_PATH}/events", f"{_EVENT_PATH}/ws"})

_TRACE_FIELDS: Final = frozenset({TRACEPARENT, TRACESTATE})


def route_templates() -> frozenset[str]:
    """Return the routes of the interface, as its OpenAPI document names them."""
    document = json.loads((files("gateway.api") / "openapi.json").read_bytes())
    return frozenset(document["paths"])


class TracedRequests:
    """The outermost app: a span for every request that is sampled.

    Args:
        knows: Whether there is an event of a name.
    """

    def __init__(
        self, app: ASGIApp, tracing: Tracing, peers: Peers, knows: Callable[[str], bool]
    ) -> None:
        self._app = app
        self._tracing = tracing
        self._peers = peers
        self._knows = knows
        self._templates = route_templates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        told = [field for field in scope["headers"] if field[0] in _TRACE_FIELDS]
        if told:
            kept = [field for field in scope["headers"] if field[0] not in _TRACE_FIELDS]
            scope = {**scope, "headers": kept}
            # Whose trace it is, a trusted proxy may say; nobody else has a say in what we record.
            if not self._peers.is_trusted(client_address(scope)):
                told = []
        span = self._tracing.begin_request(told, lambda: self._describe(scope))
        if span is None:
            await self._app(scope, receive, send)
            return
        ends_early = self._route(scope["path"])[0] in _STREAMS
        try:
            await self._app(scope, receive, _watching(span, send, ends=ends_early))
        except Exception as exc:
            fail(span, type(exc).__name__)
            raise
        finally:
            if span.is_recording():
                span.end()

    def _describe(self, scope: Scope) -> tuple[str, Attributes]:
        """Return the name of a request's span, and its first attributes."""
        # A handshake is a GET (RFC 6455, section 4.1).
        method = scope.get("method", "GET")
        method = method if method in METHODS else OTHER_METHOD
        route, event = self._route(scope["path"])
        attributes = {"http.request.method": method, "http.route": route}
        if event is not None:
            attributes[EVENT] = event
        return f"{method} {route}", attributes

    def _route(self, path: str) -> tuple[str, str | None]:
        """Return the template of a path, and the event that it names where there is one."""
        if not path.startswith("/queue/"):
            if path.startswith("/auth/"):
                return "/auth/envoy/{path}", None
            return (path if path in self._templates else SITE), None
        event, _, rest = path.removeprefix("/queue/").partition("/")
        route = f"{_EVENT_PATH}/{rest}" if rest else _EVENT_PATH
        if route not in self._templates:
            in_room = f"{_EVENT_PATH}/room/{{file}}"
            route = in_room if rest.startswith("room/") and in_room in self._templates else _UNKNOWN
        return route, event if self._knows(event) else None


def _watching(span: Span, send: Send, *, ends: bool) -> Send:
    async def watching(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            status: int = message["status"]
            span.set_attribute(STATUS, status)
            if status >= 500:
                fail(span, str(status))
        await send(message)
        if ends and span.is_recording():
            span.end()

    return watching


class TracedProxy:
    """Around the proxy: a span for what the backend takes, and the trace's fields for the backend."""

    def __init__(self, proxy: ASGIApp, tracing: Tracing) -> None:
        self._proxy = proxy
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._tracing.child("backend", SpanKind.CLIENT):
            # The middleware in front hands on a list of its own for each request.
            scope["headers"].extend(fields_for_backend())
            await self._proxy(scope, receive, send)
