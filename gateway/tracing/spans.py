"""Which requests are traced, and the span that is under way.

The decision is made once for each request, by the sample ratio, or by a trusted proxy that has made it
already: a visitor's own `traceparent` counts for nothing. Everything below asks only if a span is under
way, so a request that is not sampled costs a look at one variable.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.propagation import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.chance import CHANCE
from gateway.errors import LedgerUnavailable
from gateway.tracing.export import Export, RandomIds

Attributes: TypeAlias = Mapping[str, str | int]

# W3C Trace Context.
TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"

EVENT = "gateway.event"
OUTCOME = "gateway.outcome"
STATUS = "http.response.status_code"

_propagator = TraceContextTextMapPropagator()
_ids = RandomIds()
_under_way: ContextVar[Span | None] = ContextVar("span", default=None)


def current() -> Span | None:
    """Return the span under way; None where the request is not sampled, or its span is over."""
    span = _under_way.get()
    return span if span is not None and span.is_recording() else None


def note(name: str, value: str | int) -> None:
    """Add to the span under way, where there is one."""
    span = current()
    if span is not None:
        span.set_attribute(name, value)


def fail(span: Span, reason: str) -> None:
    """Mark a span as failed, for a reason of a closed set."""
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", reason)


def fields_for_backend() -> list[tuple[bytes, bytes]]:
    """Return the trace's fields: of the span under way, or of a trace that is not sampled.

    The latter keeps the backend from sampling by itself what we left out.
    """
    span = _under_way.get()
    context = (
        SpanContext(_ids.generate_trace_id(), _ids.generate_span_id(), is_remote=False)
        if span is None
        else span.get_span_context()
    )
    flags = context.trace_flags & TraceFlags.SAMPLED
    words = f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"
    fields = [(TRACEPARENT, words.encode())]
    if context.trace_state:
        fields.append((TRACESTATE, context.trace_state.to_header().encode()))
    return fields


class Tracing:
    """Begins and ends the spans of one process.

    Args:
        endpoint: See `Export`.
        sample_ratio: The part of the requests, and of the schedule's calls, that is traced.
    """

    def __init__(self, endpoint: str, sample_ratio: float) -> None:
        self._export = Export(endpoint)
        self._tracer = self._export.tracer
        self._sample_ratio = sample_ratio

    async def aclose(self) -> None:
        await self._export.aclose()

    def is_sampled(self) -> bool:
        """Decide on something that nobody else has decided on."""
        return CHANCE.random() < self._sample_ratio

    def begin_request(
        self, told: Sequence[tuple[bytes, bytes]], describe: Callable[[], tuple[str, Attributes]]
    ) -> Span | None:
        """Begin a request's span and make it the one under way; None where it is not sampled.

        Args:
            told: The fields by which a trusted proxy says what trace it belongs to.
            describe: Names it; asked only where it is sampled.
        """
        carrier = {key.decode(): value.decode("latin-1") for key, value in told}
        parent = get_current_span(_propagator.extract(carrier)) if carrier else None
        if parent is not None and parent.get_span_context().is_valid:
            if not parent.get_span_context().trace_flags.sampled:
                # Nothing is recorded; the backend is told the proxy's word.
                _under_way.set(NonRecordingSpan(parent.get_span_context()))
                return None
        elif not self.is_sampled():
            _under_way.set(None)
            return None
        else:
            parent = None
        name, attributes = describe()
        span = self._begin(name, parent, SpanKind.SERVER, attributes)
        _under_way.set(span)
        return span

    @contextmanager
    def child(self, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Generator[Span | None]:
        """Make a span below the one under way; where none is, nothing."""
        parent = current()
        if parent is None:
            yield None
            return
        with self._under_way(self._begin(name, parent, kind)) as span:
            yield span

    @contextmanager
    def root(self, name: str, links: Sequence[Link] = ()) -> Generator[Span]:
        """Make a span of a trace of its own."""
        with self._under_way(self._begin(name, None, SpanKind.INTERNAL, links=links)) as span:
            yield span

    @contextmanager
    def nothing(self) -> Generator[None]:
        """Leave out of the trace under way what serves others too."""
        before = _under_way.set(None)
        try:
            yield
        finally:
            _under_way.reset(before)

    def _begin(
        self,
        name: str,
        parent: Span | None,
        kind: SpanKind,
        attributes: Attributes | None = None,
        links: Sequence[Link] = (),
    ) -> Span:
        # An invalid parent instead of none: a trace that an application around us has is not ours.
        parent = parent or NonRecordingSpan(SpanContext(0, 0, is_remote=False))
        return self._tracer.start_span(
            name,
            context=set_span_in_context(parent),
            kind=kind,
            attributes=attributes,
            links=links,
        )

    @contextmanager
    def _under_way(self, span: Span) -> Generator[Span]:
        before = _under_way.set(span)
        try:
            yield span
        except LedgerUnavailable as exc:
            fail(span, exc.cause)
            raise
        except Exception as exc:
            # Its name alone: the text may quote what nobody else must see.
            fail(span, type(exc).__name__)
            raise
        finally:
            _under_way.reset(before)
            span.end()
