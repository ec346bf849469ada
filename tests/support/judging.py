"""Judges a history: which guarantees do the answers that clients got contradict?

Pure. Only what cannot be explained is a violation: an operation without an answer may have happened or
not, a position that nobody has may be a gap, and operations that overlap in time may have happened in
either order. Events with a draw or with head starts are not judged: turns are taken for positions.
"""

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import TypeAlias, TypeVar

from tests.support.history import (
    CONFLICT,
    OK,
    Claim,
    Closing,
    Count,
    Extend,
    History,
    Interval,
    Join,
    Leave,
    Look,
    NewGeneration,
    Operation,
    Pass,
    Place,
    Release,
    Request,
    merged,
)

SERVER_ERROR = 500
UNAVAILABLE = 503
TOO_EARLY = 429
GONE = 410
UNAUTHORIZED = 401


class Guarantee(StrEnum):
    """What is promised; a violation is named by it."""

    ONE_HOLDER = "no two visitors of one generation hold the same position"
    ONE_PLACE_PER_KEY = "the same idempotency key gives the same position"
    ORDER = "who joined before another began to join stands before them"
    POINTER_ONLY_GROWS = "the pointer of one gateway never goes back"
    POINTER_IS_FRESH = "what one gateway showed, all show within the freshness bound"
    POINTER_WITHIN_ISSUED = "the pointer never passes issued plus headroom"
    RELEASED_ONCE = "a release asked for once happens once"
    NOBODY_EARLY = "nobody is admitted before a release that reaches their turn was asked for"
    ONE_SESSION = "a position has one session"
    SESSIONS_WITHIN_LIMIT = "active sessions never exceed the event's limit"
    TOKEN_STAYS_GOOD = "a token given out is good while its event lives"
    PASS_STAYS_GOOD = "who was admitted stays admitted until the pass ends"
    OWN_ANSWER = "everybody is answered about their own place"
    ONE_GENERATION = "only an operator's act begins a new generation"
    SERVES_AGAIN = "everything is answered again once all faults are healed"
    NO_BROKEN_ANSWER = "a failure is said in words of our own"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the judge is told of the event and the gateways.

    Attributes:
        fresh_s: How long a gateway may show what is no longer so, while the ledger is healthy.
        max_sessions: 0 for no limit.
        headroom: How far the pointer may run ahead of `issued`.
        session_s: Length of a session; inf where none ends within the history.
        window_s: How long a turn may be claimed, lateness included.
        drift_s: How far two answers about the end of one session may lie apart.
        key_life_s: How long an idempotency key is remembered.
        forgiven: What the fault under test is known to cost.
    """

    fresh_s: float = 1.0
    max_sessions: int = 0
    headroom: int = 0
    session_s: float = math.inf
    window_s: float = math.inf
    drift_s: float = 2.0
    key_life_s: float = 600.0
    forgiven: frozenset[Guarantee] = frozenset()


@dataclass(frozen=True, slots=True)
class Violation:
    guarantee: Guarantee
    what: str
    evidence: tuple[Operation, ...] = ()

    def __str__(self) -> str:
        lines = "".join(f"\n    {operation}" for operation in self.evidence)
        return f"{self.guarantee}: {self.what}{lines}"


def judge(history: History, bounds: Bounds | None = None) -> list[Violation]:
    """Return every guarantee that the history contradicts, with the evidence."""
    bounds = bounds or Bounds()
    return [
        violation
        for event in history.events()
        for check in _CHECKS
        for violation in check(_Case(history, event, bounds))
        if violation.guarantee not in bounds.forgiven
    ]


def report(violations: Sequence[Violation]) -> str:
    """Say how often each guarantee was broken, with the first time that it was."""
    first: dict[Guarantee, Violation] = {}
    times: defaultdict[Guarantee, int] = defaultdict(int)
    for violation in violations:
        first.setdefault(violation.guarantee, violation)
        times[violation.guarantee] += 1
    return "\n".join(f"{times[guarantee]} times, {first[guarantee]}" for guarantee in first)


@dataclass(frozen=True, slots=True)
class _Deal:
    """One position dealt: all attempts with one key are one deal, somewhere between these instants."""

    began_s: float
    ended_s: float
    place: Place
    answer: Operation


@dataclass(frozen=True, slots=True)
class _Sight:
    """A moment at which somebody knew that the queue had come so far: (generation, number)."""

    began_s: float
    ended_s: float
    reached: tuple[int, int]
    answer: Operation


class _Case:
    """One event's part of a history, with what several checks look up."""

    def __init__(self, history: History, event: str, bounds: Bounds) -> None:
        self.history = history
        self.bounds = bounds
        self.operations = list(history.of(event))
        self.joins = self._all(Join)
        self.looks = self._all(Look)
        self.claims = self._all(Claim)
        self.requests = self._all(Request)
        # Whatever may have been taken for a claim, and whatever shows a queue token.
        self.entries: list[Claim | Request] = [*self.claims, *self.requests]
        self.showings: list[Look | Claim | Request] = [*self.looks, *self.entries]
        self.releases = self._all(Release)
        self.deals = _deals(self.joins)
        self.leaves = _by_place(self._all(Leave))
        self.extends = _by_place(self._all(Extend))
        self.people = _People(self)
        self.budget = _Budget(self.releases)

    def _all(self, kind: "type[_Kind]") -> "list[_Kind]":
        found = [operation for operation in self.operations if isinstance(operation, kind)]
        return sorted(found, key=lambda operation: operation.began_s)

    def was_asked_by(self, kind: type[Operation], instant_s: float) -> bool:
        """Whether an act of the operator may have happened by then."""
        return any(act.began_s <= instant_s for act in self._all(kind) if act.status != CONFLICT)

    def left_by(self, place: Place, instant_s: float) -> bool:
        return any(leave.began_s <= instant_s for leave in self.leaves[place])

    def passes(self) -> dict[Place, list[tuple[Claim | Request, Pass]]]:
        """Return the passes given, by place and in the order in which they were asked for."""
        found: defaultdict[Place, list[tuple[Claim | Request, Pass]]] = defaultdict(list)
        for operation in sorted(self.entries, key=lambda operation: operation.began_s):
            if operation.given is not None:
                found[operation.given.place].append((operation, operation.given))
        return found

    def sights(self) -> list[_Sight]:
        """Return every pointer that a gateway showed."""
        found: list[_Sight] = []
        answers: list[Join | Look] = [*self.joins, *self.looks]
        for answer in answers:
            generation = answer.generation if isinstance(answer, Look) else None
            if generation is None and answer.place is not None:
                generation = answer.place.generation
            if generation is not None and answer.served_up_to is not None:
                reached = (generation, answer.served_up_to)
                found.append(_Sight(answer.began_s, answer.ended_s, reached, answer))
        return found


