"""A whole sale by the release schedule, in virtual time: what it does with the backend's places.

    python -m loadtests.simulated_schedule          the table of README.md
    python -m loadtests.simulated_schedule --lua    the last row by the real scripts, on a real server

200,000 people arrive in bursts; some of those let in never come, the others after a while; sessions are of
all lengths; for some minutes the backend fails. By default the event is a model in Python that decides by
`domain/pacing.py`, to which a test holds the scripts, so that a sale of hours takes seconds.
"""

import argparse
import heapq
import tempfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final, Protocol

from gateway.domain.backoff import REMEMBERED_S, Seen
from gateway.domain.events import Durability, EventPolicy
from gateway.domain.pacing import Moment, Rules, ScheduleState, begin, follow
from gateway.domain.turnout import Turnout
from tests.support.servers import RealServer, valkey_binary
from tests.support.virtual_sale import VirtualSale

STEP_MS: Final = 1000

WARM_UP_S: Final = 300
"""Until then no window has passed: nobody knows yet who comes."""

RECOVERY_S: Final = 120
"""After the backend is well: a minute of growing pace, and one in which those let in come."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One sale.

    Attributes:
        no_show: The part of those let in at a second of the sale who never come.
        middle_s: The mean length of a session; it ends at `session_s` at the latest.
        fails: From and until which second the backend is ill.
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


class Event(Protocol):
    """What a sale needs of an event. Positions are turns here."""

    def pass_ms(self, ms: int) -> None: ...

    def join(self, count: int) -> int: ...

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
        self._rules = Rules(0, 60, scenario.limit, scenario.overshoot)
        self._turnout = Turnout.for_window(scenario.window_s)
        self._state: ScheduleState | None = None
        self._open_ms = self._active_ms = 0
        self._running = True
        self._is_ill = False
        self._issued = self._served = self._claims = 0
        self._released: list[tuple[int, int]] = []
        self._ends: list[tuple[int, int]] = []
        self._seated: set[int] = set()

    def pass_ms(self, ms: int) -> None:
        self._open_ms += ms
        if self._running:
            self._active_ms += ms
        while self._ends and self._ends[0][0] <= self._open_ms:
            self._seated.discard(heapq.heappop(self._ends)[1])
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
        # Its place in the heap stays: the end of who is not there ends nobody.
        self._seated.difference_update(positions)
        self._settle()

    def active(self) -> int:
        return len(self._seated)

    def exposed(self) -> int:
        return len(self._seated) + self._turnout.at_the_door()[0]

    def _follow(self, waiting: int, seen: Seen) -> int:
        soon_ms = self._open_ms + self._turnout.delay_ms
        moment = Moment(
            open_ms=self._open_ms,
            waiting=waiting,
            active=len(self._seated),
            gone=self._claims - len(self._seated),
            # Whoever left early is counted too; the more of those are under way, the more wait shortly.
            ending_soon=bisect_left(self._sorted_ends(), (round(soon_ms), 0)),
            ill_share=1.0 if seen is Seen.ILL else 0.0,
        )
        self._is_ill = seen is Seen.ILL
        self._state, people = follow(
            self._state or begin(moment), self._rules, self._turnout, moment
        )
        self._settle()
        return people

    def _sorted_ends(self) -> list[tuple[int, int]]:
        self._ends = sorted(entry for entry in self._ends if entry[1] in self._seated)
        return self._ends

    def _claim(self, position: int) -> str:
        if position > self._served:
            return "not-yet"
        released_ms = self._released[bisect_left(self._released, (position, 0))][1]
        after_ms = self._active_ms - released_ms
        if after_ms > self._scenario.window_s * 1000:
            return "missed"
        if len(self._seated) >= self._scenario.limit:
            return "full"
        self._claims += 1
        self._seated.add(position)
        heapq.heappush(self._ends, (self._open_ms + self._scenario.session_s * 1000, position))
        self._turnout.note_claimed(position, after_ms)
        self._settle()
        return "seated"

    def _settle(self) -> None:
        self._running = len(self._seated) < self._scenario.limit and not self._is_ill


class LuaEvent:
    """The same by the scripts, on a real server."""

    def __init__(self, server: RealServer, scenario: Scenario) -> None:
        policy = EventPolicy(
            fill=True,
            max_sessions=scenario.limit,
            overshoot=scenario.overshoot,
            window_s=scenario.window_s,
            session_s=scenario.session_s,
            late_for_s=0,
            durability=Durability.MEMORY,
        )
        self._sale = VirtualSale(server, policy)
        self.pass_ms = self._sale.pass_ms
        self.join = self._sale.join
        self.claim = self._sale.claim
        self.leave = self._sale.leave
        self.close = self._sale.close

    def let_in(self, seen: Seen) -> int:
        return self._sale.follow_schedule(seen, gateway="gateway")[1]

    def active(self) -> int:
        return self._sale.read().active_sessions

    def exposed(self) -> int:
        event = self._sale.read()
        return event.active_sessions + (event.turnout.at_the_door()[0] if event.turnout else 0)


@dataclass(slots=True)
class Outcome:
    """What became of a sale.

    Attributes:
        use: The mean share of places in use while somebody waited, after warm-up and without the time
            from the backend's failure to `RECOVERY_S` after it.
        most_active: The most sessions at one time.
        most_exposed: The most who held a session or a turn in an open window, at one time.
        most_turned_away: The most who came at one time and found every place taken.
        took_s: Until the last had been let in.
        back_after_s: After the backend was well, until nine tenths of the places were in use.
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


