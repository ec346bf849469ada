"""The head of a request: accepted only when every parser reads it in the same way.

httptools and h11 disagree on absolute-form targets, `#`, Host, framing, bare LF and obs-fold; what
they could read differently is refused before either sees it, and so behind us by the backend.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeAlias

from gateway.server.limits import ServerLimits

END: Final = b"\r\n\r\n"

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE = rb"[\t\x20-\x7e\x80-\xff]"
_METHOD = rb"[A-Z-]{1,32}"
_VERSION = rb"HTTP/1\.[01]"

_REQUEST_LINE = re.compile(rb"(%b) ([^ ]+) (%b)" % (_METHOD, _VERSION))
# Origin-form only (RFC 9112, section 3.2.1): no `#`, no controls, nothing beyond ASCII.
_TARGET = re.compile(rb"/[!-\"$-~]*")
# RFC 9112, section 5: no bare CR or LF, no obs-fold, no space before the colon.
_FIELDS = re.compile(rb"(?:%b++:%b*+\r\n)*+" % (_TOKEN, _VALUE))
_OF_NOTE = re.compile(rb"(?m:^)(host|content-length|transfer-encoding|upgrade):([^\r]*+)")
_LENGTH = re.compile(rb"[0-9]{1,18}")

# CONNECT would turn us into a tunnel and TRACE echoes credentials (RFC 9110, sections 9.3.6 and 9.3.8).
_NOT_IMPLEMENTED = frozenset({b"CONNECT", b"TRACE"})

# The `websockets` package reads an upgrade's head again, and gives up without an answer beyond these.
_WEBSOCKET_FIELDS = 128
_WEBSOCKET_LINE_BYTES = 8190

# Fields that the quick looks leave to `judge`, as a lookahead.
_SPECIAL = (
    rb"(?![Hh][Oo][Ss][Tt]:"
    rb"|[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]:"
    rb"|[Tt][Rr][Aa][Nn][Ss][Ff][Ee][Rr]-[Ee][Nn][Cc][Oo][Dd][Ii][Nn][Gg]:"
    rb"|[Uu][Pp][Gg][Rr][Aa][Dd][Ee]:)"
)
_CONTENT_LENGTH = (
    rb"[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-[Ll][Ee][Nn][Gg][Tt][Hh]:[ \t]*+([0-9]{1,9})[ \t]*+\r\n"
)
# Browsers and clients send Host first or nearly so; later than this it costs some microseconds more.
_FIELDS_BEFORE_HOST = 16

CHUNKED: Final = -1

_UPGRADE = re.compile(rb"(?m:^)(?i:upgrade|http2-settings):[^\r]*+\r\n")
_CONNECTION = re.compile(rb"(?m:^)((?i:connection):[ \t]*+)([^\r]*+)\r\n")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A head with one reading.

    Attributes:
        body: Bytes of the body that follows; CHUNKED when the body itself says where it ends.
        websocket: Whether it asks for a WebSocket: then nothing may follow before our answer.
        offers_upgrade: Whether it offers another protocol, which we decline by not answering to it.
    """

    body: int
    websocket: bool
    offers_upgrade: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    status: HTTPStatus


Verdict: TypeAlias = Accepted | Refused

_BARE: Final = Accepted(0, websocket=False)
_BAD = Refused(HTTPStatus.BAD_REQUEST)
_TOO_LARGE = Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
_TOO_LONG = Refused(HTTPStatus.REQUEST_URI_TOO_LONG)


@dataclass(frozen=True, slots=True)
class QuickLooks:
    """Tests at C speed for the heads of most requests; what they do not know is for `judge`.

    Attributes:
        bare: Matches a sound head without body or upgrade, and nothing behind it.
        sized: Matches the beginning of a request with a Content-Length, which is its group 1; the
            match ends where the body begins.
        header_bytes: The one limit that the two do not check.
    """

    bare: Callable[[bytes], re.Match[bytes] | None]
    sized: Callable[[bytes], re.Match[bytes] | None]
    header_bytes: int

    def is_whole(self, data: bytes) -> bool:
        """Whether this is one head with a Content-Length and exactly that body."""
        sized = self.sized(data)
        return sized is not None and sized.end() + int(sized[1]) == len(data)

    def accept(self, head: bytes) -> Accepted | None:
        if len(head) > self.header_bytes:
            return None
        if self.bare(head):
            return _BARE
        sized = self.sized(head)
        return Accepted(int(sized[1]), websocket=False) if sized else None


