"""What can be looked up: the events, their logs, how they stood, who reads them, what proves them."""

# redis-py types its commands in part only; what they answer is parsed in records.py.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

import contextlib
from collections.abc import Sequence
from functools import partial

from gateway.domain.operator_log import Logged, OperatorLog
from gateway.domain.positions import EventId, is_event_id
from gateway.domain.samples import EVERY_S, LONGEST_SILENCE_S, Sample
from gateway.domain.waiting import Wait
from gateway.errors import StateLost, UnknownEvent
from gateway.ledger import keyspace, records
from gateway.ledger.operations.base import Operations
from gateway.ports import Evidence, GatewaysSeen

# A day of samples, some 100 bytes each.
MOST_SAMPLES = 8_640

# How many entries of an operator log are read at once.
LOG_PAGE = 1_000


class Lookups(Operations):
    """What is known of events, as they are and as they were."""

    async def events(self) -> Sequence[EventId]:
        names = await self._runner.sender.call(
            "index", lambda: self.redis.smembers(keyspace.INDEX), may_repeat=True
        )
        return sorted(EventId(name) for name in names if is_event_id(name))

    async def operator_log(self, event: EventId) -> OperatorLog:
        """Read the whole operator log, also of an event that is deleted or lost.

        Raises:
            UnknownEvent: There is neither a log nor an event.
        """
        # The head first: what is appended meanwhile is then in the log, and nothing seems to be missing.
        state, name = keyspace.key(event, "state"), keyspace.log(event)
        held: str | None = None
        with contextlib.suppress(StateLost):  # of a wrong type
            held = await self._runner.sender.call(
                "log", lambda: self.redis.hget(state, "log_head"), may_repeat=True
            )
        entries: list[Logged] = []
        since = "-"
        while page := await self._runner.sender.call(
            "log",
            partial(self.redis.xrange, name, min=since, max="+", count=LOG_PAGE),
            may_repeat=True,
        ):
            entries += [Logged(kept.get("entry", ""), kept.get("hash", "")) for _, kept in page]
            since = f"({page[-1][0]}"
        if not entries and held is None and event not in await self.events():
            raise UnknownEvent(event)
        return OperatorLog(records.parse_log_head(held), entries)

    async def sample(self, event: EventId, promised: Wait | None) -> Sample | None:
        """Note how the event stands, unless somebody has in this interval; return the newest note.

        Args:
            promised: What somebody who joins now is told of the waiting time.
        """
        reply = await self._runner.run_event(
            "sample",
            event,
            [keyspace.samples(event)],
            [
                str(EVERY_S * 1000),
                str(LONGEST_SILENCE_S * 1000),
                str(MOST_SAMPLES),
                "- -" if promised is None else f"{promised.low_s} {promised.high_s}",
            ],
        )
        return records.parse_sample(*reply) if reply else None

    async def samples(self, event: EventId) -> list[Sample]:
        name = keyspace.samples(event)
        entries = await self._runner.sender.call(
            "samples", lambda: self.redis.xrange(name), may_repeat=True
        )
        parsed = (records.parse_sample(entry_id, held.get("s", "")) for entry_id, held in entries)
        return [sample for sample in parsed if sample is not None]

    async def gateways(self, event: EventId) -> GatewaysSeen:
        name = keyspace.key(event, "gateways")
        seen = await self._runner.sender.call(
            "gateways", lambda: self.redis.hgetall(name), may_repeat=True
        )
        seconds, micros = await self._runner.sender.call(
            "time", lambda: self.redis.time(), may_repeat=True
        )
        now_s = int(seconds) + int(micros) / 1_000_000
        ago_s = {gateway: max(now_s - int(at_ms) / 1000, 0.0) for gateway, at_ms in seen.items()}
        return GatewaysSeen(now_s, ago_s)

    async def evidence(self, event: EventId) -> list[Evidence]:
        """Return what gateways know, from tokens alone, of an event whose state is lost."""
        name = keyspace.evidence(event)
        held = await self._runner.sender.call(
            "evidence", lambda: self.redis.hgetall(name), may_repeat=True
        )
        return records.parse_evidence(held)
