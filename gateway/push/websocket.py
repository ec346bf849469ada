"""`GET /queue/{event}/ws`: the pointer document as text messages of a WebSocket (RFC 6455).

Pages of any site may connect. A WebSocket that crosses sites is a danger where cookies speak or messages
act; here no credential is read, nothing that a client says is listened to, and the document is one that
`GET /queue/{event}` gives to every origin. What is left is the cost of a connection, which is limited.
"""

import contextlib
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.answers import Answer, problem
from gateway.calls import Call
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.push.frames import Frame, frame_of
from gateway.push.hub import Hubs
from gateway.push.limits import TooManyStreams
from gateway.push.stream import EXTENSION, DirectStream, Ending, Kind, QueuedStream

# RFC 6455, section 7.4.1, and the registry that it began.
NORMAL_CLOSURE = 1000
GOING_AWAY = 1001
TRY_AGAIN_LATER = 1013

_CODES = {
    Ending.SHUTDOWN: GOING_AWAY,
    Ending.AGE: GOING_AWAY,
    Ending.DELETED: NORMAL_CLOSURE,
    Ending.GONE: NORMAL_CLOSURE,
}


class PointerSockets:
    """Answers a handshake.

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
        """Return the conversation as an ASGI app.

        Raises:
            UnknownEvent: The ledger was read, and has no such event.
        """
        snapshot = self._snapshot_of(call.event)
        if snapshot is None:
            return partial(_turn_away, call.event)
        if snapshot.state is EventState.DELETED:
            return partial(_say_once, frame_of(self._hubs.pointers.prepare(snapshot)))
        return partial(self._converse, call, snapshot)

    async def upgrade_required(self, call: Call) -> Answer:
        """Answer a plain request (RFC 9110, section 15.5.22)."""
        self._snapshot_of(call.event)
        advice = (
            f"This is a WebSocket. Without one: /queue/{call.event}/events, /queue/{call.event}"
        )
        return problem(HTTPStatus.UPGRADE_REQUIRED, advice, [(b"upgrade", b"websocket")])

    async def _converse(
        self, call: Call, snapshot: EventSnapshot, scope: Scope, receive: Receive, send: Send
    ) -> None:
        try:
            source = self._hubs.limits.enter(self._visitor_of(call))
        except TooManyStreams:
            self._hubs.observer.stream_refused(Kind.WEBSOCKET.value)
            await _turn_away(call.event, scope, receive, send)
            return
        try:
            accepted = await _accept(receive, send)
        except BaseException:
            self._hubs.limits.leave(source)
            raise
        if not accepted:
            self._hubs.limits.leave(source)
            return
        hub, ends_at = self._hubs.open(snapshot), self._hubs.new_end()
        hijack = scope.get("extensions", {}).get(EXTENSION)
        if hijack is None:
            queued = QueuedStream(Kind.WEBSOCKET, hub, source, ends_at)
            queued.offer(hub.frame)
            hub.join(queued)
            await queued.run(receive, partial(_send_messages, send))
            return
        stream = _Messages(hub, source, ends_at)
        hub.join(stream)
        connection = hijack(stream)
        if connection is None:
            hub.leave(stream)
            return
        stream.begin(connection, hub.frame.message)


class _Messages(DirectStream):
    __slots__ = ()

    kind = Kind.WEBSOCKET

    def shaped(self, frame: Frame) -> bytes:
        return frame.message

    def finish(self, ending: Ending) -> None:
        self.connection.close(_CODES[ending], ending.value)


async def _accept(receive: Receive, send: Send) -> bool:
    """Open the conversation; False where the client is gone."""
    if (await receive())["type"] != "websocket.connect":
        return False
    try:
        await send({"type": "websocket.accept"})
    except OSError:  # as ASGI wants it since version 2.4
        return False
    return True


async def _send_messages(send: Send, stream: QueuedStream) -> None:
    with contextlib.suppress(OSError):
        while isinstance(item := await stream.next(), Frame):
            await send({"type": "websocket.send", "text": item.text})
        if item is not Ending.GONE:
            await _close(send, _CODES[item], item.value)


async def _say_once(frame: Frame, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    """Tell of an event that is gone, and be done."""
    if await _accept(receive, send):
        with contextlib.suppress(OSError):
            await send({"type": "websocket.send", "text": frame.text})
            await _close(send, NORMAL_CLOSURE, Ending.DELETED.value)


async def _turn_away(event: EventId, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    """Say no where a page can hear it: of a refused handshake a browser tells its page nothing."""
    if await _accept(receive, send):
        with contextlib.suppress(OSError):
            await _close(send, TRY_AGAIN_LATER, f"poll /queue/{event}")


async def _close(send: Send, code: int, reason: str) -> None:
    await send({"type": "websocket.close", "code": code, "reason": reason})