_Kind = TypeVar("_Kind", bound=Operation)
_Placed = TypeVar("_Placed", Leave, Extend)
_Check: TypeAlias = Callable[[_Case], Iterator[Violation]]


def _by_place(operations: "Iterable[_Placed]") -> "defaultdict[Place, list[_Placed]]":
    found: defaultdict[Place, list[_Placed]] = defaultdict(list)
    for operation in operations:
        if operation.status != CONFLICT:
            found[operation.place].append(operation)
    return found


def _deals(joins: Sequence[Join]) -> list[_Deal]:
    first_asked: dict[str, float] = {}
    for join in joins:
        if join.key is not None:
            first_asked.setdefault(join.key, join.began_s)
    found: dict[tuple[object, Place], _Deal] = {}
    for number, join in enumerate(sorted(joins, key=lambda join: join.ended_s)):
        if join.place is None or join.place == join.shown:
            continue
        holder = number if join.key is None else join.key
        began_s = join.began_s if join.key is None else first_asked[join.key]
        found.setdefault((holder, join.place), _Deal(began_s, join.ended_s, join.place, join))
    return list(found.values())


class _People:
    """How many people stand in a part of the queue, at the very least."""

    def __init__(self, case: _Case) -> None:
        self._known = {
            generation: sorted({d.place.position for d in case.deals if d.place[0] == generation})
            for generation in {deal.place.generation for deal in case.deals}
        }
        published: defaultdict[int, set[Interval]] = defaultdict(set)
        self._holes_seen_s: dict[int, float] = {}
        for look in case.looks:
            if look.holes is not None and look.generation is not None:
                published[look.generation] |= {(first, last + 1) for first, last in look.holes}
                self._holes_seen_s[look.generation] = look.began_s
        self._holes = {generation: merged(holes) for generation, holes in published.items()}

    def between(self, generation: int, after: int, through: int, instant_s: float) -> int:
        """Count the people of (after, through] who can have been there at `instant_s`.

        Whoever has a token is one. Where the holes were published later on, whatever lies outside them
        belonged to somebody, with or without an answer: holes are not taken back.
        """
        known = self._known.get(generation, [])
        least = bisect_right(known, through) - bisect_right(known, after)
        if self._holes_seen_s.get(generation, -math.inf) >= instant_s:
            empty = sum(
                max(min(last, through + 1) - max(first, after + 1), 0)
                for first, last in self._holes[generation]
            )
            least = max(least, through - after - int(empty))
        return least


