"""An application whose paths behave in the ways that a server has to bear."""

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.server.shutdown import Shutdown

Message = Any  # ASGI's dictionaries, which uvicorn declares one type each
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Behaviours:
    """`/hello`, `/echo`, `/ignore`, … ; a stream ends when `shutdown` says so."""

    def __init__(self, shutdown: Shutdown | None = None) -> None:
        self.loop: asyncio.AbstractEventLoop
        self.shutdown = shutdown
        self.ended_streams = 0

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "websocket":
            await echo_messages(receive, send)
        elif (b"seen", b"1") in scope["headers"]:
            await self.get_seen(scope, receive, send)
        else:
            name = scope["path"].strip("/").replace("-", "_") or "hello"
            await getattr(self, f"get_{name}")(scope, receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        self.loop = asyncio.get_running_loop()
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})

    async def get_hello(self, scope: Any, receive: Receive, send: Send) -> None:
        await answer(send, b"hello")

    async def get_seen(self, scope: Any, receive: Receive, send: Send) -> None:
        """Say what the application was given, once the body has been read."""
        body = await read_body(receive)
        seen = {
            "method": scope["method"],
            "scheme": scope["scheme"],
            "client": scope["client"][0],
            "raw_path": scope["raw_path"].decode("latin-1"),
            "query": scope["query_string"].decode("latin-1"),
            "version": scope["http_version"],
            "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        await answer(send, json.dumps(seen).encode())

    async def get_echo(self, scope: Any, receive: Receive, send: Send) -> None:
        await answer(send, await read_body(receive))

    async def get_length(self, scope: Any, receive: Receive, send: Send) -> None:
        await answer(send, b"%d" % len(await read_body(receive)))

    async def get_slow_length(self, scope: Any, receive: Receive, send: Send) -> None:
        """Read, but rest between two helpings for longer than a client may."""
        length, more = 0, True
        while more:
            message = await receive()
            length, more = length + len(message.get("body", b"")), message.get("more_body", False)
            await asyncio.sleep(0.6 if length < 200_000 else 0)
        await answer(send, b"%d" % length)

    async def get_late_length(self, scope: Any, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1.0)
        await self.get_length(scope, receive, send)

    async def get_ignore(self, scope: Any, receive: Receive, send: Send) -> None:
        await answer(send, b"ignored")

    async def get_ignore_and_close(self, scope: Any, receive: Receive, send: Send) -> None:
        await answer(send, b"ignored", [(b"connection", b"close")])

    async def get_begin_then_read(self, scope: Any, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await read_body(receive)
        await send({"type": "http.response.body", "body": b"never seen"})

    async def get_nap(self, scope: Any, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.7)
        await answer(send, b"slept")

    async def get_poll(self, scope: Any, receive: Receive, send: Send) -> None:
        """Ask again and again whether the client is still there, as Starlette's requests do."""
        for _ in range(200):
            with contextlib.suppress(TimeoutError):
                message = await asyncio.wait_for(receive(), 0.01)
                if message["type"] == "http.disconnect":
                    return
        await answer(send, b"still there")

    async def get_pid(self, scope: Any, receive: Receive, send: Send) -> None:
        await answer(send, b"%d" % os.getpid())

    async def get_large(self, scope: Any, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def get_stream_of_one_write(self, scope: Any, receive: Receive, send: Send) -> None:
        await answer(send, bytes(40_000_000), [(b"connection", b"close")])

    async def get_stream(self, scope: Any, receive: Receive, send: Send) -> None:
        """A stream of events, which ends only with the server (or with its client)."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        assert self.shutdown is not None
        await self.shutdown.wait()
        await send({"type": "http.response.body", "body": b"data: bye\n\n"})
        self.ended_streams += 1

    async def get_endless(self, scope: Any, receive: Receive, send: Send) -> None:
        """A stream that knows nothing of the server's end."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.sleep(600)


async def read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return body
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def answer(send: Send, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    length = (b"content-length", b"%d" % len(body))
    await send(
        {"type": "http.response.start", "status": 200, "headers": [length, *(headers or [])]}
    )
    await send({"type": "http.response.body", "body": body})


async def echo_messages(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
