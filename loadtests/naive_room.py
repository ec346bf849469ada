"""The waiting room of textbooks: a StreamingResponse with a task and a queue for each client."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from gateway.domain.positions import EventId
from gateway.ledger.redis import RedisLedger
from gateway.pointer import pointer_document

LOOK_EVERY_S = 0.05


def naive_room(ledger_url: str) -> Starlette:
    queues: set[asyncio.Queue[dict[str, object]]] = set()
    latest: dict[str, object] = {}

    async def watch() -> None:
        ledger = RedisLedger(ledger_url, timeout_s=10)
        while True:
            document = pointer_document(await ledger.read(EventId("sale")))
            if document["served_up_to"] != latest.get("served_up_to"):
                latest.update(document)
                for queue in queues:
                    queue.put_nowait(document)
            await asyncio.sleep(LOOK_EVERY_S)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(watch())
        yield
        task.cancel()

    async def events(_: Request) -> StreamingResponse:
        queue: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        queues.add(queue)

        async def told() -> AsyncIterator[str]:
            try:
                yield _event(latest)
                while True:
                    yield _event(await queue.get())
            finally:
                queues.discard(queue)

        return StreamingResponse(told(), media_type="text/event-stream")

    return Starlette(routes=[Route("/queue/{event}/events", events)], lifespan=lifespan)


def _event(document: dict[str, object]) -> str:
    # Compact, as the gateway's own.
    return f"data: {json.dumps(document, separators=(',', ':'))}\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", required=True)
    args = parser.parse_args()
    uvicorn.run(
        naive_room(args.ledger), port=args.port, access_log=False, log_level="error", backlog=4096
    )


if __name__ == "__main__":
    main()
