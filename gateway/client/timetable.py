"""When what is due: each act has its own time, and waits longer the oftener it has failed in a row."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from gateway.client.pace import retry_after

NEVER: Final = math.inf

# What is due at once unless a time was set.
_AT_ONCE: Final = frozenset({"join", "claim", "pointer"})


class Timetable:
    """The times of all acts, on the process's own clock.

    Attributes:
        wake: Set when something may be due earlier than it was.
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self.wake = asyncio.Event()

    def first(self, names: Iterable[str]) -> tuple[str, float]:
        """Return what of this is due first, and when."""
        first = ("", NEVER)
        for name in names:
            at = self._due.get(name, 0.0 if name in _AT_ONCE else NEVER)
            if at < first[1]:
                first = (name, at)
        return first

    def has(self, name: str) -> bool:
        return name in self._due

    def later(self, name: str, seconds: float) -> None:
        self._due[name] = time.monotonic() + seconds

    def sooner(self, name: str, seconds: float) -> None:
        """Bring an act forward, unless it is due before that."""
        at = time.monotonic() + max(seconds, 0)
        if at < self._due.get(name, 0.0):
            self._due[name] = at
            self.wake.set()

    def at_once(self, name: str) -> None:
        self._due[name] = time.monotonic()
        self.wake.set()

    def drop(self, name: str) -> None:
        self._due.pop(name, None)

    def clear(self) -> None:
        """Forget all times; failures in a row still count."""
        self._due.clear()

    def put_off(self, name: str, least_s: float = 0) -> None:
        """Try again later, after one more failure."""
        in_a_row = self._failures.get(name, 0) + 1
        self._failures[name] = in_a_row
        spread_s = least_s * (1 + self._chance() / 4)
        self.later(name, max(spread_s, retry_after(in_a_row, self._chance())))

    def succeeded(self, name: str) -> None:
        self._failures[name] = 0

    def forget_failures(self) -> None:
        self._failures.clear()
