"""Group commit: joins that arrive while a round trip is under way share the next one.

One call of the deal script is in flight for each event, and no timer is involved: at low load a join
waits for nobody, at high load the counter costs one command per round trip and not one per visitor.
Positions are dealt in the order of arrival.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.positions import EventId
from gateway.errors import GatewayError, LedgerUnavailable
from gateway.ports import JoinRequest, Place

logger = logging.getLogger(__name__)

# Keeps one script call in the low milliseconds, so that other events' calls are not held up.
MAX_BATCH = 1024

# The ceiling is raised by about this many seconds' worth of joins: a failover costs a gap of at most
# one step, and durability one wait per step.
STEP_SECONDS = 4
MIN_STEP = 64
MAX_STEP = 16_384  # as far as a ceiling climbs in a second, see `lua/raise.lua`


@dataclass(frozen=True, slots=True)
class Dealt:
    """Places for the first joins of a batch; fewer than asked when the ceiling was reached."""

    places: Sequence[Place]
    issued: int
    ceiling: int


class Dealer(Protocol):
    async def deal(
        self, event: EventId, batch_id: str, requests: Sequence[JoinRequest]
    ) -> Dealt: ...

    async def raise_ceiling(self, event: EventId, step: int) -> int: ...


@dataclass(slots=True)
class _Waiter:
    request: JoinRequest
    place: "asyncio.Future[Place]"


@dataclass(slots=True)
class _Line:
    """The joins of one event that have no position yet, in order of arrival."""

    waiting: deque[_Waiter] = field(default_factory=deque[_Waiter])
    drain: "asyncio.Task[None] | None" = None
    raising: "asyncio.Task[int] | None" = None
    joins_per_s: float = 0.0
    counted_since_s: float = 0.0
    counted: int = 0


class GroupCommit:
    """Turns single joins into batches for a `Dealer`.

    Args:
        dealer: Deals a batch in one round trip.
        new_batch_id: Makes ids that this process never used before.
        patience_s: How long a join waits for its position, whatever happens; None for ever.
        on_batch: Told the size of every batch, for metrics.
    """

    def __init__(
        self,
        dealer: Dealer,
        new_batch_id: Callable[[], str],
        on_batch: Callable[[int], None] = lambda _: None,
        *,
        patience_s: float | None = None,
    ) -> None:
        self._dealer = dealer
        self._patience_s = patience_s
        self._new_batch_id = new_batch_id
        self._on_batch = on_batch
        self._lines: dict[EventId, _Line] = {}

    async def join(self, event: EventId, request: JoinRequest) -> Place:
        """Return the place dealt to `request`.

        A caller that is cancelled before its batch has gone out costs nothing; afterwards its
        position stays empty.

        Raises:
            LedgerUnavailable: No position was learned; a retry with the same idempotency key finds
                the one that may have been dealt.
        """
        line = self._lines.setdefault(event, _Line())
        place: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        line.waiting.append(_Waiter(request, place))
        if line.drain is None:
            line.drain = asyncio.create_task(self._drain(event, line))
        try:
            async with asyncio.timeout(self._patience_s):
                return await place
        except TimeoutError as exc:
            raise LedgerUnavailable("timeout", "no position was dealt in time") from exc

    async def aclose(self) -> None:
        """Wait until every join that has arrived is answered."""
        tasks = [line.drain for line in self._lines.values() if line.drain is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        for line in self._lines.values():
            if line.raising is not None:
                await _settled(line.raising)

    async def _drain(self, event: EventId, line: _Line) -> None:
        try:
            while batch := _next_batch(line):
                try:
                    await self._deal(event, line, batch)
                except GatewayError as exc:
                    # Who has arrived meanwhile would only wait for the same answer.
                    while line.waiting:
                        batch.append(line.waiting.popleft())
                    _fail(batch, exc)
                except Exception as exc:
                    logger.exception("dealing positions failed")
                    _fail(batch, LedgerUnavailable("internal", type(exc).__name__))
        finally:
            line.drain = None

    async def _deal(self, event: EventId, line: _Line, batch: list[_Waiter]) -> None:
        requests = [waiter.request for waiter in batch]
        dealt = await self._dealer.deal(event, self._new_batch_id(), requests)
        if dealt.places:
            self._on_batch(len(dealt.places))
        for waiter, place in zip(batch, dealt.places, strict=False):
            if not waiter.place.done():
                waiter.place.set_result(place)
        rest = batch[len(dealt.places) :]
        del batch[:]
        line.waiting.extendleft(reversed(rest))
        step = _measure_step(line, len(dealt.places))
        if rest:
            await self._raised(event, line, step)
        elif dealt.ceiling - dealt.issued < step // 2 and line.raising is None:
            # Ahead of need, and nobody waits for it. Its failure shows when somebody does.
            self._start_raise(event, line, step)

    async def _raised(self, event: EventId, line: _Line, step: int) -> None:
        if line.raising is None:
            self._start_raise(event, line, step)
        assert line.raising is not None  # noqa: S101 - started on the line above
        await line.raising

    def _start_raise(self, event: EventId, line: _Line, step: int) -> None:
        task = asyncio.create_task(self._dealer.raise_ceiling(event, step))

        def settle(done: "asyncio.Task[int]") -> None:
            line.raising = None
            if not done.cancelled() and (exc := done.exception()) is not None:
                logger.warning("raising the ceiling failed", extra={"cause": str(exc)})

        task.add_done_callback(settle)
        line.raising = task


def _next_batch(line: _Line) -> list[_Waiter]:
    batch: list[_Waiter] = []
    while line.waiting and len(batch) < MAX_BATCH:
        waiter = line.waiting.popleft()
        if not waiter.place.done():
            batch.append(waiter)
    return batch


def _measure_step(line: _Line, joins: int) -> int:
    now_s = asyncio.get_running_loop().time()
    line.counted += joins
    span_s = now_s - line.counted_since_s
    if span_s >= 1:
        line.joins_per_s = line.counted / span_s
        line.counted, line.counted_since_s = 0, now_s
    # Within the first second of a rush the count itself, and the line behind it, are the best guesses
    # there are.
    pace = max(line.joins_per_s, float(line.counted), float(len(line.waiting)))
    return int(min(max(pace * STEP_SECONDS, MIN_STEP), MAX_STEP))


def _fail(batch: list[_Waiter], exc: GatewayError) -> None:
    for waiter in batch:
        if not waiter.place.done():
            waiter.place.set_exception(exc)


async def _settled(task: Awaitable[object]) -> None:
    await asyncio.gather(task, return_exceptions=True)
