"""When a change is worth a frame to everybody. Pure: documents and times come in as arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from gateway.pointer import HEARTBEAT_S


class Urgency(IntEnum):
    """How soon those who wait should hear of a change."""

    NONE = 0
    LATER = 1
    AT_ONCE = 2


# These say that somebody's turn has come, or what somebody sees in place of a number. What is not among
# them moves with every join of a stranger behind (`issued`), or with the clock alone (`wait`, `rate`): a
# frame to a hundred thousand for each would drown the release that they wait for.
AT_ONCE: Final = frozenset(
    {"state", "served_up_to", "generation", "message", "draw", "holes", "opens_at", "full"}
)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often frames go out, in seconds.

    Attributes:
        least_s: Between two frames, whatever happens: a burst of releases is one frame.
        leisure_s: How late something may be told that changes nobody's turn.
        heartbeat_s: How long silence lasts; then the last document is repeated.
    """

    least_s: float = 0.25
    leisure_s: float = 5.0
    heartbeat_s: float = HEARTBEAT_S

    def due_at(self, sent_at: float, urgency: Urgency) -> float:
        """Return when to send next, on the clock of `sent_at`, the moment of the last frame."""
        match urgency:
            case Urgency.AT_ONCE:
                return sent_at + self.least_s
            case Urgency.LATER:
                return sent_at + max(self.leisure_s, self.least_s)
            case Urgency.NONE:
                return sent_at + max(self.heartbeat_s, self.least_s)


def urgency_of(told: Mapping[str, Any], now: Mapping[str, Any]) -> Urgency:
    """Compare the document that everybody was told with the present one."""
    if told == now:
        return Urgency.NONE
    if any(told.get(key) != now.get(key) for key in AT_ONCE):
        return Urgency.AT_ONCE
    return Urgency.LATER
