"""What a release does to the people let in and to the backend, and when to ask before one. Pure.

Whatever lets people in by hand asks `unusual` first. Each question costs attention, and questions that are
always answered yes are no longer read. So a release is asked about where a digit too many, a forgotten
limit or an ill backend would show, and never for its size alone. No reason are: a turn in a hole (the
pointer crosses it for free), a schedule beside it (the two add up, and both are counted below), the very
first release (nothing to compare it with), and an event that is not open (the ledger refuses).
"""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from gateway.domain.backoff import RECOVERY_MS
from gateway.domain.events import AS_MANY_AGAIN, NO_LIMIT, EventPolicy, EventSnapshot
from gateway.domain.pacing import ScheduleState
from gateway.domain.waiting import release_rate_per_s
from gateway.operating.durations import describe_duration
from gateway.ports import Released

# A slip of a finger adds a digit.
SLIP_FACTOR: Final = 10

# Asking for far more than wait does no harm while few wait, since nobody else is let in.
SLIP_FROM: Final = 1000

# Fewer people do no harm worth a question, whatever was usual or fits.
CROWD: Final = 100

# With an ill backend less is a crowd; and a few are how one finds out whether it is well again.
CROWD_WHILE_ILL: Final = 10

LEAST_UNUSUAL: Final = CROWD_WHILE_ILL
"""Asking for fewer is never out of the ordinary: nothing needs to be read or tried to know it."""

# A habit needs more than a trial or two: so many releases, of so many people together.
HABIT_RELEASES: Final = 3
HABIT_PEOPLE: Final = CROWD

# What the schedule last said of the backend counts for so long; with no gateway running it is not renewed.
SCHEDULE_FRESH_MS: Final = 30_000


class Unusual(StrEnum):
    """Why a release is asked about; programs read the value."""

    BEYOND_WAITING = "beyond-waiting"
    BEYOND_ROOM = "beyond-room"
    BEYOND_HABIT = "beyond-habit"
    BACKEND_ILL = "backend-ill"


