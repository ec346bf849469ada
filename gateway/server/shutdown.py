"""The one word that everything which would run for ever waits for."""

import asyncio


class Shutdown:
    """Made by whoever starts the server, handed to whatever must end with it (streams above all).

    Requested once, everything ends in its own time; forced, at once. There is no way back.
    """

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._forced = asyncio.Event()

    @property
    def requested(self) -> bool:
        return self._requested.is_set()

    @property
    def forced(self) -> bool:
        return self._forced.is_set()

    def request(self) -> None:
        self._requested.set()

    def force(self) -> None:
        self._requested.set()
        self._forced.set()

    async def wait(self) -> None:
        await self._requested.wait()

    async def wait_forced(self) -> None:
        await self._forced.wait()
