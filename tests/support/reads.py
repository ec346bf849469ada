"""Reads of an event, as tests need them: what is not named is nothing."""

from dataclasses import replace

from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.positions import EventId, Generation, ServedUpTo


def event(issued: int, served: int, **more: object) -> EventSnapshot:
    snapshot = EventSnapshot(
        event=EventId("sale"),
        state=EventState.OPEN,
        generation=Generation(1),
        issued=issued,
        served_up_to=ServedUpTo(served),
        policy=EventPolicy(),
        active_ms=0,
        active_sessions=0,
        claims=0,
        read_at_s=0.0,
        updated_at_ms=0,
    )
    return replace(snapshot, **more)  # type: ignore[arg-type]
