"""Connections whose bytes an application takes into its own hands, as with Go's `http.Hijacker`.

A stream that lives for half an hour needs nothing of what a request needed: no task with the frames of
every layer, no parser, no scope. An application that finds `gateway.hijack` among the extensions of its
scope calls it with an owner, writes to what it gets, and returns; uvicorn's protocol is then replaced on
the transport by a few slots. Measured: a tenth of the memory, and a broadcast without a task switch.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final, Protocol

from websockets.protocol import CLOSED, CLOSING
from websockets.server import ServerProtocol

from gateway.server.connections import Place
from gateway.server.limits import LINGER_S

EXTENSION: Final = "gateway.hijack"

# Most that is read, for nothing, from a client that has nothing more to say: WebSocket pings above all.
RECEIVED_BYTES: Final = 65_536

# One such message is already strange; the largest control frame has 125 bytes (RFC 6455, section 5.5).
MESSAGE_BYTES: Final = 4096

# Asked of the kernel, which takes twice as much. Left alone it grows to megabytes for a client that does
# not read, and every byte of that is a pointer long since passed.
SEND_BUFFER_BYTES: Final = 16_384


class Owner(Protocol):
    """Whoever took the connection over."""

    def pause(self) -> None:
        """Called when something could not be written at once: no more until `resume`."""

    def resume(self) -> None:
        """Called when all that was written is with the kernel."""

    def end(self) -> None:
        """Called when the server is shut down: `finish` the connection."""

    def lost(self) -> None:
        """Called once, when the connection is closed, by whomever."""


class Hijacked(asyncio.Protocol):
    """A connection that is only written to. What the client sends is dropped, up to RECEIVED_BYTES."""

    __slots__ = ("_connections", "_left", "_owner", "_place", "transport")

    def __init__(
        self,
        transport: asyncio.Transport,
        connections: set[Any],
        place: Place | None,
        owner: Owner,
        send_timeout_s: float,
    ) -> None:
        self.transport = transport
        self._connections = connections
        self._place = place
        self._owner = owner
        self._left = RECEIVED_BYTES
        connections.add(self)
        transport.set_protocol(self)
        # Whatever the kernel does not take at once pauses: then no more than one write waits here.
        transport.set_write_buffer_limits(high=0)
        _keep_short(transport.get_extra_info("socket"), send_timeout_s)

    @property
    def write(self) -> Callable[[bytes], None]:
        """Sends bytes at once as far as the kernel takes them; not to be called while paused."""
        return self.transport.write

    def finish(self, last: bytes) -> None:
        """Write the last bytes and close; who takes nothing is cut off after a moment."""
        self.transport.write(last)
        self.transport.close()
        self._cut_off_later()

    def abort(self) -> None:
        self.transport.abort()

    def shutdown(self) -> None:
        """Called by uvicorn's server."""
        self._owner.end()

    def _cut_off_later(self) -> None:
        asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)

    # The transport's calls.

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.transport.abort()

    def pause_writing(self) -> None:
        self._owner.pause()

    def resume_writing(self) -> None:
        self._owner.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's words
        self._connections.discard(self)
        if self._place is not None:
            self._place.give_back()
        self._owner.lost()


class HijackedWebSocket(Hijacked):
    """A WebSocket to which whole frames are written; pings and closing are answered by the library."""

    __slots__ = ("_conn",)

    def __init__(self, conn: ServerProtocol, *args: Any) -> None:
        super().__init__(*args)
        conn.max_message_size = MESSAGE_BYTES
        self._conn = conn

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake (RFC 6455, section 7.1.2), and wait for its end only a moment."""
        if self._conn.state not in (CLOSING, CLOSED):
            self._conn.send_close(code, reason)
            self._flush()
        self._cut_off_later()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.is_closing():
            return
        self._conn.receive_data(data)
        # Nothing that a client says here means anything.
        self._conn.events_received()
        self._flush()
        if self._conn.close_expected():
            self.transport.close()
            self._cut_off_later()

    def _flush(self) -> None:
        output = b"".join(self._conn.data_to_send())
        if output:
            self.transport.write(output)


def _keep_short(sock: socket.socket | None, send_timeout_s: float) -> None:
    """Let the kernel hold little, and give up a client that is gone without a word."""
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = int(send_timeout_s * 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
