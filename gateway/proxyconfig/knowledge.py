"""What a proxy must know to verify passes: from the settings, and from the ledger."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.domain.claims import PASS_TYP, QUEUE_TYP
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.errors import BadInput
from gateway.settings import OBSERVE, Settings
from gateway.tokens.compact import write_header
from gateway.tokens.keys import PublicKey

# What stands for itself in JSON and between a configuration's quotes, and so needs no escape in either.
_PLAIN_ISSUER: Final = re.compile(r"[A-Za-z0-9._~:/@ -]+")


NEVER: Final = 0
"""Until when what was told holds, before a sync has said more: nothing is verified."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The event whose passes are verified.

    Attributes:
        hosts: Names that are this event's alone, lower case.
        issuer: What `iss` must say.
    """

    event: EventId
    hosts: tuple[str, ...]
    issuer: str


def subject_of(settings: Settings, event: EventId) -> Subject:
    """Return what the settings say of an event whose passes a proxy is to verify.

    Raises:
        BadInput: There is no such event in the settings, or no proxy can tell which requests are its own.
    """
    route = settings.routes().find(event)
    if route is None:
        raise BadInput(f"the settings have no [events.{event}]; add it with the event's hosts")
    if settings.events[event].mode == OBSERVE:
        raise BadInput(f"event {event!r} only observes; set its mode to enforce first")
    if "*" in route.hosts:
        raise BadInput(
            f"event {event!r} covers every host; name its hosts for a proxy to know them"
        )
    for other in settings.routes().routes:
        shared = set(route.hosts).intersection(other.hosts)
        if other.event != event and shared:
            raise BadInput(
                f"{min(shared)!r} belongs to event {other.event!r} too, by its paths, which proxies read "
                "in other ways than we; give each event a host of its own"
            )
    issuer = settings.keys.issuer
    if _PLAIN_ISSUER.fullmatch(issuer) is None:
        raise BadInput(
            "[keys] issuer may have letters, digits, spaces and ._~:/@- for a proxy to check it"
        )
    return Subject(event, route.hosts, issuer)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What one good read of the ledger, and of the keys, lets a proxy decide by itself.

    Attributes:
        generation: Passes of this life of the queue count; 0 for none at all.
        ended: Positions whose session was ended early, with the Unix second their pass dies.
        clock_ahead_s: Whole seconds to add to this machine's clock, see `steady_ahead_s`.
    """

    generation: int
    ended: Mapping[int, int]
    keys: Mapping[str, PublicKey]
    clock_ahead_s: int = 0

    @classmethod
    def of(
        cls, snapshot: EventSnapshot, keys: Mapping[str, PublicKey], *, clock_ahead_s: int
    ) -> "Knowledge":
        over = snapshot.state is EventState.DELETED
        return cls(
            generation=0 if over else snapshot.generation,
            ended={int(position): end for position, end in snapshot.ended.items()},
            keys=keys,
            clock_ahead_s=clock_ahead_s,
        )


def steady_ahead_s(measured_s: float, before_s: int | None) -> int:
    """Return how far the ledger's clock is ahead of this machine's, in whole seconds and never too few.

    Where it is too much, a pass ends here a moment early, and the gateway is asked. What was said before
    stays while it is right to two seconds: a measurement trembles, and each change is told to the proxy.
    """
    if before_s is not None and measured_s <= before_s < measured_s + 2:
        return before_s
    return math.ceil(measured_s)


def pass_head(kid: str) -> str:
    """Return the first segment of every pass that key `kid` signed, as our signer writes it."""
    return write_header(kid, PASS_TYP).decode("ascii")


def place_head(kid: str) -> str:
    """Return the same of queue tokens."""
    return write_header(kid, QUEUE_TYP).decode("ascii")
