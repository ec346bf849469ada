"""One document in every shape; read back by parsers that are not ours."""

from dataclasses import replace
from http.client import HTTPResponse
from io import BytesIO
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame as WebSocketFrame
from websockets.protocol import State
from websockets.uri import parse_uri

from gateway.pointer import PointerDocuments
from gateway.push.frames import LAST_CHUNK, Frame, chunk_of, frame_of, retry_event
from tests.unit.push.test_urgency import SNAPSHOT


def framed(message: str) -> Frame:
    return frame_of(PointerDocuments().prepare(replace(SNAPSHOT, message=message)))


MESSAGES = [
    "",
    "short",
    "two\nlines\r\n\r\ndata: no",
    "\u2028\u0085 é 日本",
    "x" * 3000,
    "y" * 70_000,
]


@pytest.mark.parametrize("message", MESSAGES, ids=len)
def test_an_event_is_four_lines(message: str) -> None:
    frame = framed(message)
    assert frame.event.split(b"\n") == [
        b"event: pointer",
        b"id: " + frame.id.encode(),
        b"data: " + frame.text.encode(),
        b"",
        b"",
    ]
    assert b"\r" not in frame.event


@pytest.mark.parametrize("message", MESSAGES, ids=len)
def test_a_chunk_is_one(message: str) -> None:
    frame = framed(message)

    class Wire:
        def makefile(self, *_: Any) -> BytesIO:
            head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            return BytesIO(head + frame.chunk + chunk_of(retry_event(7)) + LAST_CHUNK)

    response = HTTPResponse(Wire())  # type: ignore[arg-type]
    response.begin()
    assert response.read() == frame.event + b"retry: 7\n\n"


@pytest.mark.parametrize("message", MESSAGES, ids=len)
def test_a_message_is_one_unmasked_text_frame(message: str) -> None:
    frame = framed(message)
    client = ClientProtocol(parse_uri("ws://any.example/"), state=State.OPEN)
    client.receive_data(frame.message)
    (read,) = client.events_received()
    assert isinstance(read, WebSocketFrame)
    assert (read.opcode.name, read.fin, bytes(read.data).decode()) == ("TEXT", True, frame.text)


def test_the_same_document_has_the_same_id_everywhere() -> None:
    assert framed("a").id == framed("a").id != framed("b").id
    assert framed("a").id.startswith("7-")
