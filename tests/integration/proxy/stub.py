"""A backend on a raw socket that does what a test scripts, right or wrong."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Script = Callable[["Conversation"], Awaitable[None]]


@dataclass(slots=True)
class Conversation:
    """One connection of the backend.

    Attributes:
        number: 1 for the backend's first connection.
        ended: Set once the proxy closed it.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    backend: "StubBackend"

    async def read_head(self) -> bytes:
        """Read a request's head and note it. Raises IncompleteReadError at the connection's end."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.backend.heads.append(head)
        return head

    async def read_chunked(self) -> bytes:
        """Read a chunked body as it came, framing and all."""
        body = b""
        while True:
            line = await self.reader.readuntil(b"\r\n")
            body += line
            if int(line, 16) == 0:
                return body + await self.reader.readuntil(b"\r\n")
            body += await self.reader.readexactly(int(line, 16) + 2)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_closed(self) -> None:
        """Wait until the proxy closes the connection, whatever it still sends."""
        try:
            while await self.reader.read(65_536):
                pass
        except ConnectionResetError:
            pass
        self.backend.closed.set()

    def reset(self) -> None:
        self.writer.transport.abort()


@dataclass
class StubBackend:
    """Runs a script for each connection, on a loop in a thread of its own.

    Attributes:
        heads: Every request head that a script read, as it came.
        closed: Set when the proxy was seen to close a connection.
        connections: How many there were.
    """

    script: Script
    read_limit: int = 2**16
    tls: ssl.SSLContext | None = None
    heads: list[bytes] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)
    connections: int = 0
    port: int = 0

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def hold(self) -> None:
        """Keep a connection open without reading, until the backend ends."""
        self.holding.set()
        await self._stop.wait()

    def stands_still(self, for_s: float = 1.0) -> bool:
        """Whether a script that sends and then holds is still not done with sending."""
        return not self.holding.wait(for_s)

    @property
    def url(self) -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, limit=self.read_limit, ssl=self.tls
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = Conversation(reader, writer, self.connections, self)
        task = self._loop.create_task(self._converse(talk))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _converse(self, talk: Conversation) -> None:
        try:
            await self.script(talk)
        except (asyncio.IncompleteReadError, OSError):
            self.closed.set()
        finally:
            talk.writer.close()


def answering(answer: bytes) -> Script:
    """Answer every request of a connection with the same bytes; requests have no body."""

    async def script(talk: Conversation) -> None:
        while True:
            await talk.read_head()
            await talk.send(answer)

    return script


def answering_once(answer: bytes) -> Script:
    """Answer the first request and close the connection."""

    async def script(talk: Conversation) -> None:
        await talk.read_head()
        await talk.send(answer)

    return script
