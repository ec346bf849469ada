"""The reverse proxy behind the admission middleware: a plain ASGI app that streams both ways.

It expects an HTTP/1.1 server in front that frames strictly and adds no `Date` or `Server`: uvicorn
with `date_header=False, server_header=False, proxy_headers=False`. Trailers and 1xx answers end here,
as ASGI has no words for them.
"""

import re
import secrets
from dataclasses import dataclass
from typing import Self

from starlette.types import Message, Receive, Scope, Send

from gateway.answers import Answer, problem, send_answer
from gateway.edge.forwarding import (
    SESSION_HEADER,
    HeaderList,
    Sender,
    UnsoundHead,
    body_length,
    request_headers,
    response_headers,
    websocket_headers,
)
from gateway.edge.options import BackendFault, ProxyOptions
from gateway.edge.patience import Ending, Patience
from gateway.edge.upstream import (
    HandshakeRefused,
    RawHeaders,
    RequestUnsendable,
    Upstream,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamResponse,
    UpstreamTimeout,
    UpstreamWebSocket,
)
from gateway.edge.websocket_relay import relay, repeat_refusal
from gateway.errors import AnswerCutShort, GatewayError

_TARGET = re.compile(rb"/[!-\"$-~]*")
_METHOD = re.compile(r"[A-Z0-9!#$%&'*+.^_`|~-]+")

# CONNECT asks for a tunnel, TRACE for an echo of the request with what we added to it.
_NOT_PROXIED = frozenset({"CONNECT", "TRACE"})

# Methods whose body many servers ignore. One that does takes it for the next request on the same
# connection (CL.0 smuggling), so there must be no next one.
_BODY_IS_ODD = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

_NO_BODY_STATUSES = frozenset({204, 304})

_SHORTEST_RETRY_S = 2
_RETRY_SPREAD_S = 7


