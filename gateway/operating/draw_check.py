"""Whether a draw was held as promised, by what is public and by what the operator log noted. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from gateway.domain.draw import SEED_BYTES, Draw, commitment_to, permute
from gateway.domain.operator_log import Logged, read_entry
from gateway.domain.positions import MAX_POSITION, Position
from gateway.errors import BadInput

_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ToldDraw:
    """What somebody says of a draw; nothing of it is believed.

    Attributes:
        seed, count: None before the draw was held.
    """

    commitment: str
    seed: str | None
    count: int | None

    @classmethod
    def from_pointer_document(cls, text: str) -> tuple[Self, str, int]:
        """Read it from a pointer document, as `GET /queue/EVENT` answers.

        Returns:
            The draw, of which event, and of which generation.

        Raises:
            BadInput: It is no such document, or one of an event without a draw.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        match document:
            case {"event": str(_), "generation": int(_), "draw": None}:
                raise BadInput("this event has no draw: turns are the positions themselves")
            case {
                "event": str(event),
                "generation": int(generation),
                "draw": {
                    "commitment": str(commitment),
                    "seed": str() | None as seed,
                    "count": count,
                },
            } if count is None or (type(count) is int and 0 <= count <= MAX_POSITION):
                return cls(commitment, seed, count), event, generation
            case _:
                raise BadInput("this is no pointer document: save one with curl …/queue/EVENT")

    @classmethod
    def of(cls, draw: Draw) -> Self:
        return cls(draw.commitment, draw.seed, draw.count)

    @property
    def is_held(self) -> bool:
        return self.seed is not None and self.count is not None

    def turn_of(self, position: Position, head_start: int) -> int:
        """Compute the turn of a position. The draw is held, and its seed has no fault."""
        if self.seed is None or self.count is None:
            raise AssertionError("a draw that is not held gives no turns")
        drawn: int = position
        if position <= self.count:
            drawn = permute(position, self.count, bytes.fromhex(self.seed))
        return max(1, drawn - head_start)

    def order(self) -> list[int]:
        """Compute the turn of every drawn position, the first first."""
        return [self.turn_of(Position(position), 0) for position in range(1, (self.count or 0) + 1)]


@dataclass(frozen=True, slots=True)
class NotedDraw:
    """What the operator log noted of the draw of one generation; None where it noted nothing."""

    commitment: str | None = None
    count: int | None = None


def noted_in(entries: Sequence[Logged], generation: int) -> NotedDraw:
    """Find what a log noted when the queue began, and when its draw was held."""
    commitment: str | None = None
    count: int | None = None
    for logged in entries:
        entry = read_entry(logged.text)
        if entry is None or entry.generation != generation:
            continue
        match entry.after.get("draw_commitment"):
            case str(noted):
                commitment = noted
            case _:
                pass
        match entry.after.get("draw_count"):
            case int(drawn):
                count = drawn
            case _:
                pass
    return NotedDraw(commitment, count)


def faults_of(told: ToldDraw, kept: Sequence[str], noted: NotedDraw) -> list[str]:
    """Say what is wrong with a draw; nothing where it was held as promised.

    Args:
        kept: Commitments that somebody wrote down before the opening.
        noted: What the operator log says.
    """
    faults: list[str] = []
    if told.seed is not None:
        if not _HEX.fullmatch(told.seed):
            faults.append(f"the seed is not {SEED_BYTES} bytes in hexadecimal digits")
        elif commitment_to(bytes.fromhex(told.seed)) != told.commitment:
            faults.append("the seed is not the one whose hash was published: SHA-256 differs")
    faults += [
        f"the commitment is {told.commitment}, and {one} was kept from before the opening"
        for one in kept
        if one != told.commitment
    ]
    if noted.commitment not in (None, told.commitment):
        faults.append(
            f"the commitment is {told.commitment}, and the operator log noted {noted.commitment} when the "
            "queue began"
        )
    if told.count is not None and noted.count not in (None, told.count):
        faults.append(
            f"the draw is said to be among {told.count}, and the operator log noted {noted.count}"
        )
    return faults


def is_permutation(order: Sequence[int]) -> bool:
    """Whether every turn from 1 on is there once."""
    return sorted(order) == list(range(1, len(order) + 1))


def verdict_document(
    event: str, told: ToldDraw, noted: NotedDraw, faults: Sequence[str]
) -> Mapping[str, object]:
    return {
        "event": event,
        "commitment": told.commitment,
        "seed": told.seed,
        "count": told.count,
        "noted_commitment": noted.commitment,
        "noted_count": noted.count,
        "faults": list(faults),
    }