class _Budget:
    """How far all releases that had been asked for by an instant could have moved the pointer."""

    def __init__(self, releases: Sequence[Release]) -> None:
        attempts: defaultdict[object, list[Release]] = defaultdict(list)
        for number, release in enumerate(releases):
            if release.status != CONFLICT:
                name = number if release.request_id is None else release.request_id
                attempts[name].append(release)
        asked = sorted(attempts.values(), key=lambda tries: tries[0].began_s)
        self._began_s = [tries[0].began_s for tries in asked]
        self._people = list(accumulate(map(_people_of, asked)))
        self._to = list(accumulate((tries[0].to or 0 for tries in asked), max))

    def by(self, instant_s: float) -> tuple[int, int]:
        """Return the turn that could be reached directly, and people who could be let in beyond."""
        count = bisect_right(self._began_s, instant_s)
        return (self._to[count - 1], self._people[count - 1]) if count else (0, 0)


def _people_of(tries: Sequence[Release]) -> int:
    if tries[0].by is None:
        return 0
    told = [release.people for release in tries if release.people is not None]
    return max(told) if told else tries[0].by


# --- Positions -----------------------------------------------------------------------------------


def _one_holder(case: _Case) -> Iterator[Violation]:
    holders: dict[Place, _Deal] = {}
    for deal in case.deals:
        other = holders.setdefault(deal.place, deal)
        if other is not deal:
            yield Violation(
                Guarantee.ONE_HOLDER,
                f"two visitors were given {deal.place}",
                (other.answer, deal.answer),
            )


def _one_place_per_key(case: _Case) -> Iterator[Violation]:
    given: dict[tuple[str, int], Join] = {}
    for join in case.joins:
        if join.key is None or join.place is None:
            continue
        first = given.setdefault((join.key, join.place.generation), join)
        remembered = join.ended_s - first.began_s < case.bounds.key_life_s
        if first.place != join.place and remembered:
            yield Violation(
                Guarantee.ONE_PLACE_PER_KEY,
                f"one key gave {first.place} and {join.place}",
                (first, join),
            )


def _order(case: _Case) -> Iterator[Violation]:
    """A deal that began after another's answer, or after a look at `issued`, is above it."""
    # Each as the lowest position that may be given behind it; the same one twice is judged elsewhere.
    given = [_Sight(d.began_s, d.ended_s, (*d.place,), d.answer) for d in case.deals]
    issued = [
        _Sight(look.began_s, look.ended_s, (look.generation, look.issued + 1), look)
        for look in case.looks
        if look.generation is not None and look.issued is not None
    ]
    for earlier, later in _overtaken([*given, *issued], given, lambda began_s: began_s):
        # A new life of the queue begins with 1 again; going back to an old one is judged elsewhere.
        if earlier.reached[0] == later.reached[0]:
            yield Violation(
                Guarantee.ORDER,
                f"{later.reached[1]} was given where {earlier.reached[1]} or more was due",
                (earlier.answer, later.answer),
            )


def _overtaken(
    known: Iterable[_Sight], asked: Iterable[_Sight], known_before: Callable[[float], float]
) -> Iterator[tuple[_Sight, _Sight]]:
    """Find what is lower than something that had ended before it could begin.

    Args:
        known_before: Told when something began; returns what must have ended to count for it.
    """
    ended = sorted(known, key=lambda sight: sight.ended_s)
    ends = [sight.ended_s for sight in ended]
    highest = list(accumulate(ended, _further))
    for sight in asked:
        count = bisect_left(ends, known_before(sight.began_s))
        if count and highest[count - 1].reached > sight.reached:
            yield highest[count - 1], sight


