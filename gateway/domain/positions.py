"""Events, positions, turns and the one comparison that admits."""

import re
from typing import NewType

from gateway.domain.holes import NO_HOLES, Holes
from gateway.errors import BadInput

EventId = NewType("EventId", str)
"""The slug that names one sale with its own queue."""

Position = NewType("Position", int)
"""A place in one event's line. The first visitor holds 1; never reused, never re-assigned."""

Turn = NewType("Turn", int)
"""What is compared with the pointer: the position after the draw and the head start."""

ServedUpTo = NewType("ServedUpTo", int)
"""The last turn let in, inclusive. 0 before the first release; it never moves back."""

Generation = NewType("Generation", int)
"""One life of an event's queue. A reset starts a new one; tokens of the old are told so."""

# Lua numbers are doubles: integers are exact up to here (RFC 8259, section 6 says the same of JSON).
MAX_POSITION = 2**53 - 1

_EVENT_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def is_event_id(text: str) -> bool:
    return _EVENT_ID.fullmatch(text) is not None


def parse_event_id(text: str) -> EventId:
    """Return `text` as an event's name.

    Raises:
        BadInput: It is not a slug of 1 to 63 characters `a-z`, `0-9`, `-`.
    """
    if not is_event_id(text):
        raise BadInput(
            "an event's name is 1 to 63 characters of a-z, 0-9 and '-', and does not start with '-'"
        )
    return EventId(text)


def is_served(turn: Turn, served_up_to: ServedUpTo) -> bool:
    return turn <= served_up_to


def ahead_of(turn: Turn, served_up_to: ServedUpTo, holes: Holes = NO_HOLES) -> int:
    """Count the visitors who are let in before `turn`; 0 when it is next or served.

    Turns inside holes belong to nobody and are not counted.
    """
    return holes.occupied_between(served_up_to, turn - 1)
