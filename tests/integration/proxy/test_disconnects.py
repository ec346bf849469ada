"""Whoever leaves, the other side learns of it at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.edge.options import ProxyOptions
from tests.integration.proxy.fronts import Front
from tests.integration.proxy.stub import Conversation, Script, StubBackend
from tests.integration.proxy.wire import Wire, request, wait_until

PROMPT_S = 1.0

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n"


async def never_answer(talk: Conversation) -> None:
    await talk.read_head()
    await talk.until_closed()


async def stream_and_fall_silent(talk: Conversation) -> None:
    await talk.read_head()
    await talk.send(STREAM)
    await talk.until_closed()


@contextmanager
def meeting(script: Script, connections: int = 8) -> Iterator[tuple[StubBackend, Front, Wire]]:
    with StubBackend(script) as backend:
        options = ProxyOptions(backend=backend.url, connections=connections)
        with Front(options) as front, Wire(front.port) as wire:
            yield backend, front, wire


def assert_prompt(backend: StubBackend, front: Front, left_at: float) -> None:
    assert backend.closed.wait(5), "the backend's connection is still open"
    assert time.monotonic() - left_at < PROMPT_S
    wait_until(lambda: front.running == 0)
    assert front.cut_short == 0


def test_a_visitor_who_leaves_while_waiting_ends_the_backends_work() -> None:
    with meeting(never_answer) as (backend, front, wire):
        wire.send(request())
        wait_until(lambda: len(backend.heads) == 1)
        wire.leave()
        assert_prompt(backend, front, time.monotonic())


def test_a_visitor_who_leaves_after_a_while_ends_the_backends_work() -> None:
    with meeting(never_answer) as (backend, front, wire):
        wire.send(request(method="POST", body=b"abc"))
        time.sleep(0.3)
        wire.leave()
        assert_prompt(backend, front, time.monotonic())


def test_a_visitor_who_leaves_a_silent_stream_ends_it() -> None:
    with meeting(stream_and_fall_silent) as (backend, front, wire):
        wire.send(request())
        wire.read_head()
        assert wire.read_chunk() == b"first"
        wire.leave()
        assert_prompt(backend, front, time.monotonic())


def test_a_visitor_who_leaves_a_busy_stream_ends_it() -> None:
    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(STREAM)
        try:
            while True:
                await talk.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        except ConnectionError:
            talk.backend.closed.set()

    with meeting(script) as (backend, front, wire):
        wire.send(request())
        wire.read_head()
        wire.read_chunk()
        wire.leave()
        assert_prompt(backend, front, time.monotonic())


def test_a_visitor_who_leaves_in_the_middle_of_an_upload_ends_it_without_an_end() -> None:
    bodies = []

    async def script(talk: Conversation) -> None:
        await talk.read_head()
        bodies.append(await talk.reader.read())
        talk.backend.closed.set()

    with meeting(script) as (backend, front, wire):
        wire.send(request(method="POST", headers=[(b"transfer-encoding", b"chunked")]))
        wire.send(b"3\r\nabc\r\n")
        wait_until(lambda: len(backend.heads) == 1)
        wire.leave()
        assert_prompt(backend, front, time.monotonic())
    assert b"0\r\n\r\n" not in bodies[0]


def test_a_visitor_who_leaves_while_the_backend_is_being_reached_ends_the_attempt() -> None:
    with meeting(never_answer, connections=1) as (backend, front, wire):
        wire.send(request())
        wait_until(lambda: len(backend.heads) == 1)
        with Wire(front.port) as second:
            second.send(request())
            wait_until(lambda: front.running == 2)
            second.leave()
            wait_until(lambda: front.running == 1)
        assert len(backend.heads) == 1


def test_a_stream_goes_on_both_ways_while_both_stay() -> None:
    async def echo(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while size := int(await talk.reader.readline(), 16):
            data = await talk.reader.readexactly(size + 2)
            await talk.send(b"%x\r\n" % size + data)
        await talk.reader.readexactly(2)
        await talk.send(b"0\r\n\r\n")

    with meeting(echo) as (_, _, wire):
        wire.send(request(method="POST", headers=[(b"transfer-encoding", b"chunked")]))
        wire.send(b"5\r\nfirst\r\n")
        wire.read_head()
        assert wire.read_chunk() == b"first"
        wire.send(b"6\r\nsecond\r\n")
        assert wire.read_chunk() == b"second"
        wire.send(b"0\r\n\r\n")
        assert wire.read_chunk() == b""
