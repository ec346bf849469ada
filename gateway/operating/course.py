"""The course of a sale, made of its samples: what a report plots and puts into its table. Pure."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from gateway.domain.events import EventState
from gateway.domain.samples import EVERY_S, Sample, Waited, waits_had

MOST_TICKS: Final = 360
"""More points than that are not seen in a plot."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The numbers as they stood at one instant, and the rates since the tick before; None at the first."""

    at_s: float
    sample: Sample
    arrivals_per_min: float | None = None
    let_in_per_min: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which the event was in another state than open."""

    from_s: float
    to_s: float
    state: EventState


@dataclass(frozen=True, slots=True)
class Course:
    """A sale in one generation.

    Attributes:
        ticks: At even distances, at most `MOST_TICKS` and one.
        step_s: Their distance.
        waits: For who joined at each sample at which somebody waited, oldest first.
    """

    ticks: Sequence[Tick]
    step_s: int
    spans: Sequence[Span]
    waits: Sequence[Waited]

    @property
    def promises(self) -> tuple[int, int]:
        """How many were told a range and have had their turn, and for how many it held."""
        told = [wait for wait in self.waits if wait.is_over and wait.promised is not None]
        return len(told), sum(wait.is_as_promised for wait in told)


def course_of(samples: Sequence[Sample]) -> Course:
    """Lay the samples of one generation, oldest first and at least two, on even ticks."""
    began_s, ended_s = samples[0].at_s, samples[-1].at_s
    steps = math.ceil((ended_s - began_s) / EVERY_S)
    step_s = EVERY_S * max(math.ceil(steps / MOST_TICKS), 1)
    times = [sample.at_s for sample in samples]
    instants = [*range(began_s, ended_s, step_s), ended_s]
    # Nothing is noted while nothing changes: the sample before still says how it stood.
    standing = [samples[bisect_right(times, instant) - 1] for instant in instants]
    ticks = [Tick(began_s, samples[0])]
    for (before_s, before), (at_s, sample) in pairwise(zip(instants, standing, strict=True)):
        a_minute = 60 / (at_s - before_s)
        ticks.append(
            Tick(
                at_s,
                sample,
                (sample.issued - before.issued) * a_minute,
                (sample.let_in - before.let_in) * a_minute,
            )
        )
    return Course(ticks, step_s, _spans(samples), waits_had(samples))


def _spans(samples: Sequence[Sample]) -> list[Span]:
    spans: list[Span] = []
    for sample, after in pairwise(samples):
        if sample.state is EventState.OPEN:
            continue
        newest = spans[-1] if spans else None
        if newest is not None and newest.state is sample.state and newest.to_s == sample.at_s:
            spans[-1] = Span(newest.from_s, after.at_s, sample.state)
        else:
            spans.append(Span(sample.at_s, after.at_s, sample.state))
    return spans


def course_document(course: Course) -> dict[str, Any]:
    """Return what a report plots."""
    return {
        "step_s": course.step_s,
        "ticks": [
            {
                "at": tick.at_s,
                "issued": tick.sample.issued,
                "served_up_to": tick.sample.served_up_to,
                "waiting": tick.sample.waiting,
                "active_sessions": tick.sample.active_sessions,
                "arrivals_per_min": _rounded(tick.arrivals_per_min),
                "let_in_per_min": _rounded(tick.let_in_per_min),
            }
            for tick in course.ticks
        ],
        "spans": [
            {"from": span.from_s, "to": span.to_s, "state": span.state.value}
            for span in course.spans
        ],
    }


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)


def summary_document(event: str, samples: Sequence[Sample], course: Course) -> dict[str, Any]:
    """Return what a report says above its plots; `--json` prints it."""
    last = samples[-1]
    told, kept = course.promises
    longest = max((wait.seconds for wait in course.waits), default=None)
    return {
        "event": event,
        "generation": last.generation,
        "state": last.state.value,
        "from": samples[0].at_s,
        "to": last.at_s,
        "samples": len(samples),
        "issued": last.issued,
        "served_up_to": last.served_up_to,
        "let_in": last.let_in,
        "waiting": last.waiting,
        "claims": last.claims,
        "no_shows": last.no_shows,
        "most_waiting": max(sample.waiting for sample in samples),
        "most_active_sessions": max(sample.active_sessions for sample in samples),
        "max_sessions": last.max_sessions or None,
        "longest_wait_s": None if longest is None else int(longest),
        "waits_promised": told,
        "promises_kept": kept,
    }
