"""What a check has found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's result.

    Attributes:
        check: A stable name for programs.
        seen: What was seen. means: What follows from it. mend: What to do.
        lines: The lines of configuration that mend it, by product.
    """

    check: str
    status: Status
    seen: str
    means: str = ""
    mend: str = ""
    lines: Mapping[str, str] = field(default_factory=dict[str, str])

    def document(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "status": self.status.value,
            "seen": self.seen,
            "means": self.means or None,
            "mend": self.mend or None,
            "lines": dict(self.lines),
        }


@dataclass(frozen=True, slots=True)
class Mending:
    """How something is mended: a sentence, and the lines where products differ."""

    mend: str
    lines: Mapping[str, str] = field(default_factory=dict[str, str])


def ok(check: str, seen: str) -> Finding:
    return Finding(check, Status.OK, seen)


def not_checked(check: str, why: str, how: str = "") -> Finding:
    return Finding(check, Status.NOT_CHECKED, why, mend=how)


def warning(check: str, seen: str, means: str, mending: Mending) -> Finding:
    return Finding(check, Status.WARNING, seen, means, mending.mend, mending.lines)


def fault(check: str, seen: str, means: str, mending: Mending) -> Finding:
    return Finding(check, Status.FAULT, seen, means, mending.mend, mending.lines)
