"""Requests as they are written, and answers as they are read, from a server that says what a test wants."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from gateway.doctor.connection import WireError
from gateway.doctor.wire import MOST_REQUESTS, Origin, Reply, Wire, parse_url
from gateway.errors import BadInput

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Says:
    """Answers every connection with the same bytes, and keeps what was asked.

    Attributes:
        hangs: Whether the connection stays open afterwards.
    """

    def __init__(self, answer: bytes, *, hangs: bool = False) -> None:
        self.answer = answer
        self.hangs = hangs
        self.heard: list[bytes] = []
        self.port = 0
        self._answering: set[asyncio.Task[None] | None] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._answering.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()
            if self.hangs:
                await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    @contextlib.asynccontextmanager
    async def wire(self, timeout_s: float = 5.0) -> AsyncGenerator[Wire]:
        server = await asyncio.start_server(self, "127.0.0.1", 0)
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            yield Wire(Origin("http", "127.0.0.1", self.port), timeout_s=timeout_s)
            await asyncio.gather(*[task for task in self._answering if task is not None])


async def ask(says: Says, target: str = "/", timeout_s: float = 5.0) -> Reply:
    async with says.wire(timeout_s) as wire:
        outcome = (await asyncio.gather(wire.ask(target), return_exceptions=True))[0]
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


@pytest.mark.parametrize(
    "target",
    ["//a", "/a\\b", "/%2e%2e/a", "/a#b", "http://other.example/a", "*", "/a;b", "/%c0%af"],
)
async def test_a_target_is_sent_to_the_byte(target: str) -> None:
    says = Says(OK)
    reply = await ask(says, target)
    assert (reply.status, reply.body) == (200, b"ok")
    assert says.heard[0].split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()


async def test_hosts_and_versions_are_what_is_asked_for() -> None:
    says = Says(OK)
    async with says.wire() as wire:
        await wire.ask("/", hosts=["a", "b"])
        await wire.ask("/", hosts=[], version="1.0")
        await wire.ask("/")
    hosts = [
        [line for line in head.decode().split("\r\n") if line.startswith("Host:")]
        for head in says.heard
    ]
    assert hosts == [["Host: a", "Host: b"], [], [f"Host: 127.0.0.1:{says.port}"]]
    assert says.heard[1].startswith(b"GET / HTTP/1.0\r\n")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    says = Says(b"HTTP/1.1 302 Found\r\nLocation: http://other.example/\r\n\r\n")
    reply = await ask(says)
    assert (reply.status, reply.field("location")) == (302, "http://other.example/")
    assert len(says.heard) == 1


async def test_a_cookie_that_is_set_is_not_sent() -> None:
    says = Says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n")
    async with says.wire() as wire:
        await wire.ask("/")
        await wire.ask("/")
    assert all(b"cookie" not in head.lower() for head in says.heard)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200", "closed"),
        (b"SSH-2.0-x\r\n\r\n", "not-http"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", "closed"),
    ],
)
async def test_what_is_no_whole_answer_is_none(answer: bytes, kind: str) -> None:
    with pytest.raises(WireError) as caught:
        await ask(Says(answer))
    assert caught.value.kind == kind


async def test_a_server_that_says_nothing_is_not_waited_for_without_end() -> None:
    with pytest.raises(WireError, match=r"no answer within 0\.2 seconds"):
        await ask(Says(b"", hangs=True), timeout_s=0.2)
    says = Says(b"", hangs=True)
    async with says.wire() as wire:
        with pytest.raises(WireError, match=r"no head within 0\.2 seconds"):
            async with wire.stream("/", head_within_s=0.2):
                raise AssertionError("there is no head")


async def test_an_answer_without_an_end_is_cut() -> None:
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 400_000
    reply = await ask(Says(endless, hangs=True))
    assert 262_144 <= len(reply.body) < 400_000


async def test_a_stream_says_when_nothing_comes_and_when_it_ends() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    says = Says(head + b"2\r\nok\r\n", hangs=True)
    async with says.wire() as wire, wire.stream("/", head_within_s=5) as stream:
        assert await stream.next(5) == b"ok"
        assert await stream.next(0.1) is None
    says = Says(head + b"2\r\nok\r\n0\r\n\r\n")
    async with says.wire() as wire, wire.stream("/", head_within_s=5) as stream:
        assert await stream.next(5) == b"ok"
        assert await stream.next(5) == b""
    says = Says(head + b"2\r\nok\r\n")
    async with says.wire() as wire, wire.stream("/", head_within_s=5) as stream:
        assert await stream.next(5) == b"ok"
        with pytest.raises(WireError, match="cut in the middle"):
            await stream.next(5)


async def test_there_is_an_end_to_asking() -> None:
    says = Says(OK)
    async with says.wire() as wire:
        for _ in range(MOST_REQUESTS):
            await wire.ask("/")
        with pytest.raises(WireError) as caught:
            await wire.ask("/")
    assert caught.value.kind == "too-many"
    assert len(says.heard) == MOST_REQUESTS


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://Site.example", "https://site.example", "/"),
        ("https://site.example:443/a?b", "https://site.example", "/a?b"),
        ("http://site.example:8080/a/", "http://site.example:8080", "/a/"),
        ("http://[::1]:81/", "http://[::1]:81", "/"),
        ("https://b\u00fccher.example/a", "https://xn--bcher-kva.example", "/a"),
        ("https://site.example/a#b", "https://site.example", "/a"),
    ],
)
def test_a_url_is_an_origin_and_a_target(url: str, origin: str, target: str) -> None:
    found = parse_url(url)
    assert (str(found[0]), found[1]) == (origin, target)


@pytest.mark.parametrize(
    "url", ["", "site.example/a", "//site.example/", "https://", "https://a b/", "https://x/a b"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        parse_url(url)
