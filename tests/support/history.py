"""What clients of one or several gateways saw, operation by operation; `judging.py` finds the guilty.

An operation that was not answered (a time-out, a cut connection, a cancelled call) may have been carried
out or not, and at any time from its beginning on: its `status` is None.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

# What the operator's tools answer, in the numbers of HTTP.
OK = 200
CONFLICT = 409


class Place(NamedTuple):
    """A position of one life of a queue."""

    generation: int
    position: int

    def __str__(self) -> str:
        return f"{self.position} of generation {self.generation}"


class Pass(NamedTuple):
    """A pass as its bearer can read it.

    Attributes:
        ends_at: Unix seconds.
    """

    place: Place
    ends_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call, and what its caller learned.

    Attributes:
        began_s: Monotonic instant before the first byte was sent.
        ended_s: Monotonic instant after the last byte of the answer came, or patience ended.
        client: Who called.
        gateway: Which process was asked, by a name of its own for each of its lives; empty where the
            ledger itself was asked.
        status: Of the answer; None where there was none.
        problem: Type of the problem document; empty where there was none.
    """

    began_s: float
    ended_s: float
    event: str = "sale"
    client: str = ""
    gateway: str = ""
    status: int | None = OK
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Operation):
    """A call of `join`.

    Attributes:
        key: The Idempotency-Key.
        shown: The place of the queue token that came along.
        place: What was given.
        served_up_to: The pointer that came with it.
    """

    key: str | None = None
    shown: Place | None = None
    place: Place | None = None
    served_up_to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Operation):
    """A look at the pointer document, or with a queue token at one's own place.

    Attributes:
        shown: The place of the queue token that was shown.
        expires_at: Unix seconds at which that token ends.
        place: The place that the answer is about.
        generation: That of the answer.
        holes: Ranges that the pointer document calls empty; None in an answer without them.
        last: Whether everything was healed by then, so that it must be answered.
    """

    shown: Place | None = None
    expires_at: float | None = None
    place: Place | None = None
    generation: int | None = None
    served_up_to: int | None = None
    issued: int | None = None
    holes: tuple[tuple[int, int], ...] | None = None
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Operation):
    """A call of `claim`.

    Attributes:
        given: The pass.
        fresh: Whether this call opened the session, where the answer tells.
    """

    shown: Place
    expires_at: float | None = None
    given: Pass | None = None
    fresh: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Operation):
    """A request to a protected page, with a queue token or with a pass.

    Attributes:
        shown: The place of the queue token.
        held: The pass.
        reached: The position that the backend was told; None where it was not reached.
        given: The pass that came with the answer.
        last: Whether everything was healed long ago, so that a served visitor must be let in.
    """

    shown: Place | None = None
    expires_at: float | None = None
    held: Pass | None = None
    reached: int | None = None
    given: Pass | None = None
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend(Operation):
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Operation):
    """A session ended early: by its visitor, the backend or an operator."""

    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Operation):
    """One attempt at a release; those with the same id are one release.

    Attributes:
        request_id: None for a release without a name: each attempt is one of its own.
        by: People asked for. to: Turn asked for.
        people: How many were let in. after: The pointer behind it.
        repeated: Whether the answer says that it had been carried out before.
    """

    request_id: str | None = None
    by: int | None = None
    to: int | None = None
    people: int | None = None
    after: int | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration(Operation):
    """An operator lets the queue start anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing(Operation):
    """An operator closes or deletes the event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count(Operation):
    """The ledger's own count of sessions ever opened in this generation."""

    generation: int
    claims: int


Interval: TypeAlias = tuple[float, float]


@dataclass(slots=True)
class History:
    """Everything that was seen, in the order in which it was noted.

    Attributes:
        faults: Monotonic intervals in which the ledger was not healthy, or not for every gateway.
        unix_minus_monotonic_s: What turns the instants here into the seconds that tokens carry.
    """

    operations: list[Operation] = field(default_factory=list[Operation])
    faults: list[Interval] = field(default_factory=list[Interval])
    unix_minus_monotonic_s: float = 0.0

    def note(self, *operations: Operation) -> None:
        self.operations.extend(operations)

    def events(self) -> list[str]:
        return sorted({operation.event for operation in self.operations})

    def of(self, event: str) -> Iterable[Operation]:
        return (operation for operation in self.operations if operation.event == event)

    def unix(self, monotonic_s: float) -> float:
        return monotonic_s + self.unix_minus_monotonic_s

    def fault_between(self, first_s: float, last_s: float) -> float:
        """Return how many seconds of an interval the ledger was not healthy for."""
        return sum(
            max(min(last_s, ended_s) - max(first_s, began_s), 0.0)
            for began_s, ended_s in merged(self.faults)
        )

    def fresh_before(self, instant_s: float, fresh_s: float) -> float:
        """Return until when everything must be known to whoever is asked at `instant_s`.

        A gateway knows what happened before the latest stretch of health of at least `fresh_s`.
        """
        end_s = instant_s
        for began_s, ended_s in reversed(merged(self.faults)):
            if began_s >= end_s:
                continue
            if end_s - ended_s >= fresh_s:
                break
            end_s = began_s
        return end_s - fresh_s


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Return the same instants as ascending intervals that do not touch."""
    result: list[Interval] = []
    for first, last in sorted(intervals):
        if result and first <= result[-1][1]:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return result