def arrivals(scenario: Scenario, dice: Random) -> dict[int, int]:
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


def run(scenario: Scenario, event: Event) -> Outcome:
    """Let the sale take its course until everybody who comes has been in."""
    dice, outcome = Random(scenario.seed), Outcome()
    joins = arrivals(scenario, dice)
    last_join_s = max(joins)
    attempts: defaultdict[int, list[int]] = defaultdict(list)
    leaves: defaultdict[int, list[int]] = defaultdict(list)
    under_way = issued = second = 0
    while True:
        event.pass_ms(STEP_MS)
        if joins[second]:
            issued = event.join(joins[second])
        event.leave(*leaves.pop(second, []))
        pointer = event.let_in(_seen(scenario, second))
        outcome.overtaken += int(pointer < outcome.served)
        for turn in range(outcome.served + 1, pointer + 1):
            if dice.random() >= scenario.no_show(second):
                outcome.came += 1
                under_way += 1
                delay_s = dice.gammavariate(2, scenario.delay_s / 2)
                attempts[second + int(min(delay_s, scenario.window_s * 0.9))].append(turn)
        outcome.served = pointer
        outcome.most_exposed = max(outcome.most_exposed, event.exposed())
        coming = sorted(attempts.pop(second, []))
        turned_away = 0
        for turn, answer in zip(coming, event.claim(*coming), strict=True):
            if answer == "full":
                turned_away += 1
                attempts[second + dice.randint(2, 6)].append(turn)
                continue
            under_way -= 1
            outcome.seated += int(answer == "seated")
            outcome.missed += int(answer == "missed")
            outcome.overtaken += int(answer == "not-yet")
            length_s = int(dice.gammavariate(2, scenario.middle_s / 2)) + 1
            if answer == "seated" and length_s < scenario.session_s:
                leaves[second + length_s].append(turn)
        outcome.most_turned_away = max(outcome.most_turned_away, turned_away)
        _look(outcome, scenario, event.active(), second, is_waited_for=pointer < issued)
        second += 1
        if second > last_join_s and pointer == issued:
            outcome.took_s = outcome.took_s or second
            if under_way == 0:
                break
    outcome.use = sum(outcome.shares) / max(len(outcome.shares), 1)
    return outcome


def _seen(scenario: Scenario, second: int) -> Seen:
    # A gateway needs some seconds to see it, either way.
    late_s = REMEMBERED_S / 2
    fails_from, fails_until = scenario.fails
    is_ill = fails_from + late_s <= second < fails_until + late_s
    return Seen.ILL if is_ill and fails_until else Seen.HEALTHY


def _look(
    outcome: Outcome, scenario: Scenario, active: int, second: int, *, is_waited_for: bool
) -> None:
    outcome.most_active = max(outcome.most_active, active)
    share = active / scenario.limit
    fails_from, fails_until = scenario.fails
    if fails_until and outcome.back_after_s is None and second >= fails_until and share >= 0.9:
        outcome.back_after_s = second - fails_until
    is_ill = fails_until > 0 and fails_from <= second < fails_until + RECOVERY_S
    if second >= WARM_UP_S and is_waited_for and not is_ill:
        outcome.shares.append(share)


def changing(second: float) -> float:
    """From nobody to 60 % and back, every half an hour."""
    return 0.6 * (1 - abs(second % 1800 / 900 - 1))


SCENARIOS: Final[Sequence[tuple[str, Scenario]]] = [
    ("everybody comes", Scenario(no_show=lambda _: 0.0)),
    ("20 % do not", Scenario(no_show=lambda _: 0.2)),
    ("40 % do not", Scenario(no_show=lambda _: 0.4)),
    ("60 % do not", Scenario(no_show=lambda _: 0.6)),
    ("0 to 60 %, the backend fails", Scenario(no_show=changing, fails=(2400, 2700))),
]


def _row(name: str, how: str, scenario: Scenario, outcome: Outcome) -> str:
    words = (
        name,
        how,
        f"{outcome.use:.1%}",
        f"{outcome.most_active / scenario.limit:.1%}",
        f"{outcome.most_exposed / scenario.limit:.2f}",
        f"{outcome.most_turned_away:,}",
        f"{outcome.missed:,}",
        f"{outcome.took_s / 60:.0f} min",
    )
    return f"| {' | '.join(words)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lua", action="store_true")
    if parser.parse_args().lua:
        name, scenario = SCENARIOS[-1]
        with tempfile.TemporaryDirectory() as folder:
            server = RealServer(valkey_binary(), Path(folder), {"appendonly": "no"})
            server.start()
            try:
                event = LuaEvent(server, scenario)
                print(_row(name, "the scripts", scenario, run(scenario, event)))
                event.close()
            finally:
                server.kill()
        return
    print(
        "| who comes | released by | places used | most used | with open turns, of the limit | "
        "turned away at once | lost | took |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, scenario in SCENARIOS:
        print(_row(name, "the schedule", scenario, run(scenario, ModelEvent(scenario))))
        batch = round(scenario.limit * 60 / scenario.middle_s)
        fixed = run(scenario, ModelEvent(scenario, batch=batch))
        print(_row(name, f"{batch} a minute", scenario, fixed), flush=True)


if __name__ == "__main__":
    main()
