"""Vouchers: what the booking site says of a visitor, signed with the site's own key.

A voucher names the visitor (so that an event may give one place a person) and may grant a head
start. It is a compact JWS under the same strict rules as our tokens: header `alg: ES256`,
`typ: voucher+jwt` and `kid` (required, any name the site gave its key), claims `iss`, `aud` (the
event), `sub` (1 to 256 characters), `iat`, `exp`, and where used `adv` (head start in turns, an
integer from 0) and `jti`.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import digest as hmac_digest
from typing import Final

from gateway.domain.claims import LEEWAY_S
from gateway.domain.positions import MAX_POSITION, EventId, is_event_id
from gateway.errors import BadInput, TokenFault, TokenRejected
from gateway.tokens.codec import check_signature
from gateway.tokens.compact import read_header, read_payload, split
from gateway.tokens.keys import PublicKeys

VOUCHER_TYP: Final = "voucher+jwt"

MAX_LIFETIME_S: Final = 24 * 3600
"""Longest life. A voucher is made when the visitor sets out for the queue, not when the sale is
announced: one that leaks is worth a place to whoever holds it."""

MIN_SECRET_BYTES: Final = 16

_REQUIRED: Final = frozenset({"iss", "aud", "sub", "iat", "exp"})
_ALLOWED: Final = _REQUIRED | {"adv", "jti"}
_MAX_TEXT_CHARS: Final = 256
# 128 bits: no two visitors of any event there will ever be meet.
_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Voucher:
    """A genuine voucher.

    Attributes:
        subject: The site's name for the visitor. Personal data perhaps: never stored or logged as
            it is, see `hashed_subject`.
        head_start: Turns granted; 0 without an invitation.
        expires_at: Unix seconds; good before, not at, this instant.
    """

    event: EventId
    subject: str
    head_start: int
    expires_at: int


class VoucherVerifier:
    """Checks vouchers against the site's JWK set. Nothing is cached: a voucher is used once."""

    def __init__(self, keys: PublicKeys) -> None:
        self._keys = keys

    def verify(self, token: str | bytes, now_s: float, *, expect_event: EventId) -> Voucher:
        """Return what the site says.

        Raises:
            TokenRejected: With the fault. Never anything else, whatever the bytes.
        """
        jws = split(token)
        header = read_header(jws.header)
        if header.typ != VOUCHER_TYP:
            raise TokenRejected(TokenFault.WRONG_TYPE)
        check_signature(jws, header.kid, self._keys.public_keys())
        voucher = _parse(read_payload(jws.payload), now_s)
        if voucher.event != expect_event:
            raise TokenRejected(TokenFault.WRONG_EVENT)
        return voucher


def hashed_subject(secret: bytes, event: EventId, subject: str) -> str:
    """Return the name under which a visitor of the site is kept: 22 characters of base64url.

    HMAC-SHA256 and not a plain hash: customer numbers and mail addresses can be tried out. The
    event goes in, so that visitors cannot be followed from sale to sale.

    Raises:
        BadInput: The secret is shorter than 16 bytes.
    """
    if len(secret) < MIN_SECRET_BYTES:
        raise BadInput(f"the secret for visitors' names needs at least {MIN_SECRET_BYTES} bytes")
    # NUL is in no event's name, so no two pairs run together to the same text.
    named = f"{event}\0{subject}".encode()
    short = hmac_digest(secret, named, sha256)[:_HASH_BYTES]
    return urlsafe_b64encode(short).rstrip(b"=").decode("ascii")


def _parse(payload: Mapping[str, object], now_s: float) -> Voucher:
    if not (_REQUIRED <= payload.keys() <= _ALLOWED):
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    _text(payload["iss"])
    if "jti" in payload:
        _text(payload["jti"])
    event = _text(payload["aud"])
    if not is_event_id(event):
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    issued_at, expires_at = _integer(payload["iat"]), _integer(payload["exp"])
    if not 0 < expires_at - issued_at <= MAX_LIFETIME_S:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    if issued_at > now_s + LEEWAY_S:
        raise TokenRejected(TokenFault.NOT_YET_VALID)
    if now_s >= expires_at:
        raise TokenRejected(TokenFault.EXPIRED)
    return Voucher(
        event=EventId(event),
        subject=_text(payload["sub"]),
        head_start=_integer(payload.get("adv", 0)),
        expires_at=expires_at,
    )


def _text(value: object) -> str:
    if type(value) is not str or not 1 <= len(value) <= _MAX_TEXT_CHARS:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    return value


def _integer(value: object) -> int:
    # `type(…) is int`, not isinstance: True is an int in Python.
    if type(value) is not int or not 0 <= value <= MAX_POSITION:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    return value
