"""Takes the time of what visitors wait for: a place, and the judgement of a request.

Both are timed where they are decided, so that neither a slow client nor the booking site counts. A request
that is answered from `edge/remembered.py` is not judged, and so costs nothing here.
"""

import time
from collections.abc import Callable
from typing import Final, TypeAlias

from gateway.domain.admission import Refused
from gateway.domain.positions import EventId
from gateway.domain.routes import RouteTable
from gateway.edge.gate import (
    Forward,
    Gate,
    Observed,
    Preflight,
    RequestView,
    TurnedBack,
    Unreadable,
    Untouched,
    Verdict,
)
from gateway.errors import TokenRejected
from gateway.queue import JoinCall, Joined, Room

OnCheck: TypeAlias = Callable[[str, float], None]
"""Told how a judgement ended, of a closed set, and how many seconds it took."""

OnJoin: TypeAlias = Callable[[EventId, str | None, float], None]
"""Told of a join: its event, why it was refused (of a closed set) or None, and its seconds."""

BAD_VOUCHER: Final = "bad-voucher"

_NAMES: Final[dict[type[object], str]] = {
    Untouched: "open",
    Observed: "observed",
    TurnedBack: "refused",
    Preflight: "preflight",
    Unreadable: "unreadable",
}


class TimedGate(Gate):
    """A gate that tells how long its judgements take."""

    def __init__(self, room: Room, routes: RouteTable, on_check: OnCheck) -> None:
        super().__init__(room, routes)
        self._on_check = on_check

    async def judge(self, view: RequestView) -> Verdict:
        began_s = time.perf_counter()
        verdict = await super().judge(view)
        self._on_check(_name_of(verdict), time.perf_counter() - began_s)
        return verdict


class TimedRoom(Room):
    """A room that tells how long its joins take, and why they were refused.

    Attributes:
        on_join: None until somebody listens.
    """

    on_join: OnJoin | None = None

    async def join(self, event: EventId, call: JoinCall) -> Joined | Refused:
        began_s = time.perf_counter()
        try:
            joined = await super().join(event, call)
        except TokenRejected:
            self._tell(event, BAD_VOUCHER, began_s)
            raise
        refused = joined.problem.value if isinstance(joined, Refused) else None
        self._tell(event, refused, began_s)
        return joined

    def _tell(self, event: EventId, refused: str | None, began_s: float) -> None:
        if self.on_join is not None:
            self.on_join(event, refused, time.perf_counter() - began_s)


def _name_of(verdict: Verdict) -> str:
    if isinstance(verdict, Forward):
        if verdict.held is None:
            return "open"
        return "admitted" if verdict.fresh is None else "claimed"
    return _NAMES[type(verdict)]
