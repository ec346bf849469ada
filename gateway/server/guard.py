"""The guard in front of uvicorn's HTTP protocols: deadlines, caps, and one reading of every request.

It cuts the stream into requests itself and hands the parser one at a time, so that both parsers see
the same bytes, and nothing that `heads` or `chunks` could not vouch for. It leans on uvicorn's
insides (`cycle`, `flow`, `on_response_complete`); the tests in tests/integration/server hold them.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar, Final, Generic, cast

from uvicorn.protocols.http.flow_control import FlowControl

from gateway.server.bodies import BadChunk, Body, ChunkReader, SizedBody
from gateway.server.connections import Census, Place, SendClock, Watch, retry_after_s
from gateway.server.cycles import C, Stage, until_read
from gateway.server.heads import (
    CHUNKED,
    END,
    QuickLooks,
    Refused,
    judge,
    judge_part,
    without_upgrade,
)
from gateway.server.hijack import EXTENSION, Hijacked, Owner
from gateway.server.limits import AHEAD_BYTES, IDLE_GRACE_S, LINGER_BYTES, LINGER_S, ServerLimits
from gateway.server.refusals import refusal
from gateway.server.websocket import GuardedWebSocket

# When a connection fell idle is noted by the next sweep, not by the request that ended.
UNSEEN: Final = -1.0

# POST, PUT and PATCH have a body as a rule, the other methods have none.
_P: Final = b"P"[0]


class Guard(ABC, asyncio.Protocol, Generic[C]):
    """Comes before a uvicorn protocol in the order of bases."""

    limits: ClassVar[ServerLimits]
    census: ClassVar[Census]
    watch: ClassVar[Watch]
    looks: ClassVar[QuickLooks]

    # uvicorn's.
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    flow: FlowControl
    cycle: C
    scope: Any
    connections: set[Any]

    # Ours; on the class, as most connections never change most of them.
    _place: Place | None = None
    _stage = Stage.HEAD
    _plain = True  # in stage HEAD, with nothing pending and no shutdown under way
    _closing = False
    _pending = b""
    _scanned = 0
    _body: Body | None = None
    _linger_left = LINGER_BYTES
    _got = 0
    _since = 0.0
    _sending: SendClock

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, as uvloop's transports are no subclasses of asyncio's.
        transport = cast("asyncio.Transport", transport)
        peer: object = transport.get_extra_info("peername")
        place = self.census.admit(peer)
        if place is None:
            self._plain = False
            transport.write(refusal(HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s(peer)))
            transport.close()
            return
        self._place = place
        super().connection_made(transport)
        self._since = self.loop.time()
        self._sending = SendClock(self.limits.send_timeout_s)
        self.watch.add(self, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._place is not None:
            self.watch.discard(self)
            self._place.give_back()
            # It holds our own method: a ring that only the garbage collector would find.
            self.scope = None
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # The way of most requests: one, whole, and nothing else under way.
        if (
            self._plain
            and (not self.cycle or self.cycle.response_complete)
            and len(data) <= self._header_bytes
            and (self.looks.is_whole(data) if data[0] == _P else self._looks_bare(data))
        ):
            self._feed(data)
        elif self._place is not None:
            self._receive(data)

    def shutdown(self) -> None:
        """Called by uvicorn's server once, when it stops accepting."""
        self._plain = False
        self._closing = True
        if self._stage is Stage.LINGER:
            self.transport.close()
        elif self._is_busy():
            self._make_last(self.cycle)
        else:
            self.loop.call_later(IDLE_GRACE_S, self._close_if_idle)

    # What the subclasses bring.

    _header_bytes: ClassVar[int]
    _looks_bare: Callable[[bytes], object]

    @abstractmethod
    def _feed(self, data: bytes) -> None:
        """Give the parser what the guard vouches for."""

    def _make_last(self, cycle: C) -> None:
        cycle.keep_alive = False

    @abstractmethod
    def _forget(self) -> None:
        """Break the rings that a connection given away is left in."""

    # uvicorn's hooks.

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own words
        """Called when the parser refuses what the guard let through."""
        self._refuse(HTTPStatus.BAD_REQUEST)

    def _unsupported_upgrade_warning(self) -> None:
        """Ignore the offer, as RFC 9110, section 7.8 allows; uvicorn would log a line for each."""

    def _after_upgrade(self) -> None:
        self.watch.discard(self)
        upgraded = cast("GuardedWebSocket", self.transport.get_protocol())
        upgraded.take_over(self._place, self.watch, self.limits)

    def _after_response(self) -> None:
        """Called when something else than an idle connection follows."""
        self._since = self.loop.time()
        if self._body is not None and not self._body.may_be_swallowed:
            self._linger()
        else:
            self._receive(b"")

    # Handing over.

    def _offer_hijack(self) -> None:
        """Called when a request was parsed, before its application runs."""
        if self.scope is not None:
            self.scope["extensions"] = {EXTENSION: self._hijack}

    def _hijack(self, owner: Owner) -> Hijacked | None:
        """Give the connection to `owner`, and let go of everything else.

        The application writes its head itself and returns. Requests that the client sent ahead are
        not answered: nothing but the end of the connection tells where such an answer would begin.

        Returns:
            None when the client is gone already.
        """
        cycle = self.cycle
        if cycle.disconnected or self.transport.is_closing():
            return None
        # uvicorn says nothing of an application that leaves a client which is gone.
        cycle.disconnected = True
        if self.flow.write_paused:
            owner.pause()
        self.flow.resume_reading()
        self.connections.discard(self)
        self.watch.discard(self)
        place, self._place = self._place, None
        hijacked = Hijacked(
            self.transport, self.connections, place, owner, self.limits.send_timeout_s
        )
        if self._closing:
            self.loop.call_soon(hijacked.shutdown)
        self.scope = None
        self._forget()
        return hijacked

    # Reading.

    def _is_busy(self) -> bool:
        # Truth, not `is None`: uvicorn's annotation does not say that there may be none.
        return bool(self.cycle) and not self.cycle.response_complete

    def _receive(self, data: bytes) -> None:
        if self._stage is Stage.LINGER:
            self._linger_left -= len(data)
            if self._linger_left < 0:
                self.transport.abort()
            return
        self._pending = self._pending + data if self._pending else data
        while self._pending and not self.transport.is_closing():
            if not (self._read_body(self._body) if self._body else self._read_head()):
                break
        self._plain = self._stage is Stage.HEAD and not self._pending and not self._closing

    def _read_head(self) -> bool:
        """Take one head from what is pending; False when that must wait."""
        if self._stage is Stage.LINGER:
            return False
        if self._is_busy():
            # One request at a time: whoever sends ahead is not read until it is answered.
            self.flow.pause_reading()
            if len(self._pending) > AHEAD_BYTES:
                self.transport.abort()
            return False
        if not self._scanned and self._pending.startswith(b"\r\n"):
            # RFC 9112, section 2.2: an empty line before a request is to be ignored.
            self._pending = self._pending[2:]
            if not self._pending:
                return False
        end = self._pending.find(END, self._scanned)
        if end < 0:
            if not self._scanned:
                self._since = self.loop.time()
            self._scanned = max(1, len(self._pending) - 3)
            hopeless = judge_part(self._pending, self.limits)
            if hopeless is not None:
                self._refuse(hopeless.status)
            return False
        head, rest = self._pending[: end + 4], self._pending[end + 4 :]
        self._pending, self._scanned = rest, 0
        return self._begin(head)

    def _begin(self, head: bytes) -> bool:
        verdict = self.looks.accept(head) or judge(head, self.limits)
        if isinstance(verdict, Refused):
            self._refuse(verdict.status)
            return False
        if verdict.websocket and self._pending:
            # RFC 9931: what comes before our 101 must not be taken for the new protocol.
            self._refuse(HTTPStatus.BAD_REQUEST)
            return False
        if verdict.body:
            self._stage = Stage.BODY
            self._body = ChunkReader() if verdict.body == CHUNKED else SizedBody(verdict.body)
            self._since, self._got = self.loop.time(), 0
        self._feed(without_upgrade(head) if verdict.offers_upgrade else head)
        if self._is_busy():
            if verdict.body:
                self.cycle.transport = until_read(self.transport, self.close_politely)
            if self._closing:
                self._make_last(self.cycle)
        return True

    def _read_body(self, body: Body) -> bool:
        self._got += len(self._pending)
        try:
            seen, self._pending = body.read(self._pending)
        except BadChunk:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return False
        if body.done:
            self._stage = Stage.HEAD
            self._body = None
            self._since = self.loop.time()
        if seen:
            self._feed(seen)
        return True

    # Ending.

    def _refuse(self, status: HTTPStatus) -> None:
        started = False
        if self._is_busy():
            cycle = self.cycle
            started = cycle.response_started
            # From here on the application talks to nobody, and is told so.
            cycle.disconnected = True
            cycle.message_event.set()
            self.flow.resume_writing()
        if not started:
            self.transport.write(refusal(status))
        self._linger()

    def _linger(self) -> None:
        self._stage = Stage.LINGER
        self._plain = False
        self._pending = b""
        self._body = None
        self._since = self.loop.time()
        if self._closing or not self.transport.can_write_eof():
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write_eof()
            self.flow.resume_reading()

    def close_politely(self) -> None:
        """Close at once when the client has sent all that it announced, else after a while."""
        if self._stage is Stage.BODY:
            self._linger()
        elif self._stage is Stage.HEAD:
            self.transport.close()

    def _close_if_idle(self) -> None:
        if self.transport.get_protocol() is not self:
            # Given away meanwhile, to a stream or a WebSocket, which end by themselves.
            return
        if self._stage is Stage.HEAD and not self._pending and not self._is_busy():
            self.transport.close()

    # Deadlines.

    def check(self, now: float) -> None:
        transport = self.transport
        if self.flow.write_paused or transport.is_closing():
            if self._sending.is_stuck(transport, now):
                transport.abort()
            if transport.is_closing():
                return
        waited_s = now - self._since
        if self._stage is Stage.LINGER:
            if waited_s > LINGER_S:
                transport.abort()
        elif self._stage is Stage.BODY:
            self._check_body(now)
        elif self._is_busy():
            return
        elif self._pending:
            if waited_s > self.limits.receive_timeout_s:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif self._since == UNSEEN:
            self._since = now
        elif waited_s > (
            # Nothing was asked, so nothing is answered: a browser that connects ahead of need would
            # take a 408 for the answer to its first request (HAProxy, `option http-ignore-probes`).
            self.limits.keep_alive_s if self.cycle else self.limits.receive_timeout_s
        ):
            transport.close()

    def _check_body(self, now: float) -> None:
        cycle = self.cycle
        # Reading is paused only while there is a body to take.
        if (cycle.body or cycle.waiting_for_100_continue) and not cycle.response_complete:
            # The application has yet to take it, or to ask for more: not the client's fault.
            self._since, self._got = now, 0
        elif now - self._since > self.limits.receive_timeout_s:
            if self._got >= self.limits.body_floor_bytes:
                self._since, self._got = now, 0
            elif cycle.response_complete:
                self._linger()
            else:
                self._refuse(HTTPStatus.REQUEST_TIMEOUT)