def _further(one: _Sight, other: _Sight) -> _Sight:
    return other if other.reached > one.reached else one


def _own_answer(case: _Case) -> Iterator[Violation]:
    for answer in case.showings:
        asked = answer.shown
        if isinstance(answer, Request) and answer.held is not None:
            asked = answer.held.place
        if asked is None:
            continue
        told: list[object] = []
        if isinstance(answer, Look):
            told += [answer.place] if answer.place is not None else []
        elif answer.given is not None:
            told.append(answer.given.place)
        if any(place != asked for place in told):
            yield Violation(Guarantee.OWN_ANSWER, f"{asked} was told of {told[0]}", (answer,))
        if isinstance(answer, Request) and answer.reached not in (None, asked.position):
            yield Violation(
                Guarantee.OWN_ANSWER,
                f"the backend was told {answer.reached} of {asked}",
                (answer,),
            )


# --- The pointer ---------------------------------------------------------------------------------


def _pointer_only_grows(case: _Case) -> Iterator[Violation]:
    by_gateway: defaultdict[str, list[_Sight]] = defaultdict(list)
    for sight in case.sights():
        by_gateway[sight.answer.gateway].append(sight)
    for name, sights in by_gateway.items():
        for earlier, later in _overtaken(sights, sights, lambda began_s: began_s):
            yield Violation(
                Guarantee.POINTER_ONLY_GROWS,
                f"gateway {name!r} showed {later.reached} after {earlier.reached}",
                (earlier.answer, later.answer),
            )


def _pointer_is_fresh(case: _Case) -> Iterator[Violation]:
    sights = case.sights()
    generations = {sight.reached[0] for sight in sights}
    if len(generations) == 1:
        # A release does not tell of which life it is; there is only one that it can be of.
        (generation,) = generations
        released = [
            _Sight(release.began_s, release.ended_s, (generation, release.after), release)
            for release in case.releases
            if release.after is not None
        ]
    else:
        released = []

    def known_before(began_s: float) -> float:
        return case.history.fresh_before(began_s, case.bounds.fresh_s)

    for earlier, later in _overtaken([*sights, *released], sights, known_before):
        yield Violation(
            Guarantee.POINTER_IS_FRESH,
            f"{later.reached} was shown long after {earlier.reached}",
            (earlier.answer, later.answer),
        )


def _pointer_within_issued(case: _Case) -> Iterator[Violation]:
    for look in case.looks:
        if look.issued is None or look.served_up_to is None:
            continue
        if look.served_up_to > look.issued + case.bounds.headroom:
            yield Violation(
                Guarantee.POINTER_WITHIN_ISSUED,
                f"the pointer is {look.served_up_to}, issued {look.issued}",
                (look,),
            )


def _reaches(case: _Case, generation: int, turn: int, instant_s: float) -> bool:
    """Whether what had been asked for by then could bring the pointer to `turn`."""
    directly, people = case.budget.by(instant_s)
    if turn <= directly:
        return True
    return case.people.between(generation, directly, turn, instant_s) <= people


def _released_once(case: _Case) -> Iterator[Violation]:
    carried_out: dict[str, Release] = {}
    for release in case.releases:
        if release.request_id is None or release.after is None or release.repeated:
            continue
        first = carried_out.setdefault(release.request_id, release)
        if first is not release:
            yield Violation(
                Guarantee.RELEASED_ONCE,
                f"{release.request_id!r} was carried out twice",
                (first, release),
            )
    for sight in case.sights():
        generation, turn = sight.reached
        if not _reaches(case, generation, turn, sight.ended_s):
            yield Violation(
                Guarantee.RELEASED_ONCE,
                f"the pointer {turn} is further than all releases together",
                (sight.answer,),
            )


def _nobody_early(case: _Case) -> Iterator[Violation]:
    for operation in case.entries:
        entered = operation.given.place if operation.given is not None else None
        if isinstance(operation, Request) and operation.reached is not None:
            entered = operation.shown or (operation.held and operation.held.place)
        if entered is None:
            continue
        if not _reaches(case, entered.generation, entered.position, operation.ended_s):
            yield Violation(
                Guarantee.NOBODY_EARLY, f"{entered} was admitted too early", (operation,)
            )


