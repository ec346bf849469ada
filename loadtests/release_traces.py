"""Kinds of release traces: how the pointer may move through a sale, on the event's open clock.

Each kind draws its own parameters for every trace, from a seeded generator: paces from one person in some
minutes to hundreds a second. A trace has no end; who reads it stops.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Movement = tuple[float, int]
"""Seconds since the movement before, and the people that it lets in."""

Trace = Iterator[Movement]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of releasing.

    Attributes:
        begin: Starts a trace.
        watched_s: From when to when, in seconds of the open clock, visitors look.
        foreseeable: Whether what comes follows from what was; else no estimate can cover it all.
    """

    name: str
    begin: Callable[[random.Random], Trace]
    watched_s: tuple[float, float] = (300, 7_200)
    foreseeable: bool = True


def _size(rng: random.Random) -> int:
    return round(math.exp(rng.uniform(math.log(5), math.log(2_000))))


def _by_hand(rng: random.Random) -> int:
    return rng.choice((50, 100, 200, 250, 500, 1_000))


def _around(rng: random.Random, middle: float, share: float) -> float:
    return max(rng.gauss(middle, middle * share), middle * 0.1)


def steady(rng: random.Random) -> Trace:
    every, people = rng.choice((10, 20, 30, 60, 120, 300)), _size(rng)
    while True:
        yield every, people


def jittered(rng: random.Random) -> Trace:
    every, people = rng.uniform(10, 300), max(_size(rng), 10)
    while True:
        yield _around(rng, every, 0.2), round(_around(rng, people, 0.2))


def flow(rng: random.Random) -> Trace:
    every, people = rng.uniform(1, 3), rng.uniform(2, 100)
    while True:
        yield every, max(round(rng.gauss(people, math.sqrt(people))), 0)


def one_by_one(rng: random.Random) -> Trace:
    pace = 1 / rng.uniform(2, 60)
    while True:
        yield rng.expovariate(pace), 1


def hand_regular(rng: random.Random) -> Trace:
    every, people = rng.uniform(300, 1_800), _by_hand(rng)
    while True:
        yield _around(rng, every, 0.1), people


def hand_irregular(rng: random.Random) -> Trace:
    middle = rng.uniform(120, 1_200)
    sizes = [_by_hand(rng) for _ in range(3)]
    while True:
        yield rng.gammavariate(2, middle / 2), rng.choice(sizes)


def hand_in_clusters(rng: random.Random) -> Trace:
    rest, people = rng.uniform(400, 1_200), _by_hand(rng)
    while True:
        yield _around(rng, rest, 0.3), people
        for _ in range(rng.randint(1, 3)):
            yield rng.uniform(20, 90), people


def schedule_and_hand(rng: random.Random) -> Trace:
    every, people = rng.choice((20, 30, 60)), rng.randint(10, 100)
    until_burst = rng.expovariate(1 / 900)
    while True:
        until_burst -= every
        extra = 0
        if until_burst <= 0:
            extra, until_burst = people * rng.randint(3, 15), rng.expovariate(1 / 900)
        yield every, people + extra


def by_capacity(rng: random.Random) -> Trace:
    """So many as sessions are free, looked at every few seconds; some never come, sessions vary."""
    limit, every = rng.choice((50, 200, 1_000)), rng.choice((5, 10, 30))
    shows, middle_s = rng.uniform(0.6, 1.0), rng.uniform(180, 600)
    ends: list[float] = []
    now = since = 0.0
    while True:
        now, since = now + every, since + every
        ends = [end for end in ends if end > now]
        free = limit - len(ends)
        if free <= 0:
            continue
        ends += [
            # A turn that nobody comes for holds its place for a while too.
            now + (min(rng.gammavariate(2, middle_s / 2), 900) if rng.random() < shows else 120)
            for _ in range(free)
        ]
        yield since, free
        since = 0.0


def _paced(rng: random.Random, pace_at: Callable[[float], float]) -> Trace:
    every, people = rng.uniform(15, 90), max(_size(rng), 20)
    now = 0.0
    while True:
        gap = _around(rng, every, 0.05)
        now += gap
        yield gap, max(round(people * pace_at(now)), 1)


