"""The one canonicaliser: what a request names, or a refusal when two parsers could read it differently.

Decisions are made on the raw request target (RFC 9112, section 3.2). Whatever is not in canonical form
is refused, not repaired: a repaired target is one that the backend may read in another way.
"""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

from gateway.errors import GatewayError

# RFC 3986, section 3.3: pchar without percent-encoding, and without ';', which some servers cut off
# together with what follows.
_PATH = re.compile(rb"/(?:[A-Za-z0-9\-._~!$&'()*+,=:@/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")

# Encoding these changes nothing for one parser and something for another: unreserved characters
# (RFC 3986, section 6.2.2.2), separators, and what ends strings or lines.
_NEVER_ENCODED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/\\;\x7f"
) | frozenset(range(0x20))

# Characters that a decoded path may not gain by compatibility mapping (full-width forms and such),
# as some servers apply one.
_SEPARATORS = frozenset("/\\%;?#")

# What is left to decode once a path has been decoded.
_STILL_ENCODED = re.compile(r"%(?:[0-9a-f]{2}|u)", re.IGNORECASE)

# "example.org." names the same host as "example.org"; an address in brackets takes no final dot.
_HOST = re.compile(
    r"(?:(?P<name>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)\.?|(?P<address>\[[0-9a-f:.]+\]))(?::[0-9]{1,5})?"
)

MAX_TARGET_BYTES = 8192
MAX_HOST_BYTES = 260


class NotCanonical(GatewayError):
    """The request could be read in two ways; `why` is a short, fixed text."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Target:
    """A request target in canonical form.

    Attributes:
        path: The raw path, as it will reach the backend; starts with `/`.
        key: The path as rules compare it: decoded and case-folded.
        query: The raw query, without `?`.
    """

    path: str
    key: str
    query: str


def canonical_target(raw_path: bytes, query: bytes = b"") -> Target:
    """Return the target if it has one reading only.

    Raises:
        NotCanonical: It has more than one, or is no origin-form target at all.
    """
    if len(raw_path) + len(query) > MAX_TARGET_BYTES:
        raise NotCanonical("the target is too long")
    if not raw_path.startswith(b"/"):
        raise NotCanonical("the target must start with '/'")
    if _PATH.fullmatch(raw_path) is None:
        raise NotCanonical("the path has a character that must not stand there")
    if not is_canonical_query(query):
        raise NotCanonical("the query has a character that must not stand there")
    if b"%" in raw_path:
        _check_encoding(raw_path)
    _check_segments(raw_path.decode("ascii"))
    path = raw_path.decode("ascii")
    return Target(path=path, key=path_key(path), query=query.decode("ascii"))


def is_canonical_query(query: bytes) -> bool:
    """Whether a query has no character that could end or split the request line."""
    return _QUERY.fullmatch(query) is not None


def path_key(path: str) -> str:
    """Return the form in which rules compare paths.

    `(` and `%28` are one character to every server that decodes, and `%C3%9C` is `%C3%BC` to one
    that ignores case: a rule for the one must hold for the other.
    """
    if "%" not in path:
        return path.casefold()
    folded = unicodedata.normalize("NFKC", unquote(path)).casefold()
    # Case-folding may undo a composition (Unicode 3.13, D146).
    return unicodedata.normalize("NFKC", folded)


def canonical_host(values: list[bytes]) -> str:
    """Return the host's name, lower case, without port or final dot.

    Args:
        values: Every `Host` field of the request.

    Raises:
        NotCanonical: There is not exactly one, or it is not `uri-host [ ":" port ]`
            (RFC 9112, section 3.2).
    """
    if len(values) != 1:
        raise NotCanonical("a request needs exactly one Host")
    if len(values[0]) > MAX_HOST_BYTES:
        raise NotCanonical("the Host is too long")
    try:
        text = values[0].decode("ascii").lower()
    except UnicodeDecodeError as exc:
        raise NotCanonical("the Host is not a host name") from exc
    match = _HOST.fullmatch(text)
    if match is None or ".." in text:
        raise NotCanonical("the Host is not a host name")
    return match["name"] or match["address"]


def _check_encoding(raw_path: bytes) -> None:
    for match in _ENCODED.finditer(raw_path):
        if int(match[1], 16) in _NEVER_ENCODED:
            raise NotCanonical("the path encodes a character that must not be encoded")
    try:
        # Strict UTF-8: overlong forms and surrogates do not decode (RFC 3629, section 3).
        text = unquote_to_bytes(raw_path).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise NotCanonical("the path is not UTF-8") from exc
    if any(unicodedata.category(char) in {"Cc", "Cf"} for char in text):
        raise NotCanonical("the path hides a control character")
    folded = unicodedata.normalize("NFKC", text)
    if any(folded.count(char) != text.count(char) for char in _SEPARATORS):
        raise NotCanonical("the path hides a separator")
    if _STILL_ENCODED.search(folded) is not None:
        raise NotCanonical("the path is encoded twice")
    _check_segments(folded)


def _check_segments(path: str) -> None:
    segments = path.split("/")[1:]
    # Some systems drop spaces and dots from the end of a name: ".. " and "..." are ".." there.
    if any("." in segment and not segment.strip(". ") for segment in segments):
        raise NotCanonical("the path has a dot segment")
    # The last segment is empty when the path ends in '/': a folder. Any other empty one is '//'.
    if any(not segment for segment in segments[:-1]):
        raise NotCanonical("the path has an empty segment")
