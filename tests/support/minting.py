"""Tokens made by hand, with the keys that the gateway under test trusts."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.positions import EventId, Generation, Position
from gateway.errors import KeyRingError
from gateway.tokens.codec import Signer
from gateway.tokens.jwks import jwks_document
from gateway.tokens.keyring import KeyRing, new_key

ISSUER = "admission-gateway"


def now_s() -> int:
    return int(time.time())


class Mint:
    """Signs with the active key of a key ring folder, made where there is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            ring = KeyRing.load(folder)
        except KeyRingError:
            new_key(folder, now_s=time.time())
            ring = KeyRing.load(folder)
        self._ring = ring
        self._signer = Signer(ring)

    def place(self, event: str, generation: int, position: int = 1, **changes: Any) -> str:
        """Return a queue token."""
        claims = QueueClaims(
            issuer=ISSUER,
            event=EventId(event),
            visitor="bWFkZS1ieS1oYW5kLTEyMw",
            position=Position(position),
            generation=Generation(generation),
            issued_at=now_s(),
            expires_at=now_s() + 3600,
        )
        return self._signer.sign_queue(replace(claims, **changes))

    def held(self, event: str, generation: int, position: int = 1, **changes: Any) -> str:
        """Return a pass."""
        claims = PassClaims(
            issuer=ISSUER,
            event=EventId(event),
            visitor="bWFkZS1ieS1oYW5kLTEyMw",
            position=Position(position),
            generation=Generation(generation),
            issued_at=now_s(),
            expires_at=now_s() + 600,
        )
        return self._signer.sign_pass(replace(claims, **changes))

    def voucher(self, event: str, subject: str, **changes: Any) -> str:
        """Return what a site says of a visitor of its own."""
        payload = {
            "iss": "https://shop.example",
            "aud": event,
            "sub": subject,
            "iat": now_s(),
            "exp": now_s() + 300,
        }
        return self._signer.sign("voucher+jwt", payload | changes)

    def write_jwks(self, path: Path) -> Path:
        """Write the public halves of the keys."""
        path.write_bytes(jwks_document(self._ring.public_keys()))
        return path

    @property
    def kids(self) -> list[str]:
        return [
            str(key["kid"]) for key in json.loads(jwks_document(self._ring.public_keys()))["keys"]
        ]
