"""The gate opens before the app begins and closes after it, whatever the app does with its lifespan."""

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.lifespan import GuardedLifespan
from gateway.errors import UnsafeServer

STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


class NotedGate:
    """Notes in `happened` when it is opened and closed."""

    def __init__(self, happened: list[str], fault: Exception | None = None) -> None:
        self._happened = happened
        self._fault = fault

    async def start(self) -> None:
        if self._fault is not None:
            raise self._fault
        self._happened.append("opened")

    async def aclose(self) -> None:
        self._happened.append("closed")


class ServerNotes:
    """What an ASGI server says to an app, and hears from it."""

    def __init__(self, happened: list[str]) -> None:
        self._happened = happened
        self._says = iter([STARTUP, SHUTDOWN])

    async def receive(self) -> Message:
        message = next(self._says, None)
        if message is None:
            return await asyncio.Future[Message]()
        self._happened.append(message["type"])
        return dict(message)

    async def send(self, message: Message) -> None:
        self._happened.append(message["type"])


def run(app: ASGIApp, fault: Exception | None = None) -> list[str]:
    """Let a server live with `app` behind a gate; return what happened, in order."""
    happened: list[str] = []
    server, gate = ServerNotes(happened), NotedGate(happened, fault)
    scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}}
    # Of the whole gate only its beginning and its end are used.
    guarded = GuardedLifespan(app, gate, server.receive, server.send)  # type: ignore[arg-type]
    try:
        asyncio.run(asyncio.wait_for(guarded.run(scope), 10))
    except (ValueError, RuntimeError) as exc:
        happened.append(f"raised {exc}")
    return happened


async def ordinary(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    return


WHOLE = [
    "lifespan.startup",
    "opened",
    "lifespan.startup.complete",
    "lifespan.shutdown",
    "closed",
    "lifespan.shutdown.complete",
]


@pytest.mark.parametrize("app", [ordinary, refusing, silent])
def test_it_closes_between_the_apps_end_and_the_servers(app: ASGIApp) -> None:
    assert run(app) == WHOLE


def test_an_app_whose_lifespan_ends_early_keeps_its_gate() -> None:
    async def early(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    assert run(early) == WHOLE


def test_an_app_that_cannot_begin_takes_the_gate_with_it() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError("no database")

    assert run(failing) == [
        "lifespan.startup",
        "opened",
        "closed",
        "lifespan.startup.failed",
        "raised no database",
    ]


def test_an_app_that_fails_at_its_end_is_told_of_and_the_gate_closes() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise RuntimeError("still busy")

    assert run(failing) == [*WHOLE[:-1], "raised still busy"]


@pytest.mark.parametrize("fault", [UnsafeServer(["it evicts"]), OSError("disk full")])
def test_a_gate_that_cannot_open_stops_the_server_before_the_app_begins(fault: Exception) -> None:
    assert run(ordinary, fault) == ["lifespan.startup", "lifespan.startup.failed"]
