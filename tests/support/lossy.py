"""A relay in front of a server's socket that loses answers when told to."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class LossyRelay:
    """Passes bytes both ways; `lose_answers` makes the next ones vanish with their connection.

    The server has carried out the command by then: the client cannot know.
    """

    def __init__(self, server: Path, listen: Path) -> None:
        self._server = server
        self._listen = listen
        self._losses = 0
        self._skip = 0
        self.lost = 0
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"unix://{self._listen}"

    def lose_answers(self, count: int, *, after: int = 0) -> None:
        """Lose `count` answers, beginning behind the next `after` ones."""
        self._losses, self._skip, self.lost = count, after, 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LossyRelay"]:
        server = await asyncio.start_unix_server(self._accept, str(self._listen))
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._server))
        up = asyncio.create_task(_pump(reader, up_writer))
        try:
            while data := await up_reader.read(65536):
                if self._loses():
                    break
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            up.cancel()
            for end in (writer, up_writer):
                end.close()
                with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                    await end.wait_closed()

    def _loses(self) -> bool:
        if self._skip > 0:
            self._skip -= 1
            return False
        if self._losses == 0:
            return False
        self._losses -= 1
        self.lost += 1
        return True


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
