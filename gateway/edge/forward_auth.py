"""Forward auth: nginx, Traefik, Caddy, Envoy or HAProxy asks us about each request it holds.

Each proxy understands other statuses; a profile speaks what its proxy can pass on (`?profile=…`). Who
may ask is configured and nobody may by default: a header decides here, so it must come from a proxy.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import assert_never
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from gateway.answers import NO_STORE, Answer, RawHeader, cors_headers, problem, send_answer
from gateway.answers import refusal as refusal_answer
from gateway.calls import client_address
from gateway.cookies import pass_cookie
from gateway.domain.admission import ProblemType, Refused, no_token
from gateway.domain.carriers import RawHeaders
from gateway.domain.peers import Networks, within
from gateway.domain.routes import EventRoute
from gateway.domain.targets import canonical_host
from gateway.edge.gate import (
    Forward,
    Gate,
    Observed,
    Preflight,
    RequestView,
    TurnedBack,
    Unreadable,
    Untouched,
    Verdict,
)
from gateway.edge.middleware import is_navigation, waiting_page
from gateway.edge.remembered import Remembered

PATH = b"/auth"

# Envoy's ext_authz appends the original path to a prefix and has no other way to tell it.
ENVOY_PREFIX = b"/auth/envoy"

# What an admission depends on: a cache that knows nothing of us must not give one visitor's to another.
# nginx keeps nothing whose Vary is longer than 128 bytes.
_VARY: RawHeader = (
    b"vary",
    b"Cookie, Authorization, Queue-Token, Host, "
    b"X-Forwarded-Uri, X-Forwarded-Host, X-Original-URI, X-Original-Host",
)

# The longest that a proxy may go on admitting by a cached 200: a revocation takes no longer than this.
REVOCATION_BOUND_S = 5

# nginx counts whole seconds and keeps an answer through the last one: of `max-age=4` up to five seconds.
_KEPT_LONGER_S = {"nginx": 1}


_EITHER = (b"x-forwarded-", b"x-original-")


class Profile(StrEnum):
    """Which proxy asks. `generic` is for whatever passes every status on."""

    GENERIC = "generic"
    NGINX = "nginx"
    TRAEFIK = "traefik"
    CADDY = "caddy"
    ENVOY = "envoy"
    HAPROXY = "haproxy"


# How each proxy names the request that it asks about. The other name could be the client's own, so it
# is not looked at; where either may be used, they must agree.
_FAMILIES: dict[Profile, tuple[bytes, ...]] = {
    Profile.NGINX: (b"x-original-",),
    Profile.TRAEFIK: (b"x-forwarded-",),
    Profile.CADDY: (b"x-forwarded-",),
}


@dataclass(frozen=True, slots=True)
class _Say:
    """What every answer says in `Queue-*`; empty where there is nothing to say.

    A field that were left out could be one that the client sent (GHSA-7r4p-vjf4-gxv4).
    """

    event: str = ""
    position: str = ""
    visitor: str = ""
    status: str = ""
    location: str = ""
    retry_after: str = ""

    def headers(self) -> list[RawHeader]:
        return [
            (b"queue-event", self.event.encode()),
            (b"queue-position", self.position.encode()),
            (b"queue-visitor", self.visitor.encode("latin-1", "replace")),
            (b"queue-status", self.status.encode()),
            (b"queue-location", self.location.encode()),
            (b"queue-retry-after", self.retry_after.encode()),
        ]


class ForwardAuth:
    """The ASGI app behind `/auth`.

    Args:
        asking: Networks of the proxies that may ask.
        now_s: The ledger's wall clock, for the cache life of an admit.
    """

    def __init__(self, gate: Gate, asking: Networks, now_s: Callable[[], float]) -> None:
        self._gate = gate
        self._asking = asking
        self._may_ask = lru_cache(maxsize=1024)(self._is_named)
        self._now_s = now_s
        self._shared_hosts = _shared_hosts(gate.routes.routes)
        self._remembered: Remembered[Answer] = Remembered(gate.room)

    def _is_named(self, address: str) -> bool:
        return within(address, self._asking)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send_answer(problem(404, "Ask over HTTP."), scope, send)
            return
        await send_answer(await self._answer(scope), scope, send)

    async def _answer(self, scope: Scope) -> Answer:
        address = client_address(scope)
        headers: RawHeaders = scope["headers"]
        request = (
            scope["method"],
            scope["raw_path"],
            scope["query_string"],
            address,
            tuple(headers),
        )
        known = self._remembered.find(request)
        if known is not None:
            return known
        if address is None or not self._may_ask(address):
            return problem(
                403, "Only a proxy named in [server] forward_auth_peers may ask.", _Say().headers()
            )
        try:
            profile, view = _read(scope)
        except ValueError as exc:
            return problem(400, str(exc), _Say().headers())
        verdict = await self._gate.judge(view)
        answer = self._render(profile, view, verdict, scope)
        if isinstance(verdict, Forward) and verdict.held is not None and verdict.fresh is None:
            ticket = self._gate.room.ticket(verdict.held)
            # Near its end a pass may be cached for less than the bound, by the second.
            until_s = ticket.until_s - REVOCATION_BOUND_S
            self._remembered.keep(request, ticket._replace(until_s=until_s), answer, headers)
        return answer

    def _render(
        self, profile: Profile, view: RequestView, verdict: Verdict, scope: Scope
    ) -> Answer:
        match verdict:
            case Forward():
                return self._admit(profile, verdict, view)
            case Untouched():
                return Answer(200, (NO_STORE, *_Say(status="open").headers()))
            case Observed():
                # Empty, as a proxy that sets them must send none of the client's own.
                return Answer(200, (NO_STORE, *_Say().headers()))
            case Preflight(route=route) if not _is_listed(route, view):
                # Nobody asked for this origin: to the backend it would be a request like any other.
                say = _Say(event=route.event, status=ProblemType.NO_TOKEN.value)
                return _refuse(profile, no_token(None), say)
            case Preflight(route=route):
                # The proxy cannot be told to answer it; it goes on for origins that the event lists.
                return Answer(
                    200, (NO_STORE, *_Say(event=route.event, status="preflight").headers())
                )
            case Unreadable(why=why):
                refused = Refused(ProblemType.NOT_CANONICAL, why)
                return _refuse(profile, refused, _Say(status=refused.problem.value))
            case TurnedBack(route=route, refused=refused):
                location = waiting_page(route, view, absolute=True)
                say = _Say(
                    event=route.event,
                    status=refused.problem.value,
                    location=location,
                    retry_after=str(refused.retry_after_s or ""),
                )
                if _redirects(profile) and is_navigation(scope, view):
                    return Answer(303, ((b"location", location.encode()), NO_STORE, *say.headers()))
                return _refuse(profile, refused, say).with_headers(_readable(route, view))
            case _:
                assert_never(verdict)

    def _admit(self, profile: Profile, verdict: Forward, view: RequestView) -> Answer:
        held = verdict.held
        if held is None:
            say = _Say(event=verdict.route.event, status="open")
            return Answer(200, (NO_STORE, *say.headers()))
        headers = _Say(
            event=verdict.route.event,
            position=str(held.position),
            visitor=held.visitor,
            status="admitted",
        ).headers()
        if verdict.fresh is not None:
            cookie = pass_cookie(verdict.fresh, verdict.route, secure=view.secure)
            return Answer(200, (NO_STORE, cookie, *headers))
        life_s = min(REVOCATION_BOUND_S, int(held.expires_at - self._now_s()))
        life_s -= _KEPT_LONGER_S.get(profile, 0)
        if life_s <= 0 or self._depends_on_path(profile, view):
            return Answer(200, (NO_STORE, *headers))
        return Answer(200, ((b"cache-control", b"max-age=%d" % life_s), _VARY, *headers))

    def _depends_on_path(self, profile: Profile, view: RequestView) -> bool:
        """Whether what is kept of this answer could be taken for one about another event.

        nginx compares a `Vary` with its client's fields, where the path is none. So what is kept holds for
        the whole host, and must not be where several events share it.
        """
        if profile is not Profile.NGINX or not self._shared_hosts:
            return False
        # Those that cover every host share each of them, at worst with nobody.
        return not self._shared_hosts.isdisjoint((canonical_host(list(view.hosts)), "*"))


def _shared_hosts(routes: Iterable[EventRoute]) -> frozenset[str]:
    """Name the hosts that more than one event covers."""
    named = Counter(host for route in routes for host in frozenset(route.hosts))
    return frozenset(host for host, events in named.items() if events > 1)


def _readable(route: EventRoute, view: RequestView) -> list[RawHeader]:
    """Let pages of a listed origin read what was wrong; nobody keeps it, so it needs no `Vary`."""
    cors = cors_headers(route, dict(view.headers).get(b"origin"))
    return [header for header in cors if header[0] != b"vary"]


def _is_listed(route: EventRoute, view: RequestView) -> bool:
    origins = {value.decode("latin-1") for name, value in view.headers if name == b"origin"}
    return bool(origins) and origins <= route.origins


def _redirects(profile: Profile) -> bool:
    """nginx turns any status but 2xx, 401 and 403 into a 500; the others pass a redirect on."""
    return profile is not Profile.NGINX


def _refuse(profile: Profile, refused: Refused, say: _Say) -> Answer:
    answer = refusal_answer(refused).with_headers(say.headers())
    if profile is Profile.NGINX and answer.status != 401:
        # nginx knows only 401 and 403; `Queue-Status` tells which of the others it was.
        return Answer(403, answer.headers, answer.body)
    if profile is Profile.ENVOY and answer.status >= 500:
        # Envoy replaces every 5xx by a bare 403; this one keeps body and headers.
        return Answer(403, answer.headers, answer.body)
    return answer


def _read(scope: Scope) -> tuple[Profile, RequestView]:
    """Read which request the proxy asks about.

    Raises:
        ValueError: It cannot be told, or was told twice.
    """
    headers: RawHeaders = scope["headers"]
    raw_path: bytes = scope["raw_path"]
    said = _said(headers)
    if raw_path.startswith(ENVOY_PREFIX + b"/"):
        profile = Profile.ENVOY
        path, query = raw_path.removeprefix(ENVOY_PREFIX), scope["query_string"]
        method = scope["method"]
        host = said.get(b"host", b"")
        families: tuple[bytes, ...] = (b"x-forwarded-",)
    else:
        profile = _profile(scope["query_string"])
        families = _FAMILIES.get(profile, _EITHER)
        uri = _told(said, families, b"uri")
        if not uri:
            raise ValueError(
                "Send the request's target in "
                + " or ".join(f"{family.decode().title()}Uri" for family in families)
                + "."
            )
        path, _, query = uri.partition(b"?")
        method = (_told(said, families, b"method") or b"GET").decode("latin-1")
        host = _told(said, families, b"host") or said.get(b"host", b"")
    scheme = _told(said, families, b"proto")
    return profile, RequestView(
        method=method,
        hosts=(host,),
        path=path,
        query=query,
        headers=headers,
        secure=scheme == b"https",
    )


_FIELDS = frozenset(
    [
        b"host",
        *(family + what for family in _EITHER for what in (b"uri", b"method", b"host", b"proto")),
    ]
)


def _said(headers: RawHeaders) -> dict[bytes, bytes]:
    """Return what the proxy said, in one pass; no field may contradict itself."""
    said: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _FIELDS and said.setdefault(name, value) != value:
            raise ValueError(f"{name.decode()} was told twice.")
    return said


def _told(said: dict[bytes, bytes], families: tuple[bytes, ...], what: bytes) -> bytes | None:
    """Return what the fields of `families` say; they must not contradict each other."""
    told: bytes | None = None
    for family in families:
        value = said.get(family + what)
        if value is not None:
            if told is not None and told != value:
                raise ValueError(f"{(family + what).decode()} was told twice.")
            told = value
    return told


# A proxy asks with one and the same query all the time.
@lru_cache(maxsize=64)
def _profile(query: bytes) -> Profile:
    named = parse_qs(query.decode("latin-1")).get("profile", [Profile.GENERIC.value])
    try:
        (name,) = named
        return Profile(name)
    except ValueError as exc:
        raise ValueError(f"profile is one of {', '.join(Profile)}") from exc
