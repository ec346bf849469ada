"""Tokens that were verified before, so that a check costs a digest and not a signature."""

from collections.abc import Collection
from hashlib import blake2b
from itertools import islice
from typing import Final, NamedTuple

from gateway.domain.claims import PassClaims, QueueClaims

# Some 650 bytes an entry with its claims, so 65 MB when full.
DEFAULT_ENTRIES: Final = 100_000

# 128 bits: finding bytes with the digest of somebody's token is as hard as guessing an AES key.
_DIGEST_BYTES: Final = 16
# One entry in 16 goes at a time, oldest first, so that making room costs next to nothing a token.
_BATCH: Final = 16


class VerifiedToken(NamedTuple):
    """What the signature of key `kid` vouches for. Times, events and keys change: judged on use."""

    claims: QueueClaims | PassClaims
    kid: str


def digest_of(token: bytes) -> bytes:
    """Return the identity of these exact bytes. Two forms of one token are two entries."""
    return blake2b(token, digest_size=_DIGEST_BYTES).digest()


class VerifiedTokens:
    """A bounded map from digest to verified token; the oldest entries make room.

    Only successes belong in it: if failures were kept, an attacker could fill it. Losing it costs
    time and nothing else. It belongs to one event loop and has no lock.
    """

    def __init__(self, max_entries: int = DEFAULT_ENTRIES) -> None:
        self._max_entries = max_entries
        self._entries: dict[bytes, VerifiedToken] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, digest: bytes) -> VerifiedToken | None:
        return self._entries.get(digest)

    def keep(self, digest: bytes, token: VerifiedToken) -> None:
        if self._max_entries < 1:
            return
        if len(self._entries) >= self._max_entries and digest not in self._entries:
            surplus = max(1, self._max_entries // _BATCH)
            for oldest in list(islice(self._entries, surplus)):
                del self._entries[oldest]
        self._entries[digest] = token

    def forget_keys(self, kids: Collection[str]) -> None:
        """Drop what these keys signed."""
        if kids:
            self._entries = {
                digest: token for digest, token in self._entries.items() if token.kid not in kids
            }
