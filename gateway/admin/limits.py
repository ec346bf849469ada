"""How much one source may ask: a bucket each, bounded in number. Pure: the time is an argument."""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """Attributes:
    burst: How much at once.
    per_minute: How much in the long run.
    """

    burst: int
    per_minute: float


@dataclass(frozen=True, slots=True)
class AdminLimits:
    """What the interface bears.

    A genuine key is let in whatever others did wrong: nobody can lock the operators out on the night of a
    sale. The limits of mistakes spare the process and its log; 256 random bits cannot be guessed.

    Attributes:
        mistakes: Wrong keys of one client address.
        mistakes_overall: Wrong keys of all together.
        requests: Requests of one operator.
        lines: Log lines about who is no operator, all together.
    """

    mistakes: Rate = Rate(burst=10, per_minute=6)
    mistakes_overall: Rate = Rate(burst=100, per_minute=60)
    requests: Rate = Rate(burst=200, per_minute=1200)
    lines: Rate = Rate(burst=100, per_minute=60)


MOST_SOURCES = 10_000


class Allowance:
    """Counts for each source. The least recently seen are forgotten past a bound."""

    def __init__(self, rate: Rate, most: int = MOST_SOURCES) -> None:
        self._rate = rate
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, source: str, now_s: float) -> int:
        """Take one for `source`.

        Returns:
            0 when it was there, else in how many whole seconds it will be; nothing was taken.
        """
        left, at_s = self._left.pop(source, (float(self._rate.burst), now_s))
        gained = max(now_s - at_s, 0.0) * self._rate.per_minute / 60
        left = min(left + gained, float(self._rate.burst))
        allowed = left >= 1
        self._left[source] = (left - 1 if allowed else left, now_s)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return 0 if allowed else int((1 - left) * 60 / self._rate.per_minute) + 1

    def __len__(self) -> int:
        return len(self._left)
