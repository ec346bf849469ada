"""What of the gateway's words is genuine: read with keys that are pinned, kept, or fetched anew."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from gateway.client.documents import Pointer, read_pointer
from gateway.client.transport import Reply, Transport, Trouble, refuse_trouble
from gateway.domain.claims import QueueClaims
from gateway.domain.positions import EventId
from gateway.errors import KeyRingError, TokenFault, TokenRejected
from gateway.tokens.jwks import parse_jwk_set
from gateway.tokens.keys import PublicKey
from gateway.tokens.statements import read_place

T = TypeVar("T")

KEYS_EVERY_S: Final = 60.0


class Trust:
    """Reads what was signed about one event.

    Args:
        pinned: A JWK set to trust instead of the one that the gateway publishes.
        issuer: The `iss` to insist on; None for that of the place held.

    Attributes:
        kept: The public keys that the record has, as a JWK set's members.
    """

    def __init__(
        self, event: EventId, transport: Transport, *, pinned: bytes | None, issuer: str | None
    ) -> None:
        self._event = event
        self._transport = transport
        self._pinned = None if pinned is None else parse_jwk_set(pinned)
        self._issuer = issuer
        self.kept: list[dict[str, Any]] | None = None
        self._fetched: list[dict[str, Any]] | None = None
        self._fetched_at = -float("inf")

    @property
    def known(self) -> list[dict[str, Any]] | None:
        """The newest public keys, as a JWK set's members."""
        return self._fetched or self.kept

    async def have_keys(self) -> None:
        """Fetch the keys where there are none.

        Raises:
            Trouble: They cannot be fetched.
        """
        if not self._keys():
            await self._fetch()

    async def place(self, token: str, held: QueueClaims | None) -> QueueClaims:
        """Read a queue token.

        Args:
            held: The place that is held already.

        Raises:
            TokenRejected: It is not genuine.
            Trouble: The keys cannot be fetched.
        """
        issuer = self._expected_issuer(held)
        return await self._genuine(
            lambda keys: read_place(token, keys, expect_event=self._event, expect_issuer=issuer)
        )

    async def pointer(self, statement: str, held: QueueClaims | None) -> Pointer:
        """Read a signed pointer document; everything else as for a place."""
        issuer = self._expected_issuer(held)
        return await self._genuine(lambda keys: read_pointer(statement, keys, self._event, issuer))

    def _expected_issuer(self, held: QueueClaims | None) -> str | None:
        return self._issuer or (None if held is None else held.issuer)

    async def _genuine(self, read: Callable[[Mapping[str, PublicKey]], T]) -> T:
        """Read what was signed; with keys fetched anew where its own is not among those at hand."""
        try:
            return read(self._keys())
        except TokenRejected as exc:
            is_late = time.monotonic() - self._fetched_at < KEYS_EVERY_S
            if exc.fault is not TokenFault.UNKNOWN_KEY or self._pinned is not None or is_late:
                raise
        await self._fetch()
        return read(self._keys())

    async def _fetch(self) -> None:
        self._fetched_at = time.monotonic()
        reply = refuse_trouble(await self._transport.jwks())
        try:
            parse_jwk_set(reply.text.encode())
        except KeyRingError as exc:
            raise Trouble(Reply()) from exc
        self._fetched = reply.body["keys"]

    def _keys(self) -> Mapping[str, PublicKey]:
        if self._pinned is not None:
            return self._pinned
        if self.known is None:
            return {}
        try:
            return parse_jwk_set(msgspec.json.encode({"keys": self.known}))
        except KeyRingError:
            return {}
