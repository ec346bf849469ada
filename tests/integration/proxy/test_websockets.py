"""WebSockets through the proxy, between the `websockets` library's server and its client."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from gateway.edge.options import BackendFault, ProxyOptions
from tests.integration.proxy.fronts import Front
from tests.integration.proxy.stub import Conversation, StubBackend
from tests.integration.proxy.wire import Wire, request, wait_until

pytestmark = pytest.mark.anyio

Handler = Callable[[ServerConnection], Awaitable[None]]

MIB = 1024 * 1024


async def echo(backend: ServerConnection) -> None:
    async for message in backend:
        await backend.send(message)


@asynccontextmanager
async def proxied(
    handler: Handler, *, front_limit: int = 16 * MIB, **options: Any
) -> AsyncIterator[Front]:
    """Serve `handler` as the backend; `options` that the server knows go to it, the rest to the proxy."""
    for_server = {key: options.pop(key) for key in list(options) if key in SERVER_OPTIONS}
    for_server.setdefault("max_size", None)
    async with serve(handler, "127.0.0.1", 0, **for_server) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        front = Front(ProxyOptions(backend=url, websocket_bytes=front_limit, **options))
        front.start()
        try:
            yield front
        finally:
            # Not on this loop, which the backend needs to come to its end.
            await asyncio.to_thread(front.stop)


SERVER_OPTIONS = {
    "subprotocols",
    "process_request",
    "process_response",
    "max_size",
    "ping_interval",
}


def visit(front: Front, target: str = "/", **options: Any) -> connect:
    options.setdefault("max_size", None)
    return connect(
        f"ws://site.example{target}", host="127.0.0.1", port=front.port, proxy=None, **options
    )


# Messages.


@pytest.mark.parametrize(
    "message",
    ["", "text", "é€😀", b"", b"\x00\xff", "x" * 70_000, b"\x00" * MIB],
    ids=["no text", "text", "other scripts", "no bytes", "bytes", "64-bit length", "1 MiB"],
)
async def test_a_message_comes_back_as_what_it_was(message: str | bytes) -> None:
    async with proxied(echo) as front, visit(front) as client:
        await client.send(message)
        assert await client.recv() == message


async def test_messages_keep_their_order_and_their_kinds() -> None:
    async with proxied(echo) as front, visit(front) as client:
        sent: list[str | bytes] = [str(n) if n % 2 else bytes([n]) for n in range(200)]
        for message in sent:
            await client.send(message)
        assert [await client.recv() for _ in sent] == sent


async def test_a_message_in_fragments_arrives_whole() -> None:
    async with proxied(echo) as front, visit(front) as client:
        await client.send(["a", "b", "", "c"])
        assert await client.recv() == "abc"


async def test_both_sides_may_talk_at_once() -> None:
    async def ticking(backend: ServerConnection) -> None:
        for number in range(50):
            await backend.send(f"tick {number}")
        assert [await backend.recv() for _ in range(50)] == [f"tock {n}" for n in range(50)]
        await backend.send("done")

    async with proxied(ticking) as front, visit(front) as client:
        for number in range(50):
            await client.send(f"tock {number}")
        heard = [await client.recv() for _ in range(51)]
        assert heard == [*(f"tick {n}" for n in range(50)), "done"]


async def test_a_backend_may_speak_first() -> None:
    async def greeting(backend: ServerConnection) -> None:
        await backend.send("welcome")
        await backend.wait_closed()

    async with proxied(greeting) as front, visit(front) as client:
        assert await client.recv() == "welcome"


# The handshake.


async def test_the_handshake_reaches_the_backend_with_all_that_is_the_visitors() -> None:
    seen: list[Request] = []

    def look(_: ServerConnection, handshake: Request) -> None:
        seen.append(handshake)

    headers = [
        ("Cookie", "a=1; b=2"),
        ("Authorization", "Bearer x"),
        ("X-Site", "1"),
        ("X-Site", "2"),
        ("X-Forwarded-For", "6.6.6.6"),
        ("Queue_Event", "forged"),
    ]
    async with proxied(echo, process_request=look) as front:
        target = "/seats%2Flive?row=1%20&q"
        async with visit(
            front, target, additional_headers=headers, origin="https://site.example",
            user_agent_header="ua",
        ) as client:  # fmt: skip
            await client.send("x")
    assert seen[0].path == target
    fields = seen[0].headers
    assert fields["Host"] == "site.example"
    assert fields["Origin"] == "https://site.example"
    assert fields["Cookie"] == "a=1; b=2"
    assert fields["Authorization"] == "Bearer x"
    assert fields["User-Agent"] == "ua"
    assert fields.get_all("X-Site") == ["1", "2"]
    assert fields.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert fields["X-Forwarded-Proto"] == "http"
    assert fields.get_all("Connection") == ["Upgrade"]
    assert fields.get_all("Sec-WebSocket-Key") != []
    assert "Queue_Event" not in fields
    assert "Sec-WebSocket-Extensions" not in fields
    assert "Sec-WebSocket-Protocol" not in fields


async def test_fields_of_the_visitors_connection_end_at_the_proxy() -> None:
    seen: list[Request] = []

    def look(_: ServerConnection, handshake: Request) -> None:
        seen.append(handshake)

    async with proxied(echo, process_request=look) as front:
        with Wire(front.port) as wire:
            wire.send(handshake((b"x-hop", b"1"), connection=b"upgrade, x-hop, cookie"))
            assert (await asyncio.to_thread(wire.read_head))[0] == 101
    assert seen[0].headers.get_all("Connection") == ["Upgrade"]
    assert "X-Hop" not in seen[0].headers


async def test_the_backends_fields_reach_the_visitor() -> None:
    def answer(_: ServerConnection, __: Request, response: Response) -> None:
        response.headers["Set-Cookie"] = "a=1; Path=/"
        response.headers["Set-Cookie"] = "b=2; Path=/"
        response.headers["Queue-Position"] = "1"
        response.headers["X-Backend"] = "yes"

    async with proxied(echo, process_response=answer) as front, visit(front) as client:
        assert client.response is not None
        fields = client.response.headers
        assert fields.get_all("Set-Cookie") == ["a=1; Path=/", "b=2; Path=/"]
        assert fields["X-Backend"] == "yes"
        assert len(fields.get_all("Date")) == 1
        assert len(fields.get_all("Sec-WebSocket-Accept")) == 1
        assert "Queue-Position" not in fields


@pytest.mark.parametrize(
    ("offered", "known", "chosen"),
    [
        (["seats.v2", "seats.v1"], ["seats.v1"], "seats.v1"),
        (["seats.v2", "seats.v1"], ["seats.v1", "seats.v2"], "seats.v1"),
        ([], [], None),
    ],
)
async def test_the_subprotocol_is_the_backends_choice_of_the_visitors_offer(
    offered: list[str], known: list[str], chosen: str | None
) -> None:
    protocols = [Subprotocol(name) for name in known] or None
    async with proxied(echo, subprotocols=protocols) as front:
        offer = [Subprotocol(name) for name in offered] or None
        async with visit(front, subprotocols=offer) as client:
            assert client.subprotocol == chosen


async def test_an_offer_that_the_backend_ignores_is_left_unanswered() -> None:
    async with (
        proxied(echo) as front,
        visit(front, subprotocols=[Subprotocol("seats.v1")]) as client,
    ):
        assert client.subprotocol is None


# Refused handshakes.


def refusing(status: int, headers: dict[str, str], body: bytes) -> Callable[..., Response]:
    def refuse(_: ServerConnection, __: Request) -> Response:
        fields = Headers({"Content-Length": str(len(body)), **headers})
        return Response(status, "No", fields, body)

    return refuse


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (401, {"WWW-Authenticate": 'Bearer realm="seats"'}, b"who are you?"),
        (403, {"Content-Type": "application/json"}, b'{"error": "no"}'),
        (429, {"Retry-After": "7", "Queue-Position": "1"}, b""),
        (503, {"Content-Encoding": "gzip"}, b"\x1f\x8b\x00"),
    ],
)
async def test_a_refusal_reaches_the_visitor_as_the_backend_gave_it(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    async with proxied(echo, process_request=refusing(status, headers, body)) as front:
        refused = await refusal_of(front)
    assert refused.status_code == status
    assert refused.body == body
    assert refused.headers["Content-Length"] == str(len(body))
    for name, value in headers.items():
        if name == "Queue-Position":
            assert name not in refused.headers
        else:
            assert refused.headers.get_all(name) == [value]


async def test_a_redirect_of_a_handshake_is_the_visitors_to_follow() -> None:
    with StubBackend(never_asked) as elsewhere:
        where = {"Location": f"{elsewhere.url}/internal"}
        async with proxied(echo, process_request=refusing(302, where, b"moved")) as front:
            with Wire(front.port) as wire:
                wire.send(handshake())
                answer = await asyncio.to_thread(wire.read_answer)
        assert elsewhere.connections == 0
    assert (answer.status, answer.body) == (302, b"moved")
    assert answer.value(b"location") == where["Location"].encode()


async def never_asked(talk: Conversation) -> None:
    await talk.read_head()


async def test_a_refusal_with_a_huge_body_keeps_its_status_alone() -> None:
    refuse = refusing(403, {"Content-Type": "text/html", "X-Why": "1"}, b"x" * 200_000)
    async with proxied(echo, process_request=refuse) as front:
        refused = await refusal_of(front)
    assert (refused.status_code, refused.body) == (403, b"")
    assert refused.headers["X-Why"] == "1"
    assert refused.headers["Content-Length"] == "0"


async def test_a_dead_backend_is_a_502_for_a_handshake_too() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Front(ProxyOptions(backend=url)) as front:
            refused = await refusal_of(front)
    assert refused.status_code == 502
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.headers["Cache-Control"] == "no-store"
    assert int(refused.headers["Retry-After"]) > 0


@contextmanager
def in_front_of_silence(**options: Any) -> Iterator[tuple[StubBackend, Front]]:
    async def silent(talk: Conversation) -> None:
        await talk.read_head()
        await talk.until_closed()

    with (
        StubBackend(silent) as backend,
        Front(ProxyOptions(backend=backend.url, **options)) as front,
    ):
        yield backend, front


async def test_a_slow_backend_is_a_504_for_a_handshake_too() -> None:
    with in_front_of_silence(response_timeout_s=0.3) as (backend, front):
        refused = await refusal_of(front)
        assert await asyncio.to_thread(backend.closed.wait, 5)
    assert refused.status_code == 504


async def test_a_visitor_who_leaves_during_the_handshake_ends_it() -> None:
    with in_front_of_silence() as (backend, front), Wire(front.port) as wire:
        wire.send(handshake())
        await asyncio.to_thread(wait_until, lambda: len(backend.heads) == 1)
        wire.leave()
        assert await asyncio.to_thread(backend.closed.wait, 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
        b"garbage\r\n\r\n",
    ],
)
async def test_an_answer_that_opens_no_websocket_opens_none(answer: bytes) -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(answer)
        await talk.until_closed()

    faults: list[BackendFault] = []
    with StubBackend(script) as backend:
        options = ProxyOptions(backend=backend.url, on_backend_fault=faults.append)
        with Front(options) as front:
            refused = await refusal_of(front)
    if b"200 OK" in answer:
        assert (refused.status_code, refused.body) == (200, b"ok")
    else:
        assert refused.status_code == 502
        assert faults == [BackendFault.NOT_HTTP]


async def refusal_of(front: Front) -> Response:
    with pytest.raises(InvalidStatus) as caught:
        async with visit(front):
            pass
    return caught.value.response


def handshake(*extra: tuple[bytes, bytes], connection: bytes = b"upgrade") -> bytes:
    return request(
        headers=[
            *extra,
            (b"connection", connection),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ]
    )


# The end.


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "tab closed"), (4001, "é" * 30), (3000, "")]
)
async def test_the_visitors_close_reaches_the_backend(code: int, reason: str) -> None:
    ended: asyncio.Future[tuple[int | None, str | None]] = asyncio.Future()
    async with proxied(reporting(ended)) as front:
        async with visit(front) as client:
            await client.close(code, reason)
        assert await asyncio.wait_for(ended, 5) == (code, reason)


@pytest.mark.parametrize("code", [1000, 1001, 1012, 1013, 4002])
async def test_the_backends_close_reaches_the_visitor(code: int) -> None:
    async def closing(backend: ServerConnection) -> None:
        await backend.recv()
        await backend.close(code, "sold out")

    async with proxied(closing) as front, visit(front) as client:
        await client.send("x")
        assert await end_of(client) == (code, "sold out")


def reporting(ended: "asyncio.Future[tuple[int | None, str | None]]") -> Handler:
    async def wait(backend: ServerConnection) -> None:
        await backend.wait_closed()
        ended.set_result((backend.close_code, backend.close_reason))

    return wait


async def end_of(client: ClientConnection) -> tuple[int | None, str | None]:
    try:
        async with asyncio.timeout(5):
            while True:
                await client.recv()
    except ConnectionClosed:
        pass
    return client.close_code, client.close_reason


async def test_a_close_without_a_code_has_none_at_the_backend() -> None:
    ended: asyncio.Future[tuple[int | None, str | None]] = asyncio.Future()
    async with proxied(reporting(ended)) as front:
        with Wire(front.port) as wire:
            wire.send(handshake())
            status, _ = await asyncio.to_thread(wire.read_head)
            assert status == 101
            wire.send(b"\x88\x80\x00\x00\x00\x00")
            assert await asyncio.wait_for(ended, 5) == (1005, "")


async def test_a_close_of_the_backend_without_a_code_is_a_normal_one() -> None:
    async def closing(backend: ServerConnection) -> None:
        backend.protocol.send_close()
        for data in backend.protocol.data_to_send():
            backend.transport.write(data)
        await backend.wait_closed()

    async with proxied(closing) as front, visit(front) as client:
        assert await end_of(client) == (1000, "")


async def test_a_visitor_who_is_lost_is_lost_to_the_backend_too() -> None:
    ended: asyncio.Future[tuple[int | None, str | None]] = asyncio.Future()
    async with proxied(reporting(ended)) as front, visit(front) as client:
        client.transport.abort()
        assert await asyncio.wait_for(ended, 2) == (1006, "")


async def test_a_backend_that_is_lost_ends_the_visitors_connection() -> None:
    async def dying(backend: ServerConnection) -> None:
        await backend.recv()
        backend.transport.abort()

    async with proxied(dying) as front, visit(front) as client:
        await client.send("x")
        assert await end_of(client) == (1011, "")


async def test_nothing_is_left_running_after_the_end() -> None:
    async with proxied(echo) as front:
        for _ in range(3):
            async with visit(front) as client:
                await client.send("x")
                await client.recv()
        await asyncio.to_thread(wait_until, lambda: front.running == 0)


# Limits.


async def test_a_message_of_the_visitors_may_be_as_long_as_the_limit_and_no_longer() -> None:
    ended: asyncio.Future[tuple[int | None, str | None]] = asyncio.Future()

    async def reading(backend: ServerConnection) -> None:
        try:
            async for message in backend:
                await backend.send(str(len(message)))
        finally:
            ended.set_result((backend.close_code, backend.close_reason))

    async with proxied(reading, front_limit=1000) as front, visit(front) as client:
        await client.send("x" * 1000)
        assert await client.recv() == "1000"
        await client.send("x" * 1001)
        code, _ = await end_of(client)
        assert code == 1009
        assert (await asyncio.wait_for(ended, 5))[0] == 1009


async def test_a_message_of_the_backends_may_be_as_long_as_the_limit_and_no_longer() -> None:
    async def talking(backend: ServerConnection) -> None:
        await backend.send(b"x" * 1000)
        await backend.send(b"x" * 1001)
        await backend.wait_closed()

    async with proxied(talking, front_limit=1000) as front, visit(front) as client:
        assert len(await client.recv()) == 1000
        assert (await end_of(client))[0] == 1009


async def test_a_backend_waits_for_a_visitor_that_does_not_read() -> None:
    sent = 0

    async def flooding(backend: ServerConnection) -> None:
        nonlocal sent
        while True:
            await backend.send(b"x" * 65_536)
            sent += 1

    async with proxied(flooding) as front:
        with Wire(front.port, receive_buffer=65_536) as wire:
            wire.send(handshake())
            await asyncio.to_thread(wire.read_head)
            await until_still(lambda: sent)
    assert sent < 400, "some 25 MiB were taken for a visitor who reads nothing"


async def test_a_visitor_waits_for_a_backend_that_does_not_read() -> None:
    sent = 0
    enough = asyncio.Event()

    async def deaf(backend: ServerConnection) -> None:
        backend.transport.pause_reading()
        await enough.wait()
        backend.transport.abort()

    async def flood(client: ClientConnection) -> None:
        nonlocal sent
        while True:
            await client.send(b"x" * 65_536)
            sent += 1

    quiet: dict[str, Any] = {"ping_interval": None, "compression": None}
    async with proxied(deaf, ping_interval=None) as front, visit(front, **quiet) as client:
        flooding = asyncio.create_task(flood(client))
        await until_still(lambda: sent)
        flooding.cancel()
        enough.set()
        client.transport.abort()
    assert sent < 400, "some 25 MiB were taken for a backend that reads nothing"


async def test_a_backend_that_reads_nothing_does_not_hold_the_proxy_up_at_its_end() -> None:
    done = asyncio.Event()

    async def deaf(backend: ServerConnection) -> None:
        backend.transport.pause_reading()
        await done.wait()
        backend.transport.abort()

    quiet: dict[str, Any] = {"ping_interval": None, "compression": None}
    async with proxied(deaf, ping_interval=None) as front:
        async with visit(front, **quiet) as client:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    while True:
                        await client.send(b"x" * 65_536)
            client.transport.abort()
        # Fails when it takes long.
        await asyncio.to_thread(front.stop)
        done.set()


async def until_still(count: Callable[[], int]) -> None:
    """Wait until a count has stopped growing."""
    last = -1
    while count() != last or last <= 0:
        last = count()
        await asyncio.sleep(0.3)


async def test_what_is_no_websocket_frame_ends_the_connection() -> None:
    ended: asyncio.Future[tuple[int | None, str | None]] = asyncio.Future()
    async with proxied(reporting(ended)) as front:
        with Wire(front.port) as wire:
            wire.send(handshake())
            await asyncio.to_thread(wire.read_head)
            # A reserved opcode (RFC 6455, section 5.2).
            wire.send(b"\x83\x80\x00\x00\x00\x00")
            await asyncio.wait_for(ended, 5)
            assert (await asyncio.to_thread(wire.read_some))[:1] == b"\x88"
