"""A FastAPI app behind the queue: a page, a stream and a WebSocket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Header, Response, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

from gateway.edge import AdmissionMiddleware
from gateway.wiring import open_gate

app = FastAPI()
# Added last, it stands in front of every other middleware.
app.add_middleware(AdmissionMiddleware, opened=open_gate())


async def free_seats() -> AsyncIterator[str]:
    while True:
        yield "data: 32\n\n"
        await asyncio.sleep(1)


@app.get("/", response_class=PlainTextResponse)
async def start() -> str:
    return "Welcome. Tickets are at /book.\n"


@app.get("/book", response_class=PlainTextResponse)
async def book(queue_position: Annotated[int, Header()]) -> str:
    # The gateway says who comes; what a visitor sends under this name never gets here.
    return f"Choose a seat, number {queue_position}.\n"


@app.get("/seats")
async def seats() -> StreamingResponse:
    return StreamingResponse(free_seats(), media_type="text/event-stream")


@app.websocket("/live")
async def live(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(f"seat {await websocket.receive_text()} is yours")
    await websocket.close()


@app.post("/done", response_class=PlainTextResponse)
async def done(response: Response) -> str:
    response.headers["Queue-Session"] = "end"
    return "Thank you.\n"
