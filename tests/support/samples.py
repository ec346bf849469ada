"""Events and samples of them as tests of a sale's course need them: what is not named is nothing."""

from dataclasses import replace

from gateway.domain.events import EventState
from gateway.domain.positions import Generation
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
