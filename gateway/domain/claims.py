"""What our tokens say, parsed strictly from a payload whose signature was verified.

A good signature proves who wrote a payload, not that it is well formed: every claim's JSON type and
range is checked, and an unknown name is refused (RFC 8725, sections 3.8 to 3.12).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.domain.positions import (
    MAX_POSITION,
    EventId,
    Generation,
    Position,
    is_event_id,
)
from gateway.errors import TokenFault, TokenRejected

QUEUE_TYP: Final = "queue+jwt"
PASS_TYP: Final = "pass+jwt"  # noqa: S105 - the name of a token type, not a password

# `iat` may lie this far in the future: the clocks of issuer and edge need not agree to the second.
# `exp` of a pass gets no leeway: its end is the end of a session that others wait for.
LEEWAY_S: Final = 60

# RFC 7638, section 3: a SHA-256 thumbprint in base64url.
_THUMBPRINT_CHARS: Final = 43
_MAX_SUB_CHARS: Final = 64

_QUEUE_REQUIRED: Final = frozenset({"iss", "aud", "sub", "pos", "gen", "iat", "exp"})
_QUEUE_ALLOWED: Final = _QUEUE_REQUIRED | {"clk", "adv", "cnf"}
_PASS_REQUIRED: Final = _QUEUE_REQUIRED
_PASS_ALLOWED: Final = _PASS_REQUIRED | {"cnf"}


@dataclass(frozen=True, slots=True)
class QueueClaims:
    """A place in a queue.

    Attributes:
        visitor: Opaque name of the bearer (`sub`), never personal data.
        issued_at: Unix seconds.
        expires_at: Unix seconds; the token is good before, not at, this instant.
        joined_active_ms: The event clock at the join (`clk`).
        head_start: Turns granted by an invitation of the site (`adv`).
        key_thumbprint: RFC 7638 thumbprint of the key that the token is bound to (`cnf.jkt`).
    """

    issuer: str
    event: EventId
    visitor: str
    position: Position
    generation: Generation
    issued_at: int
    expires_at: int
    joined_active_ms: int = 0
    head_start: int = 0
    key_thumbprint: str | None = None

    @classmethod
    def parse(cls, payload: Mapping[str, object]) -> "QueueClaims":
        _check_names(payload, _QUEUE_REQUIRED, _QUEUE_ALLOWED)
        return cls(
            issuer=_text(payload["iss"], 256),
            event=_event(payload["aud"]),
            visitor=_text(payload["sub"], _MAX_SUB_CHARS),
            position=Position(_integer(payload["pos"], 1)),
            generation=Generation(_integer(payload["gen"], 1)),
            issued_at=_integer(payload["iat"], 0),
            expires_at=_integer(payload["exp"], 0),
            joined_active_ms=_integer(payload.get("clk", 0), 0),
            head_start=_integer(payload.get("adv", 0), 0),
            key_thumbprint=_confirmation(payload),
        )

    def to_payload(self) -> dict[str, object]:
        payload = _common_payload(self)
        payload["clk"] = self.joined_active_ms
        if self.head_start:
            payload["adv"] = self.head_start
        return payload


@dataclass(frozen=True, slots=True)
class PassClaims:
    """The right to use the backend until `expires_at`, which is the end of a session."""

    issuer: str
    event: EventId
    visitor: str
    position: Position
    generation: Generation
    issued_at: int
    expires_at: int
    key_thumbprint: str | None = None

    @classmethod
    def parse(cls, payload: Mapping[str, object]) -> "PassClaims":
        _check_names(payload, _PASS_REQUIRED, _PASS_ALLOWED)
        return cls(
            issuer=_text(payload["iss"], 256),
            event=_event(payload["aud"]),
            visitor=_text(payload["sub"], _MAX_SUB_CHARS),
            position=Position(_integer(payload["pos"], 1)),
            generation=Generation(_integer(payload["gen"], 1)),
            issued_at=_integer(payload["iat"], 0),
            expires_at=_integer(payload["exp"], 0),
            key_thumbprint=_confirmation(payload),
        )

    def to_payload(self) -> dict[str, object]:
        return _common_payload(self)


def check_issued(claims: QueueClaims | PassClaims, now_s: float) -> None:
    """Refuse a token from the future, beyond the leeway, and one that ends before it begins.

    Raises:
        TokenRejected: With `NOT_YET_VALID` or `BAD_CLAIMS`.
    """
    if claims.expires_at <= claims.issued_at:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    if claims.issued_at > now_s + LEEWAY_S:
        raise TokenRejected(TokenFault.NOT_YET_VALID)


def check_not_expired(claims: QueueClaims | PassClaims, now_s: float, grace_s: int = 0) -> None:
    """Refuse a token at or after its end plus `grace_s`.

    Raises:
        TokenRejected: With `EXPIRED`.
    """
    if now_s >= claims.expires_at + grace_s:
        raise TokenRejected(TokenFault.EXPIRED)


def _common_payload(claims: QueueClaims | PassClaims) -> dict[str, object]:
    payload: dict[str, object] = {
        "iss": claims.issuer,
        "aud": claims.event,
        "sub": claims.visitor,
        "pos": claims.position,
        "gen": claims.generation,
        "iat": claims.issued_at,
        "exp": claims.expires_at,
    }
    if claims.key_thumbprint is not None:
        payload["cnf"] = {"jkt": claims.key_thumbprint}
    return payload


def _check_names(
    payload: Mapping[str, object], required: frozenset[str], allowed: frozenset[str]
) -> None:
    names = payload.keys()
    if not (required <= names and names <= allowed):
        raise TokenRejected(TokenFault.BAD_CLAIMS)


def _integer(value: object, least: int) -> int:
    # `type(…) is int`, not isinstance: True is an int in Python.
    if type(value) is not int or not least <= value <= MAX_POSITION:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    return value


def _text(value: object, at_most: int) -> str:
    if type(value) is not str or not 1 <= len(value) <= at_most:
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    return value


def _event(value: object) -> EventId:
    # One string: RFC 7519, section 4.1.3 allows a list, our profile does not.
    if type(value) is not str or not is_event_id(value):
        raise TokenRejected(TokenFault.BAD_CLAIMS)
    return EventId(value)


def _confirmation(payload: Mapping[str, object]) -> str | None:
    if "cnf" not in payload:
        return None
    match payload["cnf"]:
        case {"jkt": str(thumbprint)} as confirmation if len(thumbprint) == _THUMBPRINT_CHARS:
            # Nothing beside it: a method of confirmation that we do not check would look checked.
            if confirmation == {"jkt": thumbprint}:
                return thumbprint
        case _:
            pass
    raise TokenRejected(TokenFault.BAD_CLAIMS)
