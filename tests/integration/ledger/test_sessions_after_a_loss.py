"""Who holds a pass goes on booking after a loss, and is counted: the backend is never filled twice."""

from dataclasses import dataclass

import pytest

from gateway.domain.backoff import Seen
from gateway.domain.events import EventPolicy, EventState
from gateway.domain.positions import Generation, Position, ServedUpTo
from gateway.ports import ClaimOutcome, Recovery, StateChange
from tests.integration.ledger.conftest import NewLedger, OpenSale
from tests.support.sales import Sale

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

POLICY = EventPolicy(max_sessions=4, session_s=600, extend_times=0)
INSIDE = (1, 2, 3, 4)
TURNS = 12


@dataclass
class Lost:
    """A sale with a full house whose ledger has lost everything, and a gateway that never read it.

    Attributes:
        ends: The end of each pass, by the position of its bearer.
    """

    gateway: Sale
    ends: dict[int, int]

    async def recover(self, sessions: int | None = None) -> None:
        recovery = Recovery(
            self.gateway.generation,
            issued=20,
            goes_on_above=40,
            served_up_to=ServedUpTo(TURNS),
            state=EventState.OPEN,
            policy=POLICY,
            sessions=sessions,
        )
        await self.gateway.ledger.recover(self.gateway.event, recovery)

    def show(self, *positions: int, generation: Generation | None = None) -> None:
        """Let the gateway see the passes of these positions."""
        for position in positions:
            self.gateway.ledger.floors.saw_session(
                self.gateway.event,
                generation or self.gateway.generation,
                Position(position),
                self.ends.get(position, 4_000_000_000),
            )

    async def report(self) -> tuple[int, int]:
        """Read and report as a watcher does; return the active sessions, and those that stand in."""
        await self.gateway.ledger.report_sessions(await self.gateway.read())
        snapshot = await self.gateway.read()
        return snapshot.active_sessions, snapshot.sessions_held


@pytest.fixture
async def lost(open_sale: OpenSale, new_ledger: NewLedger) -> Lost:
    sale = await open_sale(max_sessions=4, session_s=600, extend_times=0)
    await sale.join_many(20)
    await sale.release(TURNS)
    ends = {position: (await sale.claim(position)).session_ends_at for position in INSIDE}
    assert (await sale.claim(5)).outcome is ClaimOutcome.FULL
    sale.server.command("FLUSHALL")
    return Lost(sale.through(new_ledger(is_gateway=True)), ends)


async def test_after_a_recovery_nobody_is_let_in_on_top_of_those_inside(lost: Lost) -> None:
    await lost.recover()
    assert await lost.report() == (4, 4)
    assert (await lost.gateway.claim(5)).outcome is ClaimOutcome.FULL
    lost.show(1, 2)
    assert await lost.report() == (4, 2)
    assert (await lost.gateway.claim(5)).outcome is ClaimOutcome.FULL
    # Those inside leave as ever, and each makes room for one.
    assert await lost.gateway.leave(1, lost.ends[1])
    assert (await lost.gateway.claim(5)).outcome is ClaimOutcome.SEATED
    assert (await lost.gateway.claim(6)).outcome is ClaimOutcome.FULL
    # Nobody has shown the others: their room is free once the longest session has passed.
    await lost.gateway.elapse(601)
    assert (await lost.gateway.read()).active_sessions == 0
    for position in (6, 7, 8, 9):
        assert (await lost.gateway.claim(position)).outcome is ClaimOutcome.SEATED


async def test_a_schedule_lets_nobody_in_while_the_house_may_be_full(lost: Lost) -> None:
    await lost.recover()
    gateway = lost.gateway
    policy = EventPolicy(
        max_sessions=4, session_s=600, extend_times=0, fill=True, window_s=60, late_for_s=0
    )
    await gateway.ledger.configure(gateway.event, policy)
    # Were the house empty, all windows would be over by then, and four more let in.
    await gateway.elapse(70)
    await gateway.ledger.follow_schedule(gateway.event, Seen.HEALTHY)
    assert (await gateway.read()).served_up_to == TURNS


