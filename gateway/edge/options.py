"""How the proxy speaks to the backend."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias
from urllib.parse import urlsplit

from starlette.types import Scope

from gateway.domain.peers import Peers

SessionListener: TypeAlias = Callable[[Scope, bytes], None]


class BackendFault(StrEnum):
    """Why the backend's answer is not what the visitor got; the value is the metric label."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    NOT_HTTP = "not-http"
    CUT_SHORT = "cut-short"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """What the proxy is told once.

    Attributes:
        backend: `http://host:port` or `https://host:port`, without a path.
        keep_host: Whether the backend sees the visitor's Host or its own.
        peers: Whose forwarding fields are believed, and how the visitor's scheme is found.
        connect_timeout_s: A connection to the backend must stand by then.
        response_timeout_s: The head of the answer must come by then, counted from the last byte that
            the client sent and including the wait for a free connection.
        idle_timeout_s: How long an answer or an upload may stand still, whichever side is at fault.
        connections: Most connections to the backend; WebSockets are not counted.
        keep_alive_s: How long a connection is kept for the next request. Shorter than the 2 to 5 s
            after which usual servers close one, so that no request meets a closing connection.
        websocket_bytes: Most bytes of a WebSocket message, either way.
        websocket_ping_s: How often a silent backend is pinged.
        tls: For an https backend; None verifies with the system's certificates.
        on_session_header: Hears the backend's `Queue-Session`, which is then removed. With None the
            field stays in the answer, for a middleware around the proxy that listens itself.
        on_backend_fault: Hears of each answer that could not be given or not be finished.
        on_backend_answer: Hears the status of each answer that the backend gave.
    """

    backend: str
    keep_host: bool = True
    peers: Peers = field(default_factory=Peers)
    connect_timeout_s: float = 5.0
    response_timeout_s: float = 60.0
    idle_timeout_s: float = 300.0
    connections: int = 512
    keep_alive_s: float = 1.5
    websocket_bytes: int = 16 * 1024 * 1024
    websocket_ping_s: float = 120.0
    tls: ssl.SSLContext | None = None
    on_session_header: SessionListener | None = None
    on_backend_fault: Callable[[BackendFault], None] | None = None
    on_backend_answer: Callable[[int], None] | None = None

    @property
    def authority(self) -> bytes:
        """Return what the backend's own Host field says."""
        return urlsplit(self.backend).netloc.encode("ascii")
