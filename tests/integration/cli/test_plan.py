"""`gateway plan`: what operators are told of a sale before it begins."""

import json
from pathlib import Path

import pytest

from tests.support.command_line import Operator, Sale, Typist

PLACES = ("--fill", "--max-sessions", 100, "--window", "2m", "--session", "5m", "--stay", "150s")


def test_it_needs_no_settings_and_no_ledger(tmp_path: Path) -> None:
    ran = Typist(tmp_path)("plan", "--people", 1000, *PLACES, "--no-shows", "0,40%")
    assert ran.code == 0
    assert ran.out.startswith("1,000 people: the last is let in after ")
    assert ran.err == ""
    assert list(tmp_path.iterdir()) == []


def test_programs_are_told_everything(typed: Operator) -> None:
    words = ("plan", "--people", 1000, *PLACES, "--no-shows", "0,40%", "--failure", "5m", "1m")
    document = typed(*words, "--by", "10m", "--person", 7, "--json").document
    assert [(sale["no_show_share"], sale["backend_fails"]) for sale in document["sales"]] == [
        (0.0, False), (0.0, True), (0.4, False), (0.4, True),
    ]  # fmt: skip
    for sale in document["sales"]:
        assert sale["sessions"] + sale["no_shows"] == 1000
        assert sale["most_sessions"] <= 100
        assert sale["by"]["needs"]["max_sessions"] > 100
        assert [entry["person"] for entry in sale["persons"]] == [7]
    assert document["assumed"]["failure"] == {"after_s": 300, "for_s": 60}
    assert document["policy"]["max_sessions"] == 100


def test_the_same_question_has_the_same_answer(typed: Operator) -> None:
    words = ("plan", "--people", 500, *PLACES, "--json", "--seed")
    assert typed(*words, 3).out == typed(*words, 3).out != typed(*words, 4).out


def test_a_page_is_written_where_it_is_asked_for(typed: Operator, tmp_path: Path) -> None:
    file = tmp_path / "plan.html"
    ran = typed("plan", "--people", 500, *PLACES, "--html", file)
    assert ran.code == 0
    assert file.read_text("utf-8").count("<svg") == 4


def test_an_instant_counts_from_the_opening(typed: Operator) -> None:
    ran = typed(
        "plan", "--people", 500, *PLACES, "--opens-at", "2026-12-31T20:00+01:00",
        "--by", "2026-12-31T20:30+01:00", "--json",
    )  # fmt: skip
    document = ran.document
    (sale,) = document["sales"]
    assert document["by_s"] == 1800
    assert sale["all_in_at"] == document["policy"]["opens_at"] + sale["all_in_after_s"]


def test_an_event_brings_its_rules_and_its_people(typed: Operator, sale: Sale) -> None:
    sale.join(30)
    before = sale.snapshot()
    refused = typed("plan", "--event", sale.event)
    assert refused.code == 2
    assert "--release-people" in refused.err

    document = typed(
        "plan", "--event", sale.event, "--people", 70, "--arrive-over", "1m", "--fill", "--json"
    ).document

    assert (document["people"], document["assumed"]["waiting"]) == (100, 30)
    assert document["policy"]["max_sessions"] == 20
    after = sale.snapshot()
    assert (after.policy, after.issued, after.served_up_to, after.revision) == (
        before.policy,
        before.issued,
        before.served_up_to,
        before.revision,
    )


def test_an_event_that_is_not_there_is_named(typed: Operator) -> None:
    assert typed("plan", "--event", "nowhere", "--people", 5).code == 3


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("--people 10", "--release-people"),
        ("--people 10 --max-sessions 5", "--release-people"),
        ("--release-people 5", "--people N"),
        ("--people 0 --release-people 5", "whole number from 1"),
        ("--people 9000000 --release-people 1", "more people at a time"),
        ("--people 10 --release-people 5 --stay 1h", "shorter --stay"),
        ("--people 10 --release-people 5 --no-shows 120%", "write 20%"),
        ("--people 10 --release-people 5 --no-shows 1,2,3,4,5,6,7", "fewer --no-shows"),
        ("--people 10 --release-people 5 --failure 5m 0", "at least a second"),
        ("--people 10 --release-people 5 --arrive-over 5m --by 5m", "later --by"),
        ("--people 10 --release-people 5 --by soon", "neither a length"),
        ("--people 10 --release-people 5 --by 2026-12-31T20:00", "--opens-at"),
        ("--people 10 --release-people 5 --person 11", "lower --person"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_way_out(
    typed: Operator, words: str, advice: str
) -> None:
    ran = typed("plan", *words.split(), "--json")
    assert ran.code == 2
    assert ran.out == ""
    assert advice in json.loads(ran.err)["error"]["message"]
