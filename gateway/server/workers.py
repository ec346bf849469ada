"""Several processes on the same sockets: a parent that binds, starts, watches and replaces.

The parent serves no visitors. It passes its listening sockets on, so that no connection is refused
while a worker is replaced, and hears of each worker over a line (a socket pair) that also tells the
worker when the parent is gone.
"""

import asyncio
import logging
import math
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from gateway.server.shutdown import Shutdown
from gateway.server.signals import ending_by_signal

_LOG: Final = logging.getLogger("gateway.server.workers")

# A worker that never came up will not come up: an error in the settings, most likely.
DEATHS_BEFORE_READY: Final = 5

READY_S: Final = 60.0
# Beyond the drain: the end of the lifespan, and of the interpreter.
EXIT_S: Final = 5.0


def restart_delay_s(deaths_in_last_minute: int, workers: int) -> float:
    """Wait longer the more often they die: at most some 13 starts of each worker in a minute.

    A death of all workers at once (the machine was short of memory) counts as one of each.
    """
    each = max(1, math.ceil(deaths_in_last_minute / workers))
    return min(0.1 * 2.0 ** (each - 1), 10.0)


class Worker(asyncio.Protocol):
    """One child process, as its parent sees it; the protocol is that of the line to it."""

    def __init__(self, *, spare: bool) -> None:
        self.process: asyncio.subprocess.Process
        self.spare = spare
        """Whether its end is nobody's loss: it is about to be replaced, or not yet relied on."""
        self.exited = asyncio.Event()
        self._ready = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if data and not self._ready.done():
            self._ready.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's words
        if not self._ready.done():
            self._ready.set_result(False)

    async def until_ready(self) -> bool:
        """Wait until the worker has said so; False when it ended or was killed for its silence."""
        try:
            ready = await asyncio.wait_for(asyncio.shield(self._ready), READY_S)
        except TimeoutError:
            _LOG.error("worker %d is not ready after %g s: killed", self.process.pid, READY_S)
            self.send(signal.SIGKILL)
            return False
        return bool(ready) and not self.exited.is_set()

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


