"""Runs the sample site inside a process that has a loop and signals of its own."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from gateway.sample.app import sample_app

_GRACE_S = 2


class _Guest(uvicorn.Server):
    """Leaves signals to its host, which stops it by `should_exit`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def serve_sample(host: str) -> AsyncGenerator[str]:
    """Serve the sample site on a free port of `host`; yields its URL once it answers."""
    server = _Guest(
        uvicorn.Config(
            sample_app(),
            lifespan="off",
            ws="none",
            access_log=False,
            server_header=False,
            log_config=None,
            timeout_graceful_shutdown=_GRACE_S,
        )
    )
    with socket.socket() as listener:
        listener.bind((host, 0))
        serving = asyncio.create_task(server.serve([listener]), name="sample-site")
        try:
            await server.up.wait()
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving
