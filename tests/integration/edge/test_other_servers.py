"""The middleware behind servers and apps that hand a request over in other ways than uvicorn does."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge import AdmissionMiddleware
from gateway.wiring import OpenedGate, open_gate
from tests.support.gateways import BACKEND_BODY, Backend, Gateway, Server
from tests.support.staging import Stage
from tests.support.visitors import Visitor

CLOSING = "/let-everything-go"


class HandedOver:
    """Changes what the app is told of a request; where there is no lifespan, a request closes the gate."""

    def __init__(self, app: ASGIApp, opened: OpenedGate, changes: dict[str, Any]) -> None:
        self._app = app
        self._opened = opened
        self._changes = changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == CLOSING:
            await self._opened.aclose()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        changed = scope if scope["type"] == "lifespan" else {**scope, **self._changes}
        await self._app(changed, receive, send)


@contextlib.contextmanager
def served(
    gateway: Gateway, changes: dict[str, Any], lifespan: Literal["on", "off"] = "on"
) -> Iterator[tuple[Server, Backend]]:
    opened, backend = open_gate(gateway.settings), Backend()
    guarded = AdmissionMiddleware(backend, opened)
    server = Server(HandedOver(guarded, opened, changes), lifespan=lifespan)
    server.start()
    try:
        yield server, backend
    finally:
        if lifespan == "off":
            Visitor(server.port, "any.example").get(CLOSING)
        server.stop()


@pytest.mark.parametrize("path", ["/assets/x", "/book/", "/Book", "/"])
def test_two_readings_of_a_path_are_none(stage: Stage, path: str) -> None:
    # What is judged must be what the app routes by.
    held = stage.mint.held(stage.event, stage.generation)
    with served(stage.gateway, {"path": path}) as (server, backend):
        visitor = Visitor(server.port, stage.host, event=stage.event)
        for headers in ({}, {"queue-token": held}):
            assert visitor.get("/book", headers).verdict == (400, "not-canonical")
        assert backend.seen == []


def test_a_server_that_keeps_no_raw_path_has_one_reading(stage: Stage) -> None:
    with served(stage.gateway, {"raw_path": None}) as (server, backend):
        visitor = Visitor(server.port, stage.host, event=stage.event)
        assert visitor.get("/book").verdict == (401, "no-token")
        assert visitor.get("/b%C3%BCcher").verdict == (401, "no-token")
        assert backend.seen == []


def test_without_a_lifespan_the_first_request_begins_the_watch(stage: Stage) -> None:
    held = stage.mint.held(stage.event, stage.generation)
    with served(stage.gateway, {}, lifespan="off") as (server, _):
        visitor = Visitor(server.port, stage.host, event=stage.event)
        reply = visitor.get("/book", {"queue-token": held})
        assert (reply.status, reply.body) == (200, BACKEND_BODY)
        assert visitor.get("/book").verdict == (401, "no-token")
