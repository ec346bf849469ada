"""Compact JWS taken apart strictly, before and without cryptography.

RFC 7515 leaves a parser room (padding, repeated members, any header member); RFC 8725 and its
successor's draft tell how that room was abused. Here is none: one canonical text for each token,
one exact header, flat JSON. Everything refused is `MALFORMED`; no message has any of the token.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from json import JSONDecoder, dumps
from typing import Final, NamedTuple, cast

from gateway.errors import TokenFault, TokenRejected

# Pinned by us, never read from the token: a verifier that lets the header choose the algorithm lets
# the attacker choose it (RFC 8725, section 3.1).
ALGORITHM: Final = "ES256"

HEADER_MEMBERS: Final = frozenset({"alg", "typ", "kid"})
"""The header has exactly these. So: no `crit`, no `jwk`, `jku`, `x5u`, no `zip`, no `b64`."""

# A cookie holds 4096 bytes (RFC 6265, section 6.1) and ours needs room for its attributes.
MAX_TOKEN_BYTES: Final = 2048

# The one claim whose value is an object (RFC 7800).
_NESTED_CLAIM: Final = "cnf"
# With so few brackets the JSON scanner cannot recurse deep enough for a RecursionError.
_MAX_BRACKETS: Final = 16
# 18 digits, the sign counted, stay below 2**63 wherever the number goes next.
_MAX_DIGITS: Final = 18

# 86 characters are the 64 bytes of an ES256 signature (RFC 7518, section 3.4). The `+` after the
# bounds forbids backtracking: a text without dots is refused in one pass.
_COMPACT: Final = re.compile(
    rb"([A-Za-z0-9_-]{2,1024}+)\.([A-Za-z0-9_-]{2,1900}+)\.([A-Za-z0-9_-]{86})"
)
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]*")
# The last character of a segment holds bits that belong to no byte. They are zero in the canonical
# text (RFC 4648, section 3.5); else one token would have 4 or 16 spellings.
_CANONICAL_LAST: Final = {
    0: frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    1: frozenset[int](),
    2: frozenset(b"AQgw"),
    3: frozenset(b"AEIMQUYcgkosw048"),
}
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}


class CompactJws(NamedTuple):
    """A token whose shape is right. Nothing in it is verified.

    Attributes:
        header: First segment, still in base64url.
        payload: Second segment, still in base64url.
        signing_input: What the signature is over (RFC 7515, section 5.2).
        signature: R and S, 32 bytes each.
    """

    header: bytes
    payload: bytes
    signing_input: bytes
    signature: bytes


class JoseHeader(NamedTuple):
    """What an unverified header says; `typ` is empty where the profile has none."""

    kid: str
    typ: str


def token_bytes(token: str | bytes) -> bytes:
    """Return the token as bytes, at most `MAX_TOKEN_BYTES` of ASCII.

    Raises:
        TokenRejected: With `MALFORMED`.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRejected(TokenFault.MALFORMED)
    if isinstance(token, bytes):
        return token
    try:
        return token.encode("ascii")
    except UnicodeEncodeError as exc:
        raise TokenRejected(TokenFault.MALFORMED) from exc


def split(token: str | bytes) -> CompactJws:
    """Take a token apart by its shape: three canonical base64url segments, the last of 64 bytes.

    Raises:
        TokenRejected: With `MALFORMED`.
    """
    raw = token_bytes(token)
    match = _COMPACT.fullmatch(raw)
    if match is None:
        raise TokenRejected(TokenFault.MALFORMED)
    header, payload, signature = match.groups()
    if not (_is_canonical(header) and _is_canonical(payload) and _is_canonical(signature)):
        raise TokenRejected(TokenFault.MALFORMED)
    return CompactJws(header, payload, raw[: match.end(2)], urlsafe_b64decode(signature + b"=="))


