"""One hub for each event that somebody watches: makes one frame of each change and sends it to all."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

from gateway.chance import CHANCE
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.pointer import PointerDocuments, Prepared
from gateway.push.frames import Frame, frame_of
from gateway.push.limits import StreamLimits
from gateway.push.stream import Ending, Kind, Stream
from gateway.push.urgency import Pace, urgency_of
from gateway.snapshots import SnapshotBoard

logger = logging.getLogger(__name__)

# Sends between two looks at the event loop: some 2 ms, in which no join and no check is answered.
SENDS_AT_A_TIME: Final = 200

# A stream ends by itself: old ones would stay with old servers for ever after more were added. The spread
# keeps those apart who came together.
AGE_S: Final = (20 * 60.0, 40 * 60.0)


class PushObserver(Protocol):
    """Told what becomes of streams and frames."""

    def stream_opened(self, kind: str) -> None: ...

    def stream_closed(self, kind: str) -> None: ...

    def stream_refused(self, kind: str) -> None: ...

    def frames_pushed(self, kind: str, sent: int, skipped: int) -> None: ...


class Hub:
    """The streams of one event in this process.

    Args:
        on_empty: Called when the last stream has left.
    """

    def __init__(
        self,
        event: EventId,
        first: Prepared,
        pointers: PointerDocuments,
        pace: Pace,
        limits: StreamLimits,
        observer: PushObserver,
        on_empty: Callable[[EventId], None],
    ) -> None:
        self._event = event
        self._pointers = pointers
        self._pace = pace
        self._limits = limits
        self._observer = observer
        self._on_empty = on_empty
        self._streams: set[Stream] = set()
        self._loop = asyncio.get_running_loop()
        self._newest = first
        self._frame = frame_of(first)
        # What the last round told everybody, and when.
        self._told = first
        self._sent_at = self._loop.time() - pace.least_s
        self._news = asyncio.Event()
        self._rounds = asyncio.create_task(self._run(), name=f"push-{event}")

    @property
    def frame(self) -> Frame:
        """The newest there is, also before it was sent to all."""
        if self._frame_is_old():
            self._frame = frame_of(self._newest)
        return self._frame

    def join(self, stream: Stream) -> None:
        """Send the stream everything from now on. It was counted among the limits already."""
        self._streams.add(stream)
        self._observer.stream_opened(stream.kind.value)

    def leave(self, stream: Stream) -> None:
        if stream not in self._streams:
            return
        self._streams.remove(stream)
        self._limits.leave(stream.source)
        self._observer.stream_closed(stream.kind.value)
        if not self._streams:
            self._on_empty(self._event)

    def hear(self, snapshot: EventSnapshot) -> None:
        """Called by the board with every read."""
        before, self._newest = self._newest, self._pointers.prepare(snapshot)
        if self._newest.name != before.name:
            self._news.set()

    def end(self) -> None:
        """End every stream."""
        self._end_all(Ending.SHUTDOWN)

    def stop(self) -> None:
        """Called when nobody is left."""
        self._rounds.cancel()

    def _frame_is_old(self) -> bool:
        return not self._frame.id.endswith(self._newest.name)

    async def _run(self) -> None:
        while True:
            await self._until_due()
            try:
                await self._send_round()
            except Exception:
                # Whatever it was, those who wait hear of the next change.
                logger.exception("a round of the push failed", extra={"event": self._event})

    async def _until_due(self) -> None:
        while True:
            self._news.clear()
            urgency = urgency_of(self._told.document, self._newest.document)
            wait_s = self._pace.due_at(self._sent_at, urgency) - self._loop.time()
            if wait_s <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()

    async def _send_round(self) -> None:
        """Send the newest document to everybody who was there when the round began."""
        now = self._sent_at = self._loop.time()
        self._told, frame = self._newest, self.frame
        sent: Counter[Kind] = Counter()
        skipped: Counter[Kind] = Counter()
        for number, stream in enumerate(list(self._streams), 1):
            if stream not in self._streams:
                continue
            if stream.ends_at <= now:
                self.leave(stream)
                stream.finish(Ending.AGE)
            elif stream.offer(frame):
                sent[stream.kind] += 1
            else:
                skipped[stream.kind] += 1
                if stream.is_stuck(now):
                    stream.abort()
            if number % SENDS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        for kind in sent.keys() | skipped.keys():
            self._observer.frames_pushed(kind.value, sent[kind], skipped[kind])
        if self._told.snapshot.state is EventState.DELETED:
            self._end_all(Ending.DELETED)

    def _end_all(self, ending: Ending) -> None:
        for stream in list(self._streams):
            self.leave(stream)
            stream.finish(ending)


class Hubs:
    """The hubs of one process; each lives as long as somebody watches its event."""

    def __init__(
        self,
        board: SnapshotBoard,
        pointers: PointerDocuments,
        limits: StreamLimits,
        observer: PushObserver,
        pace: Pace | None = None,
        age_s: tuple[float, float] = AGE_S,
    ) -> None:
        self._board = board
        self._pace = pace or Pace()
        self._age_s = age_s
        self._hubs: dict[EventId, Hub] = {}
        self.pointers = pointers
        self.limits = limits
        self.observer = observer

    def open(self, snapshot: EventSnapshot) -> Hub:
        """Return the event's hub. Somebody is to join it, or it stays for nobody."""
        event = snapshot.event
        hub = self._hubs.get(event)
        if hub is None:
            first = self.pointers.prepare(snapshot)
            hub = Hub(
                event, first, self.pointers, self._pace, self.limits, self.observer, self._close
            )
            self._hubs[event] = hub
            self._board.tell(event, hub.hear)
        return hub

    def new_end(self) -> float:
        """Return when a stream that begins now has lived long enough, on the event loop's clock."""
        return asyncio.get_running_loop().time() + CHANCE.uniform(*self._age_s)

    def end(self) -> None:
        """End every stream, as the process ends."""
        for hub in list(self._hubs.values()):
            hub.end()

    def _close(self, event: EventId) -> None:
        self._board.tell_no_more(event)
        self._hubs.pop(event).stop()
