"""The sessions of operators in browsers: a bounded table in memory, so that a restart ends them all."""

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final

from gateway.operators.keys import Operator

IDLE_S: Final = 30 * 60
LIFE_S: Final = 12 * 3600
MOST_SESSIONS: Final = 256


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that showed a key.

    Attributes:
        key_digest: Of the operator's key: once no operator has it any more, the session is over.
        began_s, seen_s: On the monotonic clock.
        ends_at: Unix seconds, at the latest.
    """

    key_digest: str
    began_s: float
    seen_s: float
    ends_at: int


class SessionTable:
    """Finds sessions by the hash of their id: what is in memory lets nobody in.

    Past the bound the one that was not used for longest ends; only who holds a key can open any.
    """

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._held: OrderedDict[str, Session] = OrderedDict()

    def open(self, operator: Operator, *, now_s: float, monotonic_s: float) -> tuple[str, Session]:
        """Begin a session; return its secret id, which is not kept."""
        ends_at = int(now_s) + LIFE_S
        if operator.expires_at is not None:
            ends_at = min(ends_at, operator.expires_at)
        session = Session(operator.digest, monotonic_s, monotonic_s, ends_at)
        secret = secrets.token_urlsafe(32)
        self._held[_digest(secret)] = session
        if len(self._held) > self._most:
            self._held.popitem(last=False)
        return secret, session

    def find(self, secret: str, *, monotonic_s: float) -> Session | None:
        """Return a session that goes on, and note that it is used."""
        digest = _digest(secret)
        session = self._held.pop(digest, None)
        if session is None:
            return None
        if monotonic_s - session.seen_s >= IDLE_S or monotonic_s - session.began_s >= LIFE_S:
            return None
        session = self._held[digest] = replace(session, seen_s=monotonic_s)
        return session

    def end(self, secret: str) -> None:
        self._held.pop(_digest(secret), None)

    def __len__(self) -> int:
        return len(self._held)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
