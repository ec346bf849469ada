"""The key ring: how keys come, sign, retire and go, and the ring as a running gateway holds it.

A key is *next*, then *active*, then *retired*. It is published from the first and verifies to the
last, so a rotation breaks no token in anybody's pocket: edges know a key before it signs, and keep
it after it has stopped. Only `remove`, for a key that leaked, makes its tokens worthless.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from gateway.errors import KeyRingError
from gateway.tokens.keyfolder import (
    KeyEntry,
    KeyState,
    StoredKey,
    add_private_key,
    fingerprint,
    locked,
    read_folder,
    remove_private_key,
    write_states,
)
from gateway.tokens.keys import PublicKey, SigningKey

__all__ = [
    "KeyEntry",
    "KeyRing",
    "KeyState",
    "activate",
    "list_keys",
    "new_key",
    "remove",
    "retire",
]

# What a person can type; 36 bits, so two keys of one ring will not share it.
_MIN_PREFIX_CHARS: Final = 6


def new_key(folder: Path, *, now_s: float) -> KeyEntry:
    """Make a key: next, or active at once where no key is.

    Raises:
        KeyRingError: The folder cannot be used. No key was made.
    """
    with locked(folder):
        entries = list_keys(folder)
        kid = add_private_key(folder)
        entry = KeyEntry(kid, created=_iso(now_s))
        if not any(other.state is KeyState.ACTIVE for other in entries):
            entry = replace(entry, state=KeyState.ACTIVE, activated=_iso(now_s))
        write_states(folder, (*entries, entry))
    return entry


def list_keys(folder: Path) -> tuple[KeyEntry, ...]:
    """Return the keys, oldest first.

    Raises:
        KeyRingError: The folder cannot be used.
    """
    return tuple(key.entry for key in read_folder(folder))


def activate(folder: Path, name: str, *, now_s: float) -> KeyEntry:
    """Let a next key sign, and retire the one that did. Doing it again changes nothing.

    Args:
        name: The kid, or enough of its beginning (6 characters or more) to be the only one.

    Raises:
        KeyRingError: No such key, or it is retired.
    """

    def change(entries: tuple[KeyEntry, ...], chosen: KeyEntry) -> tuple[KeyEntry, ...]:
        if chosen.state is KeyState.ACTIVE:
            return entries
        if chosen.state is KeyState.RETIRED:
            raise KeyRingError(
                f"key {chosen.kid} is retired for good: make a new one and activate that"
            )
        now = _iso(now_s)
        changed: list[KeyEntry] = []
        for entry in entries:
            if entry.kid == chosen.kid:
                changed.append(replace(entry, state=KeyState.ACTIVE, activated=now))
            elif entry.state is KeyState.ACTIVE:
                changed.append(replace(entry, state=KeyState.RETIRED, retired=now))
            else:
                changed.append(entry)
        return tuple(changed)

    return _change(folder, name, change)


def retire(folder: Path, name: str, *, now_s: float) -> KeyEntry:
    """Retire a key that is not to sign any more. What it signed stays good.

    Raises:
        KeyRingError: No such key, or it is the active one: another must be activated first.
    """

    def change(entries: tuple[KeyEntry, ...], chosen: KeyEntry) -> tuple[KeyEntry, ...]:
        if chosen.state is KeyState.RETIRED:
            return entries
        _refuse_active(chosen, "retire")
        retired = replace(chosen, state=KeyState.RETIRED, retired=_iso(now_s))
        return tuple(retired if entry.kid == chosen.kid else entry for entry in entries)

    return _change(folder, name, change)


def remove(folder: Path, name: str) -> KeyEntry:
    """Delete a key: whatever it signed is worthless from now on. For a key that leaked.

    Raises:
        KeyRingError: No such key, or it is the active one: another must be activated first.
    """
    with locked(folder):
        entries = list_keys(folder)
        chosen = _find(entries, name)
        _refuse_active(chosen, "remove")
        # The key first: without it, its entry means nothing.
        remove_private_key(folder, chosen.kid)
        write_states(folder, tuple(entry for entry in entries if entry.kid != chosen.kid))
    return chosen


class KeyRing:
    """The folder in memory: public keys for verifiers, the active key for the signer.

    `reload_if_changed` is to be called once a second. While the folder cannot be used, the keys
    read before stay in force.

    Attributes:
        trouble: Why the folder as it is now cannot be used; None when all is well.
    """

    def __init__(self, folder: Path) -> None:
        """Read the folder.

        Raises:
            KeyRingError: It cannot be used; the message names the file and what to do.
        """
        self._folder = folder
        self.trouble: str | None = None
        self._entries: tuple[KeyEntry, ...] = ()
        self._public: Mapping[str, PublicKey] = {}
        self._active: SigningKey | None = None
        # Before reading, so that a change in between is noticed by the next look.
        self._seen = fingerprint(folder)
        self._take(read_folder(folder))

    @classmethod
    def load(cls, folder: Path) -> "KeyRing":
        return cls(folder)

    @property
    def entries(self) -> tuple[KeyEntry, ...]:
        return self._entries

    @property
    def active_signing_key(self) -> SigningKey:
        if self._active is None:
            raise KeyRingError(f"{self._folder}: no key is active: make one, or activate one")
        return self._active

    def public_keys(self) -> Mapping[str, PublicKey]:
        return self._public

    def reload_if_changed(self) -> bool:
        """Take up a changed folder; return whether a key or the active one changed.

        Never raises: see `trouble`.
        """
        try:
            seen = fingerprint(self._folder)
            if seen == self._seen and self.trouble is None:
                return False
            stored = read_folder(self._folder)
            self._refuse_to_fall_silent(stored)
        except KeyRingError as exc:
            self.trouble = str(exc)
            return False
        self._seen, self.trouble = seen, None
        return self._take(stored)

    def _refuse_to_fall_silent(self, stored: tuple[StoredKey, ...]) -> None:
        # An unmounted volume looks like an empty folder. Signing goes on with the key we hold.
        if self._active is not None and _active(stored) is None:
            raise KeyRingError(
                f"{self._folder}: has no active key any more; {self._active.kid} goes on signing "
                "until one is activated"
            )

    def _take(self, stored: tuple[StoredKey, ...]) -> bool:
        self._entries = tuple(key.entry for key in stored)
        changed = False
        # New objects only for what changed: signers and verifiers notice by identity.
        if {key.entry.kid for key in stored} != set(self._public):
            self._public = {key.entry.kid: key.private_key.public_key() for key in stored}
            changed = True
        active = _active(stored)
        if (active and active.kid) != (self._active and self._active.kid):
            self._active = active
            changed = True
        return changed


def _active(stored: tuple[StoredKey, ...]) -> SigningKey | None:
    for key in stored:
        if key.entry.state is KeyState.ACTIVE:
            return SigningKey(key.entry.kid, key.private_key)
    return None


def _change(
    folder: Path,
    name: str,
    change: Callable[[tuple[KeyEntry, ...], KeyEntry], tuple[KeyEntry, ...]],
) -> KeyEntry:
    with locked(folder):
        before = list_keys(folder)
        chosen = _find(before, name)
        after = change(before, chosen)
        if after != before:
            write_states(folder, after)
    return next(entry for entry in after if entry.kid == chosen.kid)


def _find(entries: tuple[KeyEntry, ...], name: str) -> KeyEntry:
    if len(name) < _MIN_PREFIX_CHARS:
        raise KeyRingError(f"name a key by at least {_MIN_PREFIX_CHARS} characters of its kid")
    found = [entry for entry in entries if entry.kid.startswith(name)]
    if not found:
        raise KeyRingError(f"no key of the ring begins with {name!r}")
    if len(found) > 1:
        raise KeyRingError(f"{len(found)} keys begin with {name!r}: give more of the kid")
    return found[0]


def _refuse_active(entry: KeyEntry, act: str) -> None:
    if entry.state is KeyState.ACTIVE:
        raise KeyRingError(f"key {entry.kid} is active: activate another one, then {act} it")


def _iso(now_s: float) -> str:
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
