"""When clients are asked to come back: each at another moment, so that none of them come together."""

from typing import Final

from gateway.chance import CHANCE

# After a stream that ended, or broke: they poll meanwhile if they like. A gateway that died with 20,000
# streams has them back at 2,000 a second.
BACK_S: Final = (2.0, 12.0)

# After a refusal, polling is the way; the stream is tried again once in a while.
REFUSED_S: Final = (60.0, 180.0)


def back_ms() -> int:
    return _spread_ms(BACK_S)


def refused_ms() -> int:
    return _spread_ms(REFUSED_S)


def _spread_ms(range_s: tuple[float, float]) -> int:
    return int(CHANCE.uniform(*range_s) * 1000)
