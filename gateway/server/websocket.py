"""uvicorn's WebSocket protocol, counted and watched like the connection it grew out of."""

import logging
from typing import Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway.server.connections import Place, SendClock, Watch
from gateway.server.limits import ServerLimits

# uvicorn writes a line with the whole target for every WebSocket, at the level of its start-up lines.
_LOG: Final = logging.getLogger("gateway.server.websocket")
_LOG.setLevel(logging.WARNING)


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A connection that was upgraded; it keeps its place until it ends."""

    _place: Place | None = None
    _watch: Watch | None = None
    _sending: SendClock

    def take_over(self, place: Place | None, watch: Watch, limits: ServerLimits) -> None:
        self.logger = _LOG
        self._place = place
        self._watch = watch
        self._sending = SendClock(limits.send_timeout_s)
        watch.add(self, self.loop)

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
