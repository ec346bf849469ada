"""`GET /queue/{event}/events`: the pointer document as Server-Sent Events (HTML, section 9.2).

An EventSource never reconnects after any status but 200, so a refusal is a stream too: an event `refused`
that says where to poll, and a `retry` far away. Only what will stay as it is gets another status: 404 for
no event, 204 for one that is gone and of which the client knows.
"""

from collections.abc import Callable
from functools import partial

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.answers import NO_STORE, Answer, RawHeader, date_header, send_answer
from gateway.calls import Call
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.push.frames import LAST_CHUNK, Frame, chunk_of, frame_of, retry_event
from gateway.push.hub import Hubs
from gateway.push.limits import TooManyStreams
from gateway.push.returning import back_ms, refused_ms
from gateway.push.stream import EXTENSION, DirectStream, Ending, Kind, QueuedStream

_HEADERS: tuple[RawHeader, ...] = (
    (b"content-type", b"text/event-stream"),
    NO_STORE,
    # nginx, and others that know it, pass every byte on at once.
    (b"x-accel-buffering", b"no"),
    # Public, without credentials, as the document itself.
    (b"access-control-allow-origin", b"*"),
)
_NOTHING_NEW = b": you have the newest\n\n"


class EventStreams:
    """Answers with a stream of events.

    Args:
        snapshot_of: Returns what is known of an event; None while its state was never read.
        visitor_of: Returns the address that a call counts for; None where nobody can tell.
    """

    def __init__(
        self,
        snapshot_of: Callable[[EventId], EventSnapshot | None],
        visitor_of: Callable[[Call], str | None],
        hubs: Hubs,
    ) -> None:
        self._snapshot_of = snapshot_of
        self._visitor_of = visitor_of
        self._hubs = hubs

    async def answer(self, call: Call) -> Answer | ASGIApp:
        """Return the answer; one that streams as an ASGI app.

        Raises:
            UnknownEvent: The ledger was read, and has no such event.
            Refusal: `Last-Event-ID` came twice.
        """
        snapshot = self._snapshot_of(call.event)
        known = (call.header(b"last-event-id") or b"").decode("latin-1")
        if call.method == "HEAD":
            return _head
        if snapshot is None:
            return _refused(call.event, "state-unknown", back_ms())
        if snapshot.state is EventState.DELETED:
            frame = frame_of(self._hubs.pointers.prepare(snapshot))
            if known == frame.id:
                # Whoever has been told stops asking at a 204 (HTML, section 9.2.3).
                return Answer(204, _HEADERS[1:])
            return Answer(200, _HEADERS, retry_event(back_ms()) + frame.event)
        return partial(self._stream, call, snapshot, known)

    async def _stream(
        self,
        call: Call,
        snapshot: EventSnapshot,
        known: str,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        try:
            source = self._hubs.limits.enter(self._visitor_of(call))
        except TooManyStreams:
            self._hubs.observer.stream_refused(Kind.EVENTS.value)
            refused = _refused(call.event, "too-many-streams", refused_ms())
            await send_answer(refused, scope, send)
            return
        hub, ends_at = self._hubs.open(snapshot), self._hubs.new_end()
        news = _NOTHING_NEW if known == hub.frame.id else hub.frame.event
        opening = retry_event(back_ms()) + news
        hijack = scope.get("extensions", {}).get(EXTENSION)
        if hijack is None:
            queued = QueuedStream(Kind.EVENTS, hub, source, ends_at)
            hub.join(queued)
            await queued.run(receive, partial(_send_events, send, opening))
            return
        # Not from uvicorn, which would send chunks to HTTP/1.0 too (RFC 9112, section 6.1, forbids it).
        chunked = scope["http_version"] == "1.1"
        stream = (_ChunkedEvents if chunked else _PlainEvents)(hub, source, ends_at)
        hub.join(stream)
        connection = hijack(stream)
        if connection is None:
            hub.leave(stream)
            return
        stream.begin(connection, _head_bytes(chunked) + (chunk_of(opening) if chunked else opening))


class _PlainEvents(DirectStream):
    """To a client of HTTP/1.0: the end of the connection is the end of the stream."""

    __slots__ = ()

    kind = Kind.EVENTS

    def shaped(self, frame: Frame) -> bytes:
        return frame.event

    def finish(self, ending: Ending) -> None:  # noqa: ARG002 - a stream's words
        self.connection.finish(retry_event(back_ms()))


class _ChunkedEvents(DirectStream):
    __slots__ = ()

    kind = Kind.EVENTS

    def shaped(self, frame: Frame) -> bytes:
        return frame.chunk

    def finish(self, ending: Ending) -> None:  # noqa: ARG002 - a stream's words
        self.connection.finish(chunk_of(retry_event(back_ms())) + LAST_CHUNK)


async def _send_events(send: Send, opening: bytes, stream: QueuedStream) -> None:
    await send(
        {"type": "http.response.start", "status": 200, "headers": [*_HEADERS, date_header()]}
    )
    await send({"type": "http.response.body", "body": opening, "more_body": True})
    while isinstance(item := await stream.next(), Frame):
        await send({"type": "http.response.body", "body": item.event, "more_body": True})
    if item is not Ending.GONE:
        await send({"type": "http.response.body", "body": retry_event(back_ms())})


async def _head(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's words
    """Answer a HEAD: as a GET, which has no length."""
    await send(
        {"type": "http.response.start", "status": 200, "headers": [*_HEADERS, date_header()]}
    )
    await send({"type": "http.response.body", "body": b""})


def _head_bytes(chunked: bool) -> bytes:
    headers = [*_HEADERS, date_header(), (b"connection", b"close")]
    if chunked:
        headers.append((b"transfer-encoding", b"chunked"))
    lines = [name + b": " + value for name, value in headers]
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", b""])


def _refused(event: EventId, reason: str, retry_ms: int) -> Answer:
    """Say no in a way that an EventSource hears, and where to ask instead."""
    said = {"reason": reason, "poll": f"/queue/{event}", "retry_after": retry_ms // 1000}
    data = msgspec.json.encode(said)
    return Answer(200, _HEADERS, retry_event(retry_ms) + b"event: refused\ndata: " + data + b"\n\n")