# --- Sessions ------------------------------------------------------------------------------------


def _one_session(case: _Case) -> Iterator[Violation]:
    for place, given in case.passes().items():
        opened = [
            operation
            for operation, _ in given
            if isinstance(operation, Claim) and operation.fresh is True
        ]
        if len(opened) > 1:
            yield Violation(
                Guarantee.ONE_SESSION, f"{place} opened two sessions", (opened[0], opened[1])
            )
        for operation, held in given[1:]:
            if why := _another_session(case, given[0], operation, held):
                yield Violation(Guarantee.ONE_SESSION, f"{place}: {why}", (given[0][0], operation))
    yield from _sessions_counted(case)


def _another_session(
    case: _Case, first: tuple[Operation, Pass], operation: Operation, held: Pass
) -> str | None:
    left = [leave for leave in case.leaves[held.place] if leave.status == OK]
    if any(leave.ended_s < operation.began_s for leave in left):
        return "a session was given to who had left"
    if any(extend.began_s <= operation.ended_s for extend in case.extends[held.place]):
        return None
    # The clock of sessions stands still while the ledger is away.
    drift_s = case.bounds.drift_s + case.history.fault_between(first[0].began_s, operation.ended_s)
    if held.ends_at - first[1].ends_at > drift_s:
        return "the session's end moved, and nobody had lengthened it"
    if case.history.unix(operation.began_s) > first[1].ends_at + drift_s:
        return "a session was given after the first had ended"
    return None


def _sessions_counted(case: _Case) -> Iterator[Violation]:
    for count in case.operations:
        if not isinstance(count, Count):
            continue
        asked = {
            operation.shown
            for operation in case.entries
            if operation.shown is not None
            and operation.shown.generation == count.generation
            and operation.began_s <= count.ended_s
        }
        if count.claims > len(asked):
            yield Violation(
                Guarantee.ONE_SESSION,
                f"{count.claims} sessions were opened for {len(asked)} visitors who asked",
                (count,),
            )


def _sessions_within_limit(case: _Case) -> Iterator[Violation]:
    limit = case.bounds.max_sessions
    if not limit:
        return
    changes: list[tuple[float, int, Operation]] = []
    for place, given in case.passes().items():
        began_s = min(operation.ended_s for operation, _ in given)
        ends_s = max(held.ends_at for _, held in given) - case.history.unix_minus_monotonic_s
        ends_s -= case.bounds.drift_s
        ends_s = min([ends_s, *(leave.began_s for leave in case.leaves[place])])
        if began_s < ends_s:
            changes += [(began_s, 1, given[0][0]), (ends_s, -1, given[0][0])]
    active = 0
    for _, change, operation in sorted(changes, key=lambda change: change[:2]):
        active += change
        if change > 0 and active > limit:
            yield Violation(
                Guarantee.SESSIONS_WITHIN_LIMIT,
                f"{active} sessions where {limit} are allowed",
                (operation,),
            )


# --- Tokens and passes ---------------------------------------------------------------------------


def _token_stays_good(case: _Case) -> Iterator[Violation]:
    for operation in case.showings:
        if operation.shown is None or operation.status is None:
            continue
        is_answered = operation.status in (OK, TOO_EARLY) or operation.status >= SERVER_ERROR
        if is_answered or _may_be_refused(case, operation, operation.shown):
            continue
        yield Violation(
            Guarantee.TOKEN_STAYS_GOOD,
            f"{operation.shown} was refused with {operation.status} {operation.problem}",
            (operation,),
        )
    for join in case.joins:
        if join.shown is None or join.place is None or join.place == join.shown:
            continue
        if not _session_may_be_over(case, join, join.shown) and not case.was_asked_by(
            NewGeneration, join.ended_s
        ):
            yield Violation(
                Guarantee.TOKEN_STAYS_GOOD,
                f"who held {join.shown} and joined again was given {join.place}",
                (join,),
            )


def _may_be_refused(case: _Case, operation: Look | Claim | Request, shown: Place) -> bool:
    if operation.status == UNAUTHORIZED:
        end = operation.expires_at
        return end is not None and case.history.unix(operation.ended_s) >= end
    if operation.status != GONE:
        return False
    renewed = case.was_asked_by(NewGeneration, operation.ended_s)
    match operation.problem:
        case "generation-over":
            return renewed
        case "event-closed":
            return renewed or case.was_asked_by(Closing, operation.ended_s)
        case _:
            return _session_may_be_over(case, operation, shown)


