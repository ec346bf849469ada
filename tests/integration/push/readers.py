"""Clients of the push that read frame by frame, from the bytes on the wire."""

import contextlib
import json
import select
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

TIMEOUT_S = 20.0
SILENCE_S = 0.6


@dataclass(frozen=True, slots=True)
class Event:
    """One block of a stream: an event, a comment, or a `retry` alone."""

    name: str = ""
    id: str = ""
    data: bytes = b""
    retry_ms: int | None = None
    comment: str = ""

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(slots=True)
class Head:
    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])


class EventReader:
    """An EventSource that sees everything: it reads `/queue/{event}/events` over a socket of its own."""

    def __init__(
        self,
        port: int,
        event: str,
        *,
        host: str = "any.example",
        known: str = "",
        version: str = "1.1",
        method: str = "GET",
        receive_buffer: int = 0,
        source: str = "",
        body: bytes = b"",
    ) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(("127.0.0.1", port))
        lines = [f"{method} /queue/{event}/events HTTP/{version}", f"Host: {host}"]
        if known:
            lines.append(f"Last-Event-ID: {known}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        self._raw = b""
        self._text = b""
        self._ended = False
        self._head: Head | None = None
        self.whole = True
        """Whether the end was said, and the stream not cut off."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    @property
    def head(self) -> Head:
        if self._head is None:
            while b"\r\n\r\n" not in self._raw:
                assert self._fill(), f"closed after {self._raw!r}"
            text, _, self._raw = self._raw.partition(b"\r\n\r\n")
            line, *fields = text.decode("latin-1").split("\r\n")
            pairs = (field.partition(": ") for field in fields)
            self._head = Head(
                int(line.split()[1]), {name.lower(): value for name, _, value in pairs}
            )
        return self._head

    def next(self) -> Event | None:
        """Return the next block; None at the end of the stream."""
        while b"\n\n" not in self._text:
            if self._ended or not self._more():
                assert not self._text, self._text
                return None
        block, _, self._text = self._text.partition(b"\n\n")
        return _parse(block)

    def frame(self) -> Event:
        """Return the next event with a document."""
        while (event := self.next()) is not None:
            if event.name == "pointer":
                return event
        raise AssertionError("the stream has ended")

    def until(self, served_up_to: int) -> list[Event]:
        """Return all frames until the pointer is there."""
        frames = [self.frame()]
        while frames[-1].json()["served_up_to"] < served_up_to:
            frames.append(self.frame())
        return frames

    def rest(self) -> list[Event]:
        """Return everything until the stream ends."""
        events: list[Event] = []
        while (event := self.next()) is not None:
            events.append(event)
        return events

    def is_silent(self) -> bool:
        """Whether nothing comes for a while."""
        return not self._text and not select.select([self.socket], [], [], SILENCE_S)[0]

    def _more(self) -> bool:
        if self.head.status == 204:
            return False
        if (announced := self.head.headers.get("content-length")) is not None:
            while len(self._raw) < int(announced):
                assert self._fill(), "cut short"
            self._text, self._ended = self._raw, True
            return bool(self._raw)
        if self.head.headers.get("transfer-encoding") != "chunked":
            if self._raw or self._fill():
                self._text, self._raw = self._text + self._raw, b""
                return True
            self._ended = True
            return False
        while b"\r\n" not in self._raw:
            if not self._fill():
                self.whole, self._ended = False, True
                return False
        size, _, self._raw = self._raw.partition(b"\r\n")
        length = int(size, 16)
        while len(self._raw) < length + 2:
            if not self._fill():
                self.whole, self._ended = False, True
                return False
        self._text += self._raw[:length]
        assert self._raw[length : length + 2] == b"\r\n"
        self._raw = self._raw[length + 2 :]
        self._ended = not length
        return bool(length)

    def _fill(self) -> bool:
        try:
            piece = self.socket.recv(65_536)
        except ConnectionError:
            return False
        self._raw += piece
        return bool(piece)


def _parse(block: bytes) -> Event:
    fields: dict[str, Any] = {}
    for line in block.split(b"\n"):
        name, _, value = line.partition(b": ")
        match name:
            case b"event":
                fields["name"] = value.decode()
            case b"id":
                fields["id"] = value.decode()
            case b"data":
                assert "data" not in fields, "a document has one line"
                fields["data"] = value
            case b"retry":
                fields["retry_ms"] = int(value)
            case b"":
                fields["comment"] = value.decode()
            case _:
                raise AssertionError(block)
    return Event(**fields)


def open_socket(
    port: int, event: str, *, host: str = "any.example", receive_buffer: int = 0, **options: Any
) -> ClientConnection:
    """Open the WebSocket, as a browser does that offers compression."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(TIMEOUT_S)
    connection.connect(("127.0.0.1", port))
    url = f"ws://{host}/queue/{event}/ws"
    opened: ClientConnection = connect(url, sock=connection, proxy=None, **options)
    return opened


def rest_of(connection: ClientConnection) -> tuple[list[str], int, str]:
    """Read to the end; return what came, and with which code and reason it was closed."""
    heard: list[str] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            heard.append(str(connection.recv(TIMEOUT_S)))
    said = connection.protocol.close_rcvd
    assert said is not None, "cut off"
    return heard, said.code, said.reason


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a client's frame (RFC 6455, section 5.2); the mask is zero, so the payload is plain."""
    length = len(payload)
    first = bytes([(0x80 if fin else 0) | opcode])
    if length < 126:
        head = first + bytes([0x80 | length])
    elif length < 65_536:
        head = first + b"\xfe" + struct.pack(">H", length)
    else:
        head = first + b"\xff" + struct.pack(">Q", length)
    return head + bytes(4) + payload