class ReverseProxy:
    """Passes every request on to one backend, and its answer back.

    Identity fields (`Queue-Event`, …) are trusted to be the middleware's: it must be in front.
    """

    def __init__(self, upstream: Upstream, options: ProxyOptions) -> None:
        self._upstream = upstream
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._pass_request(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._pass_websocket(scope, receive, send)
        else:
            raise RuntimeError(f"the proxy has no {scope['type']!r} to pass on")

    async def aclose(self) -> None:
        await self._upstream.aclose()

    # HTTP.

    async def _pass_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = _read_request(scope, self._options)
        except UnsoundHead as exc:
            await send_answer(problem(400, f"The request is refused: {exc}."), scope, send)
            return
        except _NotProxied:
            await send_answer(problem(501, "This method is not passed on."), scope, send)
            return
        patience = Patience(receive, self._options.response_timeout_s)
        body = None if request.length == 0 else _RequestBody(receive, patience, request.length)
        exchange = _Exchange(scope, send, self._options, patience)
        error: Exception | None = None
        try:
            async with patience:
                response = await self._upstream.request(
                    request.method, request.target, request.headers, body
                )
                await exchange.pass_on(response)
        except (UpstreamError, RequestUnsendable, UnsoundHead, _BodyFailed) as exc:
            error = exc
        finally:
            exchange.abort()
        if not exchange.finished:
            await self._conclude(exchange, error)

    async def _conclude(self, exchange: "_Exchange", error: Exception | None) -> None:
        """Say what went wrong as long as that can be said; afterwards only cut the answer short."""
        ending = exchange.patience.ending
        if ending is Ending.CLIENT_GONE:
            return
        if exchange.started:
            if ending is not Ending.BAD_BODY:
                self._count(BackendFault.CUT_SHORT)
            raise AnswerCutShort("the answer ends before its end") from error
        if ending is Ending.BAD_BODY:
            answer = problem(400, "The body is not as long as it was announced.")
        else:
            answer = self._bad_answer(error)
        await send_answer(answer, exchange.scope, exchange.send)

    def _bad_answer(self, error: Exception | None) -> Answer:
        match error:
            case RequestUnsendable():
                return problem(400, f"The request is refused: {error}.")
            case UnsoundHead() | UpstreamProtocolError():
                self._count(BackendFault.NOT_HTTP)
                return problem(502, "The site gave an answer that cannot be passed on.")
            case None | UpstreamTimeout():
                self._count(BackendFault.TIMED_OUT)
                return problem(504, "The site takes too long to answer.", [_retry_after()])
            case _:
                self._count(BackendFault.UNREACHABLE)
                return problem(502, "The site cannot be reached.", [_retry_after()])

    def _count(self, fault: BackendFault) -> None:
        if self._options.on_backend_fault is not None:
            self._options.on_backend_fault(fault)

    # WebSockets.

    async def _pass_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        patience = Patience(receive, self._options.response_timeout_s)
        opened: UpstreamWebSocket | HandshakeRefused | None = None
        error: Exception | None = None
        try:
            request = _read_request(scope, self._options)
            async with patience:
                opened = await self._upstream.websocket(
                    request.target, websocket_headers(request.headers), scope["subprotocols"]
                )
        except (UpstreamError, RequestUnsendable) as exc:
            error = exc
        except UnsoundHead as exc:
            error = RequestUnsendable(str(exc))
        if patience.ending is Ending.CLIENT_GONE:
            return
        match opened:
            case None:
                await send_answer(self._bad_answer(error), scope, send)
            case HandshakeRefused():
                await self._pass_refusal(opened, scope, send)
            case _:
                await self._pass_messages(opened, scope, receive, send)

    async def _pass_refusal(self, refused: HandshakeRefused, scope: Scope, send: Send) -> None:
        try:
            headers = _answer_headers(refused.headers, _final(refused.status), scope, self._options)
        except (UnsoundHead, UpstreamProtocolError) as exc:
            await send_answer(self._bad_answer(exc), scope, send)
        else:
            await repeat_refusal(refused, headers, scope, send)

    async def _pass_messages(
        self, websocket: UpstreamWebSocket, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            headers = _answer_headers(websocket.headers, 101, scope, self._options)
            accept: Message = {"type": "websocket.accept", "headers": websocket_headers(headers)}
            if websocket.subprotocol is not None:
                accept["subprotocol"] = websocket.subprotocol
            await send(accept)
            await relay(receive, send, websocket, self._options.websocket_bytes)
        except UnsoundHead as exc:
            await send_answer(self._bad_answer(exc), scope, send)
        except OSError:
            # How ASGI servers say that the client is gone.
            return
        finally:
            websocket.abort()


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as the backend will get it; `length` as `body_length` says."""

    method: str
    target: bytes
    headers: HeaderList
    length: int | None


class _NotProxied(Exception):
    """A method that ends here."""


class _BodyFailed(GatewayError):
    """Stops the upload; why is in the exchange's patience."""


class _RequestBody:
    """The client's body, taken from the server only as fast as the backend takes it."""

    def __init__(self, receive: Receive, patience: Patience, length: int | None) -> None:
        self._receive = receive
        self._patience = patience
        self._left = length
        self._more = True
        patience.body_is_ahead()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while self._more:
            self._patience.wait_for_client()
            message = await self._receive()
            self._patience.progress()
            if message["type"] == "http.disconnect":
                self._fail(Ending.CLIENT_GONE)
            chunk: bytes = message.get("body", b"")
            self._more = message.get("more_body", False)
            self._count(len(chunk))
            if not self._more:
                self._patience.body_was_read()
            if chunk:
                return chunk
        raise StopAsyncIteration

    def _count(self, arrived: int) -> None:
        if self._left is not None:
            self._left -= arrived
            if self._left < 0 or (self._left > 0 and not self._more):
                self._fail(Ending.BAD_BODY)

    def _fail(self, ending: Ending) -> None:
        self._more = False
        self._patience.end(ending)
        raise _BodyFailed(ending.value)


class _Exchange:
    """The way back of one request.

    Attributes:
        started: Whether the head of an answer went out.
        finished: Whether all of it did.
    """

    def __init__(self, scope: Scope, send: Send, options: ProxyOptions, patience: Patience) -> None:
        self.scope = scope
        self.send = send
        self.patience = patience
        self.started = False
        self.finished = False
        self._options = options
        self._response: UpstreamResponse | None = None

    async def pass_on(self, response: UpstreamResponse) -> None:
        self._response = response
        status = _final(response.status)
        if self._options.on_backend_answer is not None:
            self._options.on_backend_answer(status)
        headers = _answer_headers(response.headers, status, self.scope, self._options)
        send, patience = self.send, self.patience
        patience.answering(self._options.idle_timeout_s)
        self.started = True
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if status not in _NO_BODY_STATUSES and self.scope["method"] != "HEAD":
            async for chunk in response:
                patience.progress()
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        self.finished = True

    def abort(self) -> None:
        if self._response is not None:
            self._response.abort()


def _read_request(scope: Scope, options: ProxyOptions) -> _Request:
    """Read what the backend is to be asked.

    Raises:
        UnsoundHead: It has more than one reading.
        _NotProxied: The method is one that ends here.
    """
    method: str = scope.get("method", "GET")
    if method in _NOT_PROXIED or _METHOD.fullmatch(method) is None:
        raise _NotProxied
    headers: HeaderList = scope["headers"]
    query: bytes = scope["query_string"]
    target: bytes = scope["raw_path"] + (b"?" + query if query else b"")
    if _TARGET.fullmatch(target) is None:
        raise UnsoundHead("the target has a character that must not stand there")
    if sum(name == b"host" for name, _ in headers) > 1:
        raise UnsoundHead("there are two Hosts")
    length = body_length(headers)
    sent = request_headers(
        headers, _sender(scope, options), None if options.keep_host else options.authority
    )
    if length != 0 and method in _BODY_IS_ODD:
        sent.append((b"connection", b"close"))
    return _Request(method, target, sent, length)


def _sender(scope: Scope, options: ProxyOptions) -> Sender:
    client = scope.get("client")
    peer = str(client[0]) if client else None
    peers = options.peers
    return Sender(
        peer=peer,
        trusted=peers.is_trusted(peer),
        scheme=peers.scheme_of(scope["scheme"], peer, scope["headers"]),
    )


def _final(status: int) -> int:
    if not 200 <= status <= 599:
        raise UpstreamProtocolError("not a status that ends an exchange")
    return status


def _answer_headers(
    headers: RawHeaders, status: int, scope: Scope, options: ProxyOptions
) -> HeaderList:
    """Return the fields for the visitor. `Queue-Session` is reported, or left for who listens around us.

    Raises:
        UnsoundHead: They cannot be passed on.
    """
    kept, said = response_headers(headers, status)
    for value in said:
        if options.on_session_header is None:
            kept.append((SESSION_HEADER, value))
        else:
            options.on_session_header(scope, value)
    return kept


def _retry_after() -> tuple[bytes, bytes]:
    # Spread: else all whom a fault hit together would come back together.
    return b"retry-after", str(_SHORTEST_RETRY_S + secrets.randbelow(_RETRY_SPREAD_S)).encode()
