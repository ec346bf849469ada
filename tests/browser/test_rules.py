"""The script's arithmetic is the gateway's: both are held to the same vectors."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.waiting import WaitCurve
from tests.browser.browsers import Browsers
from tests.support.staging import Stage

VECTORS = Path(__file__).parent.parent / "vectors" / "shown_wait.json"
STORIES: list[dict[str, Any]] = json.loads(VECTORS.read_text("utf-8"))["stories"]


@pytest.fixture
def rules(stage: Stage, browsers: Browsers) -> Any:
    """Call functions of `place.js`, as the page has loaded it."""
    tab = browsers.tab(stage).look().shows("not_in")
    (script,) = [url for _, url in tab.requests if "/place." in url]

    def call(name: str, *arguments: Any) -> Any:
        return tab.page.evaluate(
            """async ([script, name, given]) => (await import(script))[name](...given)""",
            [script, name, list(arguments)],
        )

    return call


def test_the_shown_range_moves_by_the_shared_rule(rules: Any) -> None:
    for story in STORIES:
        shown = None
        for step in story["steps"]:
            fresh = step["fresh"]
            estimate = fresh and {"low": fresh[0], "high": fresh[1]}
            shown = rules("showNext", shown, estimate, step["now_s"])
            if fresh is None:
                assert shown is None, story["name"]
                continue
            left = rules("timeLeft", shown, step["now_s"])
            told = (shown["move"], [shown["from"], shown["until"]], [left["low"], left["high"]])
            assert told == (step["move"], step["span"], step["left"]), (story["name"], step)


def test_the_curve_is_read_as_the_gateway_reads_it(rules: Any) -> None:
    points = ((0, 0, 7), (9, 31, 64), (10, 45, 90), (100, 333, 1001))
    curve = WaitCurve(points)
    for ahead in (0, 1, 5, 9, 10, 11, 57, 100, 101, 100_000):
        wait = curve.at(ahead)
        assert rules("waitAt", points, ahead) == {"low": wait.low_s, "high": wait.high_s}, ahead


def test_people_ahead_are_those_between_the_pointer_and_the_turn_outside_holes(rules: Any) -> None:
    assert rules("peopleAhead", 10, 4, []) == 5
    assert rules("peopleAhead", 10, 4, [[6, 8]]) == 2
    assert rules("peopleAhead", 10, 4, [[1, 5], [9, 20]]) == 3
    assert rules("peopleAhead", 10, 12, []) == 0


def test_the_pointer_never_goes_back_within_a_generation(rules: Any) -> None:
    known = {"generation": 7, "served_up_to": 5}
    assert rules("newerDocument", known, {"generation": 7, "served_up_to": 3})["served_up_to"] == 5
    assert rules("newerDocument", known, {"generation": 6, "served_up_to": 9}) == known
    assert rules("newerDocument", known, {"generation": 8, "served_up_to": 0})["served_up_to"] == 0


def test_polls_come_within_the_bounds_that_the_server_gives_and_spread(rules: Any) -> None:
    poll = {"nearest": 2, "farthest": 60, "unknown": 10, "heartbeat": 15}
    assert rules("pollAfter", poll, None, None, 0) == 10
    assert rules("pollAfter", poll, 0, None, 0) == 2
    assert rules("pollAfter", poll, 1_000_000, None, 1) == 75
    assert rules("pollAfter", poll, 50, {"low": 300, "high": 900}, 0) == 30


def test_repeated_failures_are_given_longer_pauses_up_to_a_minute(rules: Any) -> None:
    assert [rules("retryAfter", failures, 1) for failures in (1, 2, 3, 20)] == [2, 4, 8, 60]
    assert rules("retryAfter", 3, 0) == 4


def test_what_one_document_moves_a_crowd_to_is_spread_by_its_size(rules: Any) -> None:
    assert [rules("spreadOver", crowd, 1) for crowd in (0, 9_000, 10**7)] == [5, 9, 120]
    assert rules("spreadOver", 9_000, 0) == 0


def test_those_of_one_release_claim_in_the_order_of_their_turns(rules: Any) -> None:
    assert rules("enterDelay", 101, 100, 5_100, 300) == 0
    assert rules("enterDelay", 2_601, 100, 5_100, 300) == 5
    # However many there are, and whatever the window leaves.
    assert rules("enterDelay", 50_001, 0, 100_000, 300) == 30
    assert rules("enterDelay", 50_001, 0, 100_000, 20) == 10
    # Before the release, beyond it, and where it is not known.
    assert rules("enterDelay", 50, 100, 5_100, 300) == 0
    assert rules("enterDelay", 9_999, 100, 5_100, 300) == 10
    assert rules("enterDelay", 50, 100, 100, 300) == 0


def test_a_full_site_is_asked_later_each_time_and_not_before_the_server_says(rules: Any) -> None:
    assert [rules("whenFull", times, 8, 300, 0) for times in (1, 2, 99)] == [10, 12.5, 60]
    assert rules("whenFull", 1, 8, 300, 1) == 12.5
    assert rules("whenFull", 1, 90, 300, 0) == 90
    # Before the window closes, and after it by what the server says.
    assert rules("whenFull", 99, 8, 20, 0) == 20
    assert rules("whenFull", 99, 8, 0, 0) == 8


TOLD = {
    "en": [
        "about a minute",
        "about 5 minutes",
        "1 to 20 minutes",
        "45 minutes to 1 hour 30 minutes",
        "about 14 hours",
        "1,204 people",
        "3 days 4 hours",
        "1 minute 5 seconds",
    ],
    "de": [
        "etwa eine Minute",
        "etwa 5 Minuten",
        "1 bis 20 Minuten",
        "45 Minuten bis 1 Stunde 30 Minuten",
        "etwa 14 Stunden",
        "1.204 Personen",
        "3 Tage, 4 Stunden",
        "1 Minute, 5 Sekunden",
    ],
}


@pytest.mark.parametrize("language", TOLD)
def test_times_and_numbers_are_told_in_the_words_of_the_language(
    stage: Stage, browsers: Browsers, language: str
) -> None:
    tab = browsers.tab(stage).look(language=language).shows("not_in")
    (script,) = [url for _, url in tab.requests if "/place." in url]
    said = tab.page.evaluate(
        """async ([script, language]) => {
          const texts = JSON.parse(document.getElementById("queue-texts").textContent);
          const words = (await import(script)).wording(texts, language);
          const ranges = [[0, 60], [300, 300], [0, 1200], [2700, 5400], [50400, 50400]];
          const waits = ranges.map(([low, high]) => words.wait({low, high}));
          return [...waits, words.ahead(1204), words.duration(273700), words.duration(65)];
        }""",
        [script, language],
    )
    assert said == TOLD[language]
