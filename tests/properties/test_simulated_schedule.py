"""A whole sale in virtual time: places are used and never overused, nobody is overtaken, nobody lost."""

from dataclasses import replace

import pytest

from gateway.operating.simulated_sale import ModelEvent, Outcome, Scenario, run
from loadtests.simulated_schedule import changing

SALES = {
    "nobody stays away, the backend fails": Scenario(
        no_show=lambda _: 0.0, fails=(2400, 2700), seed=3
    ),
    "most stay away": Scenario(no_show=lambda _: 0.6, seed=4),
    "ever more stay away, the backend fails": Scenario(
        no_show=changing, fails=(2400, 2700), seed=5
    ),
}


def nothing_goes_wrong(scenario: Scenario, outcome: Outcome) -> None:
    assert outcome.served == scenario.people
    assert outcome.overtaken == 0
    assert outcome.missed == 0
    assert outcome.seated == outcome.came
    assert outcome.most_active <= scenario.limit
    assert outcome.most_exposed <= scenario.limit + scenario.overshoot


@pytest.mark.parametrize("name", SALES)
def test_two_hundred_thousand_people_and_a_backend_that_is_full_and_never_over(name: str) -> None:
    scenario = SALES[name]
    outcome = run(scenario, ModelEvent(scenario))
    nothing_goes_wrong(scenario, outcome)
    assert outcome.use >= 0.95
    if scenario.fails[1]:
        assert outcome.back_after_s is not None
        assert outcome.back_after_s <= 180


def test_a_fixed_batch_leaves_places_empty_that_the_schedule_fills() -> None:
    scenario = Scenario(people=40_000, limit=1_000, overshoot=2_000, no_show=lambda _: 0.4)
    batch = round(scenario.limit * 60 / scenario.middle_s)
    fixed = run(scenario, ModelEvent(scenario, batch=batch))
    paced = run(scenario, ModelEvent(scenario))
    assert paced.use - fixed.use > 0.3
    assert paced.took_s < fixed.took_s


@pytest.mark.parametrize("overshoot", [0, 100])
def test_a_tight_bound_is_kept_and_costs_places(overshoot: int) -> None:
    scenario = Scenario(people=20_000, limit=1_000, no_show=lambda _: 0.5)
    tight = replace(scenario, overshoot=overshoot)
    outcome = run(tight, ModelEvent(tight))
    nothing_goes_wrong(tight, outcome)
    assert outcome.use < run(scenario, ModelEvent(scenario)).use
