"""The gate as pure ASGI middleware: wrap it around any app and the crowd waits outside.

from gateway.edge import AdmissionMiddleware
from gateway.wiring import open_gate

app = AdmissionMiddleware(app, open_gate("gateway.toml"))
"""

import contextlib
import re
from typing import assert_never
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.addresses import home_authority, room_path
from gateway.answers import (
    NO_STORE,
    Answer,
    RawHeader,
    cors_headers,
    problem,
    redirect,
    refusal,
    send_answer,
)
from gateway.calls import client_address, is_secure
from gateway.cookies import pass_cookie
from gateway.domain.admission import ProblemType, Refused
from gateway.domain.carriers import bearer_token, is_queue_header, without_our_cookies
from gateway.domain.claims import PassClaims
from gateway.domain.positions import EventId
from gateway.domain.return_to import ReturnTo
from gateway.domain.routes import EventRoute
from gateway.edge.gate import (
    Forward,
    Gate,
    Observed,
    Preflight,
    RequestView,
    TurnedBack,
    Unreadable,
    Untouched,
)
from gateway.edge.lifespan import GuardedLifespan
from gateway.edge.opening import OpenGate
from gateway.edge.remembered import Remembered
from gateway.errors import LedgerUnavailable
from gateway.queue import Passed

_OWN_PREFIX = b"/queue/"
_AUTH_PATH = b"/auth"
_ENVOY_PREFIX = b"/auth/envoy/"
SESSION_HEADER = b"queue-session"

# An open entry names methods; these would make another of what was let through as a GET.
_METHOD_OVERRIDES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})

# What a pass has earned is for its bearer. A backend that says nothing of caches says at least that.
_PRIVATE: RawHeader = (b"cache-control", b"private")
_SESSION_EXTEND = re.compile(rb"extend=([0-9]{1,5})")


