"""A client on a raw socket: sends the bytes it is given, and tidies up nothing that it gets."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

TIMEOUT_S = 20.0

HeaderList = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """One answer as it came.

    Attributes:
        headers: In order; names in lower case.
        body: Without chunked framing.
        complete: Whether it ended as its framing says, and not by a closed connection.
        interim: The 1xx statuses before it.
        trailers: Lines after the last chunk.
    """

    status: int
    headers: HeaderList
    body: bytes
    complete: bool = True
    interim: list[int] = field(default_factory=list)
    trailers: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key == name]

    def value(self, name: bytes) -> bytes | None:
        values = self.values(name)
        assert len(values) < 2, f"{name!r} came {len(values)} times"
        return values[0] if values else None


class Wire:
    """One connection. Reading raises TimeoutError rather than to hang."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(("127.0.0.1", port))
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def leave(self) -> None:
        """Close as a browser whose window is closed."""
        self.socket.close()

    def read_head(self) -> tuple[int, HeaderList]:
        head = self._until(b"\r\n\r\n")
        line, *fields = head[:-4].split(b"\r\n")
        headers = []
        for each in fields:
            name, colon, value = each.partition(b":")
            assert colon
            headers.append((name.lower(), value.strip(b" \t")))
        return int(line.split(b" ", 2)[1]), headers

    def read_some(self) -> bytes:
        """Return what is there, or comes next; b"" at the end of the connection."""
        if self._held:
            held, self._held = self._held, b""
            return held
        return self._receive()

    def read_answer(self, method: str = "GET") -> WireAnswer:
        interim: list[int] = []
        status, headers = self.read_head()
        while status < 200:
            interim.append(status)
            status, headers = self.read_head()
        fields = dict(headers)
        complete, body, trailers = True, b"", b""
        if method == "HEAD" or status in (204, 304):
            pass
        elif fields.get(b"transfer-encoding") == b"chunked":
            assert b"content-length" not in fields
            body, trailers, complete = self._chunks()
        elif b"content-length" in fields:
            body, complete = self._exactly(int(fields[b"content-length"]))
        else:
            while more := self.read_some():
                body += more
        return WireAnswer(status, headers, body, complete, interim, trailers)

    def read_chunk(self) -> bytes:
        """Return the data of the next chunk; b"" for the last, whose trailers stay unread."""
        size = int(self._until(b"\r\n"), 16)
        if not size:
            return b""
        data, complete = self._exactly(size + 2)
        if not complete:
            raise EOFError("the connection ended in a chunk")
        assert data.endswith(b"\r\n")
        return data[:-2]

    def is_at_end(self) -> bool:
        """Whether the other side closed and nothing is left to read."""
        try:
            return self.read_some() == b""
        except ConnectionResetError:
            return True

    def _receive(self) -> bytes:
        return self.socket.recv(65_536)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            more = self._receive()
            if not more:
                raise EOFError(f"the connection ended after {self._held!r}")
            self._held += more
        found, self._held = self._held.split(mark, 1)
        return found + mark

    def _exactly(self, size: int) -> tuple[bytes, bool]:
        parts = [self._held[:size]]
        self._held = self._held[size:]
        missing = size - len(parts[0])
        while missing:
            try:
                more = self.socket.recv(min(missing, 1 << 20))
            except ConnectionResetError:
                more = b""
            if not more:
                return b"".join(parts), False
            parts.append(more)
            missing -= len(more)
        return b"".join(parts), True

    def _chunks(self) -> tuple[bytes, bytes, bool]:
        body: list[bytes] = []
        trailers = b""
        try:
            while chunk := self.read_chunk():
                body.append(chunk)
            while (line := self._until(b"\r\n")) != b"\r\n":
                trailers += line
        except (EOFError, ConnectionResetError):
            return b"".join(body), trailers, False
        return b"".join(body), trailers, True


def ask(port: int, request: bytes) -> WireAnswer:
    """Send one request on a connection of its own and read the answer."""
    with Wire(port) as wire:
        wire.send(request)
        return wire.read_answer(request.split(b" ", 1)[0].decode())


def request(
    target: str = "/",
    *,
    method: str = "GET",
    headers: HeaderList | None = None,
    body: bytes | None = None,
    host: str = "site.example",
) -> bytes:
    """Return a request's bytes; a body gets a Content-Length."""
    lines = [f"{method} {target} HTTP/1.1".encode("latin-1"), b"host: " + host.encode()]
    lines += [name + b": " + value for name, value in headers or []]
    if body is not None:
        lines.append(b"content-length: " + str(len(body)).encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def chunked(parts: list[bytes], trailers: bytes = b"") -> bytes:
    """Return a chunked body; `trailers` are whole lines."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return framed + b"0\r\n" + trailers + b"\r\n"


def unchunk(framed: bytes) -> tuple[bytes, bytes]:
    """Return a chunked body's data and its trailers."""
    data = b""
    while True:
        line, _, framed = framed.partition(b"\r\n")
        size = int(line, 16)
        if not size:
            return data, framed.removesuffix(b"\r\n")
        data += framed[:size]
        framed = framed[size + 2 :]


def wait_until(fact: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not fact():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)
