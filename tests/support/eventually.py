"""Waiting, in a test without an event loop, for something to become true."""

import inspect
import time
from collections.abc import Callable

STEP_S = 0.002


def eventually(predicate: Callable[[], object], timeout_s: float = 5.0) -> None:
    """Return as soon as `predicate` holds; fail when it does not within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {_text(predicate)}"
        time.sleep(STEP_S)


def _text(predicate: Callable[[], object]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):
        return repr(predicate)
