"""Two apps in one process, each behind a gate with settings of its own.

An app that is mounted hears nothing of the server's lifespan, so the outer app opens and closes both
gates. Where one settings file can name both events, one gate around the outer app is simpler.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Route

from gateway.edge import AdmissionMiddleware
from gateway.wiring import open_gate

FOLDER = Path(os.environ.get("SETTINGS_FOLDER", "."))

tickets_gate = open_gate(FOLDER / "tickets.toml")
shop_gate = open_gate(FOLDER / "shop.toml")


def site(name: str) -> Starlette:
    async def book(request: Request) -> Response:
        return PlainTextResponse(f"{name}, number {request.headers['queue-position']}.\n")

    return Starlette(routes=[Route("/book", book)])


@asynccontextmanager
async def both_gates(_: Starlette) -> AsyncIterator[None]:
    await tickets_gate.start()
    await shop_gate.start()
    try:
        yield
    finally:
        await shop_gate.aclose()
        await tickets_gate.aclose()


app = Starlette(
    routes=[
        Host("tickets.localhost", AdmissionMiddleware(site("tickets"), tickets_gate)),
        Host("shop.localhost", AdmissionMiddleware(site("shop"), shop_gate)),
    ],
    lifespan=both_gates,
)
