"""Sessions that visitors' passes prove, for a ledger that may have lost their rows.

A pass needs no ledger, so its bearer goes on booking whatever became of the row that counts the session.
After a loss each gateway tells the ledger of the passes that it is shown, once each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.positions import EventId, Generation, Position

# A genuine pass is needed for each; beyond so many, who is not remembered is noted when shown again.
MOST_SESSIONS = 200_000

# One call of the script; the rest goes with the next read.
MOST_AT_ONCE = 500


@dataclass(slots=True)
class _Shown:
    """What was shown of one event.

    Attributes:
        healed_at_ms: When the event was brought back as of the last telling; 0 before the first.
        ends: The end of each session, Unix seconds, told or not.
        waiting: Those that are not told yet.
    """

    generation: int
    healed_at_ms: int = 0
    ends: dict[Position, int] = field(default_factory=dict[Position, int])
    waiting: set[Position] = field(default_factory=set[Position])


class ShownSessions:
    """The sessions of every event that this process was shown a pass of and the ledger may not know."""

    def __init__(self) -> None:
        self._events: dict[EventId, _Shown] = {}

    def note(
        self, event: EventId, generation: Generation, position: Position, ends_at: int
    ) -> None:
        """Note a genuine pass; noted before, or of an earlier generation, it changes nothing."""
        shown = self._events.get(event)
        if shown is None or generation > shown.generation:
            shown = self._events[event] = _Shown(generation)
        if generation < shown.generation or ends_at <= shown.ends.get(position, 0):
            return
        if len(shown.ends) < MOST_SESSIONS or position in shown.ends:
            shown.ends[position] = ends_at
            shown.waiting.add(position)

    def to_tell(
        self, event: EventId, generation: Generation, healed_at_ms: int, now_s: float
    ) -> Sequence[tuple[Position, int]]:
        """Return what the ledger is to be told now: positions and ends, those told before left out.

        Args:
            healed_at_ms: When the event was last brought back. What was told before that may be lost again.
            now_s: The ledger's wall clock; sessions that have ended are forgotten.
        """
        shown = self._events.get(event)
        if shown is None or shown.generation != generation:
            return ()
        if shown.healed_at_ms != healed_at_ms:
            shown.healed_at_ms, shown.waiting = healed_at_ms, set(shown.ends)
        if not shown.waiting:
            return ()
        shown.ends = {position: end for position, end in shown.ends.items() if end > now_s}
        shown.waiting &= shown.ends.keys()
        return [
            (position, shown.ends[position]) for position in sorted(shown.waiting)[:MOST_AT_ONCE]
        ]

    def told(self, event: EventId, sessions: Sequence[tuple[Position, int]]) -> None:
        """Note that the ledger was told of these, so that they are not told again."""
        shown = self._events.get(event)
        if shown is not None:
            shown.waiting -= {
                position for position, end in sessions if shown.ends.get(position) == end
            }
