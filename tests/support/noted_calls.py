"""The calls that visitors make, over real HTTP, each of them noted in a history whatever comes of it."""

import base64
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any, Protocol

import aiohttp

from tests.support.history import Claim, History, Join, Leave, Look, Operation, Pass, Place, Request

PAGE = "/book"


class Door(Protocol):
    """A gateway as visitors see it; its URL changes when it is started anew."""

    @property
    def life(self) -> str: ...

    @property
    def url(self) -> str: ...


@dataclass(slots=True)
class Ticket:
    """What one visitor holds.

    Attributes:
        key: The Idempotency-Key of the join.
        token: The queue token. held_token: The pass.
        expires_at: Unix seconds at which the queue token ends.
        has_left: Whether the session was given back, or may have been.
    """

    client: str
    key: str
    token: str
    place: Place
    expires_at: float
    held_token: str | None = None
    held: Pass | None = None
    has_left: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; without a status there was no answer, or only a part of one."""

    began_s: float
    ended_s: float
    gateway: str
    status: int | None
    document: dict[str, Any] = field(default_factory=dict[str, Any])
    cookies: tuple[str, ...] = ()

    @property
    def was_refused(self) -> bool:
        return self.status is not None and self.status >= 400


class NotedCalls:
    """Calls of one event at several gateways.

    Args:
        host: The event's host, as browsers send it.
        chance: Picks the gateway where none is named.
        patience_s: How long anybody waits for an answer.
    """

    def __init__(
        self,
        history: History,
        doors: Sequence[Door],
        event: str,
        host: str,
        *,
        chance: random.Random,
        patience_s: float,
    ) -> None:
        self._history = history
        self._doors = doors
        self._event = event
        self._host = host
        self._chance = chance
        self._patience_s = patience_s
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self._patience_s),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            self._session = session
            yield

    async def join(self, client: str, key: str, shown: Ticket | None = None) -> Ticket | None:
        """Join; return None where no place was learned."""

        def note(answer: Answer) -> Join:
            return Join(
                **self._told(client, answer),
                key=key,
                shown=None if shown is None else shown.place,
                place=_place_in(answer),
                served_up_to=answer.document.get("served_up_to"),
            )

        fields = {"Idempotency-Key": key}
        if shown is not None:
            fields["Queue-Token"] = shown.token
        answer = await self._ask("POST", self._call("join"), fields, note)
        place = _place_in(answer)
        if place is None:
            return None
        document = answer.document
        return Ticket(client, key, document["token"], place, float(document["expires_at"]))

    async def pointer(self, door: Door | None = None, *, last: bool = False) -> int | None:
        """Ask for the pointer document; return the pointer."""

        def note(answer: Answer) -> Look:
            said = {} if answer.was_refused else answer.document
            holes = said.get("holes")
            return Look(
                **self._told("", answer),
                generation=said.get("generation"),
                served_up_to=said.get("served_up_to"),
                issued=said.get("issued"),
                holes=None if holes is None else tuple((a, b) for a, b in holes),
                last=last,
            )

        answer = await self._ask("GET", f"/queue/{self._event}", {}, note, door)
        return None if answer.was_refused else answer.document.get("served_up_to")

    async def position(self, ticket: Ticket, *, last: bool = False) -> int | None:
        """Show a queue token; return the status of the answer."""

        def note(answer: Answer) -> Look:
            place = _place_in(answer)
            return Look(
                **self._told(ticket.client, answer),
                shown=ticket.place,
                expires_at=ticket.expires_at,
                place=place,
                generation=None if place is None else place.generation,
                served_up_to=None if place is None else answer.document["served_up_to"],
                last=last,
            )

        fields = {"Queue-Token": ticket.token}
        return (await self._ask("GET", self._call("position"), fields, note)).status

    async def claim(self, ticket: Ticket) -> None:
        """Exchange the queue token for a pass."""

        def note(answer: Answer) -> Claim:
            if answer.status == 200:
                _keep_pass(ticket, answer.document["pass"])
            return Claim(
                **self._told(ticket.client, answer),
                shown=ticket.place,
                expires_at=ticket.expires_at,
                given=ticket.held if answer.status == 200 else None,
            )

        await self._ask("POST", self._call("claim"), {"Queue-Token": ticket.token}, note)

    async def page(self, ticket: Ticket, *, last: bool = False) -> None:
        """Ask for a protected page with the pass, or without one with the queue token."""
        held = ticket.held

        def note(answer: Answer) -> Request:
            given = _pass_cookie(answer, self._event)
            if given is not None:
                _keep_pass(ticket, given)
            reached = answer.document.get("position") if answer.status == 200 else None
            return Request(
                **self._told(ticket.client, answer),
                shown=ticket.place if held is None else None,
                expires_at=ticket.expires_at,
                held=held,
                reached=None if reached is None else int(reached),
                given=None if given is None else ticket.held,
                last=last,
            )

        token = ticket.held_token if held is not None else ticket.token
        await self._ask("GET", PAGE, {"Queue-Token": token or "", "Accept": "*/*"}, note)

    async def leave(self, ticket: Ticket) -> None:
        """Give the session back."""
        ticket.has_left = True

        def note(answer: Answer) -> Leave:
            return Leave(**self._told(ticket.client, answer), place=ticket.place)

        fields = {"Queue-Token": ticket.held_token or ticket.token}
        await self._ask("POST", self._call("leave"), fields, note)

    def _call(self, verb: str) -> str:
        return f"/queue/{self._event}/{verb}"

    def _told(self, client: str, answer: Answer) -> dict[str, Any]:
        """Return what every operation notes."""
        return {
            "began_s": answer.began_s,
            "ended_s": answer.ended_s,
            "event": self._event,
            "client": client,
            "gateway": answer.gateway,
            "status": answer.status,
            "problem": str(answer.document.get("type", "")) if answer.was_refused else "",
        }

    async def _ask(
        self,
        method: str,
        target: str,
        fields: dict[str, str],
        note: Callable[[Answer], Operation],
        door: Door | None = None,
    ) -> Answer:
        """Ask, and note what came of it: also where the caller is cancelled meanwhile."""
        assert self._session is not None, "connect first"
        door = door or self._chance.choice(self._doors)
        life, url = door.life, door.url
        began_s = time.monotonic()
        status: int | None = None
        document: dict[str, Any] = {}
        cookies: tuple[str, ...] = ()
        try:
            async with self._session.request(
                method, url + target, headers={"Host": self._host, **fields}, allow_redirects=False
            ) as response:
                body = await response.read()
                cookies = tuple(response.headers.getall("Set-Cookie", ()))
                document = json.loads(body) if "json" in response.content_type else {}
                # Only an answer that has come whole is one.
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        finally:
            answer = Answer(began_s, time.monotonic(), life, status, document, cookies)
            self._history.note(note(answer))
        return answer


def _place_in(answer: Answer) -> Place | None:
    if answer.status not in (200, 201):
        return None
    return Place(answer.document["generation"], answer.document["position"])


def _keep_pass(ticket: Ticket, token: str) -> None:
    payload = _payload_of(token)
    ticket.held_token = token
    ticket.held = Pass(Place(payload["gen"], payload["pos"]), float(payload["exp"]))


def _pass_cookie(answer: Answer, event: str) -> str | None:
    for line in answer.cookies:
        for name, morsel in SimpleCookie(line).items():
            if name.endswith(f"pass-{event}") and morsel.value:
                return morsel.value
    return None


def _payload_of(token: str) -> dict[str, Any]:
    """Read what a token says, as its bearer may; that it is genuine is for the gateways to find."""
    part = token.split(".")[1]
    payload = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(payload, dict)
    return payload
