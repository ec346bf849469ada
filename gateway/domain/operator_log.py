"""The operator log: who did what to an event and when, as a chain of hashes that anyone can check.

Each entry is canonical JSON (RFC 8785; of it we use text, whole numbers and objects) that holds the hash of
the entry before it; its own hash is the SHA-256 (FIPS 180-4) of its bytes. So no entry can be changed,
taken out or put in without changing every hash after it, and who has kept one hash can prove all before it.

What this cannot show alone: that somebody cut off the newest entries, or wrote the whole chain anew, ledger
and all. A hash that was kept elsewhere shows it: every gateway writes each new head into its process log.
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

from gateway.errors import BadInput

FIRST_PREVIOUS = "0" * 64
"""What stands for the hash of the entry before the first."""

LONGEST_NAME = 64
LONGEST_REASON = 200

BEGIN = "begin"
"""The act of an entry that the ledger writes itself, where nothing is left of an earlier log."""

_TEXTS = ("event", "act", "by", "reason", "prev")
_NUMBERS = ("seq", "at", "generation")
_OBJECTS = ("before", "after")


@dataclass(frozen=True, slots=True)
class Author:
    """Who does an act, by their own word, and why. It is noted, and proves nothing of itself."""

    name: str
    reason: str = ""

    @classmethod
    def of(cls, name: str, reason: str = "") -> Self:
        """Return an author from what somebody typed.

        Raises:
            BadInput: The name is empty, or one of the two is too long.
        """
        name, reason = one_line(name), one_line(reason)
        if not name:
            raise BadInput("the name of who does this must not be empty")
        if len(name) > LONGEST_NAME:
            raise BadInput(f"the name of who does this may have {LONGEST_NAME} characters")
        if len(reason) > LONGEST_REASON:
            raise BadInput(f"a reason may have {LONGEST_REASON} characters")
        return cls(name, reason)


UNNAMED = Author("unnamed")


def one_line(text: str) -> str:
    """Return a text without what could make an entry look like another one on a terminal.

    Control, format and unassigned characters (Unicode categories C*) move the cursor, or turn the direction
    of what follows; they and every kind of space become one space.
    """
    kept = (" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    return " ".join("".join(kept).split())


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry as the ledger holds it: the bytes that were hashed, and the hash."""

    text: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The latest entry of a log, as the event's state names it."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class OperatorLog:
    """A log as it was read: the head first, then the entries, oldest first."""

    head: Head | None
    entries: Sequence[Logged]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one entry says.

    Attributes:
        at_ms: The ledger's wall clock.
        by: Who did it; `clock` for `opens_at` and `closes_at`, `ledger` for `BEGIN`.
        before, after: What the act changed.
        previous: The hash of the entry before.
    """

    seq: int
    at_ms: int
    event: str
    generation: int
    act: str
    by: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]
    previous: str


def canonical(value: object) -> str:
    """Return the canonical JSON of text, whole numbers and objects of them (RFC 8785)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(text: str) -> str:
    # A lone surrogate is no text that anybody hashed; it must not stop who verifies.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_entry(text: str) -> Entry | None:
    """Return what an entry says, or None where it is not one."""
    try:
        held: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict):
        return None
    said = cast("dict[str, Any]", held)
    if said.keys() != {*_TEXTS, *_NUMBERS, *_OBJECTS} or canonical(said) != text:
        return None
    if not (
        all(isinstance(said[name], str) for name in _TEXTS)
        and all(type(said[name]) is int for name in _NUMBERS)
        and all(isinstance(said[name], dict) for name in _OBJECTS)
    ):
        return None
    return Entry(
        seq=said["seq"],
        at_ms=said["at"],
        event=said["event"],
        generation=said["generation"],
        act=said["act"],
        by=said["by"],
        reason=said["reason"],
        before=said["before"],
        after=said["after"],
        previous=said["prev"],
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of verifying a log.

    Attributes:
        faults: What is wrong, the oldest first; empty for a whole chain.
        notices: What the log itself says about what it lacks.
    """

    faults: Sequence[str]
    notices: Sequence[str]

    @property
    def is_whole(self) -> bool:
        return not self.faults


def verify(event: str, log: OperatorLog, *, kept: Sequence[str] = ()) -> Verdict:
    """Verify the chain from its first entry to its head.

    Args:
        kept: Hashes that were kept elsewhere, such as in a gateway's process log; each must be that of an
            entry.
    """
    faults: list[str] = []
    notices: list[str] = []
    seq, previous = 0, FIRST_PREVIOUS
    for number, logged in enumerate(log.entries, start=1):
        entry = read_entry(logged.text)
        if entry is None:
            faults.append(f"what stands {_nth(number)} is no entry")
            seq, previous = seq + 1, logged.hash
            continue
        faults += _faults_of(event, entry, logged, seq, previous)
        if entry.act == BEGIN:
            notices.append(_notice(entry))
        seq, previous = entry.seq, logged.hash
    hashes = {logged.hash for logged in log.entries}
    if log.head is not None and log.head.hash not in hashes:
        faults.append(f"entry {log.head.seq}, the latest by the event's state, is not in the log")
    if log.head is None and log.entries:
        notices.append("the event's state names no latest entry; it may have been lost")
    faults += [f"there is no entry with the hash {known}" for known in kept if known not in hashes]
    return Verdict(faults, notices)


def _faults_of(event: str, entry: Entry, logged: Logged, seq: int, previous: str) -> list[str]:
    faults: list[str] = []
    if entry.seq > seq + 1:
        missing = str(seq + 1) if entry.seq == seq + 2 else f"{seq + 1} to {entry.seq - 1}"
        faults.append(f"missing: {missing}")
    elif entry.seq <= seq:
        faults.append(f"entry {entry.seq} follows entry {seq}")
    elif entry.previous != previous:
        faults.append(f"entry {entry.seq} does not follow from the entry before it")
    if hash_of(logged.text) != logged.hash:
        faults.append(f"entry {entry.seq} is not what was hashed")
    if entry.event != event:
        faults.append(f"entry {entry.seq} belongs to another event, {entry.event!r}")
    return faults


def _notice(entry: Entry) -> str:
    earlier = entry.after.get("last_head") or ""
    told = (
        f"the last head that a gateway knew: {earlier}"
        if earlier
        else "what came before is not known"
    )
    why = "after a loss" if entry.after.get("healed") else "without a loss that is known of"
    return f"entry {entry.seq} begins the log anew, {why}; {told}"


def _nth(number: int) -> str:
    return f"at place {number}"
