"""The design of textbooks: `INCR` and `jwt.encode` for a join, `GET` and `jwt.decode` for a check.

It is a plain ASGI app on the same server, with the same key, ledger server and loop: what differs is
the design. A framework around it would make it slower still.
"""

import json
import time
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import jwt
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from gateway.settings import Settings
from gateway.tokens.keyring import KeyRing
from gateway.wiring import ledger_url

ISSUED = "naive:issued"
SERVED = "naive:served"
COOKIE = "naive"
AUDIENCE = "bench"
LIFE_S = 3600


def naive_token(key: Any, position: int) -> str:
    now = int(time.time())
    claims = {"aud": AUDIENCE, "sub": str(position), "pos": position, "iat": now}
    return jwt.encode({**claims, "exp": now + LIFE_S}, key, algorithm="ES256")


class NaiveRoom:
    """`POST /join` and `GET /check`."""

    def __init__(self, settings: Settings) -> None:
        self._key = KeyRing.load(Path(settings.keys.dir)).active_signing_key.private_key
        self._public = self._key.public_key()
        self._url = ledger_url(settings)
        self._redis: Redis | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"] == "/join":
            await self._join(send)
        else:
            await self._check(scope, send)

    async def _join(self, send: Send) -> None:
        assert self._redis is not None
        position = int(await self._redis.incr(ISSUED))
        token = naive_token(self._key, position)
        await _answer(send, 201, {"token": token, "position": position})

    async def _check(self, scope: Scope, send: Send) -> None:
        assert self._redis is not None
        cookie = dict(scope["headers"]).get(b"cookie", b"").decode()
        token = SimpleCookie(cookie)[COOKIE].value
        try:
            claims = jwt.decode(token, self._public, algorithms=["ES256"], audience=AUDIENCE)
        except jwt.InvalidTokenError:
            await _answer(send, 401, {"error": "join first"})
            return
        served = int(await self._redis.get(SERVED) or 0)
        if claims["pos"] > served:
            await _answer(send, 429, {"error": "not yet"})
            return
        await _answer(send, 200, {"position": claims["pos"]})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._redis = Redis.from_url(self._url)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._redis.aclose()
        await send({"type": "lifespan.shutdown.complete"})


async def _answer(send: Send, status: int, document: dict[str, object]) -> None:
    body = json.dumps(document).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
