"""A whole sale in virtual time, second by second: who is let in when, and what it does with the places.

People arrive as a scenario has it; some of those let in never come, the others after a while; sessions are
of all lengths; for some minutes the backend may fail. Who is let in when is decided by `domain/pacing.py`
and `domain/turnout.py`, to which a test holds the scripts of the ledger, so a sale of hours takes seconds
and goes as it would. The same scenario and seed give the same sale.
"""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from gateway.domain.backoff import REMEMBERED_S, Seen
from gateway.domain.pacing import Moment, Rules, ScheduleState, begin, follow
from gateway.domain.turnout import Turnout

WARM_UP_S: Final = 300
"""Until then no window has passed: nobody knows yet who comes."""

RECOVERY_S: Final = 120
"""After the backend is well: a minute of growing pace, and one in which those let in come."""

LONGEST_STEP_S: Final = 4
"""The ledger takes a longer silence for an outage of its own."""


def in_bursts(scenario: "Scenario", dice: Random) -> dict[int, int]:
    """Return how many join in which second: a rush at the opening, a stream, and bursts in it."""
    joins: defaultdict[int, int] = defaultdict(int)
    rush, stream = scenario.people * 3 // 10, scenario.people * 4 // 10
    span_s = max(scenario.people * 2 // scenario.limit * 10, 60)
    for _ in range(rush):
        joins[int(dice.expovariate(1 / 5))] += 1
    for _ in range(stream):
        joins[dice.randrange(span_s)] += 1
    left = scenario.people - rush - stream
    while left:
        burst = min(left, max(scenario.people // 25, 1))
        joins[dice.randrange(span_s)] += burst
        left -= burst
    return joins


@dataclass(frozen=True, slots=True)
class Scenario:
    """One sale.

    Attributes:
        limit: The most sessions at one time; 0 for none.
        overshoot: As in `Rules`.
        middle_s: The mean length of a session; it ends at `session_s` at the latest.
        delay_s: How long who is let in takes to come, in the mean.
        no_show: The part of those let in at a second of the sale who never come.
        fails: From and until which second the backend is ill.
        rate_people: So many are let in each `rate_every_s`; 0 for as many as there are places.
        seated: Sessions that run when it begins. They end one after the other, within `middle_s`.
        arrive: Tells how many join in which second.
        step_s: How much time passes at once: 1 to `LONGEST_STEP_S`.
    """

    people: int = 200_000
    limit: int = 4_000
    overshoot: int = 8_000
    window_s: int = 120
    session_s: int = 300
    middle_s: float = 150.0
    delay_s: float = 20.0
    no_show: Callable[[float], float] = lambda _: 0.3
    fails: tuple[int, int] = (0, 0)
    seed: int = 1
    rate_people: int = 0
    rate_every_s: int = 60
    seated: int = 0
    arrive: Callable[["Scenario", Random], Mapping[int, int]] = in_bursts
    step_s: int = 1


class Event(Protocol):
    """What a sale needs of an event. Positions are turns here."""

    def pass_ms(self, ms: int) -> None: ...

    def join(self, count: int) -> int:
        """Let so many join; return the last position."""
        ...

    def let_in(self, seen: Seen) -> int:
        """Let in whom the schedule allows; return the pointer."""
        ...

    def claim(self, *positions: int) -> list[str]: ...

    def leave(self, *positions: int) -> None: ...

    def active(self) -> int: ...

    def exposed(self) -> int:
        """Return how many hold a session, or a turn in an open window."""
        ...


class ModelEvent:
    """An event as the scripts keep it; time passes in the steps in which it is called.

    Args:
        batch: So many people every minute, whatever comes, in place of the schedule.
    """

    def __init__(self, scenario: Scenario, *, batch: int = 0) -> None:
        self._scenario = scenario
        self._batch = batch
        self._rules = Rules(
            scenario.rate_people, scenario.rate_every_s, scenario.limit, scenario.overshoot
        )
        self._turnout = Turnout.for_window(scenario.window_s)
        self._state: ScheduleState | None = None
        self._open_ms = self._active_ms = 0
        self._is_ill = False
        self._issued = self._served = self._claims = 0
        self._released: list[tuple[int, int]] = []
        # All sessions are of one length, so they stand in the order in which they end.
        self._ends: deque[tuple[int, list[int]]] = deque()
        self._ending: dict[int, int] = {}
        self._seated: dict[int, int] = {}
        for position in range(0, -scenario.seated, -1):
            self._seat(position)
        self._running = True
        self._settle()

    def pass_ms(self, ms: int) -> None:
        self._open_ms += ms
        if self._running:
            self._active_ms += ms
        while self._ends and self._ends[0][0] <= self._open_ms:
            end_ms, positions = self._ends.popleft()
            del self._ending[end_ms]
            for position in positions:
                self._seated.pop(position, None)
        self._turnout.catch_up(self._active_ms)
        self._settle()

    def join(self, count: int) -> int:
        self._issued += count
        return self._issued

    def let_in(self, seen: Seen) -> int:
        waiting = self._issued - self._served
        if self._batch:
            people = min(self._batch, waiting) if self._open_ms % 60_000 == 0 else 0
        else:
            people = self._follow(waiting, seen)
        if people:
            self._served += people
            self._turnout.note_released(self._served, people)
            self._released.append((self._served, self._active_ms))
        return self._served

    def claim(self, *positions: int) -> list[str]:
        return [self._claim(position) for position in positions]

    def leave(self, *positions: int) -> None:
        for position in positions:
            end_ms = self._seated.pop(position, None)
            if end_ms is not None:
                self._ending[end_ms] -= 1
        self._settle()

    def active(self) -> int:
        return len(self._seated)

    def exposed(self) -> int:
        people = sum(cohort.people - cohort.came for cohort in self._turnout.cohorts)
        return len(self._seated) + people

    def _follow(self, waiting: int, seen: Seen) -> int:
        moment = Moment(
            open_ms=self._open_ms,
            waiting=waiting,
            active=len(self._seated),
            gone=self._claims - len(self._seated),
            # Whoever left early is counted too; the more of those are under way, the more wait shortly.
            ending_soon=self._ending_within(self._turnout.delay_ms),
            ill_share=1.0 if seen is Seen.ILL else 0.0,
        )
        self._is_ill = seen is Seen.ILL
        self._state, people = follow(
            self._state or begin(moment), self._rules, self._turnout, moment
        )
        self._settle()
        return people

    def _ending_within(self, ms: float) -> int:
        ending = 0
        for end_ms, _ in self._ends:
            if end_ms >= round(self._open_ms + ms):
                break
            ending += self._ending[end_ms]
        return ending

    def _claim(self, position: int) -> str:
        if position > self._served:
            return "not-yet"
        released_ms = self._released[bisect_left(self._released, (position, 0))][1]
        after_ms = self._active_ms - released_ms
        if after_ms > self._scenario.window_s * 1000:
            return "missed"
        if self._is_full():
            return "full"
        self._seat(position)
        self._turnout.note_claimed(position, after_ms)
        self._settle()
        return "seated"

    def _seat(self, position: int) -> None:
        end_ms = self._open_ms + self._scenario.session_s * 1000
        if end_ms not in self._ending:
            self._ending[end_ms] = 0
            self._ends.append((end_ms, []))
        self._ends[-1][1].append(position)
        self._ending[end_ms] += 1
        self._seated[position] = end_ms
        self._claims += 1

    def _is_full(self) -> bool:
        return 0 < self._scenario.limit <= len(self._seated)

    def _settle(self) -> None:
        self._running = not self._is_full() and not self._is_ill


@dataclass(frozen=True, slots=True)
class Look:
    """How it stood at the end of a step.

    Attributes:
        exposed: Those with a session, or a turn in an open window, once the schedule had let people in.
        is_ill: Whether the gateways see the backend ill.
    """

    second: int
    issued: int
    served: int
    active: int
    exposed: int
    is_ill: bool


@dataclass(slots=True)
class Outcome:
    """What became of a sale.

    Attributes:
        use: The mean share of places in use while somebody waited, after warm-up and without the time
            from the backend's failure to `RECOVERY_S` after it.
        most_active: The most sessions at one time.
        most_exposed: The most who held a session or a turn in an open window, at one time.
        most_turned_away: The most who came at one time and found every place taken.
        took_s: Until the last had been let in; 0 where that was not awaited.
        back_after_s: After the backend was well, until nine tenths of the places were in use.
        course: Step by step.
    """

    use: float = 0.0
    most_active: int = 0
    most_exposed: int = 0
    most_turned_away: int = 0
    seated: int = 0
    came: int = 0
    missed: int = 0
    overtaken: int = 0
    served: int = 0
    took_s: int = 0
    back_after_s: int | None = None
    shares: list[float] = field(default_factory=list[float])
    course: list[Look] = field(default_factory=list[Look])


def run(
    scenario: Scenario,
    event: Event,
    *,
    longest_s: int | None = None,
    to_the_last_claim: bool = True,
    tell: Callable[[int, int], None] = lambda _second, _served: None,
) -> Outcome:
    """Let the sale take its course until everybody who comes has been in.

    Args:
        longest_s: Gives up after this second.
        to_the_last_claim: Else it is over once the last has been let in.
        tell: Is told the second and the pointer, step by step.
    """
    crowd = _Crowd(scenario)
    outcome, step_s = crowd.outcome, scenario.step_s
    issued = second = 0
    while longest_s is None or second <= longest_s:
        event.pass_ms(step_s * 1000)
        if crowd.joins[second]:
            issued = event.join(crowd.joins[second])
        event.leave(*crowd.leaves.pop(second, []))
        seen = _seen(scenario, second)
        pointer = event.let_in(seen)
        crowd.hear(pointer, second)
        exposed = event.exposed()
        crowd.come(event, second)
        look = Look(second, issued, pointer, event.active(), exposed, seen is Seen.ILL)
        _note(outcome, scenario, look)
        tell(second, pointer)
        second += step_s
        if second > crowd.last_join_s and pointer == issued:
            outcome.took_s = outcome.took_s or second
            if crowd.under_way == 0 or not to_the_last_claim:
                break
    outcome.use = sum(outcome.shares) / max(len(outcome.shares), 1)
    return outcome


class _Crowd:
    """What visitors do: who joins, comes and leaves in which step.

    Attributes:
        under_way: Who was let in, and is going to come.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.outcome = Outcome()
        self.under_way = 0
        self._scenario = scenario
        self._dice = Random(scenario.seed)  # noqa: S311 - the same seed is the same sale
        self.joins: defaultdict[int, int] = defaultdict(int)
        for second, people in scenario.arrive(scenario, self._dice).items():
            self.joins[self._step_of(second)] += people
        self.last_join_s = max(self.joins)
        self._attempts: defaultdict[int, list[int]] = defaultdict(list)
        self.leaves: defaultdict[int, list[int]] = defaultdict(list)
        for index in range(scenario.seated):
            leave_s = scenario.middle_s * (index + 1) / scenario.seated
            if leave_s < scenario.session_s:
                self.leaves[self._step_of(int(leave_s))].append(-index)

    def hear(self, pointer: int, second: int) -> None:
        """Have those up to the pointer set out, or not."""
        scenario, outcome = self._scenario, self.outcome
        outcome.overtaken += int(pointer < outcome.served)
        for turn in range(outcome.served + 1, pointer + 1):
            if self._dice.random() >= scenario.no_show(second):
                outcome.came += 1
                self.under_way += 1
                delay_s = self._dice.gammavariate(2, scenario.delay_s / 2)
                comes_s = second + int(min(delay_s, scenario.window_s * 0.9))
                self._attempts[self._step_of(comes_s)].append(turn)
        outcome.served = pointer

    def come(self, event: Event, second: int) -> None:
        """Have those who arrive claim; who finds no place tries again some seconds later."""
        scenario, outcome = self._scenario, self.outcome
        coming = sorted(self._attempts.pop(second, []))
        turned_away = 0
        for turn, answer in zip(coming, event.claim(*coming), strict=True):
            if answer == "full":
                turned_away += 1
                self._attempts[self._step_of(second + self._dice.randint(2, 6))].append(turn)
                continue
            self.under_way -= 1
            outcome.seated += int(answer == "seated")
            outcome.missed += int(answer == "missed")
            outcome.overtaken += int(answer == "not-yet")
            length_s = int(self._dice.gammavariate(2, scenario.middle_s / 2)) + 1
            if answer == "seated" and length_s < scenario.session_s:
                self.leaves[self._step_of(second + length_s)].append(turn)
        outcome.most_turned_away = max(outcome.most_turned_away, turned_away)

    def _step_of(self, second: int) -> int:
        step_s = self._scenario.step_s
        return -(-second // step_s) * step_s


def _seen(scenario: Scenario, second: int) -> Seen:
    # A gateway needs some seconds to see it, either way.
    late_s = REMEMBERED_S / 2
    fails_from, fails_until = scenario.fails
    is_ill = fails_from + late_s <= second < fails_until + late_s
    return Seen.ILL if is_ill and fails_until else Seen.HEALTHY


def _note(outcome: Outcome, scenario: Scenario, look: Look) -> None:
    outcome.course.append(look)
    outcome.most_active = max(outcome.most_active, look.active)
    outcome.most_exposed = max(outcome.most_exposed, look.exposed)
    if not scenario.limit:
        return
    share = look.active / scenario.limit
    fails_from, fails_until = scenario.fails
    is_back = look.second >= fails_until and share >= 0.9
    if fails_until and outcome.back_after_s is None and is_back:
        outcome.back_after_s = look.second - fails_until
    is_ill = fails_until > 0 and fails_from <= look.second < fails_until + RECOVERY_S
    if look.second >= WARM_UP_S and look.served < look.issued and not is_ill:
        outcome.shares.append(share)
