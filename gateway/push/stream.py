"""One connection of the push, and the two ways to write to it.

In our own server the broadcast writes to the transport (`gateway.hijack`, see gateway/server/hijack.py).
Through ASGI's `send` each client would cost a task switch, some five layers of coroutines and a framing of
its own: three times the time for one broadcast, and ten times the memory for one that waits. On other
servers the connection's own coroutine sends, and takes the newest frame when it is done with the last.
Either way nothing is queued: a reader that is too slow misses what was overtaken.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from enum import Enum
from typing import Any, Final, Protocol

from starlette.types import Receive

from gateway.push.frames import Frame

EXTENSION: Final = "gateway.hijack"

STUCK_S: Final = 60.0
"""Who takes nothing for so long is cut off; the same as the server's patience with any answer."""


class Ending(Enum):
    SHUTDOWN = "the server ends"
    AGE = "the stream is old"
    DELETED = "the event is gone"
    GONE = "the client is gone"


class Kind(Enum):
    EVENTS = "sse"
    WEBSOCKET = "websocket"


class Members(Protocol):
    """Whom a stream belongs to: the hub of its event."""

    def leave(self, stream: "Stream") -> None:
        """Forget the stream. Repeating it does nothing."""


class Stream(ABC):
    """What a hub holds of a connection.

    Attributes:
        source: Whom it counts for among the limits.
        ends_at: When it has lived long enough, on the event loop's clock.
    """

    __slots__ = ("_hub", "ends_at", "source")

    kind: Kind

    def __init__(self, hub: Members, source: str | None, ends_at: float) -> None:
        self._hub = hub
        self.source = source
        self.ends_at = ends_at

    @abstractmethod
    def offer(self, frame: Frame) -> bool:
        """Send a frame, or have the newest one sent when the client is ready; False for the latter."""

    @abstractmethod
    def is_stuck(self, now: float) -> bool:
        """Whether the client takes nothing at all. Asked of one that refused an offer."""

    @abstractmethod
    def finish(self, ending: Ending) -> None:
        """Say goodbye, and when to come back."""

    @abstractmethod
    def abort(self) -> None:
        """Cut the client off."""


class Connection(Protocol):
    """What `gateway.hijack` gives."""

    @property
    def write(self) -> Callable[[bytes], None]: ...

    def abort(self) -> None: ...


class DirectStream(Stream):
    """Written to by the broadcast itself; an owner in the words of gateway/server/hijack.py."""

    __slots__ = ("_behind", "_paused_at", "_write", "connection")

    connection: Any

    def __init__(self, hub: Members, source: str | None, ends_at: float) -> None:
        super().__init__(hub, source, ends_at)
        self._behind: Frame | None = None
        self._paused_at: float | None = None

    def begin(self, connection: Connection, first: bytes) -> None:
        """Write the first bytes to the connection that was given."""
        self.connection = connection
        self._write = connection.write
        self._write(first)

    @abstractmethod
    def shaped(self, frame: Frame) -> bytes:
        """Return what of a frame goes over this connection."""

    def offer(self, frame: Frame) -> bool:
        if self._paused_at is not None:
            self._behind = frame
            return False
        self._write(self.shaped(frame))
        return True

    def is_stuck(self, now: float) -> bool:
        return self._paused_at is not None and now - self._paused_at > STUCK_S

    def abort(self) -> None:
        self.connection.abort()

    # An owner's part.

    def pause(self) -> None:
        self._paused_at = asyncio.get_running_loop().time()

    def resume(self) -> None:
        self._paused_at = None
        behind, self._behind = self._behind, None
        if behind is not None:
            self._write(self.shaped(behind))

    def end(self) -> None:
        self._hub.leave(self)
        self.finish(Ending.SHUTDOWN)

    def lost(self) -> None:
        self._hub.leave(self)


class QueuedStream(Stream):
    """Sent to by its own coroutine, over ASGI. A client that takes nothing is its server's to judge."""

    __slots__ = ("_ending", "_newest", "_wake", "kind")

    def __init__(self, kind: Kind, hub: Members, source: str | None, ends_at: float) -> None:
        super().__init__(hub, source, ends_at)
        self.kind = kind
        self._newest: Frame | None = None
        self._ending: Ending | None = None
        self._wake = asyncio.Event()

    def offer(self, frame: Frame) -> bool:
        taken = self._newest is None
        self._newest = frame
        self._wake.set()
        return taken

    def is_stuck(self, now: float) -> bool:  # noqa: ARG002 - a stream's words
        return False

    def finish(self, ending: Ending) -> None:
        self._ending = ending
        self._wake.set()

    def abort(self) -> None:
        self.finish(Ending.GONE)

    async def next(self) -> Frame | Ending:
        """Wait for something to send: the newest frame, and after it the end."""
        await self._wake.wait()
        newest, self._newest = self._newest, None
        if newest is not None:
            if self._ending is None:
                self._wake.clear()
            return newest
        self._wake.clear()
        return self._ending or await self.next()

    async def run(
        self, receive: Receive, sending: Callable[["QueuedStream"], Coroutine[Any, Any, None]]
    ) -> None:
        """Let `sending` send until the client is gone."""
        watching = asyncio.create_task(self._until_gone(receive))
        try:
            await sending(self)
        finally:
            watching.cancel()
            self._hub.leave(self)

    async def _until_gone(self, receive: Receive) -> None:
        while not (await receive())["type"].endswith(".disconnect"):
            # Nothing that a client says here means anything.
            pass
        self.finish(Ending.GONE)
