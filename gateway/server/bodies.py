"""Where a body ends (RFC 9112, sections 6.2 and 7.1): read strictly, passed on in one spelling."""

import re
from typing import Final, Protocol

from gateway.server.limits import SWALLOW_BYTES

# A size and at most a short extension, which nobody needs and everybody must skip (section 7.1.1).
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e]*)?")
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")

_LINE_BYTES: Final = 512
_TRAILER_BYTES: Final = 8192


class BadChunk(ValueError):
    """The body is not framed as it says: nobody can tell where the next request begins."""


class Body(Protocol):
    """What is left of one request's body."""

    def read(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what arrived.

        Returns:
            What the parser should see of it, and what lies behind the body's end.

        Raises:
            BadChunk: The framing is broken.
        """
        ...

    @property
    def done(self) -> bool: ...

    @property
    def may_be_swallowed(self) -> bool:
        """Whether the rest is known to be short enough to be read for nothing."""
        ...


class SizedBody:
    """A body with a Content-Length."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def done(self) -> bool:
        return not self._left

    @property
    def may_be_swallowed(self) -> bool:
        return self._left <= SWALLOW_BYTES

    def read(self, data: bytes) -> tuple[bytes, bytes]:
        seen, rest = data[: self._left], data[self._left :]
        self._left -= len(seen)
        return seen, rest


class ChunkReader:
    """A chunked body.

    Extensions and trailers are dropped: uvicorn would add a trailer to the fields of a request
    that was long since judged by them.
    """

    __slots__ = ("_at_data_end", "_held", "_in_trailers", "_left", "_trailer_left", "done")

    def __init__(self) -> None:
        self.done = False
        self._held = b""
        self._left = 0
        self._at_data_end = False
        self._in_trailers = False
        self._trailer_left = _TRAILER_BYTES

    @property
    def may_be_swallowed(self) -> bool:
        return False

    def read(self, data: bytes) -> tuple[bytes, bytes]:
        data = self._held + data
        self._held = b""
        seen: list[bytes] = []
        at = 0
        while not self.done and at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                seen.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._at_data_end = not self._left
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._hold(data[at:])
                return b"".join(seen), b""
            seen.append(self._line(data[at:end]))
            at = end + 2
        return b"".join(seen), data[at:]

    def _hold(self, part: bytes) -> None:
        if self._at_data_end and part != b"\r":
            raise BadChunk("a chunk is longer than its size")
        if len(part) > _LINE_BYTES or b"\n" in part:
            raise BadChunk("a line does not end")
        self._held = part

    def _line(self, line: bytes) -> bytes:
        if self._at_data_end:
            if line:
                raise BadChunk("a chunk is longer than its size")
            self._at_data_end = False
            return b"\r\n"
        if self._in_trailers:
            return self._trailer(line)
        size = _SIZE_LINE.fullmatch(line)
        if size is None or len(line) > _LINE_BYTES:
            raise BadChunk("not the size of a chunk")
        self._left = int(size[1], 16)
        if self._left:
            return b"%x\r\n" % self._left
        self._in_trailers = True
        return b""

    def _trailer(self, line: bytes) -> bytes:
        if not line:
            self.done = True
            return b"0\r\n\r\n"
        self._trailer_left -= len(line) + 2
        if self._trailer_left < 0 or _TRAILER_LINE.fullmatch(line) is None:
            raise BadChunk("not a trailer")
        return b""
