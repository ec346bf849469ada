"""The backend's client on aiohttp; the only file that imports it.

Everything that aiohttp does for the convenience of its users is off: a proxy passes on, byte for byte.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
from aiohttp import ClientSession, ClientTimeout, TCPConnector, WSMsgType
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from gateway.edge.options import ProxyOptions
from gateway.edge.upstream import (
    ABNORMAL,
    NO_STATUS,
    Closed,
    HandshakeRefused,
    RawHeaders,
    RequestUnsendable,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnreachable,
)

# aiohttp pauses the socket at twice this.
READ_AHEAD_BYTES = 64 * 1024

# Generous, as what a backend may send is its own affair: a site's cookies pass 8 KiB easily.
MAX_LINE_BYTES = 64 * 1024
MAX_FIELDS = 512

# How long the backend may take to answer a close frame.
CLOSE_S = 5.0

# What is kept of the answer to a handshake that the backend refused.
REFUSAL_BYTES = 64 * 1024

_OWN_HEADERS = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class AiohttpUpstream:
    """One backend. Nothing is opened before the first request, which must come on the loop that stays."""

    def __init__(self, options: ProxyOptions) -> None:
        self._options = options
        self._origin = options.backend.rstrip("/")
        self._tls = True if options.tls is None else options.tls
        self._pooled: ClientSession | None = None
        self._single: ClientSession | None = None
        self._for_websockets: TCPConnector | None = None

    async def request(
        self,
        method: str,
        target: bytes,
        headers: RawHeaders,
        body: AsyncIterator[bytes] | None,
    ) -> "AiohttpResponse":
        alone = (b"connection", b"close") in headers
        session = self._single_session() if alone else self._pooled_session()
        _transport.set(None)
        try:
            response = await session.request(
                method,
                self._url(target),
                headers=_text(headers),
                data=body,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            _drop_what_is_unsent()
            raise _fault(exc) from exc
        except BaseException:
            _drop_what_is_unsent()
            raise
        return AiohttpResponse(response)

    async def websocket(
        self, target: bytes, headers: RawHeaders, subprotocols: Sequence[str]
    ) -> "AiohttpWebSocket | HandshakeRefused":
        handshake = _Handshake()
        session = self._session(self._websocket_connector(), [handshake.trace()])
        try:
            websocket = await session.ws_connect(
                self._url(target),
                headers=_text(headers),
                protocols=subprotocols,
                autoclose=False,
                heartbeat=self._options.websocket_ping_s,
                # aiohttp refuses from the limit on, not above it.
                max_msg_size=self._options.websocket_bytes + 1,
            )
        except (aiohttp.ClientError, OSError, ValueError, _Redirected) as exc:
            if handshake.refused is not None:
                return handshake.refused
            raise _fault(exc) from exc
        finally:
            await session.close()
        if handshake.response is None:
            raise UpstreamProtocolError("no answer to the handshake")
        return AiohttpWebSocket(websocket, handshake.response)

    async def aclose(self) -> None:
        for session in (self._pooled, self._single):
            if session is not None:
                await session.close()
        if self._for_websockets is not None:
            await self._for_websockets.close()

    def _url(self, target: bytes) -> URL:
        return URL(self._origin + target.decode("ascii"), encoded=True)

    def _pooled_session(self) -> ClientSession:
        if self._pooled is None:
            options = self._options
            connector = _Connector(
                limit=options.connections, keepalive_timeout=options.keep_alive_s, ssl=self._tls
            )
            self._pooled = self._session(connector)
        return self._pooled

    def _single_session(self) -> ClientSession:
        if self._single is None:
            connector = _Connector(limit=self._options.connections, force_close=True, ssl=self._tls)
            self._single = self._session(connector)
        return self._single

    def _websocket_connector(self) -> TCPConnector:
        if self._for_websockets is None:
            # No limit: each belongs to a client's connection, and those are limited.
            self._for_websockets = TCPConnector(limit=0, force_close=True, ssl=self._tls)
        return self._for_websockets

    def _session(
        self, connector: TCPConnector, traces: list[aiohttp.TraceConfig] | None = None
    ) -> ClientSession:
        return ClientSession(
            connector=connector,
            connector_owner=traces is None,
            trace_configs=traces,
            cookie_jar=_NoCookies(),
            skip_auto_headers=_OWN_HEADERS,
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_AHEAD_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_FIELDS,
            # The other clocks are the proxy's: see `patience`.
            timeout=ClientTimeout(sock_connect=self._options.connect_timeout_s),
        )


class AiohttpResponse:
    """An UpstreamResponse."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self._closed = _closing_of(response)
        if self._closed is not None:
            self._closed.add_done_callback(self._on_closed)

    @property
    def headers(self) -> RawHeaders:
        return self._response.raw_headers

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as exc:
            raise UpstreamProtocolError("the answer ends before its end") from exc
        if not chunk:
            self._forget_closing()
            raise StopAsyncIteration
        return chunk

    def abort(self) -> None:
        self._forget_closing()
        _abort(self._response)

    def _on_closed(self, _: "asyncio.Future[None]") -> None:
        # After a broken chunk aiohttp closes the connection and leaves the reader waiting.
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection is closed"))

    def _forget_closing(self) -> None:
        if self._closed is not None:
            self._closed.remove_done_callback(self._on_closed)
            self._closed = None


