"""The keys of one process: what signs, what checks, what the site vouches with, and how they stay fresh."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from gateway.collectors import KeySeen
from gateway.domain.positions import EventId
from gateway.errors import KeyRingError, SettingsInvalid
from gateway.ports import Vouched, VoucherReader
from gateway.settings import Settings
from gateway.tokens.codec import Signer
from gateway.tokens.jwks import JwksFile
from gateway.tokens.keyring import KeyRing, KeyState
from gateway.tokens.keys import PublicKeys
from gateway.tokens.vouchers import MIN_SECRET_BYTES, VoucherVerifier, hashed_subject

logger = logging.getLogger(__name__)


class Reloading(Protocol):
    """A file or folder of keys or operators: looked at again every second, the last good state in force."""

    @property
    def trouble(self) -> str | None: ...

    def reload_if_changed(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one process.

    Attributes:
        signer: None where only public keys are configured.
        files: What to look at again every second.
        ring: The key ring; None where only public keys are configured.
    """

    public: PublicKeys
    signer: Signer | None
    vouchers: VoucherReader | None
    files: Sequence[Reloading]
    ring: KeyRing | None


class _SiteVouchers:
    """Implements `ports.VoucherReader`: checks a voucher, and forgets the visitor's own name."""

    def __init__(self, verifier: VoucherVerifier, secret: bytes) -> None:
        self._verifier = verifier
        self._secret = secret

    def read(self, voucher: str, now_s: float, *, expect_event: EventId) -> Vouched:
        held = self._verifier.verify(voucher, now_s, expect_event=expect_event)
        return Vouched(hashed_subject(self._secret, expect_event, held.subject), held.head_start)


def open_keys(settings: Settings) -> Keys:
    """Read the keys that the settings name.

    Raises:
        SettingsInvalid: A file of them is missing, or not as it must be.
    """
    files: list[Reloading] = []
    signer: Signer | None = None
    vouchers: VoucherReader | None = None
    ring: KeyRing | None = None
    try:
        if settings.keys.jwks is not None:
            public_file = JwksFile(Path(settings.keys.jwks))
            public: PublicKeys = public_file
            files.append(public_file)
        else:
            ring = KeyRing.load(Path(settings.keys.dir))
            public, signer = ring, Signer(ring)
            files.append(ring)
        if settings.keys.voucher_jwks is not None and settings.keys.sub_secret is not None:
            site = JwksFile(Path(settings.keys.voucher_jwks), any_kid=True)
            secret = Path(settings.keys.sub_secret).read_bytes().strip()
            if len(secret) < MIN_SECRET_BYTES:
                raise SettingsInvalid(
                    [f"[keys] sub_secret: needs at least {MIN_SECRET_BYTES} random bytes"]
                )
            vouchers = _SiteVouchers(VoucherVerifier(site), secret)
            files.append(site)
    except KeyRingError as exc:
        raise SettingsInvalid([f"[keys]: {exc} (a first key: gateway keys new)"]) from exc
    except OSError as exc:
        raise SettingsInvalid([f"[keys] sub_secret: cannot be read: {exc.strerror}"]) from exc
    return Keys(public, signer, vouchers, files, ring)


def look_again(file: Reloading, what: str) -> None:
    """Take over what has changed, and say so; tell of a trouble once.

    Args:
        what: `keys` or `operators`.
    """
    before = file.trouble
    if file.reload_if_changed():
        logger.info("the %s have changed", what)
    if file.trouble is not None and file.trouble != before:
        # The former ones stay in force: a broken folder must not stop a sale. But a key that was to
        # be taken away is not taken away either.
        logger.error("the %s cannot be read", what, extra={"trouble": file.trouble})


def keys_seen(ring: KeyRing) -> list[KeySeen]:
    """Say since when each key of the ring is in its state."""
    seen: list[KeySeen] = []
    for entry in ring.entries:
        moments = {
            KeyState.NEXT: entry.created,
            KeyState.ACTIVE: entry.activated,
            KeyState.RETIRED: entry.retired,
        }
        seen.append(KeySeen(entry.state.value, _unix_s(moments[entry.state])))
    return seen


def _unix_s(moment: str | None) -> float | None:
    """Return the Unix seconds of an ISO 8601 instant; None where it is not one, or none is given."""
    try:
        return None if moment is None else datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None
