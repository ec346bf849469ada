"""What operators look at. Every number is read from the ledger when it is asked for."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.admin.asking import Ask
from gateway.admin.problems import Problem, refuse
from gateway.answers import Answer, json_answer
from gateway.domain.operator_log import verify
from gateway.domain.positions import EventId
from gateway.errors import EventGone, EventHealing, StateLost, UnknownEvent
from gateway.operating.course import course_document, course_of, summary_document
from gateway.operating.documents import status_document
from gateway.operating.log_documents import log_document
from gateway.operating.picture import RATE_S, Picture, Watching
from gateway.operating.sessions import session_document
from gateway.ports import Clock, Ledger

SHORT: Final = (
    "event",
    "state",
    "message",
    "mode",
    "generation",
    "issued",
    "served_up_to",
    "waiting",
    "active_sessions",
    "max_sessions",
    "rate_per_min",
    "updated_at",
)
"""What the list of events says of each; the names are those of `gateway status --json`."""

LEAST_SAMPLES: Final = 2
MOST_ENTRIES: Final = 1000


class Views:
    """Remembers what was seen of the events that are being watched, for their rates."""

    def __init__(self, ledger: Ledger, clock: Clock, modes: Mapping[EventId, str]) -> None:
        self._ledger = ledger
        self._modes = modes
        self._clock = clock
        self._watching: dict[EventId, tuple[Watching, float]] = {}

    async def events(self, _: Ask) -> Answer:
        documents: list[dict[str, Any]] = []
        for event in await self._ledger.events():
            try:
                status = status_document(await self._ledger.read(event), self._modes.get(event))
            except EventGone:
                continue
            except (StateLost, EventHealing) as exc:
                # The others are shown all the same.
                documents.append({"event": event, "error": exc.cause})
            else:
                documents.append({name: status[name] for name in SHORT})
        return json_answer(200, {"events": documents})

    async def event(self, ask: Ask) -> Answer:
        picture = await self._look(ask.incoming.event())
        series: Mapping[str, Any] = {}
        if ask.incoming.query("series") == "1":
            series = {"series": picture.series}
        return json_answer(200, {**picture.document, **series})

    async def log(self, ask: Ask) -> Answer:
        event = ask.incoming.event()
        limit = _limit(ask.incoming.query("limit"))
        held = await self._ledger.operator_log(event)
        document = log_document(event, held, held.entries[-limit:], verify(event, held))
        return json_answer(200, document)

    async def course(self, ask: Ask) -> Answer:
        event = ask.incoming.event()
        generation = (await self._ledger.read(event)).generation
        samples = [s for s in await self._ledger.samples(event) if s.generation == generation]
        if len(samples) < LEAST_SAMPLES:
            return json_answer(200, {"event": event, "summary": None, "course": None})
        course = course_of(samples)
        document = {
            "event": event,
            "summary": summary_document(event, samples, course),
            "course": course_document(course),
        }
        return json_answer(200, document)

    async def session(self, ask: Ask) -> Answer:
        event, position = ask.incoming.event(), ask.incoming.position()
        generation = (await self._ledger.read(event)).generation
        seen = await self._ledger.session(event, generation, position)
        return json_answer(200, session_document(event, generation, position, seen))

    async def _look(self, event: EventId) -> Picture:
        try:
            snapshot = await self._ledger.read(event)
        except (EventGone, UnknownEvent):
            self._watching.pop(event, None)
            raise
        now_s = self._clock.monotonic_s()
        watching, seen_s = self._watching.get(event, (None, now_s))
        if watching is None or now_s - seen_s > RATE_S:
            # Nobody has looked for a while: the samples know better what happened meanwhile.
            watching = Watching(await self._ledger.samples(event), self._modes.get(event))
        self._watching[event] = (watching, now_s)
        return watching.look(snapshot, await self._ledger.gateways(event))


def _limit(text: str) -> int:
    if not text:
        return MOST_ENTRIES
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) > 0):
        refuse(Problem.BAD_INPUT, f"limit must be a whole number from 1 to {MOST_ENTRIES}.")
    return min(int(text), MOST_ENTRIES)
