"""Whole answers of our own, and how they go out over ASGI: HTTP, HEAD, and refused WebSockets."""

import time
from collections.abc import Collection, Iterable, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeAlias

import msgspec
from starlette.types import Scope, Send

from gateway.domain.admission import Refused
from gateway.domain.problems import MEDIA_TYPE, plain_document, refusal_document
from gateway.domain.routes import EventRoute

RawHeader: TypeAlias = tuple[bytes, bytes]

NO_STORE: RawHeader = (b"cache-control", b"no-store")

# Policy violation (RFC 6455, section 7.4.1): what a refused WebSocket is closed with where the server
# cannot send an HTTP answer to the handshake.
POLICY_VIOLATION = 1008

_EXPOSED_HEADERS = b"Retry-After, Queue-Event, Queue-Position, Queue-Visitor, Queue-Status"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer, without the fields that depend on the moment of sending."""

    status: int
    headers: tuple[RawHeader, ...]
    body: bytes = b""

    def with_headers(self, extra: Iterable[RawHeader]) -> "Answer":
        return Answer(self.status, (*self.headers, *extra), self.body)


def json_answer(
    status: int, document: dict[str, Any], headers: Collection[RawHeader] = ()
) -> Answer:
    """Return a document that nobody keeps."""
    return Answer(
        status,
        ((b"content-type", b"application/json"), (b"cache-control", b"no-store"), *headers),
        msgspec.json.encode(document),
    )


def refusal(refused: Refused) -> Answer:
    headers: list[RawHeader] = [(b"content-type", MEDIA_TYPE), NO_STORE]
    if refused.retry_after_s is not None:
        headers.append((b"retry-after", str(refused.retry_after_s).encode()))
    if refused.status == HTTPStatus.UNAUTHORIZED:
        # RFC 9110, section 11.6.1: a 401 names a scheme.
        headers.append((b"www-authenticate", b"Bearer"))
    return Answer(refused.status, tuple(headers), refusal_document(refused))


def problem(status: int, detail: str = "", headers: Iterable[RawHeader] = ()) -> Answer:
    """Return a problem that its status explains (`about:blank`)."""
    return Answer(
        status,
        ((b"content-type", MEDIA_TYPE), NO_STORE, *headers),
        plain_document(status, HTTPStatus(status).phrase, detail),
    )


def redirect(location: str, headers: Iterable[RawHeader] = ()) -> Answer:
    """Return a 303: come with a GET (RFC 9110, section 15.4.4)."""
    return Answer(303, ((b"location", location.encode("ascii")), NO_STORE, *headers))


def etag_matches(if_none_match: bytes, etag: bytes) -> bool:
    """Compare weakly, as RFC 9110, section 13.1.2 asks."""
    candidates = [item.strip().removeprefix(b"W/") for item in if_none_match.split(b",")]
    return etag in candidates or candidates == [b"*"]


def cors_headers(route: EventRoute, origin: bytes | None) -> list[RawHeader]:
    """Let pages of the origins that an event lists read what we say (Fetch, section 3.2)."""
    headers: list[RawHeader] = [(b"vary", b"Origin")]
    if origin is not None and origin.decode("latin-1") in route.origins:
        headers += [
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", _EXPOSED_HEADERS),
        ]
    return headers


async def send_answer(answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer, or refuse a WebSocket handshake with it."""
    if scope["type"] == "websocket":
        await _refuse_websocket(answer, scope, send)
        return
    await send(_start("http.response.start", answer))
    body = b"" if scope["method"] == "HEAD" else answer.body
    await send({"type": "http.response.body", "body": body})


async def _refuse_websocket(answer: Answer, scope: Scope, send: Send) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    await send(_start("websocket.http.response.start", answer))
    await send({"type": "websocket.http.response.body", "body": answer.body})


def _start(kind: str, answer: Answer) -> MutableMapping[str, Any]:
    headers = [*answer.headers, date_header()]
    if answer.status != HTTPStatus.NO_CONTENT and answer.status != HTTPStatus.NOT_MODIFIED:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    return {"type": kind, "status": answer.status, "headers": headers}


def date_header() -> RawHeader:
    """Return the Date of now (RFC 9110, section 6.6.1). The server adds none: a backend's is kept."""
    return _date_header(int(time.time()))


@lru_cache(maxsize=2)
def _date_header(now_s: int) -> RawHeader:
    return b"date", formatdate(now_s, usegmt=True).encode()