def read_header(segment: bytes, members: frozenset[str] = HEADER_MEMBERS) -> JoseHeader:
    """Read a header segment that must hold exactly `members`, in any order, all of them text.

    Args:
        segment: As `split` returns it.
        members: The profile. Ours by default; test vectors of others have no `typ`.

    Raises:
        TokenRejected: With `MALFORMED`, also when `alg` is not ES256 to the letter.
    """
    header = parse_object(decode_segment(segment))
    if header.keys() != members or header["alg"] != ALGORITHM:
        raise TokenRejected(TokenFault.MALFORMED)
    kid = header["kid"]
    typ = header.get("typ", "")
    if type(kid) is not str or type(typ) is not str:
        raise TokenRejected(TokenFault.MALFORMED)
    return JoseHeader(kid, typ)


def read_payload(segment: bytes) -> dict[str, object]:
    """Read a payload segment as strict JSON. To be called after the signature was verified.

    Raises:
        TokenRejected: With `MALFORMED`.
    """
    return parse_object(decode_segment(segment))


def write_header(kid: str, typ: str) -> bytes:
    """Return the header segment as our signer writes it."""
    header = {"alg": ALGORITHM, "kid": kid, "typ": typ}
    return encode_segment(dumps(header, separators=(",", ":"), sort_keys=True).encode())


def encode_segment(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def decode_segment(segment: bytes) -> bytes:
    """Decode base64url without padding, in its one canonical spelling (RFC 7515, section 2).

    Raises:
        TokenRejected: With `MALFORMED`.
    """
    if not segment or _BASE64URL.fullmatch(segment) is None or not _is_canonical(segment):
        raise TokenRejected(TokenFault.MALFORMED)
    return urlsafe_b64decode(segment + _PADDING[len(segment) % 4])


def parse_object(content: bytes) -> dict[str, object]:
    """Read one JSON object of texts, whole numbers, booleans and null; only `cnf` may nest, once.

    Refused beyond what JSON refuses: repeated names (escaped or not), floats, NaN and Infinity,
    integers over 18 digits, arrays, a BOM, any encoding but UTF-8, lone surrogates.

    Raises:
        TokenRejected: With `MALFORMED`.
    """
    if content.count(b"{") + content.count(b"[") > _MAX_BRACKETS:
        raise TokenRejected(TokenFault.MALFORMED)
    try:
        text = content.decode("utf-8")
        members: object = _DECODER.decode(text)
        if "\\u" in text:
            # A lone surrogate is no character: whoever encodes that text later would fail.
            dumps(members, ensure_ascii=False).encode("utf-8")
    except ValueError as exc:
        raise TokenRejected(TokenFault.MALFORMED) from exc
    if not isinstance(members, dict):
        raise TokenRejected(TokenFault.MALFORMED)
    claims = cast("dict[str, object]", members)
    for name, value in claims.items():
        if _is_container(value) and not (name == _NESTED_CLAIM and _is_flat(value)):
            raise TokenRejected(TokenFault.MALFORMED)
    return claims


def _is_canonical(segment: bytes) -> bool:
    return segment[-1] in _CANONICAL_LAST[len(segment) % 4]


def _is_flat(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    inner = cast("dict[str, object]", value).values()
    return not any(_is_container(member) for member in inner)


def _is_container(value: object) -> bool:
    return isinstance(value, dict | list)


def refuse_repeated_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object whose names are unique; for `object_pairs_hook`.

    Raises:
        ValueError: A name is repeated. Parsers differ on which one counts.
    """
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated name")
    return members


def _integer(digits: str) -> int:
    # "-0" is the second spelling of 0.
    if len(digits) > _MAX_DIGITS or digits == "-0":
        raise ValueError("number out of range")
    return int(digits)


def _refuse(_: str) -> object:
    raise ValueError("not a whole number")


_DECODER: Final = JSONDecoder(
    object_pairs_hook=refuse_repeated_names,
    parse_float=_refuse,
    parse_int=_integer,
    parse_constant=_refuse,
)
