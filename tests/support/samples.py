"""Events and samples of them as tests of a sale's course need them: what is not named is nothing."""

from dataclasses import replace

from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.positions import EventId, Generation, ServedUpTo
from gateway.domain.samples import Sample

EMPTY = Sample(
    at_s=0,
    generation=Generation(1),
    state=EventState.OPEN,
    issued=0,
    served_up_to=0,
    let_in=0,
    waiting=0,
    active_sessions=0,
    claims=0,
    late=0,
    at_the_door=0,
    max_sessions=0,
    promised=None,
    open_ms=0,
)


def sample(at_s: int, issued: int, served: int, **more: object) -> Sample:
    moment = replace(
        EMPTY,
        at_s=at_s,
        issued=issued,
        served_up_to=served,
        let_in=min(issued, served),
        waiting=max(issued - served, 0),
        open_ms=at_s * 1000,
    )
    return replace(moment, **more)  # type: ignore[arg-type]


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
