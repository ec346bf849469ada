"""Operators, their roles and their keys. No I/O but randomness for a new key."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.errors import BadInput

KEY_PREFIX: Final = "gwop_"
"""Begins every key, so that scanners for leaked secrets find one: `gwop_[0-9a-f]{64}`."""

_KEY_BYTES: Final = 32
_KEY = re.compile(KEY_PREFIX + r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,47}", re.ASCII)


class Role(StrEnum):
    """What an operator may do; each role may do what those before it may."""

    VIEW = "view"
    """Look at events, their course and their log."""
    RELEASE = "release"
    """Let people in, pause and resume, end and extend sessions."""
    ADMIN = "admin"
    """Everything: create, open, close, bypass, change rules, reset, delete."""

    def covers(self, needed: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    Attributes:
        digest: SHA-256 of the key, hex. A slow hash would add nothing: it makes guessing a password
            dear, and 256 random bits cannot be guessed at any price.
        created_at: Unix seconds.
        expires_at: Unix seconds; None for a key without an end.
    """

    name: str
    role: Role
    digest: str
    created_at: int
    expires_at: int | None = None

    def is_expired(self, now_s: float) -> bool:
        return self.expires_at is not None and now_s >= self.expires_at


def check_name(name: str) -> str:
    """Return the name of an operator.

    Raises:
        BadInput: It is not 1 to 48 characters of letters, digits and `._@+-`.
    """
    if _NAME.fullmatch(name) is None:
        raise BadInput(
            f"{name!r} is no name of an operator: 1 to 48 characters of A-Z a-z 0-9 . _ @ + -, "
            "a letter or a digit first"
        )
    return name


def new_key() -> str:
    return KEY_PREFIX + secrets.token_hex(_KEY_BYTES)


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def find(operators: Iterable[Operator], key: str) -> Operator | None:
    """Return whose key it is, expired or not; None where it is nobody's.

    Every digest is compared, each in constant time: how long it takes says nothing of how near a guess was.
    """
    # No key that we did not make is looked for: a weak one that somebody put into the file by hand is none.
    digest = digest_of(key if _KEY.fullmatch(key) else "")
    found: Operator | None = None
    for operator in operators:
        if hmac.compare_digest(operator.digest, digest):
            found = operator
    return found if _KEY.fullmatch(key) else None