def ramp_up(rng: random.Random) -> Trace:
    over = rng.uniform(2_400, 7_200)
    return _paced(rng, lambda now: 4 ** min(now / over, 1.5))


def ramp_down(rng: random.Random) -> Trace:
    over = rng.uniform(2_400, 7_200)
    return _paced(rng, lambda now: 0.25 ** min(now / over, 1.5))


def waves(rng: random.Random) -> Trace:
    period = rng.uniform(900, 3_600)
    return _paced(rng, lambda now: 1 + 0.5 * math.sin(2 * math.pi * now / period))


def steps(rng: random.Random) -> Trace:
    """The operator halves or doubles the schedule every half an hour to an hour and a half."""
    every, people = rng.uniform(15, 90), max(_size(rng), 20)
    until_change = rng.uniform(1_800, 5_400)
    pace = 1.0
    while True:
        until_change -= every
        if until_change <= 0:
            until_change = rng.uniform(1_800, 5_400)
            pace = min(max(pace * rng.choice((0.5, 0.5, 2.0, 2.0)), 0.25), 4.0)
        yield every, max(round(people * pace), 1)


def stalls(rng: random.Random) -> Trace:
    """A schedule that stands still for five to twenty-five minutes, about once in 40, event open."""
    every, people = rng.uniform(15, 60), _size(rng)
    until_stall = rng.expovariate(1 / 2_400)
    while True:
        until_stall -= every
        held = 0.0
        if until_stall <= 0:
            held, until_stall = rng.uniform(300, 1_500), rng.expovariate(1 / 2_400)
        yield every + held, people


def pauses(rng: random.Random) -> Trace:
    """Bursts by hand with pauses, which the open clock leaves out: what is left is a gap cut short."""
    every, people = rng.uniform(180, 900), _by_hand(rng)
    while True:
        gap = _around(rng, every, 0.2)
        if rng.random() < 0.25:
            gap = rng.uniform(0.1, 1.0) * gap + rng.uniform(5, 60)
        yield gap, people


def very_slow(rng: random.Random) -> Trace:
    pace = 1 / rng.uniform(300, 900)
    while True:
        yield rng.expovariate(pace), rng.randint(1, 3)


def very_fast(rng: random.Random) -> Trace:
    every, people = rng.uniform(0.5, 1.0), rng.uniform(200, 1_000)
    while True:
        yield every, round(_around(rng, people, 0.1))


def heavy_tailed(rng: random.Random) -> Trace:
    least, people = rng.uniform(20, 120), _by_hand(rng)
    while True:
        yield least * rng.paretovariate(1.5), people


KINDS = (
    Kind("steady schedule", steady),
    Kind("jittered schedule", jittered),
    Kind("flow, every second or so", flow),
    Kind("very fast", very_fast),
    Kind("one by one", one_by_one),
    Kind("very slow", very_slow, (600, 14_400)),
    Kind("by hand, regular", hand_regular, (1_200, 14_400)),
    Kind("by hand, irregular", hand_irregular, (1_200, 10_800)),
    Kind("by hand, in clusters", hand_in_clusters, (1_200, 10_800)),
    Kind("by hand, the first hour", hand_irregular, (0, 3_600)),
    Kind("schedule, the first minutes", steady, (0, 600)),
    Kind("schedule and bursts by hand", schedule_and_hand),
    Kind("as capacity allows", by_capacity),
    Kind("waves", waves, (600, 10_800), foreseeable=False),
    Kind("ramp up", ramp_up, foreseeable=False),
    Kind("ramp down", ramp_down, foreseeable=False),
    Kind("steps", steps, (600, 14_400), foreseeable=False),
    Kind("pauses", pauses, (900, 10_800)),
    Kind("stalls", stalls, (600, 10_800), foreseeable=False),
    Kind("heavy-tailed gaps", heavy_tailed, (600, 10_800)),
)
