"""Asks the backend once a second whether it is well, where the site names a path for that."""

import asyncio
from collections.abc import Callable

from gateway.chance import CHANCE
from gateway.domain.backoff import is_failure
from gateway.edge.upstream import RequestUnsendable, Upstream, UpstreamError

EVERY_S = 1.0

# An answer that takes longer is none: visitors would have to wait as long.
PATIENCE_S = 3.0


class HealthProbe:
    """Asks until it is closed.

    Args:
        upstream: Of the backend; not closed with this.
        path: What to ask for.
        authority: The backend's own Host field.
        note: Told after each time whether it failed.
    """

    def __init__(
        self, upstream: Upstream, path: str, authority: bytes, note: Callable[[bool], None]
    ) -> None:
        self._upstream = upstream
        self._target = path.encode("ascii")
        self._authority = authority
        self._note = note
        self._asking: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._asking = asyncio.create_task(self._ask_on(), name="health-probe")

    async def aclose(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask_on(self) -> None:
        while True:
            self._note(await self._fails())
            await asyncio.sleep(EVERY_S * CHANCE.uniform(0.8, 1.2))

    async def _fails(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_S):
                # On a connection of its own: an answer whose body nobody reads leaves none behind.
                response = await self._upstream.request(
                    "GET",
                    self._target,
                    [(b"host", self._authority), (b"connection", b"close")],
                    None,
                )
        except (UpstreamError, RequestUnsendable, TimeoutError):
            return True
        response.abort()
        return is_failure(response.status)
