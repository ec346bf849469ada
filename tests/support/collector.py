"""A collector of traces: takes OTLP over HTTP on loopback, as a real one does, and keeps what came."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.gateways import Server


@dataclass(frozen=True)
class Collected:
    """A span as it came; ids in hexadecimal digits."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    failed: bool
    attributes: dict[str, str | int]
    links: frozenset[str]


class Collector:
    """Keeps every body as it came, and the spans in it.

    Attributes:
        status: What is answered.
    """

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.spans: list[Collected] = []
        self.resource: dict[str, str | int] = {}
        self.status = 200
        self._server = Server(Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])]))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    def named(self, name: str) -> list[Collected]:
        return [span for span in self.spans if span.name == name]

    @contextlib.contextmanager
    def running(self) -> Iterator["Collector"]:
        self._server.start()
        try:
            yield self
        finally:
            self._server.stop()

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if self.status != 200:
            return Response(status_code=self.status)
        self.bodies.append(body)
        message: Any = ExportTraceServiceRequest.FromString(body)
        for of_resource in message.resource_spans:
            self.resource = _attributes(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [_collected(span) for span in of_scope.spans]
        return Response(
            ExportTraceServiceResponse().SerializeToString(), media_type="application/x-protobuf"
        )


def _collected(span: Any) -> Collected:
    return Collected(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=span.kind,
        failed=span.status.code == 2,
        attributes=_attributes(span.attributes),
        links=frozenset(link.span_id.hex() for link in span.links),
    )


def _attributes(pairs: Any) -> dict[str, str | int]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
        for pair in pairs
    }
