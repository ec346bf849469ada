"""One judgement for every door: our proxy, the middleware, forward auth and WebSockets ask here.

Fails closed: what cannot be judged does not go through. Only a bypass, an open path, an event whose
settings say `observe`, and a host that the operator lists as one that does not queue need no pass.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias, assert_never

from gateway.domain.admission import (
    Admitted,
    Bypassed,
    Claimable,
    ProblemType,
    Refused,
    Visitor,
)
from gateway.domain.carriers import RawHeaders, carried_tokens
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.routes import (
    Designation,
    EventRoute,
    OpenPath,
    Protected,
    RouteTable,
    Undesignated,
    UnknownHost,
)
from gateway.domain.targets import (
    MAX_TARGET_BYTES,
    NotCanonical,
    Target,
    canonical_host,
    canonical_target,
    is_canonical_query,
)
from gateway.edge.observations import Observations
from gateway.queue import Passed, Room, outcome_of

_LONGEST_KNOWN_PATH = 256
# What an observed request would have come to, beside what is decided.
_UNREADABLE, _PREFLIGHT = "unreadable", "preflight"
_NOT_TURNED_BACK = frozenset({"admitted", "claimable", "bypassed", _PREFLIGHT})

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")


# Named tuples where one is made for every request: a frozen dataclass takes four times as long.
class RequestView(NamedTuple):
    """What a decision needs of a request, as it arrived.

    Attributes:
        hosts: Every Host field.
        path: The raw path. query: The raw query.
        secure: Whether the visitor came over TLS.
    """

    method: str
    hosts: tuple[bytes, ...]
    path: bytes
    query: bytes
    headers: RawHeaders
    secure: bool


class Forward(NamedTuple):
    """Goes through to the backend.

    Attributes:
        held: The pass that earned it; None on an open path and in a bypass.
        fresh: A pass that was given for this request; its cookie must reach the visitor.
    """

    route: EventRoute
    held: PassClaims | None = None
    fresh: Passed | None = None


@dataclass(frozen=True, slots=True)
class Untouched:
    """A host that does not queue: nothing is added, nothing removed."""


@dataclass(frozen=True, slots=True)
class TurnedBack:
    """Does not go through; the browser's way is the waiting page of `route`."""

    route: EventRoute
    refused: Refused


@dataclass(frozen=True, slots=True)
class Preflight:
    """A CORS preflight on a protected path: answered here, without a token."""

    route: EventRoute


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Not in canonical form, or two tokens of one kind: 400. A host that nobody named: 421."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Observed:
    """Goes through whatever was found, since the event only observes.

    Attributes:
        outcome: What would have come of the request, of a closed set.
    """

    route: EventRoute
    outcome: str


Verdict: TypeAlias = Forward | Untouched | Observed | TurnedBack | Preflight | Unreadable


