"""The use cases: join, see one's standing, claim, extend, refresh, leave, hand over.

Each fetches, decides and acts, and returns a value for everything that was to be expected: a refusal
is a value, an exception is somebody's mistake.
"""

from gateway.queue.desk import outcome_of
from gateway.queue.diagnoses import DIAGNOSIS_LIFE_S, Diagnoses, diagnosis_name
from gateway.queue.handovers import HANDOVER_LIFE_S, Handovers
from gateway.queue.places import Places
from gateway.queue.results import (
    JoinCall,
    Joined,
    Left,
    NoMoreExtensions,
    Passed,
    Refreshed,
    Standing,
    Ticket,
)
from gateway.queue.sessions import FULL_RETRY_S, Sessions

__all__ = [
    "DIAGNOSIS_LIFE_S",
    "FULL_RETRY_S",
    "HANDOVER_LIFE_S",
    "JoinCall",
    "Joined",
    "Left",
    "NoMoreExtensions",
    "Passed",
    "Refreshed",
    "Room",
    "Standing",
    "Ticket",
    "diagnosis_name",
    "outcome_of",
]


class Room(Places, Sessions, Handovers, Diagnoses):
    """All use cases, on one set of ports."""
