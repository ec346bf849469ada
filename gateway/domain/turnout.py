"""Who of those let in come, from counts alone.

The ledger counts, in `turnout.lua`; this says the same in Python, for whoever shows or foretells what it
does, and a test holds the two together.

People let in during one slot, a sixteenth of the claim window on the event clock, are a cohort. At each
age, in slots, a part of those who have not come yet comes: its hazard, learnt from the cohorts that have
passed that age (a life table). Ages that none has passed take the hazard of the one before, and the first,
before anything was seen, 1: everybody counts as coming. Who comes after the window is not counted here.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Final

SLOTS: Final = 16

AGES: Final = 17
"""Who was let in late in a slot has a window to late in the sixteenth after it."""

MEMORY: Final = 500
"""People: so many new ones weigh as much as all before them."""

PRIOR: Final = 20
"""People: what is expected before anything was seen weighs as much as so many."""

MOST_DELAYS: Final = 200

_TURNOUT = re.compile(r"(\d+) (\d+) (\d+) (\d+) ([\d.]+) (\d+)\|([\d:,]*)\|([\d:,.]*)", re.ASCII)


@dataclass(slots=True)
class Cohort:
    """People let in during one slot.

    Attributes:
        turn: The pointer after them.
        came_before: Who came before the present slot.
        came: Who came until now.
    """

    slot: int
    turn: int
    people: int
    came_before: int = 0
    came: int = 0


@dataclass(slots=True)
class Age:
    """What was seen of one age: who entered it, and came in it."""

    people: float = 0.0
    came: float = 0.0


def _ages() -> list[Age]:
    return [Age() for _ in range(AGES)]


@dataclass(slots=True)
class Turnout:
    """Who of those let in came, from counts alone.

    Attributes:
        served: The pointer that this speaks for.
        over_to: The turn up to which windows are over.
        width_ms: The length of a slot.
        slot: The latest one.
        delay_ms: The mean time from a turn to its claim, of the last `delays` claims or so.
        cohorts: Those whose window is open, the latest last.
        ages: What was seen, by age.
    """

    width_ms: int
    slot: int = 0
    served: int = 0
    over_to: int = 0
    delay_ms: float = 0.0
    delays: int = 0
    cohorts: list[Cohort] = field(default_factory=list[Cohort])
    ages: list[Age] = field(default_factory=_ages)

    @classmethod
    def for_window(cls, window_s: int) -> "Turnout":
        return cls(max(math.ceil(window_s * 1000 / SLOTS), 1))

    @classmethod
    def parse(cls, text: str) -> "Turnout | None":
        """Read what the ledger keeps; None where it keeps nothing that can be read."""
        match = _TURNOUT.fullmatch(text)
        if match is None:
            return None
        served, over_to, width_ms, slot, delay_ms, delays, cohorts, ages = match.groups()
        try:
            turnout = cls(
                int(width_ms),
                int(slot),
                int(served),
                int(over_to),
                float(delay_ms),
                int(delays),
                [Cohort(*map(int, words.split(":"))) for words in cohorts.split(",") if words],
                [Age(*map(float, words.split(":"))) for words in ages.split(",")],
            )
        except (ValueError, TypeError):
            return None
        return turnout if turnout._makes_sense() else None

    def _makes_sense(self) -> bool:
        return (
            self.width_ms > 0
            and len(self.ages) == AGES
            and all(
                0 <= self.slot - cohort.slot < AGES
                and cohort.came_before <= cohort.came <= cohort.people
                for cohort in self.cohorts
            )
        )

    def format(self) -> str:
        """Write it as the ledger does."""
        cohorts = ",".join(
            f"{cohort.slot}:{cohort.turn}:{cohort.people}:{cohort.came_before}:{cohort.came}"
            for cohort in self.cohorts
        )
        ages = ",".join(f"{age.people:.3f}:{age.came:.3f}" for age in self.ages)
        head = f"{self.served} {self.over_to} {self.width_ms} {self.slot} {self.delay_ms:.3f} "
        return f"{head}{self.delays}|{cohorts}|{ages}"

    def catch_up(self, active_ms: int) -> None:
        """Bring it to the slot of the event clock."""
        slot = active_ms // self.width_ms
        if self.slot > slot:
            # The event clock was lost: on the new one, all that is open begins now.
            for cohort in self.cohorts:
                cohort.slot = slot
        while self.slot < slot and self.cohorts:
            self._pass_slot()
        self.slot = slot

    def note_released(self, turn: int, people: int) -> None:
        """Add people let in up to `turn` in the present slot."""
        if self.cohorts and self.cohorts[-1].slot == self.slot:
            self.cohorts[-1].turn = turn
            self.cohorts[-1].people += people
        else:
            self.cohorts.append(Cohort(self.slot, turn, people))
        self.served = turn

    def note_claimed(self, turn: int, after_ms: int) -> None:
        """Count one who came within the window, so long after the turn had come."""
        cohort = next((cohort for cohort in self.cohorts if turn <= cohort.turn), None)
        if cohort is None or turn <= self.over_to:
            return
        cohort.came = min(cohort.came + 1, cohort.people)
        self.delays = min(self.delays + 1, MOST_DELAYS)
        self.delay_ms += (after_ms - self.delay_ms) / self.delays

    def chances(self) -> list[float]:
        """Return for each age the chance that who has not come still comes in the window."""
        expected = 1.0
        hazards: list[float] = []
        for age in self.ages:
            expected = min((age.came + PRIOR * expected) / (age.people + PRIOR), 1.0)
            hazards.append(expected)
        stays = 1.0
        chances: list[float] = []
        for hazard in reversed(hazards):
            stays *= 1 - hazard
            chances.append(1 - stays)
        chances.reverse()
        return chances

    def show_rate(self) -> float | None:
        """Return the part of those let in that comes; None before anything was seen."""
        return self.chances()[0] if self.ages[-1].people > 0 else None

    def at_the_door(self) -> tuple[int, float]:
        """Return how many hold a turn in an open window and have not come, and how many will."""
        chances = self.chances()
        people, will_come = 0, 0.0
        for cohort in self.cohorts:
            missing = cohort.people - cohort.came
            people += missing
            will_come += missing * chances[self.slot - cohort.slot]
        return people, will_come

    def _pass_slot(self) -> None:
        kept_open: list[Cohort] = []
        for cohort in self.cohorts:
            age = self.ages[self.slot - cohort.slot]
            entered = cohort.people - cohort.came_before
            kept = MEMORY / (MEMORY + entered)
            age.people = age.people * kept + entered
            age.came = age.came * kept + cohort.came - cohort.came_before
            cohort.came_before = cohort.came
            if self.slot + 1 - cohort.slot < AGES:
                kept_open.append(cohort)
            else:
                self.over_to = cohort.turn
        self.cohorts = kept_open
        self.slot += 1