async def test_what_the_operator_knows_counts_and_who_is_shown_beyond_it_counts_too(
    lost: Lost,
) -> None:
    await lost.recover(sessions=1)
    assert await lost.report() == (1, 1)
    lost.show(*INSIDE)
    assert await lost.report() == (4, 0)
    assert (await lost.gateway.claim(5)).outcome is ClaimOutcome.FULL


async def test_passes_that_were_shown_before_the_recovery_count_from_its_first_moment(
    lost: Lost,
) -> None:
    lost.show(1, 2, 3)
    await lost.recover(sessions=0)
    assert await lost.report() == (3, 0)


async def test_a_session_counts_once_however_many_gateways_are_shown_its_pass(
    lost: Lost, new_ledger: NewLedger
) -> None:
    await lost.recover()
    other = Lost(lost.gateway.through(new_ledger(is_gateway=True)), lost.ends)
    for seen_by in (lost, other, lost):
        seen_by.show(1, 2)
        assert await seen_by.report() == (4, 2)
    assert (await lost.gateway.claim(1)).session_ends_at == lost.ends[1]


async def test_who_was_counted_again_has_no_second_session(lost: Lost) -> None:
    await lost.recover()
    lost.show(1)
    await lost.report()
    await lost.gateway.elapse(601)
    assert (await lost.gateway.claim(1)).outcome is ClaimOutcome.ENDED


async def test_a_pass_that_was_ended_or_has_ended_or_is_of_another_queue_counts_for_nothing(
    lost: Lost,
) -> None:
    await lost.recover(sessions=0)
    assert await lost.gateway.leave(1, lost.ends[1])
    lost.ends[2] = int(lost.gateway.server.command("TIME")[0]) - 1
    lost.show(1, 2)
    assert await lost.report() == (0, 0)
    lost.show(3, generation=Generation(lost.gateway.generation - 1))
    assert await lost.report() == (0, 0)


async def test_what_was_told_is_told_again_after_another_loss(lost: Lost) -> None:
    await lost.recover(sessions=0)
    lost.show(1, 2)
    assert await lost.report() == (2, 0)
    for position in ("1", "2"):
        lost.gateway.server.command("ZREM", lost.gateway.key("sessions"), position)
    lost.gateway.set_field("active", 0)
    assert await lost.report() == (0, 0), "nothing says that they were lost"
    lost.gateway.set_field("healed", "4000000000000 behind 20 40 0")
    assert await lost.report() == (2, 0)


async def test_a_session_that_was_lengthened_is_not_shortened_by_its_older_pass(
    lost: Lost,
) -> None:
    await lost.recover(sessions=0)
    gateway = lost.gateway
    lost.show(1)
    await lost.report()
    longer = await gateway.extend(1, by_s=3600, by_visitor=False)
    lost.ends[1] += 1
    lost.show(1)
    await lost.report()
    assert (await gateway.claim(1)).session_ends_at == longer.session_ends_at


async def test_after_a_healing_passes_take_the_place_of_what_stands_in(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    sale = await open_sale(max_sessions=4, session_s=600)
    gateway = sale.through(new_ledger(is_gateway=True))
    await gateway.join_many(8)
    await gateway.release(8)
    ends = {position: (await gateway.claim(position)).session_ends_at for position in INSIDE}
    await gateway.read()
    gateway.server.command("FLUSHALL")
    for _ in range(2):
        await gateway.ledger.present(gateway.event)
    seen = Lost(gateway, ends)
    assert await seen.report() == (4, 4)
    seen.show(3)
    assert await seen.report() == (4, 3)
    # Known again, a session can be lengthened again.
    await gateway.elapse(5)
    assert (await gateway.extend(3)).longer


async def test_a_paused_event_counts_them_too(lost: Lost) -> None:
    await lost.recover(sessions=0)
    await lost.gateway.change(StateChange.PAUSE)
    lost.show(1, 2, 3, 4)
    assert await lost.report() == (4, 0)
    await lost.gateway.change(StateChange.RESUME)
    assert (await lost.gateway.claim(5)).outcome is ClaimOutcome.FULL
