"""The admin interface as one ASGI app: its calls, who may make them, and what is noted of each."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admin import bodies
from gateway.admin.acts import Acts
from gateway.admin.asking import SAFE_METHODS, Ask, Incoming
from gateway.admin.doorkeeper import Doorkeeper
from gateway.admin.limits import AdminLimits, Allowance
from gateway.admin.openapi import openapi_document
from gateway.admin.problems import Problem, Refused, on_mistake, refuse
from gateway.admin.views import Views
from gateway.answers import Answer, json_answer, problem, send_answer
from gateway.domain.peers import Peers
from gateway.domain.positions import EventId
from gateway.errors import GatewayError
from gateway.operators.file import OperatorFile
from gateway.operators.keys import Role
from gateway.ports import Clock, Ledger

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Ask], Awaitable[Answer]]

DOCUMENT_PATH: Final = "/admin/openapi.json"

# Whatever comes without a word of its own is data: kept by nobody, run by nobody, framed by nobody.
_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_UNLESS_SAID: Final = {
    "content-security-policy": _POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


# What honest operators hardly ever see.
_SUSPICIOUS: Final = frozenset(
    {
        Problem.KEY_REFUSED,
        Problem.ROLE_REQUIRED,
        Problem.CROSS_SITE,
        Problem.WRONG_HOST,
        Problem.TOO_MANY,
        Problem.TOO_LARGE,
    }
)


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One call.

    Attributes:
        role: The least role that may make it; None for the sign-in, before which nobody is known.
        handler: Carries it out; None for the sign-in.
    """

    method: str
    path: str
    role: Role | None = None
    handler: Handler | None = None


