"""Bodies far larger than any buffer: they arrive whole, and the proxy's memory does not grow with them."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.integration.proxy.fronts import FrontProcess
from tests.integration.proxy.stub import Conversation, StubBackend
from tests.integration.proxy.wire import Wire, chunked, request

SIZE = 64 * 1024 * 1024
BLOCK = bytes(range(256)) * 1024
BLOCKS = SIZE // len(BLOCK)

# The proxy may hold this much more than before, for buffers and the allocator's whims.
GROWTH_KIB = 12 * 1024


async def backend_script(talk: Conversation) -> None:
    """`/down` gives SIZE bytes, `/down-chunked` likewise, `/up` answers with what it got."""
    while True:
        head = await talk.read_head()
        if head.startswith(b"GET /down "):
            await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
            for _ in range(BLOCKS):
                await talk.send(BLOCK)
        elif head.startswith(b"GET /down-chunked "):
            await talk.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(BLOCKS):
                await talk.send(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK))
            await talk.send(b"0\r\n\r\n")
        else:
            seen = hashlib.sha256()
            left = SIZE
            if b"content-length" in head:
                while left:
                    data = await talk.reader.read(min(left, 1 << 20))
                    left -= len(data)
                    seen.update(data)
            else:
                while size := int(await talk.reader.readline(), 16):
                    seen.update(await talk.reader.readexactly(size))
                    await talk.reader.readexactly(2)
                await talk.reader.readexactly(2)
            digest = seen.hexdigest().encode()
            await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n" + digest)


async def stuck_script(talk: Conversation) -> None:
    """Answers without end, or takes no body: the other side must be slowed down."""
    head = await talk.read_head()
    if head.startswith(b"GET"):
        await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % SIZE)
        for _ in range(BLOCKS):
            await talk.send(BLOCK)
    await talk.backend.hold()


@pytest.fixture(scope="module")
def backend() -> Iterator[StubBackend]:
    with StubBackend(backend_script, read_limit=1 << 20) as stub:
        yield stub


@pytest.fixture(scope="module")
def big_front(backend: StubBackend) -> Iterator[FrontProcess]:
    with FrontProcess(backend.url) as front:
        yield front


@pytest.fixture
def flat(big_front: FrontProcess) -> Iterator[FrontProcess]:
    """The proxy, which may not have grown by the end of the test."""
    with Wire(big_front.port) as wire:
        # What a first exchange needs is not growth.
        wire.send(request("/up", method="POST", headers=[(b"transfer-encoding", b"chunked")]))
        wire.send(chunked([b"x"]))
        wire.read_answer("POST")
    before = big_front.memory_kib()
    big_front.forget_peak()
    yield big_front
    assert big_front.peak_kib() - before < GROWTH_KIB


@pytest.mark.parametrize("target", ["/down", "/down-chunked"])
def test_64_mib_come_down_whole_and_are_not_kept(flat: FrontProcess, target: str) -> None:
    with Wire(flat.port) as wire:
        wire.send(request(target))
        answer = wire.read_answer()
    assert answer.complete
    assert answer.body == BLOCK * BLOCKS


@pytest.mark.parametrize("is_chunked", [False, True])
def test_64_mib_go_up_whole_and_are_not_kept(flat: FrontProcess, is_chunked: bool) -> None:
    framing = (
        (b"transfer-encoding", b"chunked")
        if is_chunked
        else (b"content-length", str(SIZE).encode())
    )
    with Wire(flat.port) as wire:
        wire.send(request("/up", method="POST", headers=[framing]))
        for _ in range(BLOCKS):
            wire.send(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if is_chunked else BLOCK)
        if is_chunked:
            wire.send(b"0\r\n\r\n")
        answer = wire.read_answer("POST")
    assert answer.body.decode() == hashlib.sha256(BLOCK * BLOCKS).hexdigest()


@pytest.fixture
def stuck() -> Iterator[tuple[StubBackend, FrontProcess]]:
    with StubBackend(stuck_script) as backend, FrontProcess(backend.url) as front:
        yield backend, front


def test_a_backend_waits_for_a_visitor_that_does_not_read(
    stuck: tuple[StubBackend, FrontProcess],
) -> None:
    backend, front = stuck
    with Wire(front.port, receive_buffer=65_536) as wire:
        wire.send(request())
        wire.read_head()
        before = front.memory_kib()
        assert backend.stands_still(), "the backend could send everything"
        assert front.memory_kib() - before < GROWTH_KIB


def test_a_visitor_waits_for_a_backend_that_does_not_read(
    stuck: tuple[StubBackend, FrontProcess],
) -> None:
    _, front = stuck
    with Wire(front.port) as wire:
        wire.send(request(method="POST", headers=[(b"content-length", b"%d" % SIZE)]))
        before = front.memory_kib()
        wire.socket.settimeout(1.0)
        assert bytes_taken(wire) < SIZE
        assert front.memory_kib() - before < GROWTH_KIB


def bytes_taken(wire: Wire) -> int:
    """Send until nothing is taken any more."""
    taken = 0
    try:
        while taken < SIZE:
            taken += wire.socket.send(BLOCK)
    except TimeoutError:
        pass
    return taken
