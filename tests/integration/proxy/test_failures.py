"""A backend that is away, slow, or dies; and clients whose bodies are not what they said."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from gateway.edge.options import BackendFault, ProxyOptions
from tests.integration.proxy.fronts import Front
from tests.integration.proxy.stub import Conversation, Script, StubBackend, answering
from tests.integration.proxy.wire import Wire, WireAnswer, ask, request, wait_until
from tests.support.eventually import eventually

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Faults(list[BackendFault]):
    """What the proxy reported."""


@contextmanager
def proxied(
    script: Script, *, response_timeout_s: float = 5.0, idle_timeout_s: float = 5.0
) -> Iterator[tuple[StubBackend, Front, Faults]]:
    faults = Faults()
    with StubBackend(script) as backend:
        options = ProxyOptions(
            backend=backend.url,
            response_timeout_s=response_timeout_s,
            idle_timeout_s=idle_timeout_s,
            on_backend_fault=faults.append,
        )
        with Front(options) as front:
            yield backend, front, faults


def assert_problem(answer: WireAnswer, status: int, *, may_retry: bool) -> None:
    assert answer.status == status
    assert answer.value(b"content-type") == b"application/problem+json"
    assert answer.value(b"cache-control") == b"no-store"
    assert answer.value(b"date")
    document = json.loads(answer.body)
    assert (document["type"], document["status"]) == ("about:blank", status)
    retry_after = answer.value(b"retry-after")
    assert (retry_after is not None) == may_retry
    if retry_after is not None:
        assert 1 <= int(retry_after) <= 30


async def hang_up(talk: Conversation) -> None:
    await talk.read_head()


async def never_answer(talk: Conversation) -> None:
    await talk.read_head()
    await talk.until_closed()


# Before the answer.


def test_a_backend_that_is_away_is_a_502_that_says_when_to_retry() -> None:
    with StubBackend(answering(OK)) as backend:
        pass
    faults = Faults()
    with Front(ProxyOptions(backend=backend.url, on_backend_fault=faults.append)) as front:
        assert_problem(ask(front.port, request()), 502, may_retry=True)
    assert faults == [BackendFault.UNREACHABLE]


def test_a_backend_that_comes_back_is_used_again() -> None:
    with StubBackend(answering(OK)) as backend, Front(ProxyOptions(backend=backend.url)) as front:
        assert ask(front.port, request()).status == 200
        backend.__exit__(None, None, None)
        assert ask(front.port, request()).status == 502
        backend.__enter__()
        assert ask(front.port, request()).status == 200


def test_a_backend_that_hangs_up_is_a_502() -> None:
    with proxied(hang_up) as (_, front, faults):
        assert_problem(ask(front.port, request(method="POST", body=b"x")), 502, may_retry=True)
    assert faults == [BackendFault.UNREACHABLE]


def test_a_backend_that_does_not_answer_in_time_is_a_504() -> None:
    with proxied(never_answer, response_timeout_s=0.3) as (backend, front, faults):
        started = time.monotonic()
        assert_problem(ask(front.port, request()), 504, may_retry=True)
        assert 0.25 < time.monotonic() - started < 2.0
        assert backend.closed.wait(5), "the connection to the backend is still open"
    assert faults == [BackendFault.TIMED_OUT]


def test_a_backend_that_does_not_take_the_body_is_a_504() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.backend.hold()

    with proxied(script, response_timeout_s=0.3) as (_, front, faults), Wire(front.port) as wire:
        wire.send(request(method="POST", headers=[(b"content-length", b"50000000")]))
        for _ in range(50):
            wire.send(b"x" * 1_000_000)
        assert_problem(wire.read_answer("POST"), 504, may_retry=True)
    assert faults == [BackendFault.TIMED_OUT]


def test_a_backend_that_does_not_take_the_connection_in_time_is_a_504() -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            # Linux drops further connections once the backlog is full (listen(2)).
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        faults = Faults()
        options = ProxyOptions(
            backend=f"http://127.0.0.1:{full.getsockname()[1]}",
            connect_timeout_s=0.3,
            on_backend_fault=faults.append,
        )
        with Front(options) as front:
            assert_problem(ask(front.port, request()), 504, may_retry=True)
    assert faults == [BackendFault.TIMED_OUT]


def test_a_slow_upload_does_not_count_against_the_backend() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.reader.readexactly(5)
        await talk.send(OK)

    with proxied(script, response_timeout_s=0.5) as (_, front, _), Wire(front.port) as wire:
        wire.send(request(method="POST", headers=[(b"content-length", b"5")]))
        for part in (b"xx", b"xxx"):
            time.sleep(0.8)
            wire.send(part)
        assert wire.read_answer("POST").status == 200


def test_the_wait_for_a_free_connection_counts_as_the_backends() -> None:
    with StubBackend(never_answer) as backend:
        options = ProxyOptions(backend=backend.url, connections=1, response_timeout_s=0.5)
        with Front(options) as front, Wire(front.port) as first, Wire(front.port) as second:
            first.send(request("/first"))
            wait_until(lambda: len(backend.heads) == 1)
            second.send(request("/second"))
            assert first.read_answer().status == 504
            assert second.read_answer().status == 504


@pytest.mark.parametrize(
    ("method", "body", "times"),
    [
        ("GET", None, 2),
        ("DELETE", None, 2),
        ("POST", None, 1),
        ("PUT", b"x", 1),
        ("PATCH", b"x", 1),
    ],
)
def test_only_what_may_be_repeated_is_repeated_on_a_connection_that_was_closed(
    method: str, body: bytes | None, times: int
) -> None:
    """The first connection is closed by the backend under the second request."""

    async def script(talk: Conversation) -> None:
        await talk.read_head()
        if talk.number == 1:
            await talk.send(OK)
            await talk.read_head()
            # Closed without an answer: as a server does whose idle time ends just now.
        else:
            await talk.reader.read(len(body or b""))
            await talk.send(OK)

    with proxied(script) as (backend, front, _):
        assert ask(front.port, request("/first")).status == 200
        answer = ask(front.port, request("/second", method=method, body=body))
        assert answer.status == (200 if times == 2 else 502)
        assert len(backend.heads) == 1 + times


def test_a_backend_that_closes_idle_connections_is_never_asked_on_one() -> None:
    closed = 0

    async def script(talk: Conversation) -> None:
        nonlocal closed
        await talk.read_head()
        await talk.send(OK)
        await asyncio.sleep(0.02)
        closed += 1

    def has_closed(times: int) -> bool:
        return closed == times

    with proxied(script) as (backend, front, _):
        for number in range(1, 11):
            assert ask(front.port, request(method="POST", body=b"x")).status == 200
            eventually(partial(has_closed, number))
            # Until the gateway has heard of it: a request that crosses the close could not be sent again.
            time.sleep(0.2)
        assert backend.connections == 10


# After the head of the answer.


@pytest.mark.parametrize(
    "head",
    [b"content-length: 10\r\n", b"transfer-encoding: chunked\r\n"],
)
@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_answer_that_is_cut_short_is_not_taken_for_whole(head: bytes, how: str) -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        await talk.send(b"5\r\n12345\r\n" if b"chunked" in head else b"12345")
        await asyncio.sleep(0.1)
        if how == "reset":
            talk.reset()

    with proxied(script) as (_, front, faults):
        answer = ask(front.port, request())
        assert (answer.status, answer.body, answer.complete) == (200, b"12345", False)
        wait_until(lambda: front.cut_short == 1)
    assert faults == [BackendFault.CUT_SHORT]


def test_a_broken_chunk_cuts_the_answer_short() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await asyncio.sleep(0.1)
        await talk.send(b"zz\r\nabc\r\n")
        await talk.until_closed()

    with proxied(script) as (_, front, faults):
        started = time.monotonic()
        answer = ask(front.port, request())
        assert time.monotonic() - started < 2.0
        assert (answer.body, answer.complete) == (b"abc", False)
        wait_until(lambda: front.cut_short == 1)
    assert faults == [BackendFault.CUT_SHORT]


def test_an_answer_that_stands_still_is_cut_short() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345")
        await talk.until_closed()

    with proxied(script, idle_timeout_s=0.3) as (backend, front, faults):
        answer = ask(front.port, request())
        assert (answer.body, answer.complete) == (b"12345", False)
        assert backend.closed.wait(5)
    assert faults == [BackendFault.CUT_SHORT]


def test_a_slow_answer_may_take_its_time_as_long_as_it_moves() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        for _ in range(5):
            await asyncio.sleep(0.25)
            await talk.send(b"x")

    with proxied(script, response_timeout_s=0.8, idle_timeout_s=0.8) as (_, front, _):
        assert ask(front.port, request()).body == b"xxxxx"


def test_an_early_answer_reaches_a_client_that_still_sends() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await talk.until_closed()

    with proxied(script) as (backend, front, _), Wire(front.port) as wire:
        wire.send(request(method="POST", headers=[(b"content-length", b"1000000")]) + b"x" * 1000)
        answer = wire.read_answer("POST")
        assert (answer.status, answer.body) == (413, b"no")
        assert backend.closed.wait(5), "half a request must not be left on a kept connection"


# The client's body.


def test_a_client_that_breaks_its_chunks_gets_a_400_and_the_backend_no_end() -> None:
    bodies = []

    async def script(talk: Conversation) -> None:
        await talk.read_head()
        bodies.append(await talk.reader.read())
        talk.backend.closed.set()

    with proxied(script) as (backend, front, faults), Wire(front.port) as wire:
        wire.send(request(method="POST", headers=[(b"transfer-encoding", b"chunked")]))
        wire.send(b"3\r\nabc\r\n")
        wait_until(lambda: len(backend.heads) == 1)
        wire.send(b"not a size\r\n")
        assert wire.read_answer("POST").status == 400
        assert backend.closed.wait(5)
    assert b"0\r\n\r\n" not in bodies[0]
    assert faults == []


def test_a_body_that_is_framed_twice_goes_nowhere() -> None:
    # uvicorn's h11 lets Transfer-Encoding win; httptools refuses by itself.
    with StubBackend(answering(OK)) as backend:
        with Front(ProxyOptions(backend=backend.url), http="h11") as front:
            head = [(b"content-length", b"3"), (b"transfer-encoding", b"chunked")]
            raw = request(method="POST", headers=head) + b"3\r\nabc\r\n0\r\n\r\n"
            assert ask(front.port, raw).status == 400
        assert backend.heads == []
