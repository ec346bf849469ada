"""The live picture of one event: what `gateway status` says, and how it moves.

Pure: made of successive reads of the ledger. The samples that gateways have taken give it a past from
the first look on.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final

from gateway.domain.events import EventSnapshot
from gateway.domain.samples import (
    Sample,
    at_the_door,
    front_joined_between,
    let_in,
    no_shows,
)
from gateway.operating.documents import status_document
from gateway.ports import GatewaysSeen

# Rates are those of the last minute, and of no less than this: a single arrival is no rate.
RATE_S: Final = 60.0
LEAST_SPAN_S: Final = 5.0

TICK_S: Final = 15.0
"""How far apart the points of a series are."""

TICKS: Final = 40

# Enough for the series at ten looks a second, and for the samples of a day.
MOST_MOMENTS: Final = 12_000

SILENT_AFTER_S: Final = 10.0
"""A gateway that has not read for so long is one that nobody waits for after a loss."""

LATE_AFTER_S: Final = 3.0

PICTURE_HELP = """\
\b
Fields of --json: those of gateway status, and
  at                  Unix seconds of the ledger's clock
  arrivals_per_min    joins, let_in_per_min turns let in, over the last minute; null at first
  at_the_door         let in, not come yet, in their claim window
  no_shows            let in, and did not come in it; no_show_rate their part of those decided
  oldest_wait         {at_least_s, at_most_s} of the first who waits; null where it cannot be told
  gateways            [{id, read_ago_s, health}]: well, late, or silent
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """The numbers that move, at one time."""

    at_s: float
    issued: int
    let_in: int
    waiting: int
    active_sessions: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One look.

    Attributes:
        document: What `--json` prints.
        series: By name, values at `TICKS` instants that are `TICK_S` apart, the latest last; None
            where nothing is known of that time.
    """

    document: dict[str, Any]
    series: dict[str, list[float | None]]


class Watching:
    """Remembers what was seen of one event.

    Args:
        samples: What gateways have noted, oldest first.
        mode: What the settings say of the event: enforce or observe; None where they do not name it.
    """

    def __init__(self, samples: Sequence[Sample] = (), mode: str | None = None) -> None:
        self._samples = samples
        self._mode = mode
        self._moments: deque[Moment] = deque(maxlen=MOST_MOMENTS)
        self._generation: int | None = None

    def look(self, snapshot: EventSnapshot, seen: GatewaysSeen) -> Picture:
        """Take in one more read, and return what there is to see."""
        if snapshot.generation != self._generation:
            self._generation = snapshot.generation
            self._moments.clear()
            self._moments.extend(
                _of_sample(sample)
                for sample in self._samples
                if sample.generation == snapshot.generation
            )
        people = let_in(snapshot)
        self._moments.append(
            Moment(seen.at_s, snapshot.issued, people, snapshot.waiting, snapshot.active_sessions)
        )
        moments = list(self._moments)
        door = at_the_door(snapshot)
        missed = no_shows(people, snapshot.claims, snapshot.late, door)
        decided = missed + snapshot.claims - snapshot.late
        document = {
            **status_document(snapshot, self._mode),
            "at": round(seen.at_s, 1),
            "arrivals_per_min": per_minute(moments, "issued"),
            "let_in_per_min": per_minute(moments, "let_in"),
            "at_the_door": door,
            "no_shows": missed,
            "no_show_rate": round(missed / decided, 3) if decided > 0 else None,
            "oldest_wait": _oldest_wait(moments, snapshot, seen.at_s),
            "gateways": [
                {"id": gateway, "read_ago_s": round(ago_s, 1), "health": _health(ago_s)}
                for gateway, ago_s in sorted(seen.read_ago_s.items())
            ],
        }
        ticks = [seen.at_s - TICK_S * back for back in range(TICKS, -1, -1)]
        return Picture(
            document,
            {
                "waiting": _levels(moments, "waiting", ticks)[1:],
                "active_sessions": _levels(moments, "active_sessions", ticks)[1:],
                "arrivals": _gains(_levels(moments, "issued", ticks)),
                "let_in": _gains(_levels(moments, "let_in", ticks)),
            },
        )


def per_minute(moments: Sequence[Moment], name: str) -> float | None:
    """Return by how much a number has grown a minute, lately; None while too little was seen."""
    latest = moments[-1]
    times = [moment.at_s for moment in moments]
    first = moments[max(bisect_right(times, latest.at_s - RATE_S) - 1, 0)]
    span_s = latest.at_s - first.at_s
    if span_s < LEAST_SPAN_S:
        return None
    value = attrgetter(name)
    gained = float(value(latest) - value(first))
    return round(gained * 60 / span_s, 1)


def _of_sample(sample: Sample) -> Moment:
    return Moment(sample.at_s, sample.issued, sample.let_in, sample.waiting, sample.active_sessions)


def _oldest_wait(
    moments: Sequence[Moment], snapshot: EventSnapshot, now_s: float
) -> dict[str, int | None] | None:
    joined = front_joined_between([(moment.at_s, moment.issued) for moment in moments], snapshot)
    if joined is None:
        return None
    after_s, until_s = joined
    return {
        "at_least_s": max(int(now_s - until_s), 0),
        "at_most_s": None if after_s is None else max(int(now_s - after_s), 0),
    }


def _health(read_ago_s: float) -> str:
    if read_ago_s > SILENT_AFTER_S:
        return "silent"
    return "late" if read_ago_s > LATE_AFTER_S else "well"


def _levels(moments: Sequence[Moment], name: str, ticks: Sequence[float]) -> list[float | None]:
    """Return the number as it stood at each tick: nothing is noted while nothing changes."""
    times = [moment.at_s for moment in moments]
    value = attrgetter(name)
    before = [bisect_right(times, tick) for tick in ticks]
    return [float(value(moments[found - 1])) if found else None for found in before]


def _gains(levels: Sequence[float | None]) -> list[float | None]:
    return [
        None if before is None or after is None else max(after - before, 0.0) * 60 / TICK_S
        for before, after in pairwise(levels)
    ]