@dataclass(frozen=True, slots=True)
class Reason:
    """Something out of the ordinary, for programs and, as a sentence, for people."""

    code: Unusual
    text: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What a release does, by the numbers as they stood just before it.

    Sessions *at most* are those that run, once everybody whose window is open has come and none has ended;
    those *expected* go by the show rate. Who comes after the window is in neither.

    Attributes:
        people: Let in; turns in holes are not counted.
        not_joined: How many of them have not joined yet (headroom).
        holes_crossed: Turns that belong to nobody.
        show_rate: The part of those let in that came so far; None before anything was seen, when all
            count as coming.
        expected: How many of `people` will come.
        claim_window_s: How long they may take, counted while claims can be served.
        sessions: Those that run.
        at_the_door: Let in before, in their window, not come yet.
        max_sessions: None for no limit.
        wait_at_most: How many may find no place free, should everybody come at once; they wait at the
            door, and their windows stand still.
        wait_expected: The same of those expected.
        frees_per_min: Places that become free each minute while all are taken; None for no limit.
        wait_s: How long the last of `wait_expected` waits, about; None for no limit.
        rate_per_min: People let in a minute lately; None without a history.
        usual_min: How many minutes that rate takes for as many.
        largest: The largest release in the history; None where there is no habit yet.
    """

    people: int
    not_joined: int
    holes_crossed: int
    show_rate: float | None
    expected: int
    claim_window_s: int
    sessions: int
    at_the_door: int
    sessions_expected: int
    sessions_at_most: int
    max_sessions: int | None
    wait_expected: int
    wait_at_most: int
    frees_per_min: float | None
    wait_s: int | None
    rate_per_min: float | None
    usual_min: float | None
    largest: int | None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def effects_of(snapshot: EventSnapshot, released: Released) -> Effects:
    """Return what `released`, done or only tried, means for an event as it was just before."""
    policy, turnout = snapshot.policy, snapshot.turnout
    show_rate = None if turnout is None else turnout.show_rate()
    at_the_door, door_expected = (0, 0.0) if turnout is None else turnout.at_the_door()
    expected = released.people * (1.0 if show_rate is None else show_rate)
    taken = snapshot.active_sessions
    sessions_expected = round(taken + door_expected + expected)
    sessions_at_most = taken + at_the_door + released.people
    limit = None if policy.max_sessions == NO_LIMIT else policy.max_sessions
    frees_per_s = _frees_per_s(snapshot)
    wait_expected = 0 if limit is None else max(sessions_expected - limit, 0)
    rate_per_s = release_rate_per_s(snapshot)
    return Effects(
        people=released.people,
        not_joined=max(released.after - max(released.before, snapshot.issued), 0),
        holes_crossed=released.after - released.before - released.people,
        show_rate=None if show_rate is None else round(show_rate, 3),
        expected=round(expected),
        claim_window_s=policy.window_s,
        sessions=taken,
        at_the_door=at_the_door,
        sessions_expected=sessions_expected,
        sessions_at_most=sessions_at_most,
        max_sessions=limit,
        wait_expected=wait_expected,
        wait_at_most=0 if limit is None else max(sessions_at_most - limit, 0),
        frees_per_min=None if frees_per_s is None else round(frees_per_s * 60, 1),
        wait_s=None if frees_per_s is None else math.ceil(wait_expected / frees_per_s),
        rate_per_min=None if rate_per_s is None else round(rate_per_s * 60, 1),
        usual_min=None if rate_per_s is None else round(released.people / rate_per_s / 60, 1),
        largest=_largest_lately(snapshot),
    )


def amount_asked(snapshot: EventSnapshot, by: int | None, to: int | None) -> int:
    """Return how many people are asked for, or how many turns lie up to the one named."""
    return by if by is not None else (to or 0) - snapshot.served_up_to


def unusual(
    snapshot: EventSnapshot, effects: Effects, *, by: int | None, to: int | None
) -> tuple[Reason, ...]:
    """Return what is out of the ordinary about a release before it is carried out; mostly nothing.

    Args:
        effects: Those of the release as it was tried.
        by, to: What is asked for: so many people, or everyone up to a turn.
    """
    checks = (
        _beyond_waiting(snapshot, amount_asked(snapshot, by, to)),
        _beyond_room(snapshot.policy, effects),
        _beyond_habit(snapshot.policy, effects),
        _while_ill(snapshot, effects),
    )
    return tuple(reason for reason in checks if reason is not None)


def question(snapshot: EventSnapshot, effects: Effects, reasons: tuple[Reason, ...]) -> str:
    """Ask whether to go on, for `reasons`, naming what it would do in a line or two."""
    why = "; ".join(reason.text for reason in reasons)
    limit = "" if effects.max_sessions is None else f" of {effects.max_sessions}"
    return (
        f"At {snapshot.event!r} {why}.\nReally let in {people(effects.people)}, who can claim for "
        f"{describe_duration(effects.claim_window_s)}: {effects.sessions} sessions run now, about "
        f"{effects.sessions_expected}{limit} then?"
    )


def _beyond_waiting(snapshot: EventSnapshot, asked: int) -> Reason | None:
    """More may join before it is carried out, and all of them would be let in."""
    waiting = snapshot.waiting
    if asked < SLIP_FROM or asked <= SLIP_FACTOR * waiting:
        return None
    wait = "1 person waits" if waiting == 1 else f"{waiting} people wait"
    return Reason(Unusual.BEYOND_WAITING, f"{wait}, and it asks for {asked}")


def _beyond_room(policy: EventPolicy, effects: Effects) -> Reason | None:
    """What the schedule would never do: more at the door than the overshoot allows."""
    if effects.max_sessions is None or effects.people < CROWD:
        return None
    limit = effects.max_sessions
    overshoot = limit if policy.overshoot == AS_MANY_AGAIN else policy.overshoot
    if effects.sessions_expected <= limit + overshoot:
        return None
    return Reason(
        Unusual.BEYOND_ROOM,
        f"about {people(effects.wait_expected)} would find none of the {limit} places free and "
        f"wait at the door, the last for about {describe_duration(effects.wait_s or 0)}",
    )


def _beyond_habit(policy: EventPolicy, effects: Effects) -> Reason | None:
    """Compare with the largest release, and a minute of what lets people in steadily."""
    by_the_clock = policy.schedule_people * 60 / policy.schedule_every_s
    if effects.people < CROWD or (effects.largest is None and not by_the_clock):
        return None
    usual = max(effects.largest or 0, by_the_clock, effects.rate_per_min or 0)
    if effects.people <= SLIP_FACTOR * usual:
        return None
    return Reason(
        Unusual.BEYOND_HABIT,
        f"{effects.people} people are more than {SLIP_FACTOR} times as many as were let in at one time, "
        f"or in a minute, so far ({usual:.0f})",
    )


def _while_ill(snapshot: EventSnapshot, effects: Effects) -> Reason | None:
    state = snapshot.schedule
    if effects.people < CROWD_WHILE_ILL or state is None or not _is_fresh(snapshot, state):
        return None
    if state.reason == "ill":
        return Reason(Unusual.BACKEND_ILL, "the backend is ill, and the schedule lets nobody in")
    if state.pace_ms < RECOVERY_MS and effects.people >= CROWD:
        return Reason(
            Unusual.BACKEND_ILL,
            f"the backend was ill, and the schedule spares it ({state.pace_ms / RECOVERY_MS:.0%} pace)",
        )
    return None


def _is_fresh(snapshot: EventSnapshot, state: ScheduleState) -> bool:
    """Whether the schedule is in force, and some gateway called it a moment ago."""
    age_ms = snapshot.open_ms - state.at_open_ms
    return snapshot.policy.has_schedule and age_ms <= SCHEDULE_FRESH_MS


def _frees_per_s(snapshot: EventSnapshot) -> float | None:
    """Return how many places a second become free while all are taken, about.

    With all taken and each kept to its end, Little's law says so: the limit over a session's length.
    Where the schedule has lately seen more end, people leave early.
    """
    policy, state = snapshot.policy, snapshot.schedule
    if policy.max_sessions == NO_LIMIT:
        return None
    kept_to_the_end = policy.max_sessions / policy.session_s
    if state is None or not _is_fresh(snapshot, state):
        return kept_to_the_end
    return max(kept_to_the_end, state.gone_per_s)


def _largest_lately(snapshot: EventSnapshot) -> int | None:
    history = snapshot.history
    if sum(entry.movements for entry in history) < HABIT_RELEASES:
        return None
    if sum(entry.people for entry in history) < HABIT_PEOPLE:
        return None
    return max(entry.people for entry in history)


def people(count: int) -> str:
    """Count people in words."""
    return "1 person" if count == 1 else f"{count} people"
