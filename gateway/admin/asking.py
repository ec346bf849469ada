"""What a request to the admin interface brings along."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.types import Receive, Scope

from gateway.admin.problems import Problem, refuse
from gateway.calls import client_address, is_secure, read_body, read_fields
from gateway.domain.carriers import parse_cookies
from gateway.domain.operator_log import Author
from gateway.domain.peers import Peers
from gateway.domain.positions import MAX_POSITION, EventId, Position, is_event_id
from gateway.operators.keys import Operator

T = TypeVar("T")

_POSITION = re.compile(r"[0-9]{1,16}", re.ASCII)

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})

WAY: Final = "over HTTP"
"""Stands behind the name in the operator log: a name alone is somebody's own word at a terminal."""


class Way(StrEnum):
    """How an operator has shown who they are."""

    BEARER = "bearer"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request before anybody knows who sends it.

    Attributes:
        client: The client's address, as far as trusted proxies tell; empty on a Unix socket.
        secure: Whether it came over TLS.
    """

    scope: Scope
    receive: Receive
    client: str
    secure: bool
    body_limit: int

    @classmethod
    def of(cls, scope: Scope, receive: Receive, peers: Peers, body_limit: int) -> "Incoming":
        source = peers.source_of(client_address(scope), scope["headers"]).address
        return cls(scope, receive, source or "", is_secure(scope, peers), body_limit)

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    def header(self, name: bytes) -> str | None:
        """Return a field that must not come twice.

        Raises:
            Refusal: It came twice, with different values.
        """
        single, twice = read_fields(self.scope["headers"])
        if name in twice:
            refuse(Problem.BAD_INPUT, f"The field {name.decode()} came twice; send it once.")
        value = single.get(name)
        return None if value is None else value.decode("latin-1")

    def cookies(self, name: str) -> list[str]:
        return [
            content.decode("latin-1")
            for key, value in self.scope["headers"]
            if key == b"cookie"
            for cookie, content in parse_cookies(value)
            if cookie == name.encode()
        ]

    def query(self, name: str) -> str:
        values = parse_qs(self.scope["query_string"].decode("latin-1")).get(name, [])
        return values[0] if len(values) == 1 else ""

    def event(self) -> EventId:
        """Return the event that the path names.

        Raises:
            Refusal: It is no name of an event.
        """
        name = str(self.scope["path_params"]["event"])
        if not is_event_id(name):
            refuse(Problem.NO_SUCH_EVENT, "The path does not hold the name of an event.")
        return EventId(name)

    def position(self) -> Position:
        """Return the position that the path names.

        Raises:
            Refusal: It is no position.
        """
        text = str(self.scope["path_params"]["position"])
        if _POSITION.fullmatch(text) is None or not 1 <= int(text) <= MAX_POSITION:
            refuse(Problem.NO_SUCH_SESSION, "The path does not hold a position, such as 4711.")
        return Position(int(text))

    def is_own_origin(self, origin: str) -> bool:
        """Whether a page of that origin is one of ours: it has the very host and port of this request."""
        try:
            parts = urlsplit(origin)
        except ValueError:  # "http://[::1", say
            return False
        schemes: Collection[str] = ("https",) if self.secure else ("http", "https")
        authority = (self.header(b"host") or "").lower()
        return parts.scheme in schemes and bool(authority) and parts.netloc.lower() == authority

    async def body(self) -> bytes:
        """Read the whole body.

        Raises:
            Refusal: It is larger than the settings allow.
            ClientGone: It never came to its end.
        """
        body = await read_body(self.receive, self.body_limit)
        if body is None:
            refuse(
                Problem.TOO_LARGE,
                f"A body has at most {self.body_limit} bytes here.",
                headers=((b"connection", b"close"),),
            )
        return body

    async def fields(self, kind: type[T]) -> T:
        """Read a JSON body as `kind`; an empty one counts as `{}`.

        Raises:
            Refusal: It is not acceptable; the problem says where.
        """
        body = await self.body()
        if body and not self.is_json:
            refuse(Problem.JSON_ONLY, "Send a JSON object, as content-type application/json.")
        try:
            return msgspec.json.decode(body or b"{}", type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
            # What is quoted is the place, never what stood there.
            refuse(Problem.BAD_INPUT, f"The body is not as it must be: {_plain(exc)}.")

    @property
    def is_json(self) -> bool:
        kind = (self.header(b"content-type") or "").partition(";")[0]
        return kind.strip().lower() == "application/json"


def _plain(exc: Exception) -> str:
    return str(exc).replace(" - at `$", " at `") or type(exc).__name__


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sends a request.

    Attributes:
        ends_at: Unix seconds until which this goes on without showing the key again; None for no end.
    """

    operator: Operator
    way: Way
    ends_at: int | None

    def document(self) -> dict[str, Any]:
        operator = self.operator
        return {"name": operator.name, "role": operator.role.value, "expires_at": self.ends_at}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request of an operator who may ask for it."""

    incoming: Incoming
    identity: Identity

    def author(self, reason: str) -> Author:
        """Return whom the operator log names.

        Raises:
            BadInput: The reason is too long.
        """
        return Author.of(f"{self.identity.operator.name} ({WAY})", reason)
