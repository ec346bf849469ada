"""The backend as the proxy sees it: one request out, one answer in, whatever client does it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.errors import GatewayError

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

# RFC 6455, section 7.1.5: the two codes that are never on the wire and say how a WebSocket ended.
NO_STATUS = 1005
ABNORMAL = 1006


class UpstreamError(GatewayError):
    """The backend's fault, or the network's: there is no answer, or no whole one."""


class UpstreamUnreachable(UpstreamError):
    """No connection, or one that the backend closed before it answered."""


class UpstreamTimeout(UpstreamError):
    """The backend did not take the connection in time."""


class UpstreamProtocolError(UpstreamError):
    """What the backend sent is not HTTP, or ends before its end."""


class RequestUnsendable(GatewayError):
    """The client's fault: its request has bytes that the backend's client does not send."""


class UpstreamResponse(Protocol):
    """An answer whose head has arrived. Iterating gives the body as it comes, byte for byte.

    Iterating raises UpstreamProtocolError when the body ends before its end. At most a fixed amount
    is read ahead of the reader.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> RawHeaders:
        """Return the fields in the backend's order and spelling."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    def abort(self) -> None:
        """End the exchange at once. After the whole exchange this does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Closed:
    """How a WebSocket ended: a close frame's code, NO_STATUS or ABNORMAL."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HandshakeRefused:
    """The backend answered a WebSocket handshake with something else than 101.

    Attributes:
        body: The answer's body; None for one that is too large to be repeated.
    """

    status: int
    headers: RawHeaders
    body: bytes | None


class UpstreamWebSocket(Protocol):
    """An open WebSocket to the backend. Pings are answered behind this interface."""

    @property
    def subprotocol(self) -> str | None: ...

    @property
    def headers(self) -> RawHeaders:
        """Return the fields of the backend's 101."""
        ...

    async def send(self, data: str | bytes) -> None:
        """Send one message; waits while the backend is slow to take it.

        Raises:
            UpstreamUnreachable: The backend is gone.
        """
        ...

    async def receive(self) -> str | bytes | Closed: ...

    async def close(self, closed: Closed) -> None:
        """End it as the other side ended: by the same code, without one, or abruptly."""
        ...

    def abort(self) -> None: ...


class Upstream(Protocol):
    """A client of one backend. It keeps connections; `aclose` gives them back."""

    async def request(
        self,
        method: str,
        target: bytes,
        headers: RawHeaders,
        body: AsyncIterator[bytes] | None,
    ) -> UpstreamResponse:
        """Send a request and wait for the head of its answer, past any 1xx.

        The target and the fields go out as given. `content-length` frames the body where it is given,
        else it is chunked. `connection: close` asks for a connection of its own. The body is pulled
        no faster than the backend takes it, and never twice: what may have reached the backend is
        sent again only if its method is idempotent (RFC 9110, section 9.2.2) and nothing was pulled.
        Being cancelled ends the exchange.

        Raises:
            UpstreamError: There is no answer.
            RequestUnsendable: The request cannot go out as it is.
        """
        ...

    async def websocket(
        self, target: bytes, headers: RawHeaders, subprotocols: Sequence[str]
    ) -> UpstreamWebSocket | HandshakeRefused:
        """Open a WebSocket. Redirects are not followed: they are the visitor's to follow.

        Raises:
            UpstreamError: There is no answer.
            RequestUnsendable: The request cannot go out as it is.
        """
        ...

    async def aclose(self) -> None: ...