def _session_may_be_over(case: _Case, operation: Operation, place: Place) -> bool:
    """Whether the place had, or may have had, its session, or missed its window."""
    if case.left_by(place, operation.ended_s):
        return True
    late_s = operation.ended_s - case.bounds.session_s + case.bounds.drift_s
    if any(entry.shown == place and entry.began_s <= late_s for entry in case.entries):
        return True
    opening_s = min((release.began_s for release in case.releases), default=math.inf)
    return operation.ended_s - opening_s >= case.bounds.window_s


def _pass_stays_good(case: _Case) -> Iterator[Violation]:
    # A process that has just begun may not have read the event yet, and says so.
    informed: dict[str, float] = {}
    for look in case.looks:
        if look.served_up_to is not None:
            informed.setdefault(look.gateway, look.ended_s)
    for request in case.requests:
        held = request.held
        if held is None or request.status is None or request.reached is not None:
            continue
        if case.history.unix(request.ended_s) >= held.ends_at:
            continue
        if case.left_by(held.place, request.ended_s):
            continue
        if case.was_asked_by(NewGeneration, request.ended_s):
            continue
        if request.status >= SERVER_ERROR and request.status != UNAVAILABLE:
            # Broken, and judged as that.
            continue
        is_new = request.began_s <= informed.get(request.gateway, math.inf)
        if request.status == UNAVAILABLE and is_new:
            continue
        yield Violation(
            Guarantee.PASS_STAYS_GOOD,
            f"the pass of {held.place} was refused with {request.status} {request.problem}",
            (request,),
        )


# --- The event -----------------------------------------------------------------------------------


def _one_generation(case: _Case) -> Iterator[Violation]:
    acts = [act.began_s for act in case.operations if isinstance(act, NewGeneration)]
    seen: set[int] = set()
    for operation in sorted(case.operations, key=lambda operation: operation.ended_s):
        generation = getattr(operation, "generation", None)
        place = getattr(operation, "place", None)
        if generation is None and place is not None:
            generation = place.generation
        if generation is None or generation in seen:
            continue
        seen.add(generation)
        if len(seen) - 1 > sum(began_s <= operation.ended_s for began_s in acts):
            yield Violation(
                Guarantee.ONE_GENERATION,
                f"{sorted(seen)} with {len(acts)} acts of the operator",
                (operation,),
            )


def _serves_again(case: _Case) -> Iterator[Violation]:
    for look in case.looks:
        if look.last and look.status in (None, TOO_EARLY, UNAVAILABLE):
            yield Violation(
                Guarantee.SERVES_AGAIN, f"{look.shown} is answered {look.status}", (look,)
            )
    sights = case.sights()
    for request in case.requests:
        shown = request.shown
        if not request.last or shown is None or request.reached is not None:
            continue
        if request.problem == "backend-full" and case.bounds.max_sessions:
            continue
        if request.status == GONE and _may_be_refused(case, request, shown):
            continue
        if any(s.reached >= tuple(shown) for s in sights if s.ended_s < request.began_s):
            yield Violation(
                Guarantee.SERVES_AGAIN,
                f"{shown} is served and was answered {request.status} {request.problem}",
                (request,),
            )


def _no_broken_answer(case: _Case) -> Iterator[Violation]:
    for operation in case.operations:
        if operation.status is not None and operation.status >= SERVER_ERROR:
            if operation.status == UNAVAILABLE and operation.problem:
                continue
            yield Violation(
                Guarantee.NO_BROKEN_ANSWER, f"{operation.status} was answered", (operation,)
            )


_CHECKS: tuple[_Check, ...] = (
    _one_holder,
    _one_place_per_key,
    _order,
    _own_answer,
    _pointer_only_grows,
    _pointer_is_fresh,
    _pointer_within_issued,
    _released_once,
    _nobody_early,
    _one_session,
    _sessions_within_limit,
    _token_stays_good,
    _pass_stays_good,
    _one_generation,
    _serves_again,
    _no_broken_answer,
)
