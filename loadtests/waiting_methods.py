"""The ways of telling a waiting time that are compared, each from the same snapshot.

curve    what the gateway tells: `wait_curve`
little   Little's law: the places ahead over the rate of the last 10 minutes, times 0.7 to 1.6
seed     the places ahead over the mean of the last 10 batch rates: from that to 1.2 times it, as the method
         says that the turn comes by then
seed90   the same point, times the pair of factors, chosen afterwards on these very traces, between which
         90 % of all their waits lie
"""

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from statistics import fmean

from gateway.domain.events import EventSnapshot
from gateway.domain.waiting import COVERAGE, Wait, release_rate_per_s, wait_curve

Told = Callable[[int], Wait | None]
"""The range for so many people ahead, as of one snapshot."""

Method = Callable[[EventSnapshot], Told]

BATCHES = 10


def by_curve(snapshot: EventSnapshot) -> Told:
    curve = wait_curve(snapshot)
    return _unknown if curve is None else curve.at


def by_littles_law(snapshot: EventSnapshot) -> Told:
    per_s = release_rate_per_s(snapshot)
    return _unknown if per_s is None else _at_rate(per_s, 0.7, 1.6)


def by_seed(low: float = 1.0, high: float = 1.2) -> Method:
    def method(snapshot: EventSnapshot) -> Told:
        per_s = mean_batch_rate(snapshot)
        return _unknown if per_s is None else _at_rate(per_s, low, high)

    return method


def mean_batch_rate(snapshot: EventSnapshot) -> float | None:
    """Return the mean, over the last ten batches, of people over the time since the batch before."""
    rates = [
        after.people * 1000 / (after.active_ms - before.active_ms)
        for before, after in pairwise(snapshot.releases[-BATCHES - 1 :])
        if after.active_ms > before.active_ms
    ]
    return fmean(rates) if rates else None


def factors_that_cover(came: Iterable[tuple[EventSnapshot, int, float]]) -> tuple[float, float]:
    """Return the factors of the seed's point between which `COVERAGE` of all waits lie.

    Args:
        came: Snapshot, people ahead, and seconds until the turn came.
    """
    ratios = sorted(
        came_s * per_s / (ahead + 1)
        for snapshot, ahead, came_s in came
        for per_s in [mean_batch_rate(snapshot)]
        if per_s is not None
    )
    tail = (1 - COVERAGE) / 2
    return ratios[int(len(ratios) * tail)], ratios[int(len(ratios) * (1 - tail))]


def _unknown(_ahead: int) -> None:
    return None


def _at_rate(per_s: float, low: float, high: float) -> Told:
    return lambda ahead: Wait(
        math.floor((ahead + 1) / per_s * low), math.ceil((ahead + 1) / per_s * high)
    )
