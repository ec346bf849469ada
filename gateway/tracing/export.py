"""The way of spans to a collector: in batches, by a thread of its own, and without ever disturbing us."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import INVALID_SPAN_ID, INVALID_TRACE_ID, Tracer

from gateway import __version__
from gateway.chance import CHANCE

logger = logging.getLogger(__name__)

SERVICE_NAME: Final = "admission-gateway"

FLUSH_S: Final = 3.0
"""So long the end of a process waits for its last spans to be taken."""

# They write a line for every batch; `_Patient` writes one when the collector goes, one when it is back.
_TALKATIVE = (
    "opentelemetry.exporter",
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk._shared_internal",
)


class RandomIds(IdGenerator):
    """Makes ids that no seed of Python's shared generator puts in step."""

    def generate_span_id(self) -> int:
        return CHANCE.getrandbits(64) or INVALID_SPAN_ID + 1

    def generate_trace_id(self) -> int:
        return CHANCE.getrandbits(128) or INVALID_TRACE_ID + 1


class _Patient(SpanExporter):
    """Drops what the collector does not take, and says so once."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        was_away, self._is_away = self._is_away, result is not SpanExportResult.SUCCESS
        if self._is_away and not was_away:
            logger.warning(
                "traces are not taken by the collector and are dropped until they are; see "
                "[tracing] endpoint and OTEL_EXPORTER_OTLP_*"
            )
        elif was_away and not self._is_away:
            logger.info("traces are taken by the collector again")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Export:
    """The spans' way out of one process.

    Args:
        endpoint: The collector's `http://host:port`; empty for what `OTEL_EXPORTER_OTLP_*` say.
    """

    def __init__(self, endpoint: str) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        # What is given here goes before the environment, so what stands there goes on top again.
        resource = Resource.create(
            {"service.name": SERVICE_NAME, "service.version": __version__}
        ).merge(OTELResourceDetector().detect())
        traces_url = f"{endpoint.rstrip('/')}/v1/traces" if endpoint else None
        self._exporter = _Patient(OTLPSpanExporter(endpoint=traces_url))
        # Who samples is `Tracing`: a request that is not sampled is to cost nothing here.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            id_generator=RandomIds(),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self.tracer: Tracer = self._provider.get_tracer("gateway", __version__)

    async def aclose(self) -> None:
        """Send what is there, within `FLUSH_S`."""
        # A daemon: one that hangs on the collector does not hold up the end of the process.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, FLUSH_S)
        if closing.is_alive():
            # Ends the pause before its next attempt.
            await asyncio.to_thread(self._exporter.shutdown)
