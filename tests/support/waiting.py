"""Waiting for something to become true, instead of sleeping for as long as it usually takes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

STEP_S = 0.005


async def wait_until(
    predicate: Callable[[], bool] | Callable[[], Awaitable[bool]], timeout_s: float = 5.0
) -> None:
    """Return as soon as `predicate` holds; fail when it does not within `timeout_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        assert loop.time() < deadline, f"not within {timeout_s} s: {inspect.getsource(predicate)}"
        await asyncio.sleep(STEP_S)