class AdminInterface:
    """Everything below `/admin`.

    Args:
        hosts: Names by which it may be reached, beside those of loopback.
        pages: Routes of pages in the browser.
    """

    def __init__(
        self,
        ledger: Ledger,
        operators: OperatorFile,
        clock: Clock,
        peers: Peers,
        *,
        hosts: Collection[str],
        body_limit: int,
        limits: AdminLimits | None = None,
        pages: Sequence[BaseRoute] = (),
        modes: Mapping[EventId, str] | None = None,
    ) -> None:
        limits = limits or AdminLimits()
        self._clock = clock
        self._peers = peers
        self._body_limit = body_limit
        self._door = Doorkeeper(operators, clock, hosts, limits)
        self._lines = Allowance(limits.lines, most=1)
        self._unlogged = 0
        self._openapi: Answer | None = None
        self.calls = self._calls(Views(ledger, clock, modes or {}), Acts(ledger, self._check_role))
        paths = dict.fromkeys(call.path for call in self.calls)
        self._router = Router(
            [
                *(Route(path, self._answering(path)) for path in paths),
                Route(DOCUMENT_PATH, _Answering(self._document), methods=["GET"]),
                *pages,
            ],
            redirect_slashes=False,
            default=_Answering(_not_found),
        )

    def _calls(self, views: Views, acts: Acts) -> tuple[AdminCall, ...]:
        event = "/admin/events/{event}"
        session = f"{event}/sessions/{{position}}"
        return (
            AdminCall("POST", "/admin/session"),
            AdminCall("GET", "/admin/session", Role.VIEW, _who),
            AdminCall("DELETE", "/admin/session", Role.VIEW, self._sign_out),
            AdminCall("GET", "/admin/events", Role.VIEW, views.events),
            AdminCall("POST", "/admin/events", Role.ADMIN, acts.create),
            AdminCall("GET", event, Role.VIEW, views.event),
            AdminCall("DELETE", event, Role.ADMIN, acts.delete),
            AdminCall("GET", f"{event}/log", Role.VIEW, views.log),
            AdminCall("GET", f"{event}/course", Role.VIEW, views.course),
            AdminCall("POST", f"{event}/release", Role.RELEASE, acts.release),
            # Pause and resume; the other changes ask for more.
            AdminCall("POST", f"{event}/state", Role.RELEASE, acts.state),
            AdminCall("POST", f"{event}/message", Role.RELEASE, acts.message),
            AdminCall("PATCH", f"{event}/policy", Role.ADMIN, acts.policy),
            AdminCall("POST", f"{event}/reset", Role.ADMIN, acts.reset),
            AdminCall("GET", session, Role.VIEW, views.session),
            AdminCall("POST", f"{session}/end", Role.RELEASE, acts.end_session),
            AdminCall("POST", f"{session}/extend", Role.RELEASE, acts.extend_session),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send_answer(problem(404, "There is no WebSocket here."), scope, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _UNLESS_SAID.items():
                    headers.setdefault(name, value)
            await send(message)

        incoming = self._incoming(scope, receive)
        try:
            self._door.check_host(incoming)
        except Refused as exc:
            self._note_refusal(incoming, exc, "")
            await send_answer(exc.answer, scope, guarded)
            return
        await self._router(scope, receive, guarded)

    def _incoming(self, scope: Scope, receive: Receive) -> Incoming:
        return Incoming.of(scope, receive, self._peers, self._body_limit)

    def _answering(self, path: str) -> ASGIApp:
        """Return the app of one path."""
        calls = {call.method: call for call in self.calls if call.path == path}
        allow = ", ".join(sorted({*calls, *(["HEAD"] if "GET" in calls else [])}))

        async def answer(scope: Scope, receive: Receive) -> Answer:
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            call = calls.get(method)
            if call is None:
                headers = [(b"allow", allow.encode())]
                return problem(405, "Use one of the methods in Allow.", headers)
            return await self._answer(call, self._incoming(scope, receive))

        return _Answering(answer)

    async def _answer(self, call: AdminCall, incoming: Incoming) -> Answer:
        """Settle who asks, then carry the call out; note what came of it."""
        name = f"{call.method} {call.path}"
        ask: Ask | None = None
        try:
            self._door.check_site(incoming)
            if call.role is None or call.handler is None:
                answer = await self._sign_in(incoming)
            else:
                ask = Ask(incoming, self._door.identify(incoming))
                self._door.check_intent(incoming, ask.identity)
                self._door.check_role(ask.identity, call.role)
                answer = await call.handler(ask)
        except Refused as exc:
            self._note_refusal(incoming, exc, name, ask)
            return exc.answer
        except GatewayError as exc:
            refused = on_mistake(exc)
            if refused is None:
                raise
            self._note_refusal(incoming, refused, name, ask)
            return refused.answer
        if ask is not None and incoming.method not in SAFE_METHODS:
            extra = _noted(incoming, name, ask) | {"status": answer.status}
            logger.info("an operator acted", extra=extra)
        return answer

    def _note_refusal(
        self, incoming: Incoming, refused: Refused, call: str, ask: Ask | None = None
    ) -> None:
        """Write a line; of strangers not more than some a minute, so that nobody fills the disk."""
        extra = _noted(incoming, call, ask) | {
            "problem": refused.problem.word,
            "status": refused.answer.status,
        }
        if ask is None:
            if self._lines.take("", self._clock.monotonic_s()):
                self._unlogged += 1
                return
            extra["unlogged_before"], self._unlogged = self._unlogged, 0
        level = logging.WARNING if refused.problem in _SUSPICIOUS else logging.INFO
        logger.log(level, "the admin interface refused a request", extra=extra)

    def _check_role(self, ask: Ask, needed: Role) -> None:
        self._door.check_role(ask.identity, needed)

    async def _document(self, _: Scope, __: Receive) -> Answer:
        if self._openapi is None:
            document = openapi_document(self.calls)
            self._openapi = Answer(200, ((b"content-type", b"application/json"),), document)
        return self._openapi

    async def _sign_in(self, incoming: Incoming) -> Answer:
        if not incoming.is_json:
            # A form of another page cannot send JSON: nobody is signed in without knowing.
            refuse(Problem.JSON_ONLY, 'Send {"key": …} as content-type application/json.')
        shown = await incoming.fields(bodies.SignIn)
        identity, answer = self._door.sign_in(shown.key, incoming)
        noted = _noted(incoming, "POST /admin/session", Ask(incoming, identity))
        logger.info("an operator signed in", extra=noted)
        return answer

    async def _sign_out(self, ask: Ask) -> Answer:
        return self._door.sign_out(ask.incoming)


def _noted(incoming: Incoming, call: str, ask: Ask | None) -> dict[str, object]:
    """Return what a log line says of a request: never a key, a cookie, a query or a body."""
    noted: dict[str, object] = {"call": call, "client": incoming.client}
    event = incoming.scope.get("path_params", {}).get("event")
    if event is not None:
        noted["event"] = str(event)[:64]
    if ask is not None:
        identity = ask.identity
        noted |= {
            "operator": identity.operator.name,
            "role": identity.operator.role.value,
            "way": identity.way.value,
        }
    return noted


async def _who(ask: Ask) -> Answer:
    return json_answer(200, ask.identity.document())


class _Answering:
    """An ASGI app of what gives whole answers."""

    def __init__(self, answer: Callable[[Scope, Receive], Awaitable[Answer]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_answer(await self._answer(scope, receive), scope, send)


async def _not_found(_: Scope, __: Receive) -> Answer:
    return problem(404, "There is nothing here. See /admin/openapi.json for what there is.")
