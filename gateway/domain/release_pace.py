"""What the history of releases says of those to come: the next movement, and the pace beyond it.

The history is movements of the pointer and the gaps between them.

- *The next movement* (`NextMovement`). The gaps so far that were longer than the present silence say how
  long it may still last: their conditional empirical distribution. A wide tail in proportion to gap and
  silence stands for what was not seen yet; it weighs more the less alike the gaps were, and takes over when
  a silence outlasts them all.
- *The pace beyond it* (`Pace`). Exponentially weighted means of the near past, the middle and nearly all of
  it are tried on the history itself: how well would each have foretold the pace over the next 1, 2, 4 …
  spans? The better ones weigh more, their steady errors are taken for a trend, and the rest is the spread.
  Where the history is short, independent gaps and sizes and a change that no one can know of stand in.

Nothing is random here: gateways that read the same come to the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.events import LetIn

# Half-lives, in movements or spans: after so many one weighs half.
NEAR_MEMORY = 6.0
PACE_MEMORIES = (1.5, 5.0, 20.0)
ERROR_MEMORY = 30.0

NEAR_GAPS = 40
HORIZONS = (1, 2, 4, 8, 16)

# Before any was seen, gaps and sizes are taken to vary by so much, with the weight of so many.
PRIOR_VARIANCE = 0.25
PRIOR_WEIGHT = 1.0
PRIOR_ERRORS = 1.0

UNKNOWABLE = 0.06
"""The standard deviation, of the logarithm, of a change of pace that no history foretells."""

WIDEST = 0.65
"""Beyond this standard deviation of the logarithm a range says nothing any more."""

TREND_DOUBT = 6.0
STEEPEST_TREND = 0.4

# The tail of the next gap: parts of the longer of the mean gap and the present silence.
TAIL = (0.02, 0.1, 0.3, 1.0, 2.0, 4.0)
TAIL_WEIGHT = 1.2
LEAST_DOUBT = 0.02


@dataclass(frozen=True, slots=True)
class Gap:
    """Movements taken together: seconds since those before, the people, how many movements."""

    seconds: float
    people: int
    movements: int


def gaps_between(entries: Sequence[LetIn], least_s: float) -> list[Gap]:
    """Take together what lies closer than `least_s`, from the latest back.

    The first entry only marks the start, since nothing is known of the time before it.
    """
    gaps: list[Gap] = []
    end_s = entries[-1].open_s
    people = movements = 0
    for before, entry in zip(entries[-2::-1], entries[:0:-1], strict=True):
        people += entry.people
        movements += entry.movements
        if end_s - before.open_s >= least_s:
            gaps.append(Gap(end_s - before.open_s, people, movements))
            end_s, people, movements = before.open_s, 0, 0
    if not gaps and end_s > entries[0].open_s:
        gaps.append(Gap(end_s - entries[0].open_s, people, movements))
    gaps.reverse()
    return gaps


@dataclass(frozen=True, slots=True)
class NextMovement:
    """When the next movement may come, and how many it may let in.

    Attributes:
        low_s: The nearer end of its range; `middle_s` and `high_s` are its median and farther end.
        people: Let in by one movement, on average.
        size_deviation: The standard deviation of that, as a share of it.
        variance: Of gaps and sizes together, relative, for one movement.
        flows: Whether movements are so dense that single ones have no meaning.
    """

    low_s: float
    middle_s: float
    high_s: float
    people: float
    size_deviation: float
    variance: float
    flows: bool

    @classmethod
    def after(cls, gaps: Sequence[Gap], silent_s: float, coverage: float) -> "NextMovement":
        """Foretell it, `silent_s` after the latest."""
        gaps = gaps[-NEAR_GAPS:]
        weights = [0.5 ** (age / NEAR_MEMORY) for age in range(len(gaps) - 1, -1, -1)]
        weighted = list(zip(weights, gaps, strict=True))
        total = sum(weights)
        gap_s = sum(weight * gap.seconds for weight, gap in weighted) / total
        people = sum(weight * gap.people for weight, gap in weighted) / total
        movements = sum(weight * gap.movements for weight, gap in weighted) / total
        known = PRIOR_VARIANCE * PRIOR_WEIGHT
        of_gaps = sum(weight * (gap.seconds / gap_s - 1) ** 2 for weight, gap in weighted)
        of_sizes = sum(weight * (gap.people / people - 1) ** 2 for weight, gap in weighted)
        gap_variance = (known + of_gaps) / (PRIOR_WEIGHT + total)
        flows = movements >= 2 and silent_s <= gap_s
        low_s = middle_s = high_s = 0.0
        if not flows:
            doubt = min(LEAST_DOUBT + math.sqrt(gap_variance), 1.0) * TAIL_WEIGHT
            longer_s = max(gap_s, silent_s)
            left = [(longer_s * part, doubt / len(TAIL)) for part in TAIL]
            left += [(gap.seconds - silent_s, w) for w, gap in weighted if gap.seconds > silent_s]
            left.sort()
            tail = (1 - coverage) / 2
            low_s, middle_s, high_s = (_quantile(left, part) for part in (tail, 0.5, 1 - tail))
        return cls(
            low_s,
            middle_s,
            high_s,
            people,
            math.sqrt(of_sizes / total),
            gap_variance + of_sizes / total,
            flows,
        )


def _quantile(values: Sequence[tuple[float, float]], part: float) -> float:
    """Return the least of ascending `(value, weight)` up to which lies that part of the weight."""
    wanted = part * sum(weight for _, weight in values)
    reached = 0.0
    for value, weight in values:
        reached += weight
        if reached >= wanted:
            return value
    return values[-1][0]


@dataclass(frozen=True, slots=True)
class _Errors:
    """How one memory would have foretold the logarithm of the pace: of independent spans, how many; the
    mean of its errors, and of their squares."""

    count: float
    mean: float
    square: float

    def trend(self) -> float:
        """Return the steady part of the errors, where they are steadier than chance would be."""
        chance = TREND_DOUBT * (self.square - self.mean**2) / self.count
        share = self.mean**2 / (self.mean**2 + max(chance, 0.0) + 1e-9)
        return self.mean * share


class Pace:
    """Seconds a person, and how wrong that may turn out.

    Args:
        gaps: At least one, of about the same length.
        variance: Relative, of gaps and sizes, for one of them, were they independent.
    """

    def __init__(self, gaps: Sequence[Gap], variance: float) -> None:
        self._count = len(gaps)
        self._variance = variance
        self._span_s = sum(gap.seconds for gap in gaps[-8:]) / len(gaps[-8:])
        came = _came_over(gaps)
        self._errors: dict[int, list[_Errors]] = {horizon: [] for horizon in came}
        self._paces: list[float] = []
        for memory in PACE_MEMORIES:
            told = _told_by(gaps, memory)
            self._paces.append(told[-1])
            for horizon, paces in came.items():
                self._errors[horizon].append(_errors_of(told, paces, horizon))
        self.now_s = math.exp(self._paces[1])

    def over(self, span_s: float) -> tuple[float, float]:
        """Foretell it for the next `span_s`.

        Returns:
            Seconds a person, and the standard deviation of its logarithm.
        """
        # A whole number of spans is found to be one, whatever the rounding.
        spans = max(round(span_s / self._span_s, 6), 1.0)
        chance = self._by_chance(spans)
        assumed = chance + UNKNOWABLE**2
        tried = max((horizon for horizon in self._errors if horizon <= spans), default=None)
        if tried is None:
            return self.now_s, min(math.sqrt(assumed), WIDEST)
        # Beyond the longest horizon that could be tried: chance evens out, what is more than chance grows.
        farther = spans / tried
        chance_then = self._by_chance(tried)
        weights = pace = variance = 0.0
        for errors, told in zip(self._errors[tried], self._paces, strict=True):
            more = max(errors.square - chance_then, 0.0) * farther
            seen = min(errors.square / chance_then, 1.0) * chance + more
            spread = (PRIOR_ERRORS * assumed + errors.count * seen) / (PRIOR_ERRORS + errors.count)
            trend = errors.trend() * min(farther, 2.0)
            weight = spread**-2
            weights += weight
            pace += weight * (told + min(max(trend, -STEEPEST_TREND), STEEPEST_TREND))
            variance += weight * spread
        return math.exp(pace / weights), min(math.sqrt(variance / weights), WIDEST)

    def _by_chance(self, spans: float) -> float:
        """Return the variance of the mean over so many spans, and of what it is told from."""
        return self._variance * (1 / spans + 1 / min(self._count, 16))


def _came_over(gaps: Sequence[Gap]) -> dict[int, list[float]]:
    """Return by horizon the logarithms of the pace that came after the first gap, the second …"""
    seconds, people = [0.0], [0]
    for gap in gaps:
        seconds.append(seconds[-1] + gap.seconds)
        people.append(people[-1] + gap.people)
    return {
        horizon: [
            math.log((seconds[i + horizon] - seconds[i]) / (people[i + horizon] - people[i]))
            for i in range(1, len(gaps) + 1 - horizon)
        ]
        for horizon in HORIZONS
        if horizon < len(gaps)
    }


def _told_by(gaps: Sequence[Gap], memory: float) -> list[float]:
    """Return the logarithms of the pace as it was to be told after the first gap, the second …"""
    keep = 0.5 ** (1 / memory)
    told: list[float] = []
    seconds = people = 0.0
    for gap in gaps:
        seconds = seconds * keep + gap.seconds
        people = people * keep + gap.people
        told.append(math.log(seconds / people))
    return told


def _errors_of(told: Sequence[float], came: Sequence[float], horizon: int) -> _Errors:
    keep = 0.5 ** (1 / ERROR_MEMORY)
    weight = mean = square = 0.0
    for guess, truth in zip(told, came, strict=False):
        error = truth - guess
        weight = weight * keep + 1
        mean = mean * keep + error
        square = square * keep + error * error
    # Those of neighbours overlap: only every `horizon`-th says something new.
    return _Errors(weight / horizon, mean / weight, square / weight)
