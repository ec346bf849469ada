"""A link to a server that fails as networks do: a relay of TCP or Unix sockets which can be told how."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import TypeAlias

Address: TypeAlias = Path | tuple[str, int]
"""The path of a Unix socket, or host and port."""

CHUNK = 65_536


class Direction(Enum):
    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


BOTH_WAYS = frozenset(Direction)


class FaultyLink:
    """Passes bytes both ways; its attributes and methods make it fail, `heal` ends all of that.

    A reply is what the server sends at once: nearly always one answer, or those of one pipeline.

    Args:
        server: Where the link leads to.
        listen: A path for a Unix socket; None for a free TCP port of this machine.
        seed: Of the losses by chance.

    Attributes:
        delay_s: How long every byte takes, each way. Bytes that follow each other are under way together.
        lost_replies: The share of replies that are lost, with their connection.
        cut_replies: The share of replies of which the first half arrives, and then the connection ends.
        bytes_per_s: How many bytes a connection carries in a second, each way; None for no limit.
        lost: Replies that were lost or cut until now.
        passed: Bytes passed on until now, each way.
    """

    def __init__(self, server: Address, listen: Path | None = None, *, seed: int = 0) -> None:
        self._server = server
        self._listen: Address | None = listen
        self._chance = random.Random(seed)
        self._open: set[_Connection] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None
        self._black: frozenset[Direction] = frozenset()
        self._next_losses = 0
        self._skip = 0
        self.delay_s = 0.0
        self.lost_replies = 0.0
        self.cut_replies = 0.0
        self.bytes_per_s: float | None = None
        self.lost = 0
        self.passed = dict.fromkeys(Direction, 0)

    @property
    def url(self) -> str:
        """Where clients of a ledger connect to."""
        assert self._listen is not None, "the link is not up yet"
        if isinstance(self._listen, Path):
            return f"unix://{self._listen}"
        host, port = self._listen
        return f"redis://{host}:{port}"

    @property
    def connections(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultyLink"]:
        await self._begin_to_listen()
        try:
            yield self
        finally:
            await self._stop_listening()
            await asyncio.sleep(0)  # for who was being accepted just then
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    # --- Faults ----------------------------------------------------------------------------------

    def black_hole(self, *directions: Direction) -> None:
        """Let all bytes vanish, by default both ways: connections stay open and nothing arrives.

        One direction alone makes the link half-open: what the server is asked it does, and nobody is told.
        """
        self._black = frozenset(directions) or BOTH_WAYS

    async def reject(self) -> None:
        """Cut every connection, and refuse new ones."""
        await self._stop_listening()
        self.cut()

    def cut(self) -> None:
        """End every connection, as a restarted middlebox does. New ones are welcome."""
        for connection in self._open:
            connection.cut()

    def lose_replies(self, count: int, *, after: int = 0) -> None:
        """Lose exactly `count` replies with their connections, behind the next `after` ones.

        The server has carried out the command by then: the client cannot know.
        """
        self._next_losses, self._skip, self.lost = count, after, 0

    async def heal(self) -> None:
        """End every fault. A connection that has lost bytes is cut: its stream has a gap."""
        self.delay_s = self.lost_replies = self.cut_replies = 0.0
        self.bytes_per_s = None
        self._black = frozenset()
        self._next_losses = self._skip = 0
        for connection in self._open:
            if connection.has_gap:
                connection.cut()
        if self._listening is None:
            await self._begin_to_listen()

    # --- Passing on ------------------------------------------------------------------------------

    async def _begin_to_listen(self) -> None:
        if isinstance(self._listen, Path):
            self._listening = await asyncio.start_unix_server(self._accept, str(self._listen))
            return
        host, port = self._listen or ("127.0.0.1", 0)
        self._listening = await asyncio.start_server(self._accept, host, port)
        self._listen = (host, int(self._listening.sockets[0].getsockname()[1]))

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            # Not waited for: it would wait for the connections, which are ended by their own tasks.
            self._listening.close()
            self._listening = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)

        def is_over(task: asyncio.Task[None]) -> None:
            self._serving.discard(task)
            # A task that was cancelled before it began has ended nothing.
            _end(writer)

        task.add_done_callback(is_over)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._server, Path):
                up_reader, up_writer = await asyncio.open_unix_connection(str(self._server))
            else:
                up_reader, up_writer = await asyncio.open_connection(*self._server)
        except (OSError, asyncio.CancelledError):
            # The server is down, or the link: so is the connection to it.
            _end(writer)
            return
        connection = _Connection(self, (reader, writer), (up_reader, up_writer))
        self._open.add(connection)
        try:
            await connection.serve()
        finally:
            self._open.discard(connection)

    def swallows(self, direction: Direction) -> bool:
        return direction in self._black

    def share_that_arrives(self) -> float:
        """Decide on one reply: 1 for all of it, 0 when it is lost, or the half."""
        if self._next_losses and self._skip == 0:
            self._next_losses -= 1
            self.lost += 1
            return 0.0
        self._skip = max(self._skip - 1, 0)
        if self.lost_replies and self._chance.random() < self.lost_replies:
            self.lost += 1
            return 0.0
        if self.cut_replies and self._chance.random() < self.cut_replies:
            self.lost += 1
            return 0.5
        return 1.0


_End: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_UnderWay: TypeAlias = "asyncio.Queue[tuple[float, bytes]]"


class _Connection:
    """One connection of a client, and the one to the server that belongs to it."""

    def __init__(self, link: FaultyLink, client: _End, server: _End) -> None:
        self._link = link
        self._client = client
        self._server = server
        self._is_over = asyncio.Event()
        self.has_gap = False

    def cut(self) -> None:
        self._is_over.set()

    async def serve(self) -> None:
        up: _UnderWay = asyncio.Queue()
        down: _UnderWay = asyncio.Queue()
        tasks = [
            asyncio.create_task(self._take(self._client[0], up, Direction.TO_SERVER)),
            asyncio.create_task(self._take(self._server[0], down, Direction.TO_CLIENT)),
            asyncio.create_task(self._give(up, self._server[1], Direction.TO_SERVER)),
            asyncio.create_task(self._give(down, self._client[1], Direction.TO_CLIENT)),
        ]
        try:
            await self._is_over.wait()
        finally:
            for task in tasks:
                task.cancel()
            # Both at once, and before anything is waited for: this task may be cancelled any moment.
            for _, writer in (self._client, self._server):
                _end(writer)
            await asyncio.gather(*tasks, return_exceptions=True)
            for _, writer in (self._client, self._server):
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _take(
        self, reader: asyncio.StreamReader, under_way: _UnderWay, direction: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._link.swallows(direction):
                    self.has_gap = True
                    continue
                under_way.put_nowait((loop.time() + self._link.delay_s, data))
        # What is under way still arrives, and then the news that this side has ended.
        under_way.put_nowait((loop.time() + self._link.delay_s, b""))

    async def _give(
        self, under_way: _UnderWay, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                due_s, data = await under_way.get()
                await asyncio.sleep(max(due_s - loop.time(), 0.0))
                if not data:
                    break
                whole = len(data)
                if direction is Direction.TO_CLIENT:
                    data = data[: int(whole * self._link.share_that_arrives())]
                await self._write(writer, data, direction)
                if len(data) < whole:
                    break
        self._is_over.set()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, direction: Direction) -> None:
        while data:
            pace = self._link.bytes_per_s
            piece, data = (data, b"") if pace is None else (data[:1], data[1:])
            writer.write(piece)
            await writer.drain()
            self._link.passed[direction] += len(piece)
            if pace is not None:
                await asyncio.sleep(1 / pace)


def _end(writer: asyncio.StreamWriter) -> None:
    # At once: whoever waits on this connection learns of it by a reset or an end, not by silence.
    transport = writer.transport
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_INET:
        transport.abort()
    writer.close()
