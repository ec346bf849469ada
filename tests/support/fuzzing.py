"""How much is tried, and how much was: shared by the property runs and the coverage-guided ones.

An oracle takes one hostile input, fails when something does not hold of it, and returns whether the
code under test accepted the input: a target that never accepts anything looks at nothing.
"""

import functools
import os
from collections import Counter
from collections.abc import Callable
from typing import Final, ParamSpec, TypeAlias

from hypothesis import HealthCheck, settings

P = ParamSpec("P")

BytesOracle: TypeAlias = Callable[[bytes], bool]

EXAMPLES_ENV: Final = "GATEWAY_FUZZ_EXAMPLES"
FEW: Final = 300

_examples = int(os.environ.get(EXAMPLES_ENV, "0"))

LONG: Final = _examples > 0
"""Whether this is a long run, which `make fuzz` asks for, and not one of every day's."""

# Every day the same inputs: a failure there is a finding, never the weather. A long run tries new ones.
fuzzed = settings(
    max_examples=_examples or FEW,
    derandomize=not LONG,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

SEEN: Final[Counter[str]] = Counter()
ACCEPTED: Final[Counter[str]] = Counter()

GUIDED: Final[dict[str, BytesOracle]] = {}
"""The oracles that a coverage-guided fuzzer can feed, since all they take is bytes."""


def counted(oracle: Callable[P, bool]) -> Callable[P, bool]:
    """Count what an oracle is shown and what was accepted of it."""
    name = oracle.__name__

    @functools.wraps(oracle)
    def counting(*args: P.args, **kwargs: P.kwargs) -> bool:
        SEEN[name] += 1
        accepted = oracle(*args, **kwargs)
        ACCEPTED[name] += accepted
        return accepted

    return counting


def guided(oracle: BytesOracle) -> BytesOracle:
    """Count, and let the coverage-guided fuzzer have it too."""
    counting = counted(oracle)
    GUIDED[oracle.__name__] = counting
    return counting


def report() -> list[str]:
    """Say how many inputs each oracle saw, one line each."""
    return [
        f"{name:<24}{SEEN[name]:>12,} inputs{ACCEPTED[name]:>12,} accepted" for name in sorted(SEEN)
    ]
