"""The schedule in Lua and its reference in Python decide the same, to the last digit that is kept."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from gateway.domain.backoff import Seen
from gateway.domain.events import AS_MANY_AGAIN, EventPolicy
from gateway.domain.pacing import Moment, Rules, ScheduleState, begin, follow
from gateway.domain.turnout import Turnout
from gateway.operating.simulated_sale import ModelEvent, Scenario, run
from loadtests.simulated_schedule import LuaEvent
from tests.support.servers import RealServer
from tests.support.virtual_sale import VirtualSale

pytestmark = pytest.mark.integration

POLICIES = [
    EventPolicy(schedule_people=90, schedule_every_s=60, window_s=40, session_s=60),
    EventPolicy(fill=True, max_sessions=60, window_s=37, session_s=45),
    EventPolicy(fill=True, max_sessions=40, overshoot=5, window_s=90, session_s=30),
    EventPolicy(schedule_people=7, schedule_every_s=2, max_sessions=50, window_s=61, session_s=50),
]


class Twin:
    """A sale, and what the reference says of each step of it."""

    def __init__(self, server: RealServer, policy: EventPolicy) -> None:
        self.sale = VirtualSale(server, policy)
        again = policy.overshoot == AS_MANY_AGAIN
        self.rules = Rules(
            policy.schedule_people,
            policy.schedule_every_s,
            policy.max_sessions,
            policy.max_sessions if again else policy.overshoot,
        )

    def follow(self, seen: Seen) -> range:
        """Return the turns that came."""
        event = self.sale.read()
        turnout = event.turnout or Turnout.for_window(event.policy.window_s)
        turnout.catch_up(event.active_ms)
        soon_ms = int(self.sale.field("ledger_ms")) + turnout.delay_ms
        moment = Moment(
            open_ms=event.open_ms,
            waiting=event.waiting,
            active=event.active_sessions,
            gone=event.claims - event.active_sessions,
            ending_soon=self.sale.client.zcount(
                self.sale.key("sessions"), "-inf", f"{soon_ms:.0f}"
            ),
            ill_share=1.0 if seen is Seen.ILL else 0.0,
        )
        state = event.schedule or begin(moment)
        if state.cost != self.rules.cost:
            assert not state.credit
        expected, people = follow(state, self.rules, turnout, moment)
        before = self.sale.held("schedule")

        after = self.sale.follow_schedule(seen, gateway="only")

        assert after[0] == event.served_up_to
        assert after[2:] == (people, expected.reason)
        kept = self.sale.held("schedule")
        if kept != before:
            rounded = replace(expected, gone_per_s=float(f"{expected.gone_per_s:.3f}"))
            assert ScheduleState.parse(kept or "") == rounded
        if people:
            turnout.note_released(after[1], people)
            assert self.sale.held("turnout") == turnout.format()
        return range(after[0] + 1, after[1] + 1)

    def claim(self, turn: int) -> None:
        event = self.sale.read()
        turnout = event.turnout
        assert turnout is not None
        released = next(entry for entry in event.releases if turn <= entry.turn)
        after_ms = event.active_ms - released.active_ms

        outcome = self.sale.claim(turn)

        if outcome == ["seated"] and after_ms <= event.policy.window_s * 1000:
            turnout.note_claimed(turn, after_ms)
            assert self.sale.held("turnout") == turnout.format()


@pytest.fixture
def twin(server: RealServer, request: pytest.FixtureRequest) -> Iterator[Twin]:
    twin = Twin(server, request.param)
    yield twin
    twin.sale.close()


@pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)
@pytest.mark.parametrize("twin", POLICIES, indirect=True)
def test_both_decide_the_same_whatever_happens(twin: Twin) -> None:
    sale, dice = twin.sale, Random(11)
    unclaimed: list[int] = []
    sale.join(100)
    for step in range(500):
        sale.pass_ms(dice.randint(1, 1500))
        if dice.random() < 0.2:
            sale.join(dice.randint(1, 20))
        seen = Seen.ILL if 200 <= step < 215 else Seen.HEALTHY
        unclaimed += twin.follow(seen)
        if unclaimed and dice.random() < 0.7:
            turn = unclaimed.pop(dice.randrange(len(unclaimed)))
            if dice.random() < 0.7:
                twin.claim(turn)
        if dice.random() < 0.02:
            sale.release(dice.randint(1, 9))
    assert sale.read().claims > 50


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_a_whole_sale_by_the_scripts_goes_as_in_the_model(server: RealServer) -> None:
    scenario = Scenario(
        people=600, limit=80, overshoot=160, no_show=lambda _: 0.3, fails=(400, 440)
    )
    event = LuaEvent(server, scenario)
    real = run(scenario, event)
    event.close()
    model = run(scenario, ModelEvent(scenario))
    for outcome in (real, model):
        assert outcome.served == scenario.people
        assert (outcome.overtaken, outcome.missed) == (0, 0)
        assert outcome.seated == outcome.came
        assert outcome.most_active == scenario.limit
        assert outcome.most_exposed <= scenario.limit + scenario.overshoot
        assert outcome.use > 0.85
    assert real.took_s == pytest.approx(model.took_s, rel=0.1)