class AiohttpWebSocket:
    """An UpstreamWebSocket."""

    def __init__(
        self,
        websocket: "aiohttp.ClientWebSocketResponse[Any]",
        response: aiohttp.ClientResponse,
    ) -> None:
        self._websocket = websocket
        self._response = response
        self._transport = None if response.connection is None else response.connection.transport
        self._ended = False

    @property
    def subprotocol(self) -> str | None:
        return self._websocket.protocol

    @property
    def headers(self) -> RawHeaders:
        return self._response.raw_headers

    async def send(self, data: str | bytes) -> None:
        try:
            if isinstance(data, str):
                await self._websocket.send_str(data)
            else:
                await self._websocket.send_bytes(data)
        except (aiohttp.ClientError, OSError) as exc:
            raise UpstreamUnreachable("the WebSocket is closed") from exc

    async def receive(self) -> str | bytes | Closed:
        message = await self._websocket.receive()
        if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
            data: str | bytes = message.data
            return data
        self._ended = True
        if message.type is WSMsgType.CLOSE:
            # aiohttp reads an empty close frame as code 0.
            return Closed(int(message.data) or NO_STATUS, str(message.extra or ""))
        if message.type is WSMsgType.ERROR and _is_too_big(message.data):
            return Closed(aiohttp.WSCloseCode.MESSAGE_TOO_BIG)
        return Closed(ABNORMAL)

    async def close(self, closed: Closed) -> None:
        if closed.code == ABNORMAL:
            self.abort()
            return
        frame = b""
        if closed.code != NO_STATUS:
            frame = closed.code.to_bytes(2, "big") + closed.reason.encode()
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._websocket.send_frame(frame, WSMsgType.CLOSE)
                while not self._ended:
                    await self.receive()
        except (aiohttp.ClientError, OSError):
            # Gone, or silent for too long: there is nobody to tell.
            self.abort()
        else:
            self._transport = None
            self._response.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._response.close()


class _Handshake:
    """Watches a handshake for what `ws_connect` keeps to itself: the answer, and a refusal's body."""

    def __init__(self) -> None:
        self.response: aiohttp.ClientResponse | None = None
        self.refused: HandshakeRefused | None = None

    def trace(self) -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(self._on_answer)
        trace.on_request_redirect.append(self._on_redirect)
        return trace

    async def _on_answer(
        self,
        session: ClientSession,  # noqa: ARG002 - aiohttp's signature
        context: SimpleNamespace,  # noqa: ARG002
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        self.response = params.response
        if params.response.status != 101:
            self.refused = await _refusal(params.response)

    async def _on_redirect(
        self,
        session: ClientSession,  # noqa: ARG002 - aiohttp's signature
        context: SimpleNamespace,  # noqa: ARG002
        params: aiohttp.TraceRequestRedirectParams,
    ) -> None:
        # `ws_connect` would follow it, to whatever host it names.
        self.refused = await _refusal(params.response)
        raise _Redirected


class _Redirected(Exception):
    """Stops a handshake that was answered with a redirect."""


class _Connector(TCPConnector):
    """Notes the transport that a request goes out on."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        _transport.set(connection.transport)
        return connection


_transport: ContextVar[asyncio.Transport | None] = ContextVar("transport", default=None)


def _drop_what_is_unsent() -> None:
    # aiohttp closes the connection of a request that failed or was cancelled, but closing first
    # waits for a stuck backend to take what is still to be sent.
    transport = _transport.get()
    if transport is not None:
        transport.abort()


class _NoCookies(aiohttp.DummyCookieJar):
    """Does not even read them."""

    def update_cookies_from_headers(self, headers: Sequence[str], response_url: URL) -> None:
        pass


async def _refusal(response: aiohttp.ClientResponse) -> HandshakeRefused:
    body: bytes | None = b""
    try:
        async for chunk in response.content.iter_any():
            body = (body or b"") + chunk
            if len(body) > REFUSAL_BYTES:
                body = None
                break
    except (aiohttp.ClientError, OSError):
        body = None
    return HandshakeRefused(response.status, response.raw_headers, body)


def _text(headers: RawHeaders) -> CIMultiDict[str]:
    """Return the fields as aiohttp wants them; it writes them as UTF-8, so that is what they must be."""
    try:
        return CIMultiDict((name.decode("ascii"), value.decode()) for name, value in headers)
    except UnicodeDecodeError as exc:
        raise RequestUnsendable("a field is not UTF-8") from exc


def _fault(exc: Exception) -> UpstreamError | RequestUnsendable:
    match exc:
        case aiohttp.ServerTimeoutError() | TimeoutError():
            return UpstreamTimeout("no connection in time")
        case aiohttp.ClientResponseError():
            return UpstreamProtocolError("the answer is not HTTP")
        case aiohttp.ClientConnectionError() | OSError():
            return UpstreamUnreachable("no connection")
        case aiohttp.ClientError():
            return UpstreamProtocolError("the answer is not HTTP")
        case _:
            # ValueError: aiohttp's checks of what it is to write.
            return RequestUnsendable("the request cannot be written")


def _closing_of(response: aiohttp.ClientResponse) -> "asyncio.Future[None] | None":
    """Return what is done once the connection is closed; None where the answer is already here."""
    connection = response.connection
    if connection is None or connection.protocol is None:
        return None
    closed = connection.protocol.closed
    if closed is not None:
        # One that looks at the outcome, for asyncio complains of a failure that nobody looked at.
        closed.remove_done_callback(_look)
        closed.add_done_callback(_look)
    return closed


def _look(future: "asyncio.Future[None]") -> None:
    if not future.cancelled():
        future.exception()


def _is_too_big(error: object) -> bool:
    return getattr(error, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


def _abort(response: aiohttp.ClientResponse) -> None:
    connection = response.connection
    if connection is None:
        return
    if connection.transport is not None:
        # Not `close`, which would first wait for a stuck backend to take what is still to be sent.
        connection.transport.abort()
    response.close()
