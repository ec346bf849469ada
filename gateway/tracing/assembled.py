"""What the wiring asks for: parts that trace, and listeners that also tell the span under way."""

from collections.abc import Callable
from typing import Any, Protocol

from starlette.types import ASGIApp

from gateway.domain.peers import Peers
from gateway.domain.positions import EventId
from gateway.edge.options import BackendFault
from gateway.tracing.parts import TracedLedger, TracedRoom
from gateway.tracing.requests import TracedProxy, TracedRequests
from gateway.tracing.spans import STATUS, Tracing, current, fail, note


class Board(Protocol):
    """What was last read of every event."""

    def get(self, event: EventId) -> object | None: ...


class Traced:
    """The parts of one process that trace; each stands for the one that it extends."""

    def __init__(self, endpoint: str, sample_ratio: float) -> None:
        self._tracing = Tracing(endpoint, sample_ratio)

    async def aclose(self) -> None:
        """Send the last spans."""
        await self._tracing.aclose()

    def ledger(self, url: str, **options: Any) -> TracedLedger:
        return TracedLedger(url, tracing=self._tracing, **options)

    def room(self, **parts: Any) -> TracedRoom:
        return TracedRoom(tracing=self._tracing, **parts)

    def requests(self, app: ASGIApp, peers: Peers, board: Board) -> ASGIApp:
        def knows(event: str) -> bool:
            return board.get(EventId(event)) is not None

        return TracedRequests(app, self._tracing, peers, knows)

    def proxy(self, proxy: ASGIApp) -> ASGIApp:
        return TracedProxy(proxy, self._tracing)

    def checks(self, listener: Callable[[str, float], None]) -> Callable[[str, float], None]:
        """Return a listener that also notes how the judgement of a request ended."""

        def listen(outcome: str, seconds: float) -> None:
            note("gateway.check", outcome)
            listener(outcome, seconds)

        return listen

    def answers(self, listener: Callable[[int], None]) -> Callable[[int], None]:
        """Return a listener that also notes the status that the backend answered with."""

        def listen(status: int) -> None:
            note(STATUS, status)
            listener(status)

        return listen

    def faults(self, listener: Callable[[BackendFault], None]) -> Callable[[BackendFault], None]:
        """Return a listener that also marks the span of a request that the backend failed."""

        def listen(fault: BackendFault) -> None:
            span = current()
            if span is not None:
                fail(span, fault.value)
            listener(fault)

        return listen
