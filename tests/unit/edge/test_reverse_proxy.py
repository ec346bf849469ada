"""The proxy as an ASGI app, between a scripted server and a scripted backend."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import pytest
from starlette.types import Message, Scope

from gateway.edge.options import ProxyOptions
from gateway.edge.proxy import ReverseProxy
from gateway.edge.upstream import (
    Closed,
    HandshakeRefused,
    RawHeaders,
    UpstreamResponse,
    UpstreamWebSocket,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Answer:
    """An UpstreamResponse that gives `chunks` and then, if told so, nothing more for ever."""

    def __init__(self, chunks: Sequence[bytes] = (), *, endless: bool = False) -> None:
        self.status = 200
        self.headers: RawHeaders = [(b"X-A", b"1")]
        self.aborted = False
        self._chunks = list(chunks)
        self._endless = endless

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._chunks:
            return self._chunks.pop(0)
        if self._endless:
            await asyncio.Event().wait()
        raise StopAsyncIteration

    def abort(self) -> None:
        self.aborted = True


class Backend:
    """An Upstream that reads the body and gives one answer."""

    def __init__(
        self, answer: Answer, opened: "UpstreamWebSocket | HandshakeRefused | None" = None
    ) -> None:
        self.answer = answer
        self.opened = opened
        self.body = b""

    async def request(
        self, method: str, target: bytes, headers: RawHeaders, body: AsyncIterator[bytes] | None
    ) -> UpstreamResponse:
        if body is not None:
            async for chunk in body:
                self.body += chunk
        return self.answer

    async def websocket(
        self, target: bytes, headers: RawHeaders, subprotocols: Sequence[str]
    ) -> UpstreamWebSocket | HandshakeRefused:
        assert self.opened is not None
        return self.opened

    async def aclose(self) -> None:
        pass


class Socket:
    """An UpstreamWebSocket that says nothing."""

    subprotocol = None

    def __init__(self, headers: RawHeaders = ()) -> None:
        self.headers = headers
        self.aborted = False

    async def send(self, data: str | bytes) -> None:
        raise AssertionError("nobody sends here")

    async def receive(self) -> str | bytes | Closed:
        await asyncio.Event().wait()
        raise AssertionError("never")

    async def close(self, closed: Closed) -> None:
        pass

    def abort(self) -> None:
        self.aborted = True


class Server:
    """What an ASGI server does for one request."""

    def __init__(self, *messages: Message) -> None:
        self._messages = list(messages)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> Any:
        return self.sent[0]["status"]


def http(method: str = "GET", *headers: tuple[bytes, bytes], path: bytes = b"/") -> Scope:
    return {
        "type": "http", "method": method, "scheme": "http", "raw_path": path, "query_string": b"",
        "headers": list(headers) or [(b"host", b"x")], "client": ("127.0.0.1", 1),
    }  # fmt: skip


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": data, "more_body": more}


def proxy(backend: Backend) -> ReverseProxy:
    return ReverseProxy(backend, ProxyOptions(backend="http://backend:80"))


@pytest.mark.parametrize(
    "messages",
    [
        [body(b"abc")],
        [body(b"abc", more=True), body(b"")],
        [body(b"abc", more=True), body(b"defg")],
    ],
    ids=["short", "short in two", "long"],
)
async def test_a_body_that_is_not_as_long_as_announced_is_the_clients_fault(
    messages: list[Message],
) -> None:
    server = Server(*messages)
    scope = http("POST", (b"content-length", b"5"))
    await proxy(Backend(Answer()))(scope, server.receive, server.send)
    assert server.status == 400


async def test_a_body_that_nobody_announced_is_not_passed_over() -> None:
    backend = Backend(Answer(endless=True))
    server = Server(body(b"smuggled"))
    with pytest.raises(Exception, match="ends before its end"):
        await proxy(backend)(http(), server.receive, server.send)
    assert backend.answer.aborted


async def test_the_servers_own_cancellation_goes_through_and_ends_the_exchange() -> None:
    backend = Backend(Answer([b"x"], endless=True))
    server = Server(body(b""))
    task = asyncio.create_task(proxy(backend)(http(), server.receive, server.send))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert backend.answer.aborted


async def test_a_client_that_leaves_is_no_error() -> None:
    backend = Backend(Answer([b"x"], endless=True))
    server = Server(body(b""), {"type": "http.disconnect"})
    await asyncio.wait_for(proxy(backend)(http(), server.receive, server.send), 2)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    assert backend.answer.aborted


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (http("GET", (b"host", b"a"), (b"host", b"b")), 400),
        (http(path=b"/a#b"), 400),
        (http(path=b"/a b"), 400),
        (http(path=b"/\xe9"), 400),
        (http(path=b"*"), 400),
        (http(path=b"http://other.example/"), 400),
        (http("POST", (b"transfer-encoding", b"gzip, chunked")), 400),
        (http("CONNECT"), 501),
        (http("TRACE"), 501),
        (http("get"), 501),
    ],
)
async def test_a_request_with_more_than_one_reading_is_not_passed_on(
    scope: Scope, status: int
) -> None:
    server = Server(body(b""))
    await proxy(Backend(Answer()))(scope, server.receive, server.send)
    assert server.status == status
    assert dict(server.sent[0]["headers"])[b"cache-control"] == b"no-store"


def websocket(*headers: tuple[bytes, bytes]) -> Scope:
    extensions: dict[str, Any] = {"websocket.http.response": {}}
    return {
        **http("GET", *headers),
        "type": "websocket",
        "scheme": "ws",
        "subprotocols": [],
        "extensions": extensions,
    }


async def test_a_refused_handshake_is_a_plain_close_where_the_server_can_say_no_more() -> None:
    refusal = HandshakeRefused(401, [(b"Content-Length", b"2")], b"no")
    server = Server({"type": "websocket.connect"})
    scope = {**websocket(), "extensions": {}}
    await proxy(Backend(Answer(), refusal))(scope, server.receive, server.send)
    assert server.sent == [{"type": "websocket.close", "code": 1008}]


async def test_what_is_neither_http_nor_websocket_is_not_passed_over() -> None:
    server = Server()
    with pytest.raises(RuntimeError):
        await proxy(Backend(Answer()))({"type": "lifespan"}, server.receive, server.send)


@pytest.mark.parametrize(
    ("opened", "status"),
    [
        (HandshakeRefused(403, [(b"X", b"a\x00b")], b""), 502),
        (HandshakeRefused(199, [], b""), 502),
        (Socket([(b"X", b"a\x00b")]), 502),
    ],
    ids=["field of a refusal", "status of a refusal", "field of a 101"],
)
async def test_an_answer_to_a_handshake_that_is_unsound_is_a_502(
    opened: Socket | HandshakeRefused, status: int
) -> None:
    server = Server({"type": "websocket.connect"})
    await proxy(Backend(Answer(), opened))(websocket(), server.receive, server.send)
    assert server.sent[0]["type"] == "websocket.http.response.start"
    assert server.status == status
    assert isinstance(opened, HandshakeRefused) or opened.aborted


async def test_a_handshake_with_more_than_one_reading_is_not_passed_on() -> None:
    server = Server({"type": "websocket.connect"})
    scope = websocket((b"host", b"a"), (b"host", b"b"))
    await proxy(Backend(Answer()))(scope, server.receive, server.send)
    assert server.status == 400


async def test_a_visitor_who_is_gone_when_the_handshake_is_done_is_no_error() -> None:
    async def gone(_: Message) -> None:
        raise OSError("the connection is closed")

    socket = Socket()
    server = Server({"type": "websocket.connect"})
    await proxy(Backend(Answer(), socket))(websocket(), server.receive, gone)
    assert socket.aborted
