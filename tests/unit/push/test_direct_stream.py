"""A stream that is written to directly: nothing while the client is behind, then the newest alone."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gateway.push.frames import Frame
from gateway.push.stream import STUCK_S, DirectStream, Ending, Stream
from tests.unit.push.test_frames import framed

pytestmark = pytest.mark.anyio


@dataclass
class Wire:
    """Remembers what was written."""

    written: list[bytes] = field(default_factory=list)

    @property
    def write(self) -> Callable[[bytes], None]:
        return self.written.append

    def abort(self) -> None:
        self.written.clear()


class Nobody:
    def leave(self, stream: Stream) -> None: ...


class Documents(DirectStream):
    def shaped(self, frame: Frame) -> bytes:
        return frame.text.encode()

    def finish(self, ending: Ending) -> None:
        self.connection.abort()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def stream(wire: Wire) -> DirectStream:
    stream = Documents(Nobody(), None, ends_at=0.0)
    stream.begin(wire, b"first")
    return stream


async def test_who_is_behind_gets_the_newest_alone(stream: DirectStream, wire: Wire) -> None:
    one, two, three = framed("1"), framed("2"), framed("3")
    assert stream.offer(one)
    stream.pause()
    assert not stream.offer(two)
    assert not stream.offer(three)
    assert wire.written == [b"first", one.text.encode()]
    stream.resume()
    assert wire.written[2:] == [three.text.encode()]
    assert stream.offer(two)


async def test_who_misses_nothing_is_told_nothing_twice(stream: DirectStream, wire: Wire) -> None:
    stream.pause()
    stream.resume()
    assert wire.written == [b"first"]


async def test_only_who_takes_nothing_for_long_is_stuck(stream: DirectStream) -> None:
    assert not stream.is_stuck(1e12)
    stream.pause()
    assert stream.is_stuck(1e12)
    stream.resume()
    assert not stream.is_stuck(1e12 + STUCK_S)
