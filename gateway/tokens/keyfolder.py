"""The key ring folder on disk: reading it safely and writing it without ever losing a key.

    <dir>/<kid>.pem     one private key, PKCS#8, P-256, mode 0600, named by its RFC 7638 thumbprint
    <dir>/states.json   for each kid its state and the times of its changes, for people to read too
    <dir>/.lock         held by whoever writes; readers need none

Files appear and change in one step (a hard link, a rename), so a reader sees the folder before or
after a change, and never half of one. A PEM without an entry in `states.json` counts as next: it
verifies and is published, and does not sign. A folder that is mounted from outside is read by the
rules of `mounted_folder.py`, and never written.
"""

import fcntl
import json
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import KeyRingError
from gateway.tokens.compact import refuse_repeated_names
from gateway.tokens.jwks import thumbprint
from gateway.tokens.mounted_folder import RingFiles, find_ring_files
from gateway.whole_files import create_whole, replace_whole, sync_folder

STATES_FILE: Final = "states.json"
_LOCK_FILE: Final = ".lock"
_PEM: Final = ".pem"
_MAX_PEM_BYTES: Final = 16_384
_MAX_STATES_BYTES: Final = 1_048_576
_TIMES: Final = ("created", "activated", "retired")


class KeyState(StrEnum):
    NEXT = "next"
    """Published and verifying, so that edges know it before it signs."""
    ACTIVE = "active"
    """Signs. At most one."""
    RETIRED = "retired"
    """Signs no more; verifies what it signed until it is removed."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key of the ring. The times are ISO 8601 in UTC, None where they did not happen."""

    kid: str
    state: KeyState = KeyState.NEXT
    created: str | None = None
    activated: str | None = None
    retired: str | None = None


@dataclass(frozen=True, slots=True)
class StoredKey:
    entry: KeyEntry
    private_key: EllipticCurvePrivateKey


