"""The interface beside `/queue/…`: keys, probes and documents on Starlette, and the apps as a whole."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.answers import NO_STORE, Answer, date_header, problem, send_answer

JWKS_PATH = "/.well-known/jwks.json"
OPENAPI_PATH = "/openapi.json"
HEALTH_PATH = "/healthz"
READY_PATH = "/readyz"
AUTH_PATH = "/auth"
ADMIN_PATH = "/admin"

# A new key is `next` before it signs, for longer than this; so no verifier ever meets an unknown one.
JWKS_CACHE = "public, max-age=300"


@dataclass(frozen=True, slots=True)
class Probes:
    """What the probes ask.

    Attributes:
        jwks: The public keys as a JWK set.
        unready: Why no traffic should come here; empty when it may.
        notes: What else an operator should look at; those who hold a pass are served all the same.
    """

    jwks: Callable[[], bytes]
    unready: Callable[[], Awaitable[list[str]]]
    notes: Callable[[], list[str]]


def public_app(queue_calls: ASGIApp, forward_auth: ASGIApp, probes: Probes) -> ASGIApp:
    """Return the app for visitors and proxies: queue calls and forward auth ahead of the router."""
    router = _router(
        [
            Route(JWKS_PATH, _jwks(probes)),
            Route(OPENAPI_PATH, _openapi),
            Route(HEALTH_PATH, _health),
            Route(READY_PATH, _ready(probes)),
        ]
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await router(scope, receive, send)
            return
        path = scope["path"]
        if scope["type"] == "websocket" and not path.startswith("/queue/"):
            await send_answer(problem(404, "There is no WebSocket here."), scope, send)
        elif path.startswith("/queue/"):
            await queue_calls(scope, receive, send)
        elif path == AUTH_PATH or path.startswith(AUTH_PATH + "/"):
            await forward_auth(scope, receive, send)
        else:
            await router(scope, receive, send)

    return app


def admin_app(
    probes: Probes, metrics: Callable[[], bytes], metrics_type: str, operators: ASGIApp
) -> ASGIApp:
    """Return the app of the admin port: metrics, probes, and what operators do below `/admin`."""

    async def show_metrics(_: Request) -> Response:
        return Response(metrics(), headers={"content-type": metrics_type})

    router = _router(
        [
            Route("/metrics", show_metrics),
            Route(HEALTH_PATH, _health),
            Route(READY_PATH, _ready(probes)),
        ]
    )

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await router(scope, receive, send)
        elif scope["path"] == ADMIN_PATH or scope["path"].startswith(ADMIN_PATH + "/"):
            await operators(scope, receive, send)
        else:
            await router(scope, receive, send)

    return app


def _router(routes: list[Route]) -> Starlette:
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_problem, Exception: _internal_problem},
    )
    # A redirect to what the client's own Host field names is no answer of ours.
    app.router.redirect_slashes = False
    return app


async def _http_problem(_: Request, exc: Exception) -> Response:
    if not isinstance(exc, HTTPException):
        raise exc
    headers = tuple(
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in (exc.headers or {}).items()
    )
    return _response(problem(exc.status_code, _ADVICE.get(exc.status_code, ""), headers))


_ADVICE = {
    404: "There is nothing here. See /openapi.json for what there is.",
    405: "Use one of the methods in Allow.",
}


async def _internal_problem(_: Request, exc: Exception) -> Response:  # noqa: ARG001 - logged by the server
    return _response(problem(500, "The mistake is ours; it has been noted."))


def _response(answer: Answer) -> Response:
    response = Response(answer.body, answer.status)
    response.raw_headers = [
        *answer.headers,
        date_header(),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    return response


def _jwks(probes: Probes) -> Callable[[Request], Awaitable[Response]]:
    async def jwks(request: Request) -> Response:
        return _cacheable(request, probes.jwks(), "application/jwk-set+json", JWKS_CACHE)

    return jwks


async def _openapi(request: Request) -> Response:
    return _cacheable(request, _openapi_document(), "application/json", "public, max-age=300")


@cache
def _openapi_document() -> bytes:
    return (files("gateway.api") / "openapi.json").read_bytes()


def _cacheable(request: Request, body: bytes, kind: str, cache_control: str) -> Response:
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {
        "etag": etag,
        "cache-control": cache_control,
        "content-type": kind,
        "access-control-allow-origin": "*",
        "date": date_header()[1].decode(),
    }
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers)


async def _health(_: Request) -> Response:
    return _said("ok\n")


def _ready(probes: Probes) -> Callable[[Request], Awaitable[Response]]:
    async def ready(_: Request) -> Response:
        reasons = await probes.unready()
        if reasons:
            return _response(problem(503, " ".join(reasons), [(b"retry-after", b"5")]))
        return _said("\n".join(["ready", *probes.notes()]) + "\n")

    return ready


def _said(text: str) -> Response:
    return _response(
        Answer(200, (NO_STORE, (b"content-type", b"text/plain; charset=utf-8")), text.encode())
    )
