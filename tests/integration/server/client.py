"""A client that sends exactly the bytes it is told to, and reads answers one by one."""

import json
import select
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> Any:
        assert self.headers["content-type"] == "application/problem+json"
        return json.loads(self.body)

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(TIMEOUT_S)
        self.sock = sock
        self._unread = b""

    @classmethod
    def connect(cls, port: int) -> Self:
        return cls(socket.create_connection(("127.0.0.1", port)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, every_s: float) -> None:
        """Send bytes one by one, until all are sent or the other side has something to say."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if select.select([self.sock], [], [], every_s)[0]:
                return

    def ask(self, data: bytes) -> Answer:
        self.send(data)
        return self.read_answer()

    def read_answer(self, *, to_head: bool = False) -> Answer:
        while b"\r\n\r\n" not in self._unread:
            self._fill()
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        status = int(line.split()[1])
        if to_head or status == 100:
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._read_chunks())
        return Answer(status, headers, self._read_exactly(int(headers["content-length"])))

    def read_to_end(self) -> bytes:
        """Everything until the other side closes, in whichever way."""
        try:
            while piece := self.sock.recv(65536):
                self._unread += piece
        except ConnectionError:
            pass
        data, self._unread = self._unread, b""
        return data

    def read_to_fin(self) -> bytes:
        """Everything until the other side closes in good order; a reset is an error."""
        while piece := self.sock.recv(65536):
            self._unread += piece
        data, self._unread = self._unread, b""
        return data

    def _fill(self) -> None:
        piece = self.sock.recv(65536)
        if not piece:
            raise EOFError(f"closed after {self._unread!r}")
        self._unread += piece

    def _read_exactly(self, length: int) -> bytes:
        while len(self._unread) < length:
            self._fill()
        data, self._unread = self._unread[:length], self._unread[length:]
        return data

    def _read_chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self._unread:
                self._fill()
            size, _, self._unread = self._unread.partition(b"\r\n")
            piece = self._read_exactly(int(size, 16))
            self._read_exactly(2)
            if not piece:
                return body
            body += piece


def get(path: str = "/hello", *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: t", *fields, "", ""]).encode("latin-1")


def post(path: str, body: bytes = b"", *fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: t", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def chunked(path: str, *chunks: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
