"""Eight gateways call one schedule at once, with clocks hours apart, and are killed as they do."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from gateway.domain.backoff import Seen
from gateway.domain.events import EventSnapshot
from gateway.domain.pacing import ScheduleState
from tests.integration.ledger.conftest import OpenSale
from tests.support.sales import Sale
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

REPOSITORY = Path(__file__).parents[3]

CALLERS = 8
# The interval is longer than eight processes take to start: what is not asked for in one is not stored up.
PEOPLE, EVERY_S = 5_987, 60
KILLS = 6


class Callers:
    """The processes, each with a clock of its own."""

    def __init__(self, sale: Sale) -> None:
        self._sale = sale
        self._dice = Random(5)
        self.running = [self._start() for _ in range(CALLERS)]

    def kill_one(self) -> None:
        """End any of them wherever it is, and let another take its place."""
        killed = self.running.pop(self._dice.randrange(CALLERS))
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        self.running.append(self._start())

    def _start(self) -> "subprocess.Popen[bytes]":
        offset_s = self._dice.uniform(-12, 12) * 3600
        module = "tests.support.schedule_caller"
        words = [self._sale.server.url, self._sale.event, str(offset_s)]
        return subprocess.Popen([sys.executable, "-m", module, *words], cwd=REPOSITORY)


@contextmanager
def callers_of(sale: Sale) -> Iterator[Callers]:
    callers = Callers(sale)
    try:
        yield callers
    finally:
        for process in callers.running:
            process.kill()
            process.wait()


def state_of(event: EventSnapshot) -> ScheduleState:
    assert event.schedule is not None
    return event.schedule


async def test_the_rate_is_kept_to_the_ms_whoever_calls_and_whoever_dies(
    open_sale: OpenSale,
) -> None:
    sale = await open_sale(schedule_people=PEOPLE, schedule_every_s=EVERY_S)
    await sale.join_many(8000)
    await sale.ledger.follow_schedule(sale.event, Seen.NOTHING)
    began = state_of(await sale.read())
    with callers_of(sale) as callers:
        for _ in range(KILLS):
            goal = (await sale.read()).served_up_to + 50

            async def has_moved(goal: int = goal) -> bool:
                return (await sale.read()).served_up_to >= goal

            await wait_until(has_moved, timeout_s=60)
            callers.kill_one()
        assert all(process.poll() is None for process in callers.running)
    event = await sale.read()
    state = state_of(event)
    elapsed_ms = state.at_open_ms - began.at_open_ms
    # Every ms that was counted has let somebody in, or is still there: none was counted twice.
    used = event.served_up_to * state.cost
    assert began.credit + elapsed_ms * PEOPLE * 100 == used + state.credit
    assert 0 <= state.credit < state.cost
