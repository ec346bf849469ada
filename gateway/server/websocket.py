"""uvicorn's WebSocket protocol, counted and watched like the connection it grew out of."""

import asyncio
import logging
from typing import Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.server.connections import Place, SendClock, Watch
from gateway.server.hijack import EXTENSION, HijackedWebSocket, Owner
from gateway.server.limits import ServerLimits

# uvicorn writes a line with the whole target for every WebSocket, at the level of its start-up lines.
_LOG: Final = logging.getLogger("gateway.server.websocket")
_LOG.setLevel(logging.WARNING)


class _GivenAway:
    """Stands in for a transport that is another's: uvicorn closes it when its application returns."""

    def close(self) -> None:
        pass


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A connection that was upgraded; it keeps its place until it ends."""

    _place: Place | None = None
    _watch: Watch | None = None
    _sending: SendClock
    _send_timeout_s: float

    def take_over(self, place: Place | None, watch: Watch, limits: ServerLimits) -> None:
        self.logger = _LOG
        self._place = place
        self._watch = watch
        self._send_timeout_s = limits.send_timeout_s
        self._sending = SendClock(limits.send_timeout_s)
        watch.add(self, self.loop)

    async def run_asgi(self) -> None:
        cast("dict[str, Any]", self.scope)["extensions"][EXTENSION] = self._hijack
        await super().run_asgi()

    def _hijack(self, owner: Owner) -> HijackedWebSocket | None:
        """Give the connection, once it was accepted, to `owner`, and let go of everything else.

        Its keepalive ends with that: an owner sends often enough to notice who is gone.

        Returns:
            None when the client is gone already.
        """
        transport = self.transport
        if self.disconnected or self.close_sent or transport.is_closing():
            return None
        if not self.writable.is_set():
            owner.pause()
        if self.read_paused:
            transport.resume_reading()
        self.stop_keepalive()
        self.connections.discard(self)
        place, self._place = self._place, None
        if self._watch is not None:
            self._watch.discard(self)
        self.transport = cast("asyncio.Transport", _GivenAway())
        return HijackedWebSocket(
            self.conn, transport, self.connections, place, owner, self._send_timeout_s
        )

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._place is not None:
            self._place.give_back()
        if self._watch is not None:
            self._watch.discard(self)

    def check(self, now: float) -> None:
        unsent = not self.writable.is_set() or self.transport.is_closing()
        if unsent and self._sending.is_stuck(self.transport, now):
            self.transport.abort()
