"""The room and the ledger, with spans around what a visitor waits for."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from opentelemetry.trace import Link, Span, SpanKind

from gateway.domain.admission import Refused
from gateway.domain.backoff import Seen
from gateway.domain.claims import QueueClaims
from gateway.domain.events import EventSnapshot
from gateway.domain.positions import EventId
from gateway.ledger.group_commit import Dealt
from gateway.ledger.redis import RedisLedger
from gateway.ledger.sending import Sender
from gateway.ports import JoinRequest, Place, Scheduled
from gateway.queue import JoinCall, Joined, Passed
from gateway.timing import TimedRoom
from gateway.tracing.spans import EVENT, OUTCOME, Tracing, current, note


class TracedRoom(TimedRoom):
    """A room whose joins and claims are spans."""

    def __init__(self, *, tracing: Tracing, **parts: Any) -> None:
        super().__init__(**parts)
        self._tracing = tracing

    async def join(self, event: EventId, call: JoinCall) -> Joined | Refused:
        with self._tracing.child("join") as span:
            joined = await super().join(event, call)
            if span is not None:
                self._note(
                    span, event, "new" if isinstance(joined, Joined) and joined.new else joined
                )
            return joined

    async def claim_place(self, snapshot: EventSnapshot, place: QueueClaims) -> Passed | Refused:
        with self._tracing.child("claim") as span:
            passed = await super().claim_place(snapshot, place)
            if span is not None:
                self._note(span, snapshot.event, passed)
            return passed

    def _note(self, span: Span, event: EventId, result: Joined | Passed | Refused | str) -> None:
        # Any name can be asked for; only those that there are name spans.
        if self.snapshot(event) is not None:
            span.set_attribute(EVENT, event)
        match result:
            case Refused(problem=problem):
                outcome = problem.value
            case Joined():
                outcome = "repeated"
            case Passed():
                outcome = "passed"
            case _:
                outcome = result
        span.set_attribute(OUTCOME, outcome)


class TracedSender(Sender):
    """Sends commands, each a span that is named by its script."""

    def __init__(
        self, timeout_s: float, on_call: Callable[[str, str], None] | None, tracing: Tracing
    ) -> None:
        super().__init__(timeout_s, on_call)
        self._tracing = tracing

    async def call(
        self,
        name: str,
        send: Callable[[], Awaitable[Any]],
        *,
        may_repeat: bool = False,
        server: str = "",
    ) -> Any:
        with self._tracing.child(f"ledger {name}", SpanKind.CLIENT) as span:
            answer = await super().call(name, send, may_repeat=may_repeat, server=server)
            if span is not None:
                span.set_attribute(OUTCOME, "ok")
            return answer


class TracedLedger(RedisLedger):
    """A ledger whose calls are spans.

    Joins share round trips, so a batch is a trace of its own: it and the joins that rode on it are linked
    both ways.
    """

    def __init__(
        self,
        url: str,
        *,
        tracing: Tracing,
        timeout_s: float,
        on_call: Callable[[str, str], None] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(url, timeout_s=timeout_s, on_call=on_call, **options)
        self._runner.sender = TracedSender(timeout_s, on_call, tracing)
        self._tracing = tracing
        # By the identity of the request, which lives as long as its join.
        self._riding: dict[int, Span] = {}

    async def join(self, event: EventId, request: JoinRequest) -> Place:
        span = current()
        if span is None:
            return await super().join(event, request)
        self._riding[id(request)] = span
        try:
            return await super().join(event, request)
        finally:
            del self._riding[id(request)]

    async def deal(self, event: EventId, batch_id: str, requests: Sequence[JoinRequest]) -> Dealt:
        riding = self._riding
        riders = [riding[id(each)] for each in requests if id(each) in riding] if riding else []
        if not riders:
            # The task that deals was begun by some join, and outlives it.
            with self._tracing.nothing():
                return await super().deal(event, batch_id, requests)
        links = [Link(rider.get_span_context()) for rider in riders]
        with self._tracing.root("join batch", links) as batch:
            batch.set_attribute(EVENT, event)
            batch.set_attribute("gateway.batch.size", len(requests))
            for rider in riders:
                rider.add_link(batch.get_span_context())
            dealt = await super().deal(event, batch_id, requests)
            batch.set_attribute("gateway.batch.dealt", len(dealt.places))
            return dealt

    async def raise_ceiling(self, event: EventId, step: int) -> int:
        with self._tracing.nothing():
            return await super().raise_ceiling(event, step)

    async def follow_schedule(self, event: EventId, seen: Seen) -> Scheduled:
        # A call that a join has asked for belongs to its trace; most are the clock's.
        by_the_clock = current() is None
        if by_the_clock and not self._tracing.is_sampled():
            return await super().follow_schedule(event, seen)
        make = self._tracing.root if by_the_clock else self._tracing.child
        with make("release schedule"):
            done = await super().follow_schedule(event, seen)
            note(EVENT, event)
            note(OUTCOME, done.reason)
            note("gateway.let_in", done.people)
            return done
