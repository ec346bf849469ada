"""A plan against the same sale as the scripts of the ledger run it, on a real server."""

import pytest

from gateway.domain.events import EventPolicy
from gateway.operating.plan import Assumed, Forecast, foretell, scenario_of
from gateway.operating.simulated_sale import run
from loadtests.simulated_schedule import LuaEvent
from tests.support.servers import RealServer

pytestmark = pytest.mark.integration

FILL = EventPolicy(fill=True, max_sessions=60, overshoot=120, window_s=120, session_s=120)
POLICIES = {
    "places": FILL,
    "a rate": EventPolicy(
        schedule_people=60, schedule_every_s=60, max_sessions=300, window_s=120, session_s=120
    ),
}

AGREES = 0.1
"""How far the figures of a sale by the scripts may lie from what the plan said. Chance falls otherwise in
either as soon as one person is let in a step earlier."""

FULL_AGREES = 0.05
"""The same for the share of places in use."""


@pytest.fixture(params=POLICIES)
def real(server: RealServer, request: pytest.FixtureRequest) -> tuple[Forecast, Forecast]:
    """A plan, and the same sale run by the scripts on a real server whose clock is the test's."""
    policy = POLICIES[request.param]
    assumed = Assumed(people=400, stay_s=80, arrive_over_s=60, failure=(200, 40))
    scenario = scenario_of(policy, assumed, 0.25)
    event = LuaEvent(server, scenario)
    outcome = run(scenario, event)
    event.close()
    return foretell(policy, assumed, 0.25), Forecast(scenario, outcome, 0.25)


@pytest.mark.parametrize("server", ["valkey"], indirect=True)
def test_a_sale_by_the_scripts_goes_as_the_plan_said(real: tuple[Forecast, Forecast]) -> None:
    said, was = real
    limit = said.scenario.limit
    assert was.outcome.took_s == pytest.approx(said.outcome.took_s, rel=AGREES)
    for person in (100, 200, 300, 400):
        assert was.let_in_s(person) == pytest.approx(said.let_in_s(person), rel=AGREES, abs=5)
    assert was.use == pytest.approx(said.use, abs=FULL_AGREES)
    assert was.no_shows == pytest.approx(said.no_shows, rel=2 * AGREES)
    for forecast in real:
        assert (forecast.outcome.overtaken, forecast.outcome.missed) == (0, 0)
        assert forecast.outcome.most_active <= limit
        assert forecast.outcome.most_exposed <= limit + forecast.scenario.overshoot