class FileMark(NamedTuple):
    """What changes when a file does; of these chmod changes `ctime_ns` alone."""

    name: str
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, name: str, status: os.stat_result) -> "FileMark":
        return cls(name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def read_folder(folder: Path) -> tuple[StoredKey, ...]:
    """Read all keys, oldest first.

    Raises:
        KeyRingError: A file is not as it must be; the message names it and what to do.
    """
    with _named_errors(folder):
        files = find_ring_files(folder)
        folder = files.folder
        if folder.stat().st_mode & stat.S_IWOTH:
            # Whoever can put a key here can sign tokens.
            raise KeyRingError(f"{folder}: anyone may write it: chmod o-w {folder}")
        names = [name for name in os.listdir(folder) if name.endswith(_PEM)]
    entries = _read_states(folder / STATES_FILE)
    stored: list[StoredKey] = []
    for name in names:
        kid = name.removesuffix(_PEM)
        key = _read_private_key(files, name, kid)
        stored.append(StoredKey(entries.get(kid, KeyEntry(kid)), key))
    # "~" sorts after every digit: keys without a time come last.
    return tuple(sorted(stored, key=lambda key: (key.entry.created or "~", key.entry.kid)))


def fingerprint(folder: Path) -> tuple[FileMark, ...]:
    """Return what changes when a key or a state does, at the cost of a stat a file.

    Raises:
        KeyRingError: The folder cannot be read.
    """
    with _named_errors(folder):
        folder = find_ring_files(folder).folder
        with os.scandir(folder) as found:
            marks = [FileMark.of(".", folder.stat())]
            for file in found:
                if file.name.endswith(_PEM) or file.name == STATES_FILE:
                    marks.append(FileMark.of(file.name, file.stat(follow_symlinks=False)))
    return tuple(sorted(marks))


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold the folder for writing; make it, mode 0700, where there is none.

    Raises:
        KeyRingError: It cannot be written.
    """
    with _named_errors(folder):
        if find_ring_files(folder).is_mounted:
            raise KeyRingError(
                f"{folder}: is mounted from outside: change the keys in the folder that the Secret is "
                "made of, then put the Secret in place anew"
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(folder / _LOCK_FILE, flags, 0o600)
    try:
        with _named_errors(folder):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def add_private_key(folder: Path) -> str:
    """Make a key, store it and return its `kid`. An existing file is never overwritten.

    Raises:
        KeyRingError: It cannot be stored.
    """
    private_key = generate_private_key(SECP256R1())
    kid = thumbprint(private_key.public_key())
    pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with _named_errors(folder):
        # Down to the disk: a key that signed a token must not be lost to a power cut.
        create_whole(folder / f"{kid}{_PEM}", pem)
    return kid


def remove_private_key(folder: Path, kid: str) -> None:
    with _named_errors(folder):
        (folder / f"{kid}{_PEM}").unlink()
        sync_folder(folder)


def write_states(folder: Path, entries: tuple[KeyEntry, ...]) -> None:
    """Replace `states.json` in one step. To be called while the folder is `locked`.

    Raises:
        KeyRingError: It cannot be written; the old one is still in place.
    """
    content = {
        "keys": {
            entry.kid: {
                "state": entry.state.value,
                "created": entry.created,
                "activated": entry.activated,
                "retired": entry.retired,
            }
            for entry in entries
        }
    }
    with _named_errors(folder):
        replace_whole(folder / STATES_FILE, json.dumps(content, indent=2).encode() + b"\n")


def _read_private_key(files: RingFiles, name: str, kid: str) -> EllipticCurvePrivateKey:
    path = files.folder / name
    pem, status = _read_file(path, _MAX_PEM_BYTES)
    if not files.is_private(status):
        mending = (
            "give the Secret defaultMode 0400 and the pod an fsGroup"
            if files.is_mounted
            else f"chmod 600 {path}"
        )
        raise KeyRingError(f"{path}: others than its owner may use it: {mending}")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise KeyRingError(f"{path}: is not an unencrypted private key in PEM") from exc
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise KeyRingError(f"{path}: is not an EC key on P-256")
    named = thumbprint(key.public_key())
    if named != kid:
        raise KeyRingError(f"{path}: a key's file bears its thumbprint: rename it to {named}{_PEM}")
    return key


def _read_states(path: Path) -> dict[str, KeyEntry]:
    if not os.path.lexists(path):
        return {}
    content, status = _read_file(path, _MAX_STATES_BYTES)
    if status.st_mode & stat.S_IWOTH:
        raise KeyRingError(f"{path}: anyone may write it: chmod o-w {path}")
    try:
        states = json.loads(content, object_pairs_hook=refuse_repeated_names)
        entries = {kid: _entry(kid, fields) for kid, fields in states["keys"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise KeyRingError(
            f"{path}: is damaged: restore it, or delete it (every key then counts as next) "
            "and activate the key that shall sign"
        ) from exc
    if sum(entry.state is KeyState.ACTIVE for entry in entries.values()) > 1:
        raise KeyRingError(f"{path}: names more than one active key: leave one")
    return entries


def _entry(kid: str, fields: dict[str, object]) -> KeyEntry:
    times = {name: fields.get(name) for name in _TIMES}
    if not all(time is None or isinstance(time, str) for time in times.values()):
        raise ValueError("a time is not text")
    state = KeyState(str(fields["state"]))
    created, activated, retired = (None if time is None else str(time) for time in times.values())
    return KeyEntry(kid, state, created, activated, retired)


def _read_file(path: Path, max_bytes: int) -> tuple[bytes, os.stat_result]:
    # NOFOLLOW: a link could make us read, and judge the mode of, a file that is somebody else's.
    # NONBLOCK: a named pipe would hold us for ever.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if path.is_symlink():
        raise KeyRingError(f"{path}: is a symbolic link: put the file itself here")
    with _named_errors(path):
        handle = os.open(path, flags)
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise KeyRingError(f"{path}: is not a file")
            with os.fdopen(handle, "rb", closefd=False) as file:
                content = file.read(max_bytes + 1)
        finally:
            os.close(handle)
    if len(content) > max_bytes:
        raise KeyRingError(f"{path}: is larger than {max_bytes} bytes")
    return content, status


@contextmanager
def _named_errors(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        where = exc.filename if isinstance(exc.filename, str) else path
        raise KeyRingError(f"{where}: {exc.strerror or exc}") from exc
