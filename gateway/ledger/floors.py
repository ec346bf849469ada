"""What this process knows for certain of every event, should the ledger forget it.

A number that was dealt, read, or proved by a genuine token cannot have been less: a *floor*. Every script
is told the caller's floor and decides nothing below it; after a loss the gateways' floors together bring
the event back (`lua/present.lua`).
"""

import json
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.domain.positions import EventId, Generation, Position, is_event_id
from gateway.ledger.shown_sessions import ShownSessions

# The pace of joins is measured over spans no shorter than this.
_RATE_SPAN_S = 1.0
# A guess of the pace where a process has not seen any yet; it only makes a harmless gap longer.
_LEAST_RATE = 1.0


@dataclass(slots=True)
class Floor:
    """The least that an event's numbers can be.

    Attributes:
        record: What else the last good read said, as `present.lua` wants it back; None where only
            tokens are known.
        as_of_s: Monotonic instant of asking for the last good read.
        rate: The highest pace of joins seen, per second.
        refuted: Positions of genuine tokens that lie in what counted as holes.
    """

    generation: int = 0
    issued: int = 0
    ceiling: int = 0
    served: int = 0
    record: dict[str, Any] | None = None
    as_of_s: float = 0.0
    rate: float = _LEAST_RATE
    refuted: set[int] = field(default_factory=set[int])
    _counted: int = 0
    _counted_at_s: float = 0.0

    def begin(self, generation: int) -> bool:
        """Start anew for a later generation; return whether `generation` is the one held."""
        if generation > self.generation:
            self.generation, self.issued, self.ceiling, self.served = generation, 0, 0, 0
            self.record, self._counted, self._counted_at_s = None, 0, 0.0
            self.refuted = set()
        return generation == self.generation

    def counted(self, issued: int, now_s: float) -> None:
        """Note the pace at which positions go out."""
        self.issued = max(self.issued, issued)
        span_s = now_s - self._counted_at_s
        if span_s < _RATE_SPAN_S:
            return
        if self._counted_at_s and issued > self._counted:
            self.rate = max(self.rate, (issued - self._counted) / span_s)
        self._counted, self._counted_at_s = issued, now_s


class Floors:
    """The floors of one process.

    Args:
        monotonic_s: The clock.
    """

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.gateway = secrets.token_hex(8)
        """The id under which this process is known to the others."""
        self._monotonic_s = monotonic_s
        self._floors: dict[EventId, Floor] = {}
        self._stands_for: set[str] = {self.gateway}
        self._ended_well: set[str] = set()
        self.sessions = ShownSessions()
        self.version = 0
        """Grows with every change, for who keeps them in a file."""

    def events(self) -> list[EventId]:
        return list(self._floors)

    def knows(self, event: EventId) -> bool:
        return event in self._floors

    def get(self, event: EventId) -> Floor:
        return self._floors.get(event) or Floor()

    def brief(self, event: EventId) -> str:
        """Return what every script is told: `generation:issued:served`, or nothing."""
        floor = self._floors.get(event)
        if floor is None:
            return ""
        return f"{floor.generation}:{floor.issued}:{floor.served}"

    def refuted(self, event: EventId) -> str:
        """Return, once, the positions that were shown inside holes: `p,p`."""
        floor = self._floors.get(event)
        if floor is None or not floor.refuted:
            return ""
        refuted, floor.refuted = sorted(floor.refuted), set()
        return ",".join(str(position) for position in refuted)

    def note_read(
        self, event: EventId, reply: Sequence[Any], *, ended_anew: bool, asked_at_s: float
    ) -> None:
        """Note an answer of `read.lua`.

        Args:
            ended_anew: Whether it holds all ended sessions, and not only those that are new.
            asked_at_s: Monotonic instant of asking: what it says may be as old.
        """
        floor = self._of(event)
        if not floor.begin(int(reply[1])):
            return
        now_s = self._monotonic_s()
        floor.counted(int(reply[3]), now_s)
        floor.served = max(floor.served, int(reply[4]))
        floor.ceiling = max(floor.ceiling, int(reply[5]))
        floor.record = _record(reply, None if ended_anew else floor.record)
        floor.as_of_s = asked_at_s
        self.version += 1

    def note_dealt(self, event: EventId, generation: Generation, issued: int, ceiling: int) -> None:
        floor = self._of(event)
        if not floor.begin(generation):
            return
        now_s = self._monotonic_s()
        floor.counted(issued, now_s)
        floor.ceiling = max(floor.ceiling, ceiling)
        self.version += 1

    def note_ceiling(self, event: EventId, ceiling: int) -> None:
        floor = self._of(event)
        floor.ceiling = max(floor.ceiling, ceiling)
        self.version += 1

    def note_released(self, event: EventId, served: int) -> None:
        floor = self._of(event)
        floor.served = max(floor.served, served)
        self.version += 1

    def saw_token(self, event: EventId, generation: Generation, position: Position) -> None:
        """A genuine token proves that its position was handed out."""
        floor = self._of(event)
        if floor.begin(generation) and position > floor.issued:
            floor.issued = position
            self.version += 1

    def saw_pass(self, event: EventId, generation: Generation, turn: int) -> None:
        """A genuine pass proves that the pointer had reached its turn."""
        floor = self._of(event)
        if floor.begin(generation) and turn > floor.served:
            floor.served = turn
            self.version += 1

    def saw_in_hole(self, event: EventId, generation: Generation, position: Position) -> None:
        floor = self._of(event)
        if floor.generation == generation and len(floor.refuted) < 64:
            floor.refuted.add(position)

    def saw_session(
        self, event: EventId, generation: Generation, position: Position, ends_at: int
    ) -> None:
        """A genuine pass proves that its session may still fill the backend."""
        self.sessions.note(event, generation, position, ends_at)

    def document(self, event: EventId) -> str:
        """Return the whole floor as `present.lua` takes it; empty where nothing is known."""
        floor = self._floors.get(event)
        if floor is None or not floor.generation:
            return ""
        return json.dumps(
            {
                **self._numbers(floor),
                "stands_for": sorted(self._stands_for),
                "ended_well": sorted(self._ended_well),
                "gateways": str(floor.record["gateways"]).split() if floor.record else [],
                **({"record": floor.record} if floor.record else {}),
            }
        )

    def to_file(self, *, is_last_word: bool = False) -> dict[str, Any]:
        """Return everything that is worth keeping over a restart of this process.

        Args:
            is_last_word: Whether this process deals nothing any more: then it is exact, and whoever
                takes it over need not guess at what came after it.
        """
        ended_well = set(self._ended_well)
        if is_last_word:
            ended_well.add(self.gateway)
        return {
            "stands_for": sorted(self._stands_for),
            "ended_well": sorted(ended_well),
            "events": {
                event: {**self._numbers(floor), "record": floor.record}
                for event, floor in self._floors.items()
                if floor.generation
            },
        }

    def take_over(self, content: Mapping[str, Any], age_s: float) -> None:
        """Adopt the floors that a process which has ended left in its file.

        Args:
            age_s: How long ago the file was written.

        Raises:
            ValueError, LookupError, TypeError, AttributeError, OverflowError: It is no such file.
                Nothing was adopted.
        """
        now_s = self._monotonic_s()
        adopted = [
            (EventId(name), _floor_from(held, now_s - age_s))
            for name, held in content["events"].items()
            if is_event_id(name)
        ]
        stands_for = _words(content["stands_for"])
        ended_well = _words(content.get("ended_well", []))  # absent in a file of the version before
        for event, floor in adopted:
            mine = self._floors.get(event)
            if mine is None or floor.generation > mine.generation:
                self._floors[event] = floor
            elif floor.generation == mine.generation:
                _raise_to(mine, floor)
        self._stands_for.update(stands_for)
        self._ended_well.update(ended_well)
        self.version += 1

    def _of(self, event: EventId) -> Floor:
        return self._floors.setdefault(event, Floor())

    def _numbers(self, floor: Floor) -> dict[str, Any]:
        age_s = max(self._monotonic_s() - floor.as_of_s, 0.0)
        return {
            "generation": floor.generation,
            "issued": floor.issued,
            "ceiling": floor.ceiling,
            "served": floor.served,
            "rate": round(floor.rate, 3),
            "age_ms": math.ceil(age_s * 1000),
        }


