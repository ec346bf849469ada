"""How good the waiting times are: coverage, width and rises over many kinds of release traces.

    python -m loadtests.waiting_time
    python -m loadtests.waiting_time --traces 100 --seed 2 --json

Visitors look at seeded traces (`release_traces.py`) at many times and from many places; what they are
told (`waiting_methods.py`) is compared with when their turn then comes. Others are followed from their
joining to their turn, for what their page shows (`shown_wait.py`). Time is that of the open clock.
"""

import argparse
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from gateway.domain.events import EventSnapshot
from gateway.domain.shown_wait import Shown, show_next
from gateway.domain.waiting import COVERAGE, Wait
from loadtests.release_traces import KINDS, Kind
from loadtests.replayed_sale import ReplayedSale
from loadtests.waiting_methods import (
    Method,
    by_curve,
    by_littles_law,
    by_seed,
    factors_that_cover,
)

LOOKS = 8
"""Times at which visitors look, for each trace."""

PLACES = 6
"""Visitors who look at each time. At the pace of the whole trace, which none of the methods knows, they
would wait from `NEAREST_S` to `FARTHEST_S`, spread evenly by the logarithm."""

NEAREST_S, FARTHEST_S = 30, 10_800
PACE_OVER_S = 14_400

POLL_S = 15
"""How often a followed visitor gets a fresh estimate."""

FOLLOWED_S = 10_800


@dataclass(frozen=True, slots=True)
class Look:
    """One event as it was read, and who looked: `(people ahead, seconds until the turn came)`."""

    snapshot: EventSnapshot
    visitors: tuple[tuple[int, float], ...]


def looks(kind: Kind, traces: int, seed: int) -> Iterator[Look]:
    for number in range(traces):
        sale = ReplayedSale(kind, random.Random(f"{seed} {kind.name} {number}"))
        rng = random.Random(f"{seed} {kind.name} {number} looks")
        per_s = max(sale.served_by(PACE_OVER_S), 1) / PACE_OVER_S
        for at_s in sorted(rng.uniform(*kind.watched_s) for _ in range(LOOKS)):
            served = sale.served_by(at_s)
            aheads = [
                int(per_s * math.exp(rng.uniform(math.log(NEAREST_S), math.log(FARTHEST_S))))
                for _ in range(PLACES)
            ]
            yield Look(
                sale.read(at_s),
                tuple((ahead, sale.turn_comes(served + ahead + 1) - at_s) for ahead in aheads),
            )


@dataclass(slots=True)
class Tally:
    """What one method told: how often, how wrong, how widely."""

    asked: int = 0
    early: int = 0
    late: int = 0
    widths: list[float] = field(default_factory=list[float])
    scores: list[float] = field(default_factory=list[float])

    def add(self, told: Wait | None, came_s: float) -> None:
        self.asked += 1
        if told is None:
            return
        self.early += came_s < told.low_s
        self.late += came_s > told.high_s
        # As shares of the wait; below a minute of a minute, which is the least that is shown.
        scale_s = max(came_s, 60.0)
        width_s = told.high_s - told.low_s
        outside_s = max(told.low_s - came_s, came_s - told.high_s, 0.0)
        self.widths.append(width_s / scale_s)
        # The interval score (Gneiting and Raftery 2007, section 6.2): the lower the better.
        self.scores.append((width_s + 2 / (1 - COVERAGE) * outside_s) / scale_s)

    def __iadd__(self, other: "Tally") -> "Tally":
        self.asked += other.asked
        self.early += other.early
        self.late += other.late
        self.widths += other.widths
        self.scores += other.scores
        return self

    def figures(self) -> dict[str, float | None]:
        told = len(self.widths)
        unknown = 1 - told / self.asked
        if told == 0:
            return {"unknown": unknown} | dict.fromkeys(
                ("coverage", "early", "late", "width", "score")
            )
        return {
            "unknown": unknown,
            "coverage": 1 - (self.early + self.late) / told,
            "early": self.early / told,
            "late": self.late / told,
            "width": median(self.widths),
            "score": fmean(self.scores),
        }


def tally(method: Method, told_to: Iterable[Look]) -> Tally:
    result = Tally()
    for look in told_to:
        told = method(look.snapshot)
        for ahead, came_s in look.visitors:
            result.add(told(ahead), came_s)
    return result


@dataclass(slots=True)
class Followed:
    """What visitors saw from their joining to their turn, however they were told.

    Attributes:
        rises: How often the shown end rose, by method; `shown` is that of the page.
        right: Of `times` that a range was shown, how often the turn came within it.
    """

    hours: float = 0.0
    times: int = 0
    right: int = 0
    rises: Counter[str] = field(default_factory=Counter[str])

    def __iadd__(self, other: "Followed") -> "Followed":
        self.hours += other.hours
        self.times += other.times
        self.right += other.right
        self.rises += other.rises
        return self

    def figures(self) -> dict[str, Any]:
        rises = {name: count / self.hours for name, count in self.rises.items()}
        return {"rises_an_hour": rises, "coverage": self.right / self.times if self.times else None}


