"""uvicorn's two HTTP protocols with the guard in front."""

import asyncio
from http import HTTPStatus
from typing import Any, Literal, TypeAlias, cast

import h11
import httptools
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.h11_impl import RequestResponseCycle as H11Cycle
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle as HttpToolsCycle

from gateway.server.connections import Census, Watch
from gateway.server.guard import UNSEEN, Guard
from gateway.server.heads import quick_looks
from gateway.server.limits import ServerLimits
from gateway.server.websocket import GuardedWebSocket

HttpParser: TypeAlias = Literal["httptools", "h11"]


class GuardedHttpTools(Guard[HttpToolsCycle], HttpToolsProtocol):
    def _feed(self, data: bytes) -> None:
        # As uvicorn's `data_received`, without the timer that never runs.
        try:
            self.parser.feed_data(data)  # pyright: ignore[reportOptionalMemberAccess] - until the end
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
        else:
            self._offer_hijack()

    def _forget(self) -> None:
        del self.parser
        del self.cycle

    def handle_websocket_upgrade(self) -> None:
        self.ws_protocol_class = GuardedWebSocket
        super().handle_websocket_upgrade()
        self._after_upgrade()

    def on_response_complete(self) -> None:
        # uvicorn's own arms and cancels a timer for every request, which the watch makes needless,
        # and starts the next pipelined request, which the guard has kept back.
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self._plain:
                self._since = UNSEEN
            else:
                self._after_response()


class GuardedH11(Guard[H11Cycle], H11Protocol):
    def _feed(self, data: bytes) -> None:
        H11Protocol.data_received(self, data)
        self._offer_hijack()

    def _forget(self) -> None:
        del self.conn
        del self.cycle

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self.ws_protocol_class = GuardedWebSocket
        super().handle_websocket_upgrade(event)
        self._after_upgrade()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # the watch keeps the time
        if self._plain:
            self._since = UNSEEN
        elif not self.transport.is_closing():
            self._after_response()

    def _make_last(self, cycle: H11Cycle) -> None:
        super()._make_last(cycle)
        # Unlike with httptools, uvicorn would close without having said so.
        cycle.default_headers = [*cycle.default_headers, (b"connection", b"close")]


def protocol_class(http: HttpParser, limits: ServerLimits) -> type[asyncio.Protocol]:
    """Make the protocol of one listening server: the class carries its limits and its counts."""
    base: type[Guard[Any]] = GuardedHttpTools if http == "httptools" else GuardedH11
    # llhttp refuses control characters, h11 most of them but not all.
    looks = quick_looks(limits, parser_refuses_controls=http == "httptools")
    members = {
        "limits": limits,
        "census": Census(limits),
        "watch": Watch(limits),
        "looks": looks,
        # What most requests pay for, within reach; a builtin, which Python does not bind.
        "_header_bytes": limits.header_bytes,
        "_looks_bare": looks.bare,
    }
    return cast("type[asyncio.Protocol]", type(f"Limited{base.__name__}", (base,), members))