def _floor_from(held: Mapping[str, Any], written_at_s: float) -> Floor:
    record: Any = held["record"]
    if record is not None and not isinstance(record, dict):
        raise TypeError("a record is a table")
    return Floor(
        generation=int(held["generation"]),
        issued=int(held["issued"]),
        ceiling=int(held["ceiling"]),
        served=int(held["served"]),
        rate=float(held["rate"]),
        record=cast("dict[str, Any] | None", record),
        as_of_s=written_at_s - int(held["age_ms"]) / 1000,
    )


def _raise_to(mine: Floor, other: Floor) -> None:
    mine.issued = max(mine.issued, other.issued)
    mine.ceiling = max(mine.ceiling, other.ceiling)
    mine.served = max(mine.served, other.served)
    mine.rate = max(mine.rate, other.rate)
    # The oldest of what is spoken for counts: its process may have dealt on after writing.
    mine.as_of_s = min(mine.as_of_s, other.as_of_s)
    if other.record and (not mine.record or other.record["revision"] > mine.record["revision"]):
        mine.record = other.record


def _words(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise TypeError("a list of ids was expected")
    words: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
    return [str(word) for word in words]


def _pairs(words: Sequence[Any]) -> dict[str, str]:
    return {str(words[i]): str(words[i + 1]) for i in range(0, len(words), 2)}


def _record(reply: Sequence[Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    more = dict(zip(reply[24][::2], reply[24][1::2], strict=True))
    ended = _pairs(reply[19])
    if before is not None:
        # A reader that holds the ended sessions is told of new ones only; of those that a gateway put
        # back after a loss it may be told once more.
        ended = {**_pairs(before["ended"]), **ended} if ended else _pairs(before["ended"])
    now_s = int(reply[0]) // 1000
    kept = [word for pair in ended.items() if int(pair[1]) >= now_s for word in pair]
    return {
        "state": reply[2],
        "active_ms": int(reply[6]),
        "active": int(reply[7]),
        "claims": int(reply[8]),
        "late": int(reply[9]),
        "message": reply[11],
        "claims_frozen": reply[12],
        "holes": reply[13],
        "draw_hash": reply[14],
        "draw_count": reply[16],
        "config": list(reply[17]),
        "releases": list(reply[18]),
        "ended": kept,
        "revision": int(reply[22]),
        "draw_seed": more["draw_seed"],
        "acts": more["acts"],
        "claimed": more["claimed"],
        "ledger_ms": int(more["ledger_ms"]),
        "windows_ended_to": int(more["windows_ended_to"]),
        "bypass_left_ms": int(more["bypass_left_ms"] or 0),
        "bypass_from": more["bypass_from"],
        "gateways": more["gateways"],
        "clock": more["clock"],
        "log_head": more["log_head"],
    }