def follow(kind: Kind, number: int, seed: int, methods: Mapping[str, Method]) -> Followed:
    """Follow one visitor, whom each of `methods` tells every `POLL_S`; the page shows the curve's."""
    rng = random.Random(f"{seed} {kind.name} followed {number}")
    sale = ReplayedSale(kind, rng)
    joined_s = now_s = rng.uniform(*kind.watched_s)
    turn = sale.served_by(joined_s + rng.uniform(1_200, 5_400)) + 1
    comes_s = sale.turn_comes(turn)
    until_s = min(comes_s, joined_s + FOLLOWED_S)
    result = Followed(hours=(until_s - joined_s) / 3_600)
    ends: dict[str, int | None] = {}
    shown: Shown | None = None
    while now_s < until_s:
        snapshot, clock_s = sale.read(now_s), int(now_s)
        ahead = turn - snapshot.served_up_to - 1
        for name, method in methods.items():
            fresh = method(snapshot)(ahead)
            # As if every estimate were shown at once.
            each = show_next(None, fresh, clock_s)
            _note_end(result, ends, name, each, clock_s)
            if name == "curve":
                shown = show_next(shown, fresh, clock_s)
                _note_end(result, ends, "shown", shown, clock_s)
        if shown is not None:
            left = shown.left_at(clock_s)
            result.times += 1
            result.right += left.low_s <= comes_s - clock_s <= left.high_s
        now_s += POLL_S
    return result


def _note_end(
    result: Followed, ends: dict[str, int | None], name: str, shown: Shown | None, now_s: int
) -> None:
    end, before = None if shown is None else shown.left_at(now_s).high_s, ends.get(name)
    result.rises[name] += end is not None and before is not None and end > before
    ends[name] = end


def measure(traces: int, followed: int, seed: int) -> dict[str, Any]:
    told_to = {kind: list(looks(kind, traces, seed)) for kind in KINDS}
    low, high = factors_that_cover(
        (look.snapshot, ahead, came_s)
        for of_kind in told_to.values()
        for look in of_kind
        for ahead, came_s in look.visitors
    )
    methods = {
        "curve": by_curve,
        "little": by_littles_law,
        "seed": by_seed(),
        "seed90": by_seed(low, high),
    }
    telling = {name: methods[name] for name in ("curve", "little", "seed")}
    all_told, all_seen = {name: Tally() for name in methods}, Followed()
    rows: list[dict[str, Any]] = []
    for kind, of_kind in told_to.items():
        told = {name: tally(method, of_kind) for name, method in methods.items()}
        seen = Followed()
        for number in range(followed):
            seen += follow(kind, number, seed, telling)
        for name, one in told.items():
            all_told[name] += one
        all_seen += seen
        rows.append(_row(kind.name, told, seen) | {"foreseeable": kind.foreseeable})
    rows.append(_row("all", all_told, all_seen) | {"foreseeable": True})
    return {"seed": seed, "seed90_factors": [low, high], "rows": rows}


def _row(name: str, told: Mapping[str, Tally], seen: Followed) -> dict[str, Any]:
    figures = {method: one.figures() for method, one in told.items()}
    return {"releases": name, **figures, "followed": seen.figures()}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.0f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def tables(result: Mapping[str, Any]) -> str:
    """Return the figures as two Markdown tables: what is told, and what a page shows."""
    names = ("curve", "little", "seed", "seed90")
    heads = [
        "releases",
        *(f"{what}: {n}" for what in ("coverage %", "width", "score") for n in names),
    ]
    heads += ["curve: early %", "curve: late %", "seed: late %", "unknown %"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " + "| ---: " * (len(heads) - 1) + "|"]
    for row in result["rows"]:
        cells = [row["releases"] + ("" if row["foreseeable"] else " *")]
        cells += [_percent(row[name]["coverage"]) for name in names]
        cells += [_number(row[name]["width"]) for name in names]
        cells += [_number(row[name]["score"]) for name in names]
        cells += [_percent(row["curve"]["early"]), _percent(row["curve"]["late"])]
        cells += [_percent(row["seed"]["late"]), _percent(row["curve"]["unknown"])]
        lines.append("| " + " | ".join(cells) + " |")
    names = ("shown", "curve", "little", "seed")
    lines += ["", "| releases | rises an hour: " + " | ".join(names) + " | shown: coverage % |"]
    lines.append("| --- " + "| ---: " * (len(names) + 1) + "|")
    for row in result["rows"]:
        rises = row["followed"]["rises_an_hour"]
        cells = [row["releases"], *(f"{rises.get(name, 0):.1f}" for name in names)]
        lines.append("| " + " | ".join([*cells, _percent(row["followed"]["coverage"])]) + " |")
    low, high = result["seed90_factors"]
    return "\n".join([*lines, "", f"seed90 is from {low:.2f} to {high:.1f} times the seed's wait."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--traces", type=int, default=40, help="traces of each kind")
    parser.add_argument("--followed", type=int, default=10, help="visitors followed on each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="figures instead of tables")
    options = parser.parse_args()
    result = measure(options.traces, options.followed, options.seed)
    print(json.dumps(result, indent=2) if options.json else tables(result))


if __name__ == "__main__":
    main()
