"""The calls of `/queue/{event}/…`, one function each: read the call, ask the room, write the answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.addresses import PLAIN_ROOM, ROOM, home_authority, room_path
from gateway.answers import (
    NO_STORE,
    Answer,
    RawHeader,
    cors_headers,
    json_answer,
    problem,
    redirect,
    refusal,
    send_answer,
)
from gateway.api.shapes import (
    joined_document,
    passed_document,
    refreshed_document,
    standing_document,
)
from gateway.calls import (
    Call,
    ClientGone,
    Refusal,
    chosen,
    client_address,
    is_secure,
    read_authority,
    read_fields,
)
from gateway.cookies import check_cookie, cleared_cookies, pass_cookie, token_cookie
from gateway.domain.admission import ProblemType, Refused
from gateway.domain.peers import Peers
from gateway.domain.positions import EventId, is_event_id
from gateway.domain.routes import RouteTable
from gateway.errors import TokenRejected, UnknownEvent
from gateway.pointer import PointerDocuments, SignedPointers
from gateway.queue import JoinCall, NoMoreExtensions, Passed, Refreshed, Room

Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]
StreamHandler: TypeAlias = Callable[[Call], Awaitable[Answer | ASGIApp]]
"""Answers whole, or with an app that takes it from there."""

_PREFIX = "/queue/"
_SIGNED = "pointer.jws"
_DIAGNOSIS = "diagnosis"

# What stands against a join, by the word that the page without a script knows for it.
_AGAINST_A_JOIN = {
    ProblemType.TOO_MANY_JOINS: "many",
    ProblemType.CHALLENGE_REQUIRED: "challenge",
}

# Fields of a form: where the visitor is going, and whether the page without a script sent it.
_OF_FORMS = ("return_to", "plain")

_ALLOWED_HEADERS = b"Queue-Token, Authorization, Content-Type, Idempotency-Key"


class QueueCalls:
    """A plain ASGI app for everything below `/queue/`.

    It is called ahead of Starlette's router, whose pattern matching costs two fifths of what the
    server itself needs for a request; joins and polls are what a sale consists of. Everything else of
    the interface goes through the router.

    Args:
        pages: Further handlers by what follows `/queue/{event}/`, such as `room/plain`.
        diagnosis: Answers an operator's doctor, and strangers as if it were not there.
    """

    def __init__(
        self,
        room: Room,
        routes: RouteTable,
        peers: Peers,
        *,
        body_limit: int,
        pages: Mapping[str, Handler],
        diagnosis: Handler,
        pointers: PointerDocuments,
        signed: SignedPointers,
        streams: Mapping[str, StreamHandler],
        sockets: Mapping[str, StreamHandler],
    ) -> None:
        self._room = room
        self._routes = {route.event: route for route in routes.routes}
        self._peers = peers
        self._body_limit = body_limit
        self._pointers = pointers
        self._signed = signed
        self._handlers: dict[str, dict[str, StreamHandler]] = {
            "": {"GET": self.pointer},
            _SIGNED: {"GET": self.signed_pointer},
            "position": {"GET": self.position},
            "join": {"POST": self.join},
            "claim": {"POST": self.claim},
            "extend": {"POST": self.extend},
            "refresh": {"POST": self.refresh},
            "leave": {"POST": self.leave},
            _DIAGNOSIS: {"POST": diagnosis},
            **{name: {"GET": page} for name, page in pages.items()},
            **{name: {"GET": stream} for name, stream in streams.items()},
        }
        self._public = frozenset({"", _SIGNED, _DIAGNOSIS, *streams, *sockets})
        self._sockets = sockets
        self._pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except Refusal as refused:
            answer = refused.answer
        except ClientGone:
            return
        if isinstance(answer, Answer):
            await send_answer(answer, scope, send)
        else:
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | ASGIApp:
        event, _, verb = scope["raw_path"].decode("latin-1").removeprefix(_PREFIX).partition("/")
        if scope["type"] == "websocket":
            methods = {"GET": self._sockets[verb]} if verb in self._sockets else None
        else:
            methods = self._handlers.get(verb)
        if methods is None or not is_event_id(event):
            return problem(404, "There is nothing here. See /openapi.json for what there is.")
        # A handshake is a GET (RFC 6455, section 4.1).
        method = scope.get("method", "GET")
        single, twice = read_fields(scope["headers"])
        call = Call(
            scope=scope,
            receive=receive,
            event=EventId(event),
            route=self._routes.get(EventId(event)),
            secure=is_secure(scope, self._peers),
            authority=read_authority(scope["headers"]),
            body_limit=self._body_limit,
            single=single,
            twice=twice,
        )
        is_page = verb in self._pages
        if (
            method == "OPTIONS"
            and not is_page
            and call.header(b"access-control-request-method") is not None
        ):
            return _preflight(call, methods)
        handler = methods.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
            return problem(405, f"Use {allowed} here.", [(b"allow", allowed.encode())])
        # Neither bound to the host of the cookies, nor to the origins that an event lists.
        public = is_page or verb in self._public
        if not public and (elsewhere := _at_home(call)) is not None:
            return elsewhere
        try:
            answer = await handler(call)
        except UnknownEvent:
            answer = problem(404, "There is no event of this name.")
        except Refusal as refused:
            # Here and not further out: a page of a listed origin may read what was wrong.
            answer = refused.answer
        return answer if public or not isinstance(answer, Answer) else _with_cors(call, answer)

    async def pointer(self, call: Call) -> Answer:
        snapshot = self._room.snapshot(call.event)
        if snapshot is None:
            return _not_read_yet()
        return self._pointers.answer(snapshot, call.header(b"if-none-match"))

    async def signed_pointer(self, call: Call) -> Answer:
        snapshot = self._room.snapshot(call.event)
        if snapshot is None:
            return _not_read_yet()
        return self._signed.answer(snapshot, call.header(b"if-none-match"))

    async def position(self, call: Call) -> Answer:
        visitor = self._room.identify(call.carried(), call.event)
        standing = self._room.standing(call.event, visitor)
        if isinstance(standing, Refused):
            return refusal(standing)
        headers: list[RawHeader] = []
        if standing.retry_after_s is not None:
            headers.append((b"retry-after", str(standing.retry_after_s).encode()))
        return json_answer(200, standing_document(call.event, standing), headers)

    async def join(self, call: Call) -> Answer:
        call.refuse_cross_site()
        fields = await call.fields(("voucher", "challenge", *_OF_FORMS, "check"))
        page = _FormPage.of(call, fields)
        if page.is_plain and "check" in fields and not call.has_cookie(check_cookie(call.event)):
            # The page set it. A place would be lost as soon as it was given.
            return redirect(page.path(cookies="blocked"))
        key = call.idempotency_key()
        visitor = self._room.identify(call.carried(), call.event)
        try:
            joined = await self._room.join(
                call.event,
                JoinCall(
                    visitor,
                    key,
                    fields.get("voucher"),
                    fields.get("challenge"),
                    self._peers.source_of(client_address(call.scope), call.scope["headers"]),
                ),
            )
        except TokenRejected:
            if page.is_plain:
                return redirect(page.path(problem="voucher"))
            return problem(403, "This event asks for a voucher of the site, and this is none.")
        if isinstance(joined, Refused):
            return page.refused(joined)
        cookie = token_cookie(
            call.event,
            is_pass=False,
            secure=call.secure,
            token=joined.token,
            life_s=joined.claims.expires_at - joined.claims.issued_at,
        )
        if call.wants_html:
            return redirect(page.path(), [cookie])
        return json_answer(201 if joined.new else 200, joined_document(joined), [cookie])

    async def claim(self, call: Call) -> Answer:
        call.refuse_cross_site()
        page = _FormPage.of(call, await call.fields(_OF_FORMS))
        visitor = self._room.identify(call.carried(), call.event)
        passed = await self._room.claim(call.event, visitor)
        if isinstance(passed, Refused):
            return page.refused(passed)
        cookie = pass_cookie(passed, call.route, secure=call.secure)
        if call.wants_html:
            # The room knows the way from here, also to another host of the event.
            return redirect(page.path(), [cookie])
        return json_answer(200, passed_document(passed), [cookie])

    async def extend(self, call: Call) -> Answer:
        call.refuse_cross_site()
        await call.fields(())
        visitor = self._room.identify(call.carried(), call.event)
        extended = await self._room.extend(call.event, visitor)
        match extended:
            case Passed():
                cookie = pass_cookie(extended, call.route, secure=call.secure)
                return json_answer(200, passed_document(extended), [cookie])
            case NoMoreExtensions():
                return problem(403, "This session cannot be extended any more. It runs to its end.")
            case Refused():
                return refusal(extended)

    async def refresh(self, call: Call) -> Answer:
        call.refuse_cross_site()
        await call.fields(())
        refreshed = await self._room.refresh(call.event, call.carried())
        if not isinstance(refreshed, Refreshed):
            return refusal(refreshed)
        cookie = token_cookie(
            call.event,
            is_pass=False,
            secure=call.secure,
            token=refreshed.token,
            life_s=refreshed.claims.expires_at - refreshed.claims.issued_at,
        )
        return json_answer(200, refreshed_document(refreshed), [cookie])

    async def leave(self, call: Call) -> Answer:
        call.refuse_cross_site()
        page = _FormPage.of(call, await call.fields(_OF_FORMS))
        visitor = self._room.identify(call.carried(), call.event)
        left = await self._room.leave(call.event, visitor)
        if isinstance(left, Refused):
            return page.refused(left)
        cookies = cleared_cookies(call.event, secure=call.secure)
        if call.wants_html:
            return redirect(page.path(), cookies)
        note = (
            "The session has ended."
            if left.was == "session"
            else "The cookie is cleared. A copy of the token would still hold its place."
        )
        return json_answer(200, {"event": call.event, "left": left.was, "note": note}, cookies)


@dataclass(frozen=True, slots=True)
class _FormPage:
    """The page that a form was sent from, and to which its answer leads back.

    Attributes:
        is_plain: Whether it is the one without a script.
    """

    call: Call
    return_to: str
    is_plain: bool

    @classmethod
    def of(cls, call: Call, fields: Mapping[str, str]) -> "_FormPage":
        return cls(call, fields.get("return_to", ""), call.wants_html and "plain" in fields)

    def path(self, **more: str) -> str:
        call = self.call
        return room_path(
            call.event,
            call.return_to(self.return_to),
            call.scheme,
            page=PLAIN_ROOM if self.is_plain else ROOM,
            more={**chosen(call), **more} if self.is_plain else more,
        )

    def refused(self, refused: Refused) -> Answer:
        """Lead a form back to its page, which explains.

        The page knows nothing of what stands against a join: the one without a script is told in the
        address, and whoever else sent the form is told at once.
        """
        if not self.call.wants_html:
            return refusal(refused)
        against = _AGAINST_A_JOIN.get(refused.problem)
        if against is None:
            return redirect(self.path())
        return redirect(self.path(problem=against)) if self.is_plain else refusal(refused)


def _not_read_yet() -> Answer:
    return problem(503, "The event's state is not known yet.", [(b"retry-after", b"5")])


def _at_home(call: Call) -> Answer | None:
    """Send a call on another host of the event to the one where its cookies live."""
    home = home_authority(call.route, call.authority)
    if home is None:
        return None
    query = call.scope["query_string"].decode("latin-1")
    target = call.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    # 307 keeps method and body (RFC 9110, section 15.4.8).
    return Answer(
        307, ((b"location", f"{call.scheme}://{home}{target}".encode("latin-1")), NO_STORE)
    )


def _preflight(call: Call, methods: Mapping[str, StreamHandler]) -> Answer:
    answer = Answer(204, (NO_STORE, (b"allow", ", ".join(methods).encode())))
    return _with_cors(
        call,
        answer.with_headers(
            [
                (b"access-control-allow-methods", ", ".join(methods).encode()),
                (b"access-control-allow-headers", _ALLOWED_HEADERS),
                (b"access-control-max-age", b"600"),
            ]
        ),
    )


def _with_cors(call: Call, answer: Answer) -> Answer:
    if call.route is None or not call.route.origins:
        return answer
    return answer.with_headers(cors_headers(call.route, call.header(b"origin")))
