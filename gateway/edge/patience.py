"""What ends an exchange before its end: the client leaves, or a side stands still for too long."""

import asyncio
import math
from enum import Enum
from types import TracebackType
from typing import Self

from starlette.types import Receive

# Most answers are there sooner, and need no task that listens for the client's leaving.
LISTEN_AFTER_S = 0.05


class Ending(Enum):
    CLIENT_GONE = "the client closed the connection"
    TIMED_OUT = "a side stood still for too long"
    BAD_BODY = "the client's body is not what it announced"


class Patience:
    """Cancels the block it is entered in when waiting on has no sense; `ending` then says why.

    As `asyncio.timeout`, with two more reasons and a deadline that moves at no cost: the timer is
    set once and looks at the deadline when it fires.

    Attributes:
        ending: Why the block was cancelled; None when it was not.
    """

    def __init__(self, receive: Receive, step_s: float) -> None:
        """
        Args:
            receive: Of the ASGI application. Nobody else may call it, but for reading a body
                that `body_is_ahead` announced.
            step_s: How long each step may take.
        """
        self.ending: Ending | None = None
        self._receive = receive
        self._step_s = step_s
        self._deadline = math.inf
        self._answering = False
        self._body_ahead = False
        self._listen_now = False
        self._cancelled = False
        self._listener: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._when = math.inf

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Patience needs a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + self._step_s
        self._arm(min(self._deadline, self._loop.time() + LISTEN_AFTER_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
        if not self._cancelled:
            return False
        # Someone else's cancellation (the server's, at its shutdown) must go on upwards.
        others = self._task.uncancel() > self._cancelling
        return kind is asyncio.CancelledError and not others

    def body_is_ahead(self) -> None:
        """Announce that a body will be read: until its end, its reader sees the client leave."""
        self._body_ahead = True

    def body_was_read(self) -> None:
        self._body_ahead = False
        if self._listen_now:
            self._listen()

    def progress(self) -> None:
        """Give whoever is next a full step."""
        self._set_deadline(self._loop.time() + self._step_s)

    def wait_for_client(self) -> None:
        """Stop the clock while the client's body is awaited, unless the answer has begun.

        How slow a client may send is for the server in front to judge.
        """
        if not self._answering:
            self._deadline = math.inf

    def answering(self, step_s: float) -> None:
        """From now on no step may take longer than `step_s`, whoever is at fault."""
        self._answering = True
        self._step_s = step_s
        self.progress()

    def end(self, ending: Ending) -> None:
        if self.ending is not None:
            return
        self.ending = ending
        # Whoever ends its own block leaves it by an exception of its own.
        if asyncio.current_task() is not self._task:
            self._cancelled = True
            self._task.cancel()

    def _set_deadline(self, deadline: float) -> None:
        self._deadline = deadline
        if deadline < self._when:
            self._arm(deadline)

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._when = when
        self._timer = None if when == math.inf else self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() >= self._deadline:
            self._when = math.inf
            self.end(Ending.TIMED_OUT)
            return
        self._listen_now = True
        if not self._body_ahead:
            self._listen()
        self._arm(self._deadline)

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = self._loop.create_task(self._wait_for_leaving())

    async def _wait_for_leaving(self) -> None:
        while True:
            message = await self._receive()
            if message["type"].endswith(".disconnect"):
                self.end(Ending.CLIENT_GONE)
                return
            if message.get("body"):
                self.end(Ending.BAD_BODY)
                return
