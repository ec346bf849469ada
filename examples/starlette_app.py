"""A Starlette app behind the queue: a page, a stream and a WebSocket."""

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from gateway.edge import AdmissionMiddleware
from gateway.wiring import open_gate


async def free_seats() -> AsyncIterator[str]:
    while True:
        yield "data: 32\n\n"
        await asyncio.sleep(1)


async def start(_: Request) -> Response:
    return PlainTextResponse("Welcome. Tickets are at /book.\n")


async def book(request: Request) -> Response:
    # The gateway says who comes; what a visitor sends under this name never gets here.
    return PlainTextResponse(f"Choose a seat, number {request.headers['queue-position']}.\n")


async def seats(_: Request) -> Response:
    return StreamingResponse(free_seats(), media_type="text/event-stream")


async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"seat {await websocket.receive_text()} is yours")
    await websocket.close()


async def done(_: Request) -> Response:
    return PlainTextResponse("Thank you.\n", headers={"Queue-Session": "end"})


site = Starlette(
    routes=[
        Route("/", start),
        Route("/book", book),
        Route("/seats", seats),
        Route("/done", done, methods=["POST"]),
        WebSocketRoute("/live", live),
    ]
)
app = AdmissionMiddleware(site, open_gate())
