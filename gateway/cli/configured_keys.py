"""Where the public keys of the settings are: in a JWK set file, or in the key ring folder."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.settings import KeySettings
    from gateway.tokens.keys import PublicKeys


def configured_keys(settings: "KeySettings") -> "PublicKeys | None":
    """Return the public keys, or None when there are none yet.

    Raises:
        KeyRingError: They are there and cannot be used.
    """
    from gateway.tokens.jwks import JwksFile
    from gateway.tokens.keyring import KeyRing

    if settings.jwks is not None:
        return JwksFile(Path(settings.jwks))
    if not Path(settings.dir).exists():
        return None
    ring = KeyRing(Path(settings.dir))
    return ring if ring.public_keys() else None
