"""One release trace replayed: what a gateway would have read of the event at any time."""

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable

from gateway.domain.events import EventPolicy, EventSnapshot, EventState, LetIn, Release
from gateway.domain.positions import EventId, Generation, ServedUpTo
from loadtests.release_traces import Kind

MAX_HISTORY = 120
MAX_RELEASES = 128


class LedgerHistory:
    """The history of releases as `release.lua` keeps it; a test holds the two together."""

    def __init__(self) -> None:
        self._entries: list[list[int]] = []

    @property
    def entries(self) -> tuple[LetIn, ...]:
        return tuple(LetIn(*entry) for entry in self._entries)

    def note(self, open_s: int, people: int) -> None:
        entries = self._entries
        if entries and entries[-1][0] == open_s:
            entries[-1][1] += people
            return
        entries.append([open_s, people, 1])
        if len(entries) > MAX_HISTORY:
            closest = min(
                range(1, len(entries) - 1),
                key=lambda i: (
                    (entries[i + 1][0] - entries[i - 1][0]) / (open_s - entries[i - 1][0])
                ),
            )
            _, people, movements = entries.pop(closest)
            entries[closest][1] += people
            entries[closest][2] += movements


class ReplayedSale:
    """An event that is released as one trace has it; the open clock and the event clock are one here."""

    def __init__(self, kind: Kind, rng: random.Random) -> None:
        self._trace = kind.begin(rng)
        self._at_s: list[float] = []
        self._served: list[int] = []
        self._noted = 0
        self._history = LedgerHistory()
        self._releases: list[Release] = []

    def served_by(self, at_s: float) -> int:
        """Return the pointer as it stands at `at_s`."""
        moved = self._movements_by(at_s)
        return self._served[moved - 1] if moved else 0

    def turn_comes(self, turn: int) -> float:
        """Return when the pointer reaches `turn`."""
        self._play_until(lambda: self._served[-1] >= turn)
        return self._at_s[bisect_left(self._served, turn)]

    def read(self, at_s: float) -> EventSnapshot:
        """Return what is read at `at_s`; from one call to the next that must not fall."""
        moved = self._movements_by(at_s)
        for index in range(self._noted, moved):
            self._note(index)
        self._noted = max(moved, self._noted)
        served = self.served_by(at_s)
        return EventSnapshot(
            event=EventId("sale"),
            state=EventState.OPEN,
            generation=Generation(1),
            issued=served + 10**9,
            served_up_to=ServedUpTo(served),
            policy=EventPolicy(),
            active_ms=int(at_s * 1000),
            active_sessions=0,
            claims=0,
            read_at_s=at_s,
            updated_at_ms=0,
            releases=tuple(self._releases),
            open_ms=int(at_s * 1000),
            history=self._history.entries,
        )

    def _movements_by(self, at_s: float) -> int:
        self._play_until(lambda: self._at_s[-1] > at_s)
        return bisect_right(self._at_s, at_s)

    def _play_until(self, far_enough: Callable[[], bool]) -> None:
        while not self._at_s or not far_enough():
            gap_s, people = next(self._trace)
            last_s, served = (self._at_s[-1], self._served[-1]) if self._at_s else (0.0, 0)
            self._at_s.append(last_s + gap_s)
            self._served.append(served + people)

    def _note(self, index: int) -> None:
        at_s, turn = self._at_s[index], self._served[index]
        people = turn - (self._served[index - 1] if index else 0)
        if people == 0:
            return
        self._history.note(int(at_s), people)
        if self._releases and self._releases[-1].active_ms // 1000 == int(at_s):
            people += self._releases.pop().people
        self._releases.append(Release(turn, int(at_s * 1000), people))
        del self._releases[:-MAX_RELEASES]
