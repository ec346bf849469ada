"""How tokens travel: a header of our own, two cookies an event, or a bearer credential.

Pure functions on raw header lists. A backend's own `Authorization` is never judged, never removed.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from gateway.domain.claims import PASS_TYP, QUEUE_TYP
from gateway.domain.positions import EventId

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

TOKEN_HEADER = b"queue-token"

_OUR_TYPS = frozenset({QUEUE_TYP, PASS_TYP})
_BEARER = re.compile(rb"bearer[ ]+([A-Za-z0-9_.=-]+)", re.IGNORECASE)
_HEADER_SEGMENT_BYTES = 512
_OUR_COOKIE = re.compile(rb"(?:__Host-)?(?:queue|pass)-([a-z0-9][a-z0-9-]{0,62})")

OPERATOR_COOKIE = "operator-session"
"""Of an operator in a browser. Cookies do not mind the port: where the admin interface and the booking site
are one host, browsers send it here too, and no backend may ever see it.
"""
_OPERATOR_COOKIES = frozenset({OPERATOR_COOKIE.encode(), b"__Host-" + OPERATOR_COOKIE.encode()})


@dataclass(frozen=True, slots=True)
class Carried:
    """The distinct tokens that a request carries for one event, in no order of trust."""

    queue: tuple[bytes, ...] = ()
    passes: tuple[bytes, ...] = ()
    unreadable: bool = False

    @property
    def ambiguous(self) -> bool:
        """Whether two different tokens of one kind came along: nobody can say which is meant."""
        return len(self.queue) > 1 or len(self.passes) > 1


def cookie_names(event: EventId, *, secure: bool) -> tuple[bytes, bytes]:
    """Return the names of the queue token's and the pass's cookie.

    `__Host-` binds a cookie to this host over TLS (RFC 6265bis, section 4.1.3.2); browsers refuse the
    prefix over plain http.
    """
    prefix = b"__Host-" if secure else b""
    return prefix + b"queue-" + event.encode(), prefix + b"pass-" + event.encode()


def carried_tokens(headers: RawHeaders, event: EventId, *, secure: bool) -> Carried:
    """Collect the tokens of ours that a request carries for `event`."""
    values = tuple([header for header in headers if header[0] in _CARRYING])
    if not values:
        return _NOTHING
    if sum([len(value) for _, value in values]) <= _LONGEST_KNOWN:
        return _known_tokens(values, event, secure)
    return _tokens_in(values, event, secure)


_CARRYING = frozenset({b"cookie", TOKEN_HEADER, b"authorization"})

# A visitor sends the same fields with every request; what they carry is read once. The bounds keep what
# is remembered to some megabytes, whatever is sent.
_LONGEST_KNOWN = 2048


def _tokens_in(values: RawHeaders, event: EventId, secure: bool) -> Carried:
    found: dict[bytes, str | None] = {}
    names = cookie_names(event, secure=secure)
    for name, value in values:
        if name == b"cookie":
            for cookie, content in parse_cookies(value):
                if cookie in names:
                    found[content] = typ_of(content)
        elif name == TOKEN_HEADER:
            if token := value.strip(b" \t"):
                found[token] = typ_of(token)
        elif (bearer := bearer_token(value)) is not None:
            found[bearer] = typ_of(bearer)
    return Carried(
        queue=tuple(token for token, typ in found.items() if typ == QUEUE_TYP),
        passes=tuple(token for token, typ in found.items() if typ == PASS_TYP),
        unreadable=any(typ is None for typ in found.values()),
    )


_known_tokens = lru_cache(maxsize=4096)(_tokens_in)

_NOTHING = Carried()


def bearer_token(value: bytes) -> bytes | None:
    """Return the token of an `Authorization` field if it is one of ours (RFC 6750, section 2.1)."""
    match = _BEARER.fullmatch(value.strip(b" \t"))
    if match is None or typ_of(match[1]) is None:
        return None
    return match[1]


def typ_of(token: bytes) -> str | None:
    """Return a token's `typ` when it is one of our two. Says nothing about genuineness."""
    head, dot, _ = token.partition(b".")
    if not dot or len(head) > _HEADER_SEGMENT_BYTES:
        return None
    return _typ_of_head(head)


# A ring has a few keys, so honest headers are a handful of byte strings; the bound is for the others.
@lru_cache(maxsize=256)
def _typ_of_head(head: bytes) -> str | None:
    try:
        header = json.loads(base64.urlsafe_b64decode(head + b"=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    match header:
        case {"typ": str(typ)} if typ in _OUR_TYPS:
            return typ
        case _:
            return None


def parse_cookies(value: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Split a Cookie field as RFC 6265, section 5.4 writes it; quotes and escapes mean nothing."""
    for part in value.split(b";"):
        name, equals, content = part.strip(b" \t").partition(b"=")
        if equals and name:
            yield name, content


def without_our_cookies(value: bytes, events: tuple[EventId, ...]) -> bytes:
    """Return a Cookie field without the operators' cookies and ours of `events`; the rest is kept."""
    return _known_rest(value, events) if len(value) <= _LONGEST_KNOWN else _rest(value, events)


def _rest(value: bytes, events: tuple[EventId, ...]) -> bytes:
    ours = {event.encode() for event in events}

    def is_ours(part: bytes) -> bool:
        name = part.strip(b" \t").partition(b"=")[0]
        match = _OUR_COOKIE.fullmatch(name)
        return name in _OPERATOR_COOKIES or (match is not None and match[1] in ours)

    parts = value.split(b";")
    kept = [part for part in parts if not is_ours(part)]
    if len(kept) == len(parts):
        return value
    return b";".join(kept).lstrip(b" \t")


_known_rest = lru_cache(maxsize=4096)(_rest)


def is_queue_header(name: bytes) -> bool:
    """Whether a field name is `Queue-*` in any spelling that some server reads as that."""
    # Some servers turn whatever is no letter or digit into `_` (RFC 3875, section 4.1.18 says `-` only).
    return name[:5].lower() == b"queue" and len(name) > 5 and not name[5:6].isalnum()
