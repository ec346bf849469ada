"""What a plan says is what the sale does; and what has no answer is refused with a way out."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from gateway.domain.events import EventPolicy
from gateway.errors import BadInput
from gateway.operating.plan import (
    PRECISION,
    RUSH,
    Assumed,
    Forecast,
    check_by,
    forecast_document,
    foretell,
    mean_before_the_end,
    needed_by,
    scenario_of,
)

RATE = EventPolicy(schedule_people=300, schedule_every_s=60)
FILL = EventPolicy(fill=True, max_sessions=200, window_s=120, session_s=300)
BOTH = replace(FILL, schedule_people=120)
CROWD = Assumed(people=3_000, stay_s=150)

SALES = {
    "a rate": (RATE, CROWD, 0.2),
    "places": (FILL, CROWD, 0.3),
    "places, everybody comes": (FILL, CROWD, 0.0),
    "places, nobody comes": (FILL, CROWD, 1.0),
    "a rate and places": (BOTH, CROWD, 0.2),
    "a tight bound": (replace(FILL, overshoot=20), CROWD, 0.4),
    "they come over a time": (FILL, replace(CROWD, arrive_over_s=600), 0.2),
    "the backend fails": (FILL, replace(CROWD, failure=(400, 300)), 0.2),
    "some are in already": (FILL, replace(CROWD, waiting=1_000, seated=150), 0.2),
    "one": (FILL, replace(CROWD, people=1), 0.0),
    "a slow one in longer steps": (replace(RATE, schedule_people=6), CROWD, 0.2),
}


@pytest.fixture(params=SALES)
def forecast(request: pytest.FixtureRequest) -> Forecast:
    policy, assumed, no_show = SALES[request.param]
    return foretell(policy, assumed, no_show)


def grows(values: Sequence[int]) -> bool:
    return all(before <= after for before, after in pairwise(values))


def test_everybody_is_let_in_once_in_order_and_places_are_never_overused(
    forecast: Forecast,
) -> None:
    scenario, outcome = forecast.scenario, forecast.outcome
    assert outcome.served == scenario.people
    assert outcome.seated + forecast.no_shows == scenario.people
    assert (outcome.overtaken, outcome.missed) == (0, 0)
    assert grows([look.served for look in outcome.course])
    assert all(look.served <= look.issued for look in outcome.course)
    if scenario.limit:
        assert all(look.active <= scenario.limit for look in outcome.course)
        assert outcome.most_exposed <= scenario.limit + scenario.overshoot


def test_nobody_has_their_turn_before_those_ahead_of_them(forecast: Forecast) -> None:
    turns = [forecast.let_in_s(person) for person in range(1, forecast.scenario.people + 1)]
    assert grows(turns)
    assert turns[-1] < forecast.outcome.took_s
    assert all(forecast.let_in_by(turns[i - 1]) >= i for i in range(1, len(turns) + 1))
    assert forecast.waits_s[0] >= 0


def test_the_same_seed_is_the_same_sale_and_another_is_not() -> None:
    def course(seed: int) -> list[tuple[int, int]]:
        outcome = foretell(FILL, replace(CROWD, seed=seed), 0.3).outcome
        return [(look.served, look.active) for look in outcome.course]

    assert course(1) == course(1) != course(2)


def test_a_rate_takes_as_long_as_it_takes() -> None:
    forecast = foretell(RATE, CROWD, 0.2)
    # 3,000 at 5 a second.
    assert forecast.outcome.took_s == pytest.approx(600, abs=2)
    assert forecast.wait_s(1_500) == pytest.approx(300, abs=2)
    assert forecast.let_in_by(200) == pytest.approx(1_000, abs=10)
    assert forecast.use is None
    assert forecast.no_shows_filled is None


def test_places_are_worth_what_their_sessions_take() -> None:
    forecast = foretell(FILL, replace(CROWD, people=10_000), 0.0)
    # 200 places, a session of 150 s in the mean.
    assert forecast.outcome.took_s == pytest.approx(10_000 * 150 / 200, rel=0.1)
    assert forecast.use is not None
    assert forecast.use > 0.9


def test_the_places_of_those_who_do_not_come_are_filled() -> None:
    all_come = foretell(FILL, CROWD, 0.0)
    forecast = foretell(FILL, CROWD, 0.4)
    unfilled = foretell(replace(FILL, overshoot=0), CROWD, 0.4)
    assert forecast.outcome.took_s < 0.8 * all_come.outcome.took_s
    assert forecast.no_shows_filled is not None
    assert unfilled.no_shows_filled is not None
    assert forecast.no_shows > forecast.no_shows_filled > forecast.no_shows / 2
    assert unfilled.no_shows_filled < forecast.no_shows_filled


def test_nobody_is_let_in_while_the_backend_is_ill() -> None:
    failing = foretell(FILL, replace(CROWD, failure=(400, 300)), 0.2)
    ill = [look.served for look in failing.outcome.course if look.is_ill]
    assert len(ill) == pytest.approx(300, abs=2)
    assert len(set(ill)) == 1
    assert failing.outcome.took_s > foretell(FILL, CROWD, 0.2).outcome.took_s + 200
    assert failing.outcome.back_after_s is not None


def test_who_comes_over_a_time_comes_mostly_at_first_and_all_come() -> None:
    assumed = replace(CROWD, arrive_over_s=400, waiting=500)
    scenario = scenario_of(FILL, assumed, 0.0)
    joins = assumed.arrivals(scenario, None)  # type: ignore[arg-type]
    assert joins[0] == 500
    assert sum(joins.values()) == 3_000
    assert max(joins) == 400
    first = sum(joins[second] for second in range(1, 101))
    assert first == pytest.approx(2_500 * (1 - math.exp(-RUSH / 4)) / (1 - math.exp(-RUSH)), abs=2)


@pytest.mark.parametrize("mean_s", [30, 150, 290, 300])
def test_sessions_last_as_long_as_was_said(mean_s: int) -> None:
    # Many: those who are in when the last has come are not seen to their end.
    forecast = foretell(FILL, replace(CROWD, people=10_000, stay_s=mean_s), 0.0)
    outcome = forecast.outcome
    place_s = sum(look.active for look in outcome.course) * forecast.scenario.step_s
    assert place_s / outcome.seated == pytest.approx(mean_s, rel=0.04)


def test_what_is_cut_off_hardly_ever_stays_what_it_is() -> None:
    assert mean_before_the_end(10, 1_000) == pytest.approx(10, rel=1e-6)


@pytest.mark.parametrize("people", [3_000, 15_000])
def test_the_least_rate_is_enough_and_a_little_less_is_not(people: int) -> None:
    crowd = replace(CROWD, people=people)
    needed = needed_by(RATE, crowd, 0.2, 300)
    assert needed.max_sessions is None
    assert needed.release_people is not None

    def takes(rate: int) -> int:
        return foretell(replace(RATE, schedule_people=rate), crowd, 0.2).outcome.took_s

    assert takes(needed.release_people) <= 300
    assert takes(round(needed.release_people * (1 - 2 / PRECISION))) > 300


@pytest.mark.parametrize("people", [3_000, 15_000])
def test_the_least_places_are_enough_and_much_less_is_not(people: int) -> None:
    crowd = replace(CROWD, people=people)
    needed = needed_by(FILL, crowd, 0.2, 900)
    assert needed.release_people is None
    assert needed.max_sessions is not None

    def takes(limit: int) -> int:
        return foretell(replace(FILL, max_sessions=limit), crowd, 0.2).outcome.took_s

    assert takes(needed.max_sessions) <= 900
    assert takes(round(needed.max_sessions * 0.95)) > 900


def test_where_neither_alone_is_enough_both_together_are() -> None:
    policy = replace(FILL, schedule_people=120, max_sessions=100)
    needed = needed_by(policy, CROWD, 0.2, 600)
    assert (needed.release_people, needed.max_sessions) == (None, None)
    assert needed.both is not None
    rate, limit = needed.both
    tried = replace(policy, schedule_people=rate, max_sessions=limit)
    assert foretell(tried, CROWD, 0.2).outcome.took_s <= 600


@pytest.mark.parametrize(
    ("policy", "assumed", "advice"),
    [
        (EventPolicy(), CROWD, "--release-people N, or --fill with --max-sessions N"),
        (EventPolicy(max_sessions=10), CROWD, "--release-people N"),
        (FILL, replace(CROWD, stay_s=301), "shorter --stay"),
        (FILL, replace(CROWD, people=0), "1 to 10,000,000"),
        (FILL, replace(CROWD, people=10_000_001), "1 to 10,000,000"),
        (replace(RATE, schedule_people=1), replace(CROWD, people=45_000), "more than 31 d"),
    ],
)
def test_what_has_no_answer_is_refused(policy: EventPolicy, assumed: Assumed, advice: str) -> None:
    with pytest.raises(BadInput, match=advice.replace("(", r"\(")):
        foretell(policy, assumed, 0.2)


def test_not_all_can_be_in_before_the_last_has_come() -> None:
    assumed = replace(CROWD, arrive_over_s=600)
    check_by(assumed, 601)
    with pytest.raises(BadInput, match="later --by"):
        check_by(assumed, 600)


def test_a_document_says_what_the_forecast_does() -> None:
    forecast = foretell(FILL, CROWD, 0.3)
    document = forecast_document(
        forecast, persons=(1, 3_000), by_s=600, needed=None, opens_at=1_800_000_000
    )
    took_s = forecast.outcome.took_s
    assert document["all_in_at"] == 1_800_000_000 + took_s
    assert document["by"] == {
        "let_in": forecast.let_in_by(600),
        "all": took_s <= 600,
        "needs": None,
    }
    assert [entry["wait_s"] for entry in document["persons"]] == [
        forecast.wait_s(1),
        forecast.wait_s(3_000),
    ]
    assert document["wait_half_s"] <= document["wait_nine_of_ten_s"] <= document["wait_longest_s"]
    # All came at once: the last waits longest.
    assert document["wait_longest_s"] == document["wait_last_s"] == took_s - 1
    course = document["course"]
    assert course[-1]["served_up_to"] == 3_000
    assert len(course) <= 241
