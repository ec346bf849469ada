"""What was answered to the very same request before, for as long as it would be answered again.

A visitor's browser asks for one thing after another with the same fields, and a proxy asks us about
each. A request that equals one before in every byte that a decision sees, by a pass that still admits,
is not judged anew: a lookup takes a twentieth of the time. Only admissions by a held pass enter, so
strangers cannot fill it; losing it costs time and nothing else.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

from gateway.domain.carriers import RawHeaders
from gateway.queue import Room, Ticket

T = TypeVar("T")

MOST_REQUESTS = 8192

# Longer heads are judged every time, so that what is remembered stays within some megabytes.
LONGEST_HEAD = 4096


class Remembered(Generic[T]):
    """Maps requests to what was made of them. Bounded; the oldest are forgotten first."""

    def __init__(self, room: Room, most: int = MOST_REQUESTS) -> None:
        self._room = room
        self._most = most
        self._entries: dict[Hashable, tuple[Ticket, T]] = {}

    def find(self, request: Hashable) -> T | None:
        entry = self._entries.get(request)
        if entry is None:
            return None
        ticket, value = entry
        if self._room.still_admits(ticket):
            return value
        del self._entries[request]
        return None

    def keep(self, request: Hashable, ticket: Ticket, value: T, headers: RawHeaders) -> None:
        if sum([len(name) + len(value) for name, value in headers]) > LONGEST_HEAD:
            return
        if len(self._entries) >= self._most:
            del self._entries[next(iter(self._entries))]
        self._entries[request] = (ticket, value)
