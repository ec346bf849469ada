"""What goes out for one change, encoded once however many are connected."""

from dataclasses import dataclass
from typing import Final

from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode

from gateway.pointer import Prepared

LAST_CHUNK: Final = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """One document in every shape in which it is sent.

    Attributes:
        id: Names the document: two frames with the same id say the same (`Last-Event-ID`).
        text: The document.
        event: It as an event of a stream (HTML, section 9.2.6).
        chunk: That as a chunk of an HTTP/1.1 answer (RFC 9112, section 7.1).
        message: The document as a text frame of a WebSocket, unmasked as a server's are (RFC 6455, 5.2).
    """

    id: str
    text: str
    event: bytes
    chunk: bytes
    message: bytes


def frame_of(prepared: Prepared) -> Frame:
    frame_id = frame_id_of(prepared)
    # A document is one line: JSON escapes what would break it.
    event = f"event: pointer\nid: {frame_id}\ndata: ".encode() + prepared.body + b"\n\n"
    return Frame(
        id=frame_id,
        text=prepared.body.decode(),
        event=event,
        chunk=chunk_of(event),
        message=WebSocketFrame(Opcode.TEXT, prepared.body).serialize(mask=False),
    )


def frame_id_of(prepared: Prepared) -> str:
    """Return the same id at every gateway for the same document, so that a client may change gateways."""
    return f"{prepared.snapshot.generation}-{prepared.name}"


def chunk_of(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def retry_event(retry_ms: int) -> bytes:
    """Tell when to come back; nothing is dispatched to the page by it."""
    return b"retry: %d\n\n" % retry_ms
