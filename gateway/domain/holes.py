"""Ranges of positions that are known to belong to nobody.

A restarted or promoted ledger starts above everything that could have been dealt; the numbers that it
skips are a hole. Releases, headroom, `ahead` and waiting times count turns outside holes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

# The scripts keep no more than this; the pointer document publishes them.
MAX_HOLES = 64


@dataclass(frozen=True, slots=True)
class Holes:
    """Disjoint, ascending, inclusive ranges `(first, last)` of empty positions."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Holes":
        """Read the ledger's notation: `101-150,900-1000`.

        Raises:
            ValueError: `text` is not ascending ranges of whole numbers.
        """
        if not text:
            return NO_HOLES
        ranges = tuple(_parse_range(part) for part in text.split(","))
        if any(a[1] >= b[0] for a, b in pairwise(ranges)):
            raise ValueError("holes overlap or are out of order")
        return cls(ranges)

    def contain(self, position: int) -> bool:
        return any(first <= position <= last for first, last in self.ranges)

    def occupied_between(self, after: int, through: int) -> int:
        """Count the positions in `(after, through]` outside holes; 0 when the range is empty."""
        if through <= after:
            return 0
        return through - after - _overlap(self.ranges, after + 1, through)


def _parse_range(part: str) -> tuple[int, int]:
    first, dash, last = part.partition("-")
    if not dash or not all(text.isascii() and text.isdigit() for text in (first, last)):
        raise ValueError("a hole is written first-last")
    a, b = int(first), int(last)
    if not 1 <= a <= b:
        raise ValueError("a hole runs from a positive first to a last that is not before it")
    return a, b


def _overlap(ranges: Iterable[tuple[int, int]], first: int, last: int) -> int:
    return sum(
        min(last, hole_last) - max(first, hole_first) + 1
        for hole_first, hole_last in ranges
        if hole_first <= last and hole_last >= first
    )


NO_HOLES = Holes()
