"""Tokens and vouchers: who checks them, and who signs."""

from dataclasses import dataclass
from typing import Protocol

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.positions import EventId


class TokenVerifier(Protocol):
    """Checks tokens with public keys alone, without a round trip."""

    @property
    def keys_in_force(self) -> object:
        """The set of keys, as an object that is another one when a key came or went."""
        ...

    def verify(
        self, token: bytes, now_s: float, *, expect_event: EventId, queue_grace_s: int = 0
    ) -> QueueClaims | PassClaims:
        """Return the claims of a genuine token for `expect_event`.

        The end of a pass is left to the decision, since a `finish` path admits it a little longer;
        a queue token counts until its end plus `queue_grace_s`.

        Raises:
            TokenRejected: With the fault.
        """
        ...


class TokenSigner(Protocol):
    """Signs with the active key. Only issuers have one."""

    def sign_queue(self, claims: QueueClaims) -> str: ...

    def sign_pass(self, claims: PassClaims) -> str: ...


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the site says of a visitor.

    Attributes:
        visitor: The site's name for the visitor, as an HMAC; never personal data.
        head_start: Turns granted by an invitation.
    """

    visitor: str
    head_start: int


class VoucherReader(Protocol):
    """Checks what the site signed about a visitor."""

    def read(self, voucher: str, now_s: float, *, expect_event: EventId) -> Vouched:
        """Return the voucher's content.

        Raises:
            TokenRejected: It is not a genuine voucher for this event.
        """
        ...