async def run_workers(
    command: Sequence[str],
    sockets: Sequence[socket.socket],
    count: int,
    *,
    drain_s: float,
    shutdown: Shutdown,
    beside: Callable[[Shutdown], Awaitable[None]] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> int:
    """Keep `count` workers running until `shutdown` is requested (also by SIGTERM or SIGINT).

    SIGHUP replaces them one by one: a new worker first, and only when it is ready the old one ends.

    Args:
        command: Starts one worker; `--fd N` for every socket and `--parent-fd N` are added.
        sockets: Bound; they stay open here.
        drain_s: How long a worker takes to end well; it is killed EXIT_S later.
        beside: Runs in this process (the admin interface) and ends when its own Shutdown says so,
            which is after the last worker.
        on_ready: Called once when all workers of the start are ready.

    Returns:
        The exit status of the whole: 1 when the workers did not come up.
    """
    pool = _Pool(command, sockets, count, drain_s, shutdown)
    if beside is None:
        return await pool.run(on_ready)
    ending = Shutdown()
    neighbour = asyncio.ensure_future(beside(ending))
    # If it fails (its port is taken), the workers end, and its exception is ours.
    neighbour.add_done_callback(lambda _: shutdown.request())
    try:
        return await pool.run(on_ready)
    finally:
        ending.request()
        await neighbour


class _Pool:
    def __init__(
        self,
        command: Sequence[str],
        sockets: Sequence[socket.socket],
        count: int,
        drain_s: float,
        shutdown: Shutdown,
    ) -> None:
        self._command = command
        self._sockets = sockets
        self._count = count
        self._drain_s = drain_s
        self._shutdown = shutdown
        self._workers: set[Worker] = set()
        self._deaths: list[float] = []
        self._was_ready = False
        self._gave_up = False
        self._hangup = asyncio.Event()
        self._starting = asyncio.Lock()
        self._tending = asyncio.TaskGroup()

    async def run(self, on_ready: Callable[[], None] | None) -> int:
        with ending_by_signal(self._shutdown, self._hangup.set):
            async with self._tending:
                busy = asyncio.ensure_future(self._work(on_ready))
                asked = asyncio.ensure_future(self._shutdown.wait())
                try:
                    await asyncio.wait({busy, asked}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    self._shutdown.request()
                    busy.cancel()
                    async with self._starting:
                        await asyncio.gather(*(self._end(worker) for worker in self._workers))
                with suppress(asyncio.CancelledError):
                    await busy
        return 1 if self._gave_up else 0

    async def _work(self, on_ready: Callable[[], None] | None) -> None:
        first = [await self._start() for _ in range(self._count)]
        if all(await asyncio.gather(*(worker.until_ready() for worker in first))):
            self._was_ready = True
            _LOG.info("%d workers are ready", self._count)
            if on_ready is not None:
                on_ready()
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            await self._replace_all()

    async def _start(self, *, spare: bool = False) -> Worker:
        # Shielded: a process that was begun is also entered, and so ended with the others.
        return await asyncio.shield(asyncio.ensure_future(self._spawn(spare)))

    async def _spawn(self, spare: bool) -> Worker:
        async with self._starting:
            if self._shutdown.requested:
                raise asyncio.CancelledError
            worker = Worker(spare=spare)
            ours, theirs = socket.socketpair()
            line, _ = await asyncio.get_running_loop().create_unix_connection(
                lambda: worker, sock=ours
            )
            try:
                with theirs:
                    worker.process = await self._execute(theirs.fileno())
            except OSError:
                line.close()
                raise
            self._workers.add(worker)
            self._tending.create_task(self._tend(worker, line))
            return worker

    async def _execute(self, line_fd: int) -> asyncio.subprocess.Process:
        fds = [sock.fileno() for sock in self._sockets]
        arguments = [word for fd in fds for word in ("--fd", str(fd))]
        return await asyncio.create_subprocess_exec(
            *self._command,
            *arguments,
            "--parent-fd",
            str(line_fd),
            pass_fds=[*fds, line_fd],
            # A terminal's Ctrl-C is for the parent: passed on as well, it would come twice.
            start_new_session=True,
        )

    async def _tend(self, worker: Worker, line: asyncio.BaseTransport) -> None:
        status = await worker.process.wait()
        worker.exited.set()
        self._workers.discard(worker)
        line.close()
        if worker.spare or self._shutdown.requested:
            return
        _LOG.warning("worker %d ended with status %d", worker.process.pid, status)
        while await self._may_restart():
            try:
                again = await self._start()
            except OSError:
                _LOG.exception("no worker could be started")
            else:
                self._was_ready |= await again.until_ready()
                return

    async def _may_restart(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._deaths = [*(at for at in self._deaths if at > now - 60), now]
        if not self._was_ready and len(self._deaths) >= DEATHS_BEFORE_READY:
            _LOG.critical("the workers do not come up")
            self._gave_up = True
            self._shutdown.request()
        delay_s = restart_delay_s(len(self._deaths), self._count)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._shutdown.wait(), delay_s)
        return not self._shutdown.requested

    async def _replace_all(self) -> None:
        for old in list(self._workers):
            new = await self._start(spare=True)
            if not await new.until_ready():
                _LOG.error("the new worker did not come up: the old ones go on")
                return
            new.spare = False
            old.spare = True
            self._tending.create_task(self._end(old))
        _LOG.info("all workers were replaced")

    async def _end(self, worker: Worker) -> None:
        worker.send(signal.SIGTERM)
        forced = asyncio.ensure_future(self._shutdown.wait_forced())
        exited = asyncio.ensure_future(worker.exited.wait())
        await asyncio.wait(
            {forced, exited},
            timeout=self._drain_s + EXIT_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        forced.cancel()
        if not worker.exited.is_set():
            _LOG.warning("worker %d did not end: killed", worker.process.pid)
            worker.send(signal.SIGKILL)
        await exited
