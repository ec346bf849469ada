"""The load: raw sockets in a process of its own, keep-alive, one request at a time on each connection.

It parses of an answer what it must, status and length, so that the server under test is the slower
of the two by far. Closed loop: a slow answer delays the next request of its connection.
"""

import multiprocessing
import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from multiprocessing.connection import Connection

from loadtests.placement import pin

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: *([0-9]+)\r\n")
_BODILESS = frozenset({204, 304})
_RECEIVE_BYTES = 262_144

# A server that says nothing for this long is stuck, and the run is void.
_SILENCE_S = 10.0


class LoadBroken(Exception):
    """The run is void: a connection broke, or an answer was not what a benchmark may count."""


@dataclass(frozen=True, slots=True)
class Job:
    """One measurement.

    Attributes:
        requests: Whole requests, as they go over the wire.
        once: Whether each is sent once at most; the run ends early when they are used up.
        timed: Whether each answer's delay is noted.
    """

    port: int
    requests: Sequence[bytes]
    connections: int
    seconds: float
    once: bool = False
    timed: bool = False


@dataclass(slots=True)
class Outcome:
    """Answers that arrived whole within `seconds`, by status.

    Attributes:
        delays_s: From each request to its answer, in no order; of a timed job only.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter[int])
    delays_s: list[float] = field(default_factory=list[float])

    @property
    def answers(self) -> int:
        return self.statuses.total()


class _Link:
    """One connection; `head` and `left` tell of an answer that has arrived in part."""

    __slots__ = ("head", "left", "receive", "send", "sent_at", "status")

    def __init__(self, connection: socket.socket) -> None:
        self.receive: Callable[[int], bytes] = connection.recv
        self.send: Callable[[bytes], None] = connection.sendall
        self.head = b""
        self.left = 0
        self.status = 0
        self.sent_at = 0.0


def hammer(job: Job) -> Outcome:
    """Send requests until the time is over or, where each is sent once, none is left.

    Raises:
        LoadBroken: See there.
    """
    supply: Iterator[bytes] = iter(job.requests) if job.once else cycle(job.requests)
    connections = [
        socket.create_connection(("127.0.0.1", job.port)) for _ in range(job.connections)
    ]
    links = {connection.fileno(): _Link(connection) for connection in connections}
    poller = select.epoll()
    try:
        for connection in connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            poller.register(connection.fileno(), select.EPOLLIN)
        return _run(job, supply, links, poller)
    finally:
        poller.close()
        for connection in connections:
            connection.close()


def _run(
    job: Job, supply: Iterator[bytes], links: dict[int, _Link], poller: select.epoll
) -> Outcome:
    outcome = Outcome()
    seconds, timed = job.seconds, job.timed
    counts = outcome.statuses
    clock = time.perf_counter
    start = clock()
    under_way = 0
    for link in links.values():
        if request := next(supply, b""):
            link.sent_at = clock()
            link.send(request)
            under_way += 1
    while under_way and clock() - start < seconds:
        ready = poller.poll(_SILENCE_S)
        if not ready:
            raise LoadBroken(f"nothing was answered for {_SILENCE_S:g} s")
        for fd, _ in ready:
            link = links[fd]
            if status := _take(link):
                counts[status] += 1
                if timed:
                    now = clock()
                    outcome.delays_s.append(now - link.sent_at)
                    link.sent_at = now
                if request := next(supply, b""):
                    link.send(request)
                else:
                    under_way -= 1
    outcome.seconds = clock() - start
    return outcome


def _take(link: _Link) -> int:
    """Take what has arrived; return the status of an answer that is whole now, else 0."""
    data = link.receive(_RECEIVE_BYTES)
    if not data:
        raise LoadBroken("the server closed a connection")
    if link.left:
        link.left -= len(data)
        return 0 if link.left else link.status
    if link.head:
        data = link.head + data
        link.head = b""
    end = data.find(_HEAD_END)
    if end < 0:
        link.head = data
        return 0
    status = int(data[9:12])
    length = _LENGTH.search(data, 0, end + 2)
    if length is not None:
        body = int(length[1])
    elif status in _BODILESS:
        body = 0
    else:
        raise LoadBroken(f"an answer {status} without Content-Length")
    link.left = end + 4 + body - len(data)
    link.status = status
    if link.left < 0:
        raise LoadBroken("more came than was asked for")
    return 0 if link.left else status


class LoadGenerator:
    """The process that hammers, started once; a context manager.

    Args:
        core: Where it runs; None leaves that to the system.
    """

    def __init__(self, core: int | None) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, far = spawn.Pipe()
        self._process = spawn.Process(target=_work, args=(far, core), daemon=True)
        self._process.start()
        far.close()

    def __enter__(self) -> "LoadGenerator":
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join()

    def run(self, job: Job) -> Outcome:
        """Carry out one measurement.

        Raises:
            LoadBroken: See there.
        """
        self._pipe.send(job)
        answer = self._pipe.recv()
        if isinstance(answer, Outcome):
            return answer
        raise LoadBroken(str(answer))


def _work(pipe: Connection, core: int | None) -> None:
    pin(core)
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(hammer(job))
        except (LoadBroken, OSError) as exc:
            pipe.send(f"{type(exc).__name__}: {exc}")