def quick_looks(limits: ServerLimits, *, parser_refuses_controls: bool) -> QuickLooks:
    """Make the quick looks, which every request pays for.

    Args:
        parser_refuses_controls: Whether the parser itself refuses control characters in values (bare
            CR and NUL among them): looking for the line's end alone is twice as fast.
    """
    value = rb".*+(?<=\r)\n" if parser_refuses_controls else _VALUE + rb"*+\r\n"
    field = rb"(?:%b%b++:%b)" % (_SPECIAL, _TOKEN, value)
    before = min(_FIELDS_BEFORE_HOST, limits.header_count // 3)
    after = limits.header_count - 1 - before
    line = rb"(?!CONNECT |TRACE )%b /[!-\"$-~]{0,%d} %b\r\n" % (
        _METHOD,
        limits.target_bytes - 1,
        _VERSION,
    )
    to_host = rb"%b%b{0,%d}+[Hh][Oo][Ss][Tt]:%b" % (line, field, before, value)
    length_at = min(after, _FIELDS_BEFORE_HOST)
    sized = rb"%b%b{0,%d}+%b%b{0,%d}+\r\n" % (
        to_host,
        field,
        max(0, length_at - 1),
        _CONTENT_LENGTH,
        field,
        after - length_at,
    )
    return QuickLooks(
        bare=re.compile(rb"%b%b{0,%d}+\r\n" % (to_host, field, after)).fullmatch,
        sized=re.compile(sized).match,
        header_bytes=limits.header_bytes,
    )


def judge(head: bytes, limits: ServerLimits) -> Verdict:
    """Judge a whole head, up to and with its empty line."""
    line, _, fields = head[:-2].partition(b"\r\n")
    if line.partition(b" ")[0] in _NOT_IMPLEMENTED:
        return Refused(HTTPStatus.NOT_IMPLEMENTED)
    request = _REQUEST_LINE.fullmatch(line)
    if request is None:
        return _BAD
    method, target, version = request.groups()
    if len(target) > limits.target_bytes:
        return _TOO_LONG
    if len(head) > limits.header_bytes:
        return _TOO_LARGE
    if _TARGET.fullmatch(target) is None or _FIELDS.fullmatch(fields) is None:
        return _BAD
    if fields.count(b"\n") > limits.header_count:
        return _TOO_LARGE
    of_note: dict[bytes, list[bytes]] = {}
    for name, value in _OF_NOTE.findall(fields.lower()):
        of_note.setdefault(name, []).append(value.strip(b" \t"))
    if len(of_note.get(b"host", ())) != 1:
        return _BAD
    body = _body(of_note, version)
    if body is None:
        return _BAD
    if b"websocket" not in of_note.get(b"upgrade", ()):
        return Accepted(body, websocket=False, offers_upgrade=b"upgrade" in of_note)
    return _judge_websocket(method, version, body, of_note, head)


def without_upgrade(head: bytes) -> bytes:
    """Return a sound head without its offer of another protocol (RFC 9110, section 7.8).

    A server may ignore it, and one parser would take the body for the other protocol.
    """
    head = _UPGRADE.sub(b"", head)
    return _CONNECTION.sub(_without_upgrade_token, head)


def _without_upgrade_token(field: re.Match[bytes]) -> bytes:
    tokens = [token.strip(b" \t") for token in field[2].split(b",")]
    kept = [token for token in tokens if token.lower() not in (b"upgrade", b"http2-settings")]
    return field[1] + b", ".join(kept) + b"\r\n" if kept else b""


def judge_part(part: bytes, limits: ServerLimits) -> Refused | None:
    """Judge the beginning of a head, so that no more of a hopeless one is waited for or kept."""
    if not (b"A"[0] <= part[0] <= b"Z"[0] or part[0] == b"-"[0]):
        return _BAD
    if b"\r\n" not in part[: limits.target_bytes + 64]:
        # Longer than a method, a target and a version can be.
        if len(part) > min(limits.target_bytes + 64, limits.header_bytes):
            return _TOO_LONG
    elif len(part) > limits.header_bytes:
        return _TOO_LARGE
    return None


def _body(of_note: dict[bytes, list[bytes]], version: bytes) -> int | None:
    lengths = of_note.get(b"content-length", [])
    codings = of_note.get(b"transfer-encoding", [])
    if not codings:
        if not lengths:
            return 0
        return int(lengths[0]) if len(lengths) == 1 and _LENGTH.fullmatch(lengths[0]) else None
    # RFC 9112, section 6.1: both at once, or a coding from HTTP/1.0, is how requests are smuggled.
    if lengths or codings != [b"chunked"] or version != b"HTTP/1.1":
        return None
    return CHUNKED


def _judge_websocket(
    method: bytes, version: bytes, body: int, of_note: dict[bytes, list[bytes]], head: bytes
) -> Verdict:
    # RFC 6455, section 4.1; whoever asks differently gets no second reading as plain HTTP.
    if method != b"GET" or version != b"HTTP/1.1" or body != 0 or len(of_note[b"upgrade"]) != 1:
        return _BAD
    lines = head.split(b"\r\n")
    if max(map(len, lines)) > _WEBSOCKET_LINE_BYTES or len(lines) - 3 > _WEBSOCKET_FIELDS:
        return _TOO_LARGE
    return Accepted(0, websocket=True)
