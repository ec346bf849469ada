"""Which header fields cross the proxy, and what it adds. Pure functions on raw header lists."""

import re
from dataclasses import dataclass
from typing import TypeAlias

from gateway.domain.carriers import RawHeaders, is_queue_header

HeaderList: TypeAlias = list[tuple[bytes, bytes]]

SESSION_HEADER = b"queue-session"

# RFC 9110, section 7.6.1, and what older proxies made up. `Expect` ends here too: whoever reads the
# body says "100 Continue", and that is our server.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_ENDS_AT_REQUEST = _HOP_BY_HOP | {b"expect", b"http2-settings"}

# Names that a `Connection` field must not take away: they frame, route or identify the message.
_NOT_FOR_CONNECTION = frozenset({b"content-length", b"host"})

# What the middleware says of the visitor. It removed every `Queue-*` of the client's before.
_IDENTITY = frozenset({b"queue-event", b"queue-position", b"queue-visitor"})

# Some frameworks route by these (IIS, Symfony, Zend) and would serve another path than the one that
# was judged. No proxy in front needs them, and none removes a client's, so nobody's are believed.
_REROUTING = frozenset(
    {b"x-original-url", b"x-rewrite-url", b"x-original-uri", b"x-override-url", b"x-script-name"}
)

# What proxies say of the visitor; believed from a trusted one only.
_FORWARDED = frozenset({b"forwarded", b"x-real-ip"})
_FORWARDED_PREFIX = b"x-forwarded-"

# Servers that read `_` (CGI's way, and WSGI's) or `.` as `-` would take these for the real ones.
_NEVER_ALIASED = (
    _ENDS_AT_REQUEST | _NOT_FOR_CONNECTION | _REROUTING | _FORWARDED | {b"authorization", b"cookie"}
)

# Made anew for each of the two connections (RFC 6455, section 4).
_HANDSHAKE_PREFIX = b"sec-websocket-"

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}")

_BODILESS = frozenset({204, 304})


class UnsoundHead(ValueError):
    """A head that must not be passed on; the text says why and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Where a request comes from, as far as we know.

    Attributes:
        peer: The address at the other end of the connection; None where there is none (a Unix socket).
        trusted: Whether that is a proxy whose word is believed.
        scheme: `http` or `https`, as the visitor sees it.
    """

    peer: str | None
    trusted: bool
    scheme: str


def request_headers(
    headers: RawHeaders, sender: Sender, backend_host: bytes | None = None
) -> HeaderList:
    """Return the fields for the backend, in the client's order, with ours behind them.

    Args:
        headers: As they came, names in lower case, with the middleware's `Queue-*` fields.
        backend_host: Replaces the Host; None keeps the visitor's.
    """
    listed = _listed_by_connection(headers)
    kept: HeaderList = []
    hosts: list[bytes] = []
    told: dict[bytes, list[bytes]] = {}
    for header in headers:
        name, value = header
        if name in _ENDS_AT_REQUEST:
            continue
        if name == b"host":
            hosts.append(value)
            kept.append((name, backend_host or value))
        elif name in _FORWARDED or name.startswith(_FORWARDED_PREFIX):
            if sender.trusted:
                told.setdefault(name, []).append(value)
        elif name in _IDENTITY or not (
            name in _REROUTING or name in listed or is_queue_header(name) or _is_alias(name)
        ):
            kept.append(header)
    if not hosts and backend_host is not None:
        kept.insert(0, (b"host", backend_host))
    return kept + _forwarded_fields(told, sender, hosts[0] if hosts else None)


def websocket_headers(headers: RawHeaders) -> HeaderList:
    """Return the fields without those of the handshake itself."""
    return [header for header in headers if not header[0].startswith(_HANDSHAKE_PREFIX)]


def response_headers(headers: RawHeaders, status: int) -> tuple[HeaderList, list[bytes]]:
    """Return the fields for the visitor, in the backend's order, and the values of `Queue-Session`.

    Raises:
        UnsoundHead: A field could not stand in an answer of ours.
    """
    listed = _listed_by_connection([(name.lower(), value) for name, value in headers])
    kept: HeaderList = []
    said: list[bytes] = []
    lengths = 0
    for spelled, value in headers:
        name = spelled.lower()
        if _TOKEN.fullmatch(name) is None or _BAD_VALUE.search(value) is not None:
            raise UnsoundHead("a field has a character that must not stand there")
        if name in _HOP_BY_HOP or name in listed:
            continue
        if name == SESSION_HEADER:
            said.append(value)
            continue
        if name == b"content-length":
            lengths += 1
            if lengths > 1 or _LENGTH.fullmatch(value) is None:
                raise UnsoundHead("the length is not one number")
            # Allowed in a 304 (RFC 9110, section 8.6), but servers take it for a body that they owe.
            if status in _BODILESS and value.strip(b"0"):
                continue
        if not is_queue_header(name):
            kept.append((name, value))
    return kept, said


def body_length(headers: RawHeaders) -> int | None:
    """Return how long a request's body is: 0 when it has none, None when it is chunked.

    Raises:
        UnsoundHead: The framing has more than one reading (RFC 9112, section 6.1).
    """
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if not codings and not lengths:
        return 0
    if len(codings) + len(lengths) > 1:
        raise UnsoundHead("the body is framed twice")
    if codings:
        if codings[0].strip(b" \t").lower() != b"chunked":
            raise UnsoundHead("the only transfer coding here is chunked")
        return None
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise UnsoundHead("the length is not a number")
    return int(lengths[0])


def _listed_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    listed = {
        token.strip(b" \t").lower()
        for name, value in headers
        if name == b"connection"
        for token in value.split(b",")
    }
    return frozenset(listed - _NOT_FOR_CONNECTION) if listed else frozenset()


def _is_alias(name: bytes) -> bool:
    if b"_" not in name and b"." not in name:
        return False
    folded = name.replace(b"_", b"-").replace(b".", b"-")
    return folded in _NEVER_ALIASED or folded.startswith((_FORWARDED_PREFIX, _HANDSHAKE_PREFIX))


def _forwarded_fields(
    told: dict[bytes, list[bytes]], sender: Sender, host: bytes | None
) -> HeaderList:
    peer = sender.peer or "unknown"
    node = _node(peer)
    element = b"for=" + node + b";proto=" + sender.scheme.encode()
    if host is not None:
        element += b";host=" + _parameter(host)
    ours = {
        b"x-forwarded-for": [b", ".join([*told.pop(b"x-forwarded-for", []), peer.encode()])],
        b"x-forwarded-proto": [sender.scheme.encode()],
        b"x-forwarded-host": told.pop(b"x-forwarded-host", [host] if host is not None else []),
        b"forwarded": [b", ".join([*told.pop(b"forwarded", []), element])],
    }
    told.pop(b"x-forwarded-proto", None)
    return [(name, value) for fields in (told, ours) for name in fields for value in fields[name]]


def _node(address: str) -> bytes:
    """Return a node identifier (RFC 7239, section 6)."""
    return f'"[{address}]"'.encode() if ":" in address else address.encode()


def _parameter(value: bytes) -> bytes:
    if _TOKEN.fullmatch(value) is not None:
        return value
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
