"""The file of the operators: read safely, written whole or not at all.

    {"operators": [{"name", "role", "sha256", "created", "expires"}]}

Times are ISO 8601 in UTC, `expires` null for a key without an end. It is written with mode 0600; and since
whoever can write it can make themselves an operator, a file that others may write is not believed.
"""

import fcntl
import json
import os
import re
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from gateway.errors import BadInput, Conflict, OperatorFileError
from gateway.operators.keys import Operator, Role, check_name, digest_of, new_key
from gateway.whole_files import write_whole

_MAX_BYTES: Final = 262_144
MOST_OPERATORS: Final = 500
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class _Entry(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role
    sha256: str
    created: str
    expires: str | None = None


class _Document(Struct, frozen=True, forbid_unknown_fields=True):
    operators: Annotated[list[_Entry], Meta(max_length=MOST_OPERATORS)]


class _Seen(NamedTuple):
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class OperatorFile:
    """The operators in force: looked at again every second, the last good state kept.

    A file that is not there means that there is no operator; one that cannot be read changes nothing and
    is `trouble`, so a slip of an editor locks nobody out, and takes nobody's key away either.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: str | None = None
        self._seen: _Seen | None = None
        self._operators: tuple[Operator, ...] = ()
        self.reload_if_changed()

    @property
    def operators(self) -> Sequence[Operator]:
        return self._operators

    def reload_if_changed(self) -> bool:
        """Take up a changed file; return whether the operators changed. Never raises: see `trouble`."""
        try:
            seen = _fingerprint(self.path)
            if seen == self._seen and self.trouble is None:
                return False
            operators = read_operators(self.path)
        except OperatorFileError as exc:
            self.trouble = str(exc)
            return False
        self._seen, self.trouble = seen, None
        changed = operators != self._operators
        self._operators = operators
        return changed


def read_operators(path: Path) -> tuple[Operator, ...]:
    """Read the file; without one there is no operator.

    Raises:
        OperatorFileError: It is not as it must be; the message says what to do.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise OperatorFileError(
            f"the file of operators {path} cannot be read: {exc.strerror}"
        ) from exc
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise OperatorFileError(f"others may write the file of operators: chmod 600 {path}")
    if len(content) > _MAX_BYTES:
        raise OperatorFileError(f"the file of operators {path} is larger than {_MAX_BYTES} bytes")
    try:
        held = msgspec.json.decode(content, type=_Document)
        operators = tuple(_operator(entry) for entry in held.operators)
    except (msgspec.DecodeError, ValueError, RecursionError, BadInput) as exc:
        raise OperatorFileError(
            f"the file {path} is no file of operators: {exc}; put a good copy back, or remove it and make "
            "the operators anew: gateway operator add"
        ) from exc
    for values in (_names(operators), [operator.digest for operator in operators]):
        if len(set(values)) != len(values):
            raise OperatorFileError(f"an operator is twice in the file {path}; take one out")
    return operators


def add(
    path: Path,
    name: str,
    role: Role,
    *,
    now_s: float,
    expires_at: int | None = None,
    replace: bool = False,
) -> tuple[Operator, str]:
    """Make an operator and a key; the key is returned and nowhere kept.

    Args:
        replace: Whether an operator of that name is given a new key, and the key before is worthless.

    Raises:
        Conflict: There is an operator of that name already.
        BadInput: The name is not acceptable, or the end has passed.
        OperatorFileError: The file cannot be used.
    """
    check_name(name)
    if expires_at is not None and expires_at <= now_s:
        raise BadInput("the time at which the key expires has passed")
    key = new_key()
    operator = Operator(name, role, digest_of(key), int(now_s), expires_at)
    with _writing(path):
        held = read_operators(path)
        others = tuple(other for other in held if other.name != name)
        if len(others) != len(held) and not replace:
            raise Conflict(
                f"there is an operator {name!r} already; take the old key away first: "
                f"gateway operator remove {name}"
            )
        if len(others) >= MOST_OPERATORS:
            raise Conflict(f"there are {MOST_OPERATORS} operators already; remove one first")
        _write(path, (*others, operator))
    return operator, key


def remove(path: Path, name: str) -> Operator:
    """Take an operator's key away.

    Raises:
        Conflict: There is no operator of that name.
        OperatorFileError: The file cannot be used.
    """
    with _writing(path):
        held = read_operators(path)
        for operator in held:
            if operator.name == name:
                _write(path, tuple(other for other in held if other is not operator))
                return operator
    known = ", ".join(_names(held)) or "none"
    raise Conflict(f"there is no operator {name!r}; those there are: {known}")


def moment_text(unix_s: int | None) -> str | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).isoformat()


def _names(operators: Sequence[Operator]) -> list[str]:
    return [operator.name for operator in operators]


def _operator(entry: _Entry) -> Operator:
    check_name(entry.name)
    if _DIGEST.fullmatch(entry.sha256) is None:
        raise ValueError(f"sha256 of {entry.name} is not 64 hexadecimal digits")
    expires = None if entry.expires is None else _unix_s(entry.expires)
    return Operator(entry.name, entry.role, entry.sha256, _unix_s(entry.created), expires)


def _unix_s(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        # Read as local time, it would end at another hour on another machine.
        raise ValueError(f"{text!r} has no offset from UTC")
    return int(moment.timestamp())


def _fingerprint(path: Path) -> _Seen | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise OperatorFileError(
            f"the file of operators {path} cannot be read: {exc.strerror}"
        ) from exc
    return _Seen(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def _writing(path: Path) -> Generator[None]:
    """Hold the file for one writer; readers need no lock, since it changes in one step."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.parent / f".{path.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as exc:
        raise OperatorFileError(
            f"the file of operators {path} cannot be written: {exc.strerror}"
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(path: Path, operators: Sequence[Operator]) -> None:
    document = {
        "operators": [
            {
                "name": operator.name,
                "role": operator.role.value,
                "sha256": operator.digest,
                "created": moment_text(operator.created_at),
                "expires": moment_text(operator.expires_at),
            }
            for operator in operators
        ]
    }
    try:
        write_whole(path, f"{json.dumps(document, indent=2)}\n".encode(), mode=0o600)
    except OSError as exc:
        raise OperatorFileError(
            f"the file of operators {path} cannot be written: {exc.strerror}"
        ) from exc
