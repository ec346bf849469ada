"""What signers and verifiers ask of keys, wherever these are kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import (
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)

PublicKey: TypeAlias = EllipticCurvePublicKey
"""On P-256 always: checked where keys are loaded."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The active key. `kid` is its RFC 7638 thumbprint."""

    kid: str
    private_key: EllipticCurvePrivateKey


class PublicKeys(Protocol):
    """The keys whose signatures count. A key ring folder has them, and so has a JWK set file."""

    def public_keys(self) -> Mapping[str, PublicKey]:
        """Return the keys by `kid`.

        The same object until the set changes, and another one then: that is how a verifier notices.
        """
        ...


class SigningKeys(Protocol):
    """Where the active key comes from."""

    @property
    def active_signing_key(self) -> SigningKey:
        """The key that signs now, the same object until it changes.

        Raises:
            KeyRingError: No key is active.
        """
        ...