class Gate:
    """Judges requests for a set of routes, with the use cases of a room."""

    def __init__(self, room: Room, routes: RouteTable) -> None:
        self.room = room
        self.routes = routes
        self.events = tuple(route.event for route in routes.routes)
        # Pure, and asked about the same few values over and over; the bounds are for the others.
        self._find_known = lru_cache(maxsize=8192)(self._find)
        self._observations = Observations()

    def observes(self, hosts: tuple[bytes, ...]) -> bool:
        """Whether nothing at this host is protected, since its events only observe."""
        return self._observing(hosts) is not None

    async def judge(self, view: RequestView) -> Verdict:
        """Decide on one request. No ledger call, but for the first request of a session."""
        verdict = await self._judge(view)
        if isinstance(verdict, Unreadable):
            route = self._observing(view.hosts)
            if route is not None:
                return self._observed(view, route, _UNREADABLE)
        return verdict

    async def _judge(self, view: RequestView) -> Verdict:
        find = self._find_known if len(view.path) <= _LONGEST_KNOWN_PATH else self._find
        found = find(view.hosts, view.method, view.path)
        if isinstance(found, Unreadable):
            return found
        if view.query:
            if len(view.path) + len(view.query) > MAX_TARGET_BYTES:
                return Unreadable(400, "the target is too long")
            if not is_canonical_query(view.query):
                return Unreadable(400, "the query has a character that must not stand there")
        target, designation = found
        match designation:
            case Protected(events=designated):
                routes = tuple([route for route in designated if not route.observed])
                if not routes:
                    return self._observe(view, target, designated[0])
                if view.method == "OPTIONS" and _is_preflight(view.headers):
                    return Preflight(routes[0])
                return await self._judge_protected(view, target, routes)
            case OpenPath(event=route):
                return Forward(route)
            case Undesignated():
                return Untouched()
            case UnknownHost():
                return Unreadable(421, "no event and no open host has this name")
            case _:
                assert_never(designation)

    def _find(
        self, hosts: tuple[bytes, ...], method: str, path: bytes
    ) -> tuple[Target, Designation] | Unreadable:
        if _METHOD.fullmatch(method) is None:
            return Unreadable(400, "the method is not an upper-case word")
        try:
            host, target = canonical_host(list(hosts)), canonical_target(path)
        except NotCanonical as exc:
            return Unreadable(400, exc.why)
        return target, self.routes.designate(host, method, target)

    async def _judge_protected(
        self, view: RequestView, target: Target, routes: tuple[EventRoute, ...]
    ) -> Verdict:
        first: Verdict | None = None
        for route in routes:
            verdict = await self._judge_event(view, target, route)
            if isinstance(verdict, Forward | Unreadable):
                return verdict
            first = first or verdict
        if first is None:
            raise AssertionError("a protected path belongs to an event")
        return first

    def _observing(self, hosts: tuple[bytes, ...]) -> EventRoute | None:
        try:
            return self.routes.observing(canonical_host(list(hosts)))
        except NotCanonical:
            return None

    def _observe(self, view: RequestView, target: Target, route: EventRoute) -> Verdict:
        """Decide, and let through all the same: no claim, no session, no cookie."""
        if view.method == "OPTIONS" and _is_preflight(view.headers):
            return self._observed(view, route, _PREFLIGHT)
        carried = carried_tokens(view.headers, route.event, secure=view.secure)
        if carried.ambiguous:
            return self._observed(view, route, _UNREADABLE)
        decision = self.room.would_decide(
            route.event,
            self.room.identify(carried, route.event),
            on_finish_path=bool(route.finish_paths) and route.is_finish(view.method, target),
        )
        return self._observed(view, route, outcome_of(decision))

    def _observed(self, view: RequestView, route: EventRoute, outcome: str) -> Observed:
        self.room.note_observed(route.event, outcome)
        if outcome not in _NOT_TURNED_BACK:
            self._observations.note(route.event, outcome, view.method, view.path)
        return Observed(route, outcome)

    async def _judge_event(self, view: RequestView, target: Target, route: EventRoute) -> Verdict:
        carried = carried_tokens(view.headers, route.event, secure=view.secure)
        if carried.ambiguous:
            return Unreadable(400, "two different tokens of one kind came along; send one")
        visitor = self.room.identify(carried, route.event)
        decision = self.room.decide(
            route.event,
            visitor,
            on_finish_path=bool(route.finish_paths) and route.is_finish(view.method, target),
        )
        match decision:
            case Admitted(held=held):
                return Forward(route, held=held)
            case Bypassed():
                return Forward(route)
            case Refused():
                if visitor.held is not None and self.room.may_still_run(visitor.held):
                    return await self._find_session(route, visitor, decision)
                return TurnedBack(route, decision)
            case Claimable(place=place):
                return await self._claim(route, place)
            case _:
                assert_never(decision)

    async def _find_session(
        self, route: EventRoute, visitor: Visitor, decision: Refused
    ) -> Verdict:
        """Let through whose session runs by the ledger, whatever a clock that jumped says of the pass."""
        if not self.room.can_issue:
            return TurnedBack(route, decision)
        passed = await self.room.claim(route.event, Visitor(held=visitor.held))
        if isinstance(passed, Refused):
            is_away = passed.problem is ProblemType.LEDGER_AWAY
            return TurnedBack(route, passed if is_away else decision)
        return Forward(route, held=passed.claims, fresh=passed)

    async def _claim(self, route: EventRoute, place: QueueClaims) -> Verdict:
        snapshot = self.room.snapshot(route.event)
        if snapshot is None:
            raise AssertionError("a claimable place was decided on a snapshot")
        if not self.room.can_issue:
            return TurnedBack(
                route,
                Refused(ProblemType.CLAIM_FIRST, "Claim your turn at the event's gateway first."),
            )
        passed = await self.room.claim_place(snapshot, place)
        if isinstance(passed, Refused):
            return TurnedBack(route, passed)
        return Forward(route, held=passed.claims, fresh=passed)


def _is_preflight(headers: RawHeaders) -> bool:
    names = {name for name, _ in headers}
    return b"origin" in names and b"access-control-request-method" in names
