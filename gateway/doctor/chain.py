"""What the checks know of the chain: where to ask, for which page and event, and who is inside."""

import secrets
from dataclasses import dataclass
from enum import Enum, auto
from urllib.parse import urlsplit

from gateway.doctor.wire import Origin, Reply, Wire
from gateway.domain.positions import EventId, is_event_id

BROWSER = (("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"))
PROGRAM = (("Accept", "application/json"),)

_PROBLEM = "application/problem+json"
_TURNED_BACK = frozenset({400, 401, 403, 405, 410, 411, 414, 421, 426, 429, 431, 501, 503, 505})


@dataclass(slots=True)
class Chain:
    """One page of one event, through whatever is in front.

    Attributes:
        wire: To the page. queue: To where `/queue/…` is; the same unless the event has another home.
        target: The page's path and query.
        event: None until it is known.
        is_shown: Whether the page is shown to everybody: then there is nothing to get past.
    """

    wire: Wire
    target: str
    queue: Wire
    event: EventId | None = None
    is_shown: bool = False

    @property
    def asked(self) -> int:
        return self.wire.asked + (0 if self.queue is self.wire else self.queue.asked)

    def queue_path(self, verb: str = "") -> str:
        if self.event is None:
            raise AssertionError("checks of the queue come after the event is known")
        return f"/queue/{self.event}" + (f"/{verb}" if verb else "")


class Kind(Enum):
    """What became of a request for the page."""

    ROOM = auto()
    """Sent to a waiting page."""
    TURNED_BACK = auto()
    SHOWN = auto()
    ELSEWHERE = auto()
    """Sent somewhere that is no waiting page."""
    MISSING = auto()
    BROKEN = auto()


def fresh(target: str) -> str:
    """Return the target with a query that nobody has asked for before."""
    return f"{target}{'&' if '?' in target else '?'}doctor={secrets.token_hex(6)}"


def kind_of(reply: Reply) -> Kind:
    if room_of(reply) is not None:
        return Kind.ROOM
    if reply.field("content-type").startswith(_PROBLEM) or reply.status in _TURNED_BACK:
        return Kind.TURNED_BACK
    if 200 <= reply.status < 300:
        return Kind.SHOWN
    if 300 <= reply.status < 400:
        return Kind.ELSEWHERE
    return Kind.BROKEN if reply.status >= 500 else Kind.MISSING


def room_of(reply: Reply) -> EventId | None:
    """Return whose waiting page an answer leads to."""
    if not 300 <= reply.status < 400:
        return None
    parts = urlsplit(reply.field("location")).path.split("/")
    is_room = len(parts) >= 4 and parts[1] == "queue" and parts[3] == "room"
    return EventId(parts[2]) if is_room and is_event_id(parts[2]) else None


def location_origin(reply: Reply, asked: Origin) -> Origin | None:
    """Return the origin that a redirect names; the asked one where it names none."""
    try:
        parts = urlsplit(reply.field("location"))
        port = parts.port
    except ValueError:
        return None
    if not parts.netloc:
        return asked
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return Origin(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))


def shown(reply: Reply) -> str:
    """Say in short what an answer is."""
    location = reply.field("location")
    where = f" to {location[:120]}" if location else ""
    return f"{reply.status}{where}"
