"""What a request to `/queue/{event}/…` brings along, read once for every handler."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.types import Receive, Scope

from gateway.addresses import port_of
from gateway.answers import Answer, problem
from gateway.domain.carriers import (
    Carried,
    RawHeaders,
    carried_tokens,
    parse_cookies,
)
from gateway.domain.peers import Peers
from gateway.domain.positions import EventId
from gateway.domain.return_to import ReturnTo, parse_return_to
from gateway.domain.routes import EventRoute
from gateway.domain.targets import NotCanonical, canonical_host

_IDEMPOTENCY_KEY = re.compile(rb"[A-Za-z0-9_-]{22,64}")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")

CSRF_SAFE_SITES = frozenset({b"same-origin", b"none"})


class Refusal(Exception):
    """Turns a request back from anywhere below a handler, with a finished answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ClientGone(Exception):
    """The client closed the connection before its body was complete."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to an event's queue.

    Attributes:
        route: What the settings say of the event; None for one that only the ledger knows.
        secure: Whether the visitor came over TLS.
        authority: The raw `Host` field, which names this very host and port.
        single: The fields by name. twice: Names that came with different values.
    """

    scope: Scope
    receive: Receive
    event: EventId
    route: EventRoute | None
    secure: bool
    authority: str
    body_limit: int
    single: Mapping[bytes, bytes]
    twice: Collection[bytes]

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def scheme(self) -> str:
        return "https" if self.secure else "http"

    @property
    def host(self) -> str:
        return canonical_host([self.authority.encode()])

    @property
    def hosts(self) -> Collection[str]:
        return () if self.route is None else self.route.hosts

    def header(self, name: bytes) -> bytes | None:
        """Return a field that must not come twice.

        Raises:
            Refusal: It came twice, with different values.
        """
        if name in self.twice:
            raise Refusal(problem(400, f"The field {name.decode()} came twice."))
        return self.single.get(name)

    def listed(self, name: bytes) -> str:
        """Return a field that is a list, which may come in several lines (RFC 9110, section 5.3)."""
        values = [value for key, value in self.scope["headers"] if key == name]
        return b",".join(values).decode("latin-1")

    @property
    def wants_html(self) -> bool:
        return "text/html" in self.listed(b"accept")

    def carried(self) -> Carried:
        """Return the tokens of ours that came along.

        Raises:
            Refusal: Two different tokens of one kind did.
        """
        carried = carried_tokens(self.scope["headers"], self.event, secure=self.secure)
        if carried.ambiguous:
            raise Refusal(problem(400, "Two different tokens came along; send one."))
        return carried

    def query(self, name: str) -> str:
        values = parse_qs(self.scope["query_string"].decode("latin-1")).get(name, [])
        return values[0] if len(values) == 1 else ""

    def has_cookie(self, name: str) -> bool:
        return any(
            cookie == name.encode()
            for key, value in self.scope["headers"]
            if key == b"cookie"
            for cookie, _ in parse_cookies(value)
        )

    def idempotency_key(self) -> str | None:
        """Return the Idempotency-Key.

        Raises:
            Refusal: It is not 22 to 64 characters of `[A-Za-z0-9_-]`.
        """
        value = self.header(b"idempotency-key")
        if value is None:
            return None
        if _IDEMPOTENCY_KEY.fullmatch(value) is None:
            raise Refusal(
                problem(400, "Idempotency-Key: 22 to 64 random characters of A-Z a-z 0-9 _ -")
            )
        return value.decode()

    def refuse_cross_site(self) -> None:
        """Refuse a request that another site's page made a browser send.

        Browsers tell by `Sec-Fetch-Site` and `Origin`; what sends neither is no browser.

        Raises:
            Refusal: The page's origin is not the event's own and not one that it lists.
        """
        origin = self.header(b"origin")
        if origin is not None:
            if not self._is_own_origin(origin.decode("latin-1")):
                raise Refusal(problem(403, "Requests from this origin are not accepted."))
            return
        site = self.header(b"sec-fetch-site")
        if site is not None and site not in CSRF_SAFE_SITES:
            raise Refusal(problem(403, "Requests from another site are not accepted."))

    def _is_own_origin(self, origin: str) -> bool:
        if self.route is not None and origin in self.route.origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:  # "http://[::1", say
            return False
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return False
        return parts.netloc.lower() == self.authority.lower() or parts.hostname in self.hosts

    async def body(self) -> bytes:
        """Read the whole body.

        Raises:
            Refusal: It is larger than the settings allow.
            ClientGone: It never came to its end.
        """
        body = await read_body(self.receive, self.body_limit)
        if body is None:
            raise Refusal(
                problem(
                    413,
                    f"A body has at most {self.body_limit} bytes here.",
                    [(b"connection", b"close")],
                )
            )
        return body

    async def fields(self, allowed: Collection[str]) -> dict[str, str]:
        """Read a body of text fields, JSON or a form; an empty body has none.

        Raises:
            Refusal: It is neither, or has a field that is not among `allowed`.
        """
        body = await self.body()
        kind = (self.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if not body:
            return {}
        if kind == b"application/json":
            held = _json_fields(body)
        elif kind == b"application/x-www-form-urlencoded":
            held = _form_fields(body)
        else:
            raise Refusal(
                problem(415, "Send application/json, or application/x-www-form-urlencoded.")
            )
        unknown = sorted(set(held) - set(allowed))
        if unknown:
            raise Refusal(
                problem(400, f"Unknown field. Known are: {', '.join(sorted(allowed)) or 'none'}.")
            )
        return held

    def return_to(self, text: str) -> ReturnTo | None:
        """Return where the visitor wants to go, if it is a place of this event at this very port."""
        wanted = parse_return_to(text, self.hosts)
        if wanted is None or wanted.authority is None:
            return wanted
        return wanted if port_of(wanted.authority) == port_of(self.authority) else None


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        return msgspec.json.decode(body, type=dict[str, str])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as exc:
        raise Refusal(problem(400, "The body is not a JSON object of text fields.")) from exc


def _form_fields(body: bytes) -> dict[str, str]:
    try:
        held = parse_qs(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=16
        )
    except ValueError as exc:
        raise Refusal(problem(400, "The body is not a form.")) from exc
    if any(len(values) != 1 for values in held.values()):
        raise Refusal(problem(400, "A field came twice."))
    return {name: values[0] for name, values in held.items()}


def read_fields(headers: RawHeaders) -> tuple[dict[bytes, bytes], set[bytes]]:
    """Return the fields by name, and the names that contradict themselves."""
    single: dict[bytes, bytes] = {}
    twice: set[bytes] = set()
    for name, value in headers:
        if single.setdefault(name, value) != value:
            twice.add(name)
    return single, twice


def read_authority(headers: Collection[tuple[bytes, bytes]]) -> str:
    """Return the raw Host.

    Raises:
        Refusal: There is not exactly one, or it is no host name.
    """
    values = [value for name, value in headers if name == b"host"]
    try:
        canonical_host(values)
    except NotCanonical as exc:
        raise Refusal(problem(400, exc.why)) from exc
    return values[0].decode("ascii")


def chosen(call: Call) -> dict[str, str]:
    """Return what a visitor has chosen on the page without a script: it stays in the address."""
    kept: dict[str, str] = {}
    if _LANGUAGE_TAG.fullmatch(language := call.query("lang")):
        kept["lang"] = language
    if call.query("refresh") == "on":
        kept["refresh"] = "on"
    return kept


def client_address(scope: Scope) -> str | None:
    client = scope.get("client")
    return None if client is None else str(client[0])


def is_secure(scope: Scope, peers: Peers) -> bool:
    scheme = peers.scheme_of(scope["scheme"], client_address(scope), scope["headers"])
    return scheme == "https"


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the whole body, or None as soon as it is larger than `limit` bytes.

    Raises:
        ClientGone: It never came to its end.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            return None
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
