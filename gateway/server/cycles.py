"""One request and its answer, as uvicorn's two `RequestResponseCycle`s have them in common."""

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import Protocol, TypeVar, cast


class Stage(Enum):
    """What the next bytes of a connection are."""

    HEAD = "a head"
    BODY = "the rest of a body"
    LINGER = "of no interest"


class Cycle(Protocol):
    """What the guard reads and sets."""

    transport: asyncio.Transport
    default_headers: list[tuple[bytes, bytes]]
    message_event: asyncio.Event
    keep_alive: bool
    disconnected: bool
    waiting_for_100_continue: bool
    body: bytearray
    response_started: bool
    response_complete: bool


C = TypeVar("C", bound=Cycle)


class _UntilRead:
    """What a cycle calls of its transport, with another way to close."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def until_read(transport: asyncio.Transport, close: Callable[[], None]) -> asyncio.Transport:
    """Make the transport of a request with a body: `close` may wait until that has been read."""
    return cast("asyncio.Transport", _UntilRead(transport, close))
