"""What an app is told."""

from dataclasses import dataclass
from typing import Literal

from gateway.domain.waiting import Wait

Status = Literal["idle", "joining", "waiting", "turn", "full", "admitted", "over"]
Connection = Literal["push", "poll", "offline"]


@dataclass(frozen=True, slots=True)
class Problem:
    """What stands in the way.

    Attributes:
        type: A problem document's, `not-genuine`, `unreadable` (an answer) or `storage`.
    """

    type: str
    detail: str


@dataclass(frozen=True, slots=True)
class View:
    """Where the visitor stands, as far as this device knows.

    Attributes:
        turn: None before the draw.
        state: The event's.
        wait: The time left as it is to be shown, rounded outwards; None where nobody can tell.
        wait_move: How it came from what was shown before (`shown_wait.Move`).
        earliest_turn_at: When the turn is expected at the earliest: Unix seconds of the device's clock.
        age: Seconds since the document was signed; None while no server has told the time.
        why: Why it is over.
    """

    status: Status
    event: str
    generation: int | None
    position: int | None
    turn: int | None
    ahead: int | None
    served_up_to: int | None
    state: str | None
    message: str
    wait: Wait | None
    wait_move: str | None
    earliest_turn_at: float | None
    age: int | None
    connection: Connection
    token: str | None
    pass_: str | None
    session_ends_at: int | None
    why: str | None
    problem: Problem | None
