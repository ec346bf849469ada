"""JWK sets (RFC 7517): the public half of the key ring for others, and the public keys of others.

A key is taken for nothing but ES256 signatures: `use`, `key_ops` and `alg` must allow it where they
are present (PyJWT does not look at the first two), and a private member is refused, so that a key
pasted whole into a public file is found at start and not by a stranger.
"""

import json
import os
import stat
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers

from gateway.errors import KeyRingError, TokenRejected
from gateway.tokens.compact import ALGORITHM, decode_segment, encode_segment, refuse_repeated_names
from gateway.tokens.keys import PublicKey

# RFC 7518, section 6.2.1.2: a coordinate has the full length of the curve's field, zeros included.
_COORDINATE_BYTES: Final = 32
_MAX_KID_CHARS: Final = 256
_MAX_FILE_BYTES: Final = 262_144


def thumbprint(public_key: PublicKey) -> str:
    """Return the RFC 7638 SHA-256 thumbprint in base64url, 43 characters: our `kid`."""
    members = json.dumps(_required_members(public_key), separators=(",", ":"), sort_keys=True)
    return encode_segment(sha256(members.encode()).digest()).decode("ascii")


def jwks_document(keys: Mapping[str, PublicKey]) -> bytes:
    """Return the JWK set for `/.well-known/jwks.json`: for the same keys always the same bytes."""
    members = [
        {**_required_members(keys[kid]), "kid": kid, "use": "sig", "alg": ALGORITHM}
        for kid in sorted(keys)
    ]
    return json.dumps({"keys": members}, separators=(",", ":"), sort_keys=True).encode()


def parse_jwk_set(document: bytes, *, any_kid: bool = False) -> dict[str, PublicKey]:
    """Read a JWK set in which every key is a public P-256 key for signatures.

    A key that we cannot use refuses the set, although RFC 7517, section 5 would let us skip it: in
    a file written for this gateway it is a mistake, and skipped it would show during the sale.

    Args:
        any_kid: Whether a key may have any name (the site's own keys). Ours are named by their
            thumbprint, so that no name can ever be given to another key.

    Raises:
        KeyRingError: With the `kid` and what is wrong with the key.
    """
    try:
        content: object = json.loads(document, object_pairs_hook=refuse_repeated_names)
    except (ValueError, RecursionError) as exc:
        raise KeyRingError("is not JSON with unique names") from exc
    keys: dict[str, PublicKey] = {}
    for number, entry in enumerate(_entries(content), start=1):
        kid = entry.get("kid")
        if not isinstance(kid, str) or not 1 <= len(kid) <= _MAX_KID_CHARS:
            raise KeyRingError(f"key {number} needs a kid of 1 to {_MAX_KID_CHARS} characters")
        if kid in keys:
            raise KeyRingError(f"two keys have the kid {kid!r}")
        try:
            keys[kid] = _public_key(entry)
        except ValueError as exc:
            raise KeyRingError(f"key {kid!r}: {exc}") from exc
        if not any_kid and thumbprint(keys[kid]) != kid:
            raise KeyRingError(f"key {kid!r}: the kid must be the key's RFC 7638 thumbprint")
    return keys


class JwksFile:
    """Public keys from a JWK set file (`PublicKeys`), read again when the file changes.

    Attributes:
        trouble: Why the file as it is now cannot be used, while the keys read before stay in force;
            None when all is well.
    """

    def __init__(self, path: Path, *, any_kid: bool = False) -> None:
        """Read the file.

        Raises:
            KeyRingError: It cannot be used; the message names the file and what to do.
        """
        self._path = path
        self._any_kid = any_kid
        self._seen = self._fingerprint()
        self._keys: Mapping[str, PublicKey] = self._read()
        self.trouble: str | None = None

    def public_keys(self) -> Mapping[str, PublicKey]:
        return self._keys

    def reload_if_changed(self) -> bool:
        """Take up a changed file; return whether the keys changed. Never raises: see `trouble`."""
        try:
            seen = self._fingerprint()
            if seen == self._seen and self.trouble is None:
                return False
            keys = self._read()
        except KeyRingError as exc:
            self.trouble = str(exc)
            return False
        self._seen, self.trouble = seen, None
        if keys == self._keys:
            return False
        self._keys = keys
        return True

    def _fingerprint(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError as exc:
            raise KeyRingError(f"{self._path}: cannot be read: {exc.strerror}") from exc
        return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _read(self) -> dict[str, PublicKey]:
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                document = file.read(_MAX_FILE_BYTES + 1)
        except OSError as exc:
            raise KeyRingError(f"{self._path}: cannot be read: {exc.strerror}") from exc
        if mode & stat.S_IWOTH:
            # Whoever can add a key here can sign tokens.
            raise KeyRingError(f"{self._path}: anyone may write it: chmod o-w {self._path}")
        if len(document) > _MAX_FILE_BYTES:
            raise KeyRingError(f"{self._path}: is larger than {_MAX_FILE_BYTES} bytes")
        try:
            return parse_jwk_set(document, any_kid=self._any_kid)
        except KeyRingError as exc:
            raise KeyRingError(f"{self._path}: {exc}") from exc


def _required_members(public_key: PublicKey) -> dict[str, str]:
    numbers = public_key.public_numbers()
    return {"crv": "P-256", "kty": "EC", "x": _coordinate(numbers.x), "y": _coordinate(numbers.y)}


def _coordinate(number: int) -> str:
    return encode_segment(number.to_bytes(_COORDINATE_BYTES, "big")).decode("ascii")


def _entries(content: object) -> list[Mapping[str, object]]:
    entries = cast("dict[str, object]", content).get("keys") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise KeyRingError('is not a JWK set: {"keys": [one or more keys]}')
    for number, entry in enumerate(cast("list[object]", entries), start=1):
        if not isinstance(entry, dict):
            raise KeyRingError(f"key {number} is not an object")
    return cast("list[Mapping[str, object]]", entries)


def _public_key(jwk: Mapping[str, object]) -> PublicKey:
    """Build the key, or raise ValueError with what is wrong."""
    if "d" in jwk:
        raise ValueError("holds the private member d: publish only the public half")
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise ValueError("must be an EC key on P-256")
    if "use" in jwk and jwk["use"] != "sig":
        raise ValueError("its use is not 'sig'")
    if "alg" in jwk and jwk["alg"] != ALGORITHM:
        raise ValueError(f"its alg is not {ALGORITHM}")
    if "key_ops" in jwk:
        operations = jwk["key_ops"]
        if not isinstance(operations, list) or "verify" not in operations:
            raise ValueError("its key_ops do not hold 'verify'")
    x, y = _number(jwk, "x"), _number(jwk, "y")
    try:
        return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError as exc:
        raise ValueError("its point is not on the curve") from exc


def _number(jwk: Mapping[str, object], name: str) -> int:
    text = jwk.get(name)
    try:
        content = decode_segment(text.encode("ascii")) if isinstance(text, str) else b""
    except (TokenRejected, UnicodeEncodeError):
        content = b""
    if len(content) != _COORDINATE_BYTES:
        raise ValueError(f"{name} must be {_COORDINATE_BYTES} bytes in base64url without padding")
    return int.from_bytes(content, "big")
