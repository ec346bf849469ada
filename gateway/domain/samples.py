"""What is noted of an event every few seconds: how a sale went, for a report and for a view of it.

The numbers are the ledger's own, taken together at one moment; the range of the waiting time is what a
gateway would have told somebody who joined just then.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import Generation
from gateway.domain.waiting import Wait

EVERY_S: Final = 10
"""How far apart two samples are. Nothing is noted of a time in which nothing changed."""

LONGEST_SILENCE_S: Final = 300
"""So often there is a sample even where nothing changed."""


def let_in(snapshot: EventSnapshot) -> int:
    """Count the turns outside holes that the pointer has passed, up to `issued`."""
    return snapshot.holes.occupied_between(0, min(snapshot.served_up_to, snapshot.issued))


def at_the_door(snapshot: EventSnapshot) -> int:
    """Count who was let in, has not come, and is within the claim window; to a sixteenth of it."""
    return 0 if snapshot.turnout is None else snapshot.turnout.at_the_door()[0]


def no_shows(let_in: int, claims: int, late: int, at_the_door: int) -> int:
    """Count who was let in and let the window pass. Who came late after all is still one."""
    return max(let_in - (claims - late) - at_the_door, 0)


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of an event.

    Attributes:
        at_s: Unix seconds of the ledger's wall clock, a multiple of `EVERY_S`.
        let_in: Turns outside holes that the pointer has passed, up to `issued`.
        claims: Sessions opened so far, the late ones among them.
        late: Those of them whose claim window was over.
        at_the_door: How many were let in, have not come, and are within their window; to within a
            sixteenth of it.
        max_sessions: The limit then; 0 for none.
        promised: What somebody who joined then was told; None where no range was known.
        open_ms: The open clock.
    """

    at_s: int
    generation: Generation
    state: EventState
    issued: int
    served_up_to: int
    let_in: int
    waiting: int
    active_sessions: int
    claims: int
    late: int
    at_the_door: int
    max_sessions: int
    promised: Wait | None
    open_ms: int

    @property
    def no_shows(self) -> int:
        return no_shows(self.let_in, self.claims, self.late, self.at_the_door)


@dataclass(frozen=True, slots=True)
class Waited:
    """How long who joined about a sample's time waited, or has waited until now.

    Attributes:
        joined_at_s: Unix seconds.
        seconds: At most; of the open clock, as the promise is.
        least_s: At least: the turn came between two samples.
        promised: What they were told.
        is_over: Whether their turn has come; else they wait on.
    """

    joined_at_s: int
    seconds: float
    least_s: float
    promised: Wait | None
    is_over: bool

    @property
    def is_as_promised(self) -> bool:
        """Whether a range was told and held, as far as two samples can tell."""
        told = self.promised
        return (
            told is not None
            and self.is_over
            and self.least_s <= told.high_s
            and self.seconds >= told.low_s
        )


def waits_had(samples: Sequence[Sample]) -> list[Waited]:
    """Compare what the last who had joined at each sample was told with how it was.

    Positions stand for turns here: a head start or the draw of who came before the opening is left out.

    Args:
        samples: Of one generation, oldest first.
    """
    served = [sample.served_up_to for sample in samples]
    waited: list[Waited] = []
    for sample in samples:
        if sample.served_up_to >= sample.issued:
            continue
        came = bisect_left(served, sample.issued)
        is_over = came < len(samples)
        at_most = samples[came] if is_over else samples[-1]
        at_least = samples[came - 1] if is_over else samples[-1]
        # An open clock that was lost goes on from 0.
        seconds, least_s = (
            max(until.open_ms - sample.open_ms, 0) / 1000 for until in (at_most, at_least)
        )
        waited.append(Waited(sample.at_s, seconds, least_s, sample.promised, is_over))
    return waited


def front_joined_between(
    moments: Sequence[tuple[float, int]], snapshot: EventSnapshot
) -> tuple[float | None, float] | None:
    """Tell when the first who waits has joined, from when their position was dealt.

    Args:
        moments: Unix seconds and `issued` then, of this generation, oldest first.

    Returns:
        After which instant (None: before the first moment) and until which. None where nobody waits, or
        it cannot be told: before the draw, while those drawn are let in, and with too few moments.
    """
    front = snapshot.served_up_to + 1
    for first, last in snapshot.holes.ranges:
        if first <= front <= last:
            front = last + 1
    drawn = snapshot.draw
    if snapshot.waiting == 0 or (
        drawn is not None and (drawn.count is None or front <= drawn.count)
    ):
        return None
    seen = bisect_left(moments, front, key=itemgetter(1))
    if seen == len(moments):
        return None
    return (moments[seen - 1][0] if seen else None), moments[seen][0]
