"""SIGTERM and SIGINT, in the way of the twelve-factor app: once to end well, twice to end now."""

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from gateway.server.shutdown import Shutdown

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def ending_by_signal(
    shutdown: Shutdown, on_hangup: Callable[[], None] | None = None
) -> Generator[None]:
    """Turn signals into `shutdown` while the block runs; elsewhere than in the main thread do nothing.

    The first asks for the end, the second forces it, a third kills. `on_hangup` is called at SIGHUP.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()

    def release() -> None:
        for number in _ENDING:
            loop.remove_signal_handler(number)

    def end() -> None:
        if shutdown.requested:
            shutdown.force()
            release()
        else:
            shutdown.request()

    for number in _ENDING:
        loop.add_signal_handler(number, end)
    if on_hangup is not None:
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
    try:
        yield
    finally:
        release()
        if on_hangup is not None:
            loop.remove_signal_handler(signal.SIGHUP)
