"""Takes a token apart for an operator's eyes. Pure; verifying is done with the gateway's own verifier."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from gateway.domain.claims import PASS_TYP, QUEUE_TYP
from gateway.errors import BadInput, TokenFault
from gateway.operating.durations import describe_duration, describe_moment

_KINDS = {QUEUE_TYP: "queue token", PASS_TYP: "pass"}

# Far above what any verifier takes, far below what hurts.
_MAX_CHARS = 16_384

# These faults are found after the signature was good: the token is ours, and not acceptable now.
GENUINE_FAULTS = frozenset({TokenFault.EXPIRED, TokenFault.NOT_YET_VALID})

_WHY = {
    TokenFault.MALFORMED: "it is not written as our tokens are",
    TokenFault.WRONG_TYPE: "it is neither a queue token nor a pass",
    TokenFault.UNKNOWN_KEY: "no configured key has its kid",
    TokenFault.BAD_SIGNATURE: "the key that it names did not sign it",
    TokenFault.BAD_CLAIMS: "its claims are not what they must be",
    TokenFault.WRONG_ISSUER: "its issuer is not the one of the settings",
    TokenFault.WRONG_EVENT: "it is for another event",
    TokenFault.EXPIRED: "it has expired",
    TokenFault.NOT_YET_VALID: "it was issued in the future",
}


@dataclass(frozen=True, slots=True)
class TokenParts:
    """What a token says of itself. Nothing of it is verified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return _KINDS.get(str(self.header.get("typ")), "unknown kind of token")


def take_apart(token: str) -> TokenParts:
    """Decode header and claims, leniently: an operator wants to see what is wrong.

    Raises:
        BadInput: It is no signed token at all.
    """
    segments = token.split(".")
    if len(segments) != 3 or len(token) > _MAX_CHARS:
        raise BadInput("this is no token: a token is three parts of text with dots between")
    return TokenParts(_object(segments[0], "header"), _object(segments[1], "payload"))


def _object(segment: str, name: str) -> Mapping[str, Any]:
    try:
        content = base64.urlsafe_b64decode(segment.encode("ascii") + b"=" * (-len(segment) % 4))
        decoded: object = json.loads(content)
    except (binascii.Error, ValueError, RecursionError) as exc:
        raise BadInput(f"this is no token: its {name} is not JSON in base64url") from exc
    if not isinstance(decoded, dict):
        raise BadInput(f"this is no token: its {name} is not a JSON object")
    return cast("dict[str, Any]", decoded)


def inspection_document(
    parts: TokenParts, *, genuine: bool | None, fault: TokenFault | None, now_s: float
) -> dict[str, Any]:
    """Build the answer of `token inspect`.

    Args:
        genuine: Whether a configured key signed it; None where no key is configured.
        fault: Why a gateway would refuse it now.
    """
    ends_at = parts.claims.get("exp")
    return {
        "kind": parts.kind,
        "genuine": genuine,
        "accepted": None if genuine is None else fault is None,
        "fault": None if fault is None else fault.value,
        "expires_in_s": ends_at - int(now_s) if type(ends_at) is int else None,
        "header": dict(parts.header),
        "claims": dict(parts.claims),
    }


def verdict(genuine: bool | None, fault: TokenFault | None) -> str:
    """Say in a sentence whether the token is ours, and whether it would be accepted."""
    if genuine is None:
        return "Not checked: the settings have no public key."
    if fault is None:
        return "Genuine."
    why = _WHY[fault]
    return f"Genuine, but {why}." if genuine else f"Not genuine: {why}."


def named_rows(parts: TokenParts, now_s: float) -> list[tuple[str, str]]:
    """Return the claims in words. Texts are quoted as JSON: a token may come from anybody."""
    return [(f"header {name}", _quoted(value)) for name, value in parts.header.items()] + [
        (_NAMES.get(name, json.dumps(name)), _worded(name, value, now_s))
        for name, value in parts.claims.items()
    ]


_NAMES = {
    "iss": "issuer (iss)",
    "aud": "event (aud)",
    "sub": "visitor (sub)",
    "pos": "position (pos)",
    "gen": "generation (gen)",
    "iat": "issued (iat)",
    "exp": "expires (exp)",
    "clk": "event clock at join (clk)",
    "adv": "head start (adv)",
    "cnf": "bound to key (cnf)",
}


def _worded(name: str, value: object, now_s: float) -> str:
    if type(value) is int and name in {"iat", "exp"}:
        distance = value - now_s
        length = describe_duration(abs(distance))
        return f"{describe_moment(value)} ({f'in {length}' if distance > 0 else f'{length} ago'})"
    if type(value) is int and name == "clk" and value >= 0:
        return describe_duration(value / 1000)
    return _quoted(value)


def _quoted(value: object) -> str:
    return json.dumps(value)