class AdmissionMiddleware:
    """Lets admitted visitors through to `app` and turns everyone else back.

    Checks are made from memory: no ledger call on the request's path, but for the one claim that
    opens a session. Other scopes than HTTP, WebSocket and lifespan do not exist in ASGI today; one
    that appears is refused by an exception and not let through.
    """

    def __init__(self, app: ASGIApp, opened: OpenGate) -> None:
        self.app = app
        self._opened = opened
        self._gate = opened.gate
        self._started = False
        self._remembered: Remembered[tuple[Forward, bool, list[RawHeader]]] = Remembered(
            opened.gate.room
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await GuardedLifespan(self.app, self._opened, receive, send).run(scope)
            return
        if kind not in ("http", "websocket"):
            raise RuntimeError(f"no admission rule for the ASGI scope {kind!r}")
        if not self._started:
            # A server without lifespan: the first request starts the watch. Repeating it does nothing.
            await self._opened.start()
            self._started = True
        path = raw_path_of(scope)
        if self._is_ours(path):
            await self._opened.interface(scope, receive, send)
            return
        await self._guard(path, scope, receive, send)

    def _is_ours(self, path: bytes) -> bool:
        if path.startswith(_OWN_PREFIX) or path in self._opened.own_paths:
            return True
        # Envoy asks with the visitor's path behind a prefix; it belongs to whom `/auth` belongs.
        return path.startswith(_ENVOY_PREFIX) and _AUTH_PATH in self._opened.own_paths

    async def _guard(self, path: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        headers = scope["headers"]
        # Everything that the judgement sees of a request.
        request = (
            scope.get("method"),
            path,
            scope["path"],
            scope["query_string"],
            scope["scheme"],
            client_address(scope),
            tuple(headers),
        )
        known = self._remembered.find(request)
        if known is not None:
            await self._pass_on(*known, scope, receive, send)
            return
        view = RequestView(
            method=scope.get("method", "GET"),
            hosts=tuple([value for name, value in headers if name == b"host"]),
            path=path,
            query=scope["query_string"],
            headers=headers,
            secure=is_secure(scope, self._opened.peers),
        )
        if not _one_reading(path, scope["path"]) and not self._gate.observes(view.hosts):
            await send_answer(_not_canonical("path and raw path differ"), scope, send)
            return
        verdict = await self._gate.judge(view)
        match verdict:
            case Forward():
                inner_headers = _for_backend(
                    view, self._gate.events, verdict.route.event, verdict.held
                )
                if verdict.held is not None and verdict.fresh is None:
                    ticket = self._gate.room.ticket(verdict.held)
                    remembered = (verdict, view.secure, inner_headers)
                    self._remembered.keep(request, ticket, remembered, headers)
                await self._pass_on(verdict, view.secure, inner_headers, scope, receive, send)
            case Observed(route=route):
                # As without us, but for what only we may say, and for tokens that are no business of
                # the backend's. No cookie, no redirect, no mark of ours on the answer.
                inner_headers = _for_backend(
                    view, self._gate.events, route.event, None, judged=False
                )
                let_by = Forward(route)
                await self._pass_on(let_by, view.secure, inner_headers, scope, receive, send)
            case Untouched():
                # Untouched, but for what only we may say: the backend trusts it on every host.
                inner = dict(scope)
                inner["headers"] = [header for header in headers if not is_queue_header(header[0])]
                await self.app(inner, receive, send)
            case TurnedBack():
                await send_answer(_turn_back(verdict, view, scope), scope, send)
            case Preflight(route=route):
                await send_answer(_preflight(route, view), scope, send)
            case Unreadable(status=400, why=why):
                await send_answer(_not_canonical(why), scope, send)
            case Unreadable(status=status, why=why):
                await send_answer(problem(status, why), scope, send)
            case _:
                assert_never(verdict)

    async def _pass_on(
        self,
        verdict: Forward,
        secure: bool,
        headers: list[RawHeader],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        inner = dict(scope)
        # A copy: an app may change its own.
        inner["headers"] = list(headers)
        listening = _Listening(verdict, secure, self._gate, send)
        await self.app(inner, receive, listening.send)


class _Listening:
    """Passes an answer on; adds the cookie of a fresh pass, and hears what the backend says of the session.

    `Queue-Session: end` and `Queue-Session: extend=600` are for us and go no further.
    """

    def __init__(self, verdict: Forward, secure: bool, gate: Gate, send: Send) -> None:
        self._verdict = verdict
        self._secure = secure
        self._gate = gate
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] in (
            "http.response.start",
            "websocket.accept",
            "websocket.http.response.start",
        ):
            message = await self._opened(message)
        await self._send(message)

    async def _opened(self, message: Message) -> Message:
        headers: list[RawHeader] = list(message.get("headers", ()))
        said = [value for name, value in headers if name.lower() == SESSION_HEADER]
        fresh = self._verdict.fresh
        silent = (
            self._verdict.held is not None
            and message["type"] == "http.response.start"
            and not any(name.lower() == b"cache-control" for name, _ in headers)
        )
        if silent:
            headers.append(_PRIVATE)
        if not said and fresh is None:
            return {**message, "headers": headers} if silent else message
        headers = [header for header in headers if header[0].lower() != SESSION_HEADER]
        held = self._verdict.held
        if said and held is not None:
            fresh = await _obey(self._gate, held, said[-1].strip()) or fresh
        if fresh is not None:
            headers = _with_pass(headers, fresh, self._verdict.route, self._secure)
        return {**message, "headers": headers}


async def _obey(gate: Gate, held: PassClaims, said: bytes) -> Passed | None:
    """Do what the backend asks; return the pass of a session that it made longer."""
    if said == b"end":
        # Where it cannot be noted the session runs to its end; the backend's answer goes out all the same.
        with contextlib.suppress(LedgerUnavailable):
            await gate.room.end_for_backend(held)
        return None
    match = _SESSION_EXTEND.fullmatch(said)
    if match is None:
        return None
    return await gate.room.extend_for_backend(held, int(match[1]))


def _with_pass(
    headers: list[RawHeader], fresh: Passed, route: EventRoute, secure: bool
) -> list[RawHeader]:
    """Add the cookie. An answer that sets a pass must not be kept by any cache."""
    kept = [header for header in headers if header[0].lower() != b"cache-control"]
    return [*kept, NO_STORE, pass_cookie(fresh, route, secure=secure)]


def _for_backend(
    view: RequestView,
    events: tuple[EventId, ...],
    event: EventId,
    held: PassClaims | None,
    *,
    judged: bool = True,
) -> list[RawHeader]:
    """Remove what is ours or pretends to be, and say who comes."""
    headers: list[RawHeader] = []
    for name, value in view.headers:
        if judged and held is None and name in _METHOD_OVERRIDES:
            continue
        if name == b"cookie":
            rest = without_our_cookies(value, events)
            if rest:
                headers.append((name, rest))
        elif name == b"authorization":
            # Ours is removed, the backend's own is not looked at.
            if bearer_token(value) is None:
                headers.append((name, value))
        elif not is_queue_header(name):
            headers.append((name, value))
    if held is not None:
        # The client's own spelling of these was removed above: the backend may trust them.
        headers += identity_headers(event, held)
    return headers


def identity_headers(event: EventId, held: PassClaims) -> list[RawHeader]:
    return [
        (b"queue-event", event.encode()),
        (b"queue-position", str(held.position).encode()),
        (b"queue-visitor", held.visitor.encode("latin-1", "replace")),
    ]


def _turn_back(verdict: TurnedBack, view: RequestView, scope: Scope) -> Answer:
    if is_navigation(scope, view):
        return redirect(waiting_page(verdict.route, view))
    origin = next((value for name, value in view.headers if name == b"origin"), None)
    return refusal(verdict.refused).with_headers(cors_headers(verdict.route, origin))


def is_navigation(scope: Scope, view: RequestView) -> bool:
    """Whether a person's browser goes to a page, and not a script of a page to some data."""
    if scope["type"] != "http":
        return False
    fields = dict(view.headers)
    mode = fields.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    return view.method in ("GET", "HEAD") and b"text/html" in fields.get(b"accept", b"")


def waiting_page(route: EventRoute, view: RequestView, *, absolute: bool = False) -> str:
    """Return where the event's waiting page is, and from there back to here."""
    authority = view.hosts[0].decode("ascii")
    scheme = "https" if view.secure else "http"
    wanted = view.path.decode("ascii") + ("?" + view.query.decode("ascii") if view.query else "")
    home = home_authority(route, authority)
    if home is not None:
        here = ReturnTo(wanted, authority)
        return f"{scheme}://{home}{room_path(route.event, here, scheme)}"
    path = room_path(route.event, ReturnTo(wanted))
    return f"{scheme}://{authority}{path}" if absolute else path


def _preflight(route: EventRoute, view: RequestView) -> Answer:
    fields = dict(view.headers)
    cors = cors_headers(route, fields.get(b"origin"))
    if len(cors) > 1:
        cors += [
            (b"access-control-allow-methods", fields[b"access-control-request-method"]),
            (
                b"access-control-allow-headers",
                fields.get(b"access-control-request-headers", b"queue-token"),
            ),
            (b"access-control-max-age", b"600"),
        ]
    return Answer(204, (NO_STORE, *cors))


def _not_canonical(why: str) -> Answer:
    return refusal(Refused(ProblemType.NOT_CANONICAL, f"{why[0].upper()}{why[1:]}."))


def raw_path_of(scope: Scope) -> bytes:
    """Return the path as it was sent. A server that does not keep it gets one reading, its own."""
    raw: bytes | None = scope.get("raw_path")
    return raw if raw is not None else quote(scope["path"], safe="/:@!$&'()*+,=~").encode()


def _one_reading(raw: bytes, path: str) -> bool:
    """Whether the app behind will route by the same path that was judged."""
    text = raw.decode("latin-1")
    return text == path if "%" not in text else unquote(text) == path
