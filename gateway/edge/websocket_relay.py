"""Carries messages between a visitor's WebSocket and the backend's, until either ends."""

import asyncio
from contextlib import suppress
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from gateway.edge.upstream import (
    ABNORMAL,
    NO_STATUS,
    Closed,
    HandshakeRefused,
    RawHeaders,
    UpstreamError,
    UpstreamWebSocket,
)

# RFC 6455, section 7.4.1.
NORMAL = 1000
POLICY_VIOLATION = 1008
TOO_BIG = 1009
INTERNAL_ERROR = 1011


async def relay(receive: Receive, send: Send, backend: UpstreamWebSocket, max_bytes: int) -> None:
    """Relay until one side ends, then end the other in the same way.

    Each direction carries one message at a time: a slow reader slows its writer down.
    """
    up = asyncio.create_task(_carry_up(receive, backend, max_bytes))
    down = asyncio.create_task(_carry_down(send, backend))
    try:
        left, lost = await _first_ending(up, down)
        if left is not None:
            await _stop(down)
            if left.code == TOO_BIG:
                await _close(send, left)
            await backend.close(left)
        elif lost is not None:
            await _stop(up)
            await _close(send, lost)
            await backend.close(lost)
    finally:
        up.cancel()
        down.cancel()
        backend.abort()


async def _first_ending(
    up: "asyncio.Task[Closed | None]", down: "asyncio.Task[Closed | None]"
) -> tuple[Closed | None, Closed | None]:
    """Return how the visitor's side ended, or else how the backend's did.

    A direction that could not write ends with None: how that side ended is for the other to read.
    """
    await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
    if up.done() and up.result() is None:
        await asyncio.wait((down,))
    elif down.done() and down.result() is None:
        await asyncio.wait((up,))
    left = up.result() if up.done() else None
    return left, down.result() if down.done() else None


async def _carry_up(receive: Receive, backend: UpstreamWebSocket, max_bytes: int) -> Closed | None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return _how_it_ended(message)
        text: str | None = message.get("text")
        data: str | bytes = message["bytes"] if text is None else text
        # The server in front has the first say; this is for one that allows more than the backend.
        if len(data) > max_bytes:
            return Closed(TOO_BIG, "message too big")
        try:
            await backend.send(data)
        except UpstreamError:
            return None


async def _carry_down(send: Send, backend: UpstreamWebSocket) -> Closed | None:
    while True:
        data = await backend.receive()
        if isinstance(data, Closed):
            return data
        message: dict[str, Any] = {"type": "websocket.send"}
        message["text" if isinstance(data, str) else "bytes"] = data
        try:
            await send(message)
        except OSError:
            return None


def _how_it_ended(message: Message) -> Closed:
    code = message.get("code") or NO_STATUS
    if code == NO_STATUS and "reason" not in message:
        # How uvicorn tells a connection that was lost from one that was closed without a status.
        return Closed(ABNORMAL)
    return Closed(code, message.get("reason") or "")


async def _close(send: Send, closed: Closed) -> None:
    """Close towards the visitor. ASGI can neither leave out the code nor cut the connection."""
    code = {NO_STATUS: NORMAL, ABNORMAL: INTERNAL_ERROR}.get(closed.code, closed.code)
    with suppress(OSError):
        await send({"type": "websocket.close", "code": code, "reason": closed.reason})


async def _stop(task: "asyncio.Task[Closed | None]") -> None:
    task.cancel()
    await asyncio.wait((task,))


async def repeat_refusal(
    refused: HandshakeRefused, headers: RawHeaders, scope: Scope, send: Send
) -> None:
    """Refuse a handshake as the backend did, where the server in front can send a whole answer.

    Args:
        headers: The backend's fields that may reach the visitor.
    """
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    body = refused.body or b""
    # What describes a body that is left out must be left out with it.
    dropped = b"content-length" if refused.body is not None else b"content-"
    await send(
        {
            "type": "websocket.http.response.start",
            "status": refused.status,
            "headers": [
                *(header for header in headers if not header[0].startswith(dropped)),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "websocket.http.response.body", "body": body})
