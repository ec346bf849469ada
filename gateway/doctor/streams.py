"""Do pushed pointers arrive at once, and does the connection outlive their silence?"""

import base64
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from gateway.doctor.chain import Chain
from gateway.doctor.connection import WireError
from gateway.doctor.findings import Finding, Mending, fault, not_checked, ok, warning
from gateway.doctor.mending import BUFFERING, PATIENCE, QUEUE_ROUTE, WEBSOCKET
from gateway.pointer import HEARTBEAT_S

FIRST_EVENT_S = 3.0
"""The gateway sends the first event with the head."""

_LATE_S = 4.0

Listen: TypeAlias = Callable[[float], Awaitable[bytes | None]]

# RFC 6455, section 1.3.
_WEBSOCKET_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def check_events(chain: Chain, *, heartbeat: bool) -> list[Finding]:
    """Listen to the event stream, and through one heartbeat where there is time for it."""
    check, patient = "stream.events", "stream.heartbeat"
    path = chain.queue_path("events")
    fields = [("Accept", "text/event-stream"), ("Accept-Encoding", "gzip")]
    began_s = time.monotonic()
    unheard = not_checked(patient, "the stream was not heard")
    try:
        async with chain.queue.stream(path, fields, head_within_s=FIRST_EVENT_S) as stream:
            kind = next((value for name, value in stream.fields if name == "content-type"), "")
            if stream.status != 200 or not kind.startswith("text/event-stream"):
                means = "pages poll: they hear of their turn later, and ask more"
                seen = f"GET {path}: {stream.status} {kind}"
                return [fault(check, seen, means, QUEUE_ROUTE), unheard]
            heard = b""
            while b"\n\n" not in heard:
                left_s = FIRST_EVENT_S - (time.monotonic() - began_s)
                piece = await stream.next(max(left_s, 0.1))
                if not piece:
                    means = (
                        "something in front collects what is sent: pages hear of their turn late"
                    )
                    what = "nothing of it" if not heard else "a part of it"
                    seen = f"GET {path}: the head, and {what} within {FIRST_EVENT_S:g} seconds"
                    return [fault(check, seen, means, BUFFERING), unheard]
                heard += piece
            took_s = time.monotonic() - began_s
            if b"event: refused" in heard:
                advice = Mending("Raise [push] connections, or [push] connections_per_client.")
                means = "the gateway has as many streams as it may: pages poll"
                return [warning(check, f"GET {path}: refused", means, advice), unheard]
            first = ok(check, f"GET {path}: the pointer after {took_s:.1f} seconds")
            if not heartbeat:
                return [first, not_checked(patient, "left out by --quick")]
            return [first, await _heartbeat(stream.next, patient, began_s)]
    except WireError as exc:
        means = "pages poll: they hear of their turn later, and ask more"
        return [fault(check, f"GET {path}: {exc}", means, BUFFERING), unheard]


async def _heartbeat(
    listen: Listen, check: str, began_s: float, clock: Callable[[], float] = time.monotonic
) -> Finding:
    """Listen for as long as a stream may be silent, and to the frame that comes then."""
    longest_s, heard_s = 0.0, clock()
    while heard_s - began_s < HEARTBEAT_S - 1:
        try:
            piece = await listen(HEARTBEAT_S + _LATE_S)
        except WireError:
            piece = b""
        now_s = clock()
        silent_s, heard_s = now_s - heard_s, now_s
        if piece is None:
            means = "pages take a silent stream for a broken one and connect anew, all the time"
            return fault(check, f"nothing for {silent_s:.0f} seconds", means, BUFFERING)
        if not piece:
            means = "streams are cut while they are silent: pages connect anew, all the time"
            return fault(check, f"the stream was cut after {silent_s:.0f} seconds", means, PATIENCE)
        longest_s = max(longest_s, silent_s)
    return ok(check, f"frames go on; the longest silence was {longest_s:.0f} seconds")


async def check_websocket(chain: Chain) -> list[Finding]:
    """Upgrade to a WebSocket, and read the first frame."""
    check = "stream.websocket"
    path = chain.queue_path("ws")
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    fields = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    means = "apps that listen by WebSocket must poll; the waiting page does not need it"
    try:
        async with chain.queue.stream(path, fields, head_within_s=FIRST_EVENT_S) as stream:
            accepted = dict(stream.fields).get("sec-websocket-accept", "")
            if stream.status != 101 or accepted != _accept(key):
                return [warning(check, f"GET {path}: {stream.status}", means, WEBSOCKET)]
            if not await stream.next_after_upgrade(FIRST_EVENT_S):
                seen = f"GET {path}: 101, and no frame within {FIRST_EVENT_S:g} seconds"
                return [warning(check, seen, means, WEBSOCKET)]
    except WireError as exc:
        return [warning(check, f"GET {path}: {exc}", means, WEBSOCKET)]
    return [ok(check, f"GET {path}: upgraded, and the pointer came")]


def _accept(key: str) -> str:
    # SHA-1 by RFC 6455, section 4.2.2: nothing is kept safe by it.
    digest = hashlib.sha1(key.encode() + _WEBSOCKET_SALT, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
