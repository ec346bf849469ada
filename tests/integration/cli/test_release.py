"""`gateway release`: moves the pointer once, forward, and never by mistake."""

import os
import pty
import subprocess
import sys

import pytest

from tests.support.command_line import Operator, Sale, clean_environment


def test_a_release_lets_the_next_people_in(operator: Operator, sale: Sale) -> None:
    sale.join(10)

    done = operator("release", sale.event, 3, "--json")

    assert done.code == 0
    assert done.document["id"]
    told = {name: value for name, value in done.document.items() if name not in {"id", "effects"}}
    assert told == {
        "event": sale.event,
        "by": 3,
        "before": 0,
        "after": 3,
        "people": 3,
        "capped": False,
        "repeated": False,
        "dry_run": False,
        "unusual": [],
    }
    assert done.document["effects"]["sessions_at_most"] == 3
    said = operator("--json", "release", sale.event, "--to", 5)
    assert (said.document["to"], said.document["people"]) == (5, 2)
    in_words = operator("release", sale.event, 1).out
    assert in_words.startswith("Let in 1 person: the pointer went from 5 to 6.\n")
    assert sale.snapshot().served_up_to == 6


def test_a_release_stops_at_the_last_who_waits(typed: Operator, sale: Sale) -> None:
    sale.join(2)

    assert "That was everybody who waits" in typed("release", sale.event, 50).out
    assert "stays at 2: nobody else is waiting" in typed("release", sale.event, 50).out
    assert "stays at 2: it is there already" in typed("release", sale.event, "--to", 1).out


def test_a_dry_run_changes_nothing(typed: Operator, sale: Sale) -> None:
    sale.join(4)

    would = typed("release", sale.event, 3, "--dry-run", "--json").document

    assert (would["before"], would["after"], would["dry_run"], would["id"]) == (0, 3, True, None)
    assert "Would let in 3 people" in typed("release", sale.event, 3, "--dry-run").out
    assert sale.snapshot().served_up_to == 0


def test_a_dry_run_says_what_it_would_do_to_people_and_sessions(
    typed: Operator, sale: Sale
) -> None:
    sale.join(30)
    typed("event", "set", sale.event, "--max-sessions", 20, "--session", "10m", "--window", "15m")
    typed("release", sale.event, 4)

    effects = typed("release", sale.event, 26, "--dry-run", "--json").document["effects"]

    assert (effects["people"], effects["expected"], effects["show_rate"]) == (26, 26, None)
    assert (effects["sessions"], effects["at_the_door"]) == (0, 4)
    assert (effects["sessions_at_most"], effects["max_sessions"]) == (30, 20)
    assert (effects["wait_at_most"], effects["frees_per_min"], effects["wait_s"]) == (10, 2, 300)
    assert effects["claim_window_s"] == 900
    said = typed("release", sale.event, 26, "--dry-run").out
    assert "15 min; nobody's window is over yet" in said
    assert "0 now and 4 at the door; then 30 expected, 30 at most, of 20" in said
    assert "waits at the door for about 5 min (2 places a minute)" in said


def test_more_than_the_room_needs_a_yes(typed: Operator, sale: Sale) -> None:
    sale.join(120)
    typed("event", "set", sale.event, "--max-sessions", 50)

    tried = typed("release", sale.event, 120, "--dry-run", "--json").document
    refused = typed("release", sale.event, 120, "--json")

    assert [reason["code"] for reason in tried["unusual"]] == ["beyond-room"]
    assert (refused.code, refused.error["code"]) == (4, "refused")
    assert "Really let in 120 people, who can claim for 15 min" in refused.error["message"]
    assert sale.snapshot().served_up_to == 0
    assert "add --yes" in typed("release", sale.event, 120, "--dry-run").out
    assert typed("release", sale.event, 100).code == 0


def test_a_repeated_id_is_not_asked_about_again(typed: Operator, sale: Sale) -> None:
    sale.join(3)
    typed("release", sale.event, 5000, "--id", "doors", "--yes")

    again = typed("release", sale.event, 5000, "--id", "doors", "--json")

    assert (again.code, again.document["repeated"], again.document["effects"]) == (0, True, None)


def test_a_release_with_an_id_happens_once(typed: Operator, sale: Sale) -> None:
    sale.join(10)
    first = typed("release", sale.event, 3, "--id", "doors", "--json").document

    again = typed("release", sale.event, 3, "--id", "doors", "--json").document

    assert (first["repeated"], again["repeated"]) == (False, True)
    assert (again["before"], again["after"], again["people"]) == (0, 3, 3)
    assert "Nothing moved now" in typed("release", sale.event, 3, "--id", "doors").out
    assert sale.snapshot().served_up_to == 3


def test_an_id_is_used_up_where_nobody_waited_and_that_is_said(typed: Operator, sale: Sale) -> None:
    said = typed("release", sale.event, 3, "--id", "doors").out
    assert "stays at 0: nobody else is waiting" in said
    assert "The id 'doors' is used up by it" in said
    # Where nothing was named, and where nothing is done, nothing is used up.
    assert "used up" not in typed("release", sale.event, 3).out
    assert "used up" not in typed("release", sale.event, 3, "--id", "other", "--dry-run").out
    sale.join(10)

    again = typed("release", sale.event, 3, "--id", "doors", "--json").document
    in_words = typed("release", sale.event, 3, "--id", "doors").out

    assert (again["repeated"], again["people"], again["after"]) == (True, 0, 0)
    assert "for another one take another id" in in_words
    assert sale.snapshot().served_up_to == 0
    capped = typed("release", sale.event, 12, "--id", "more", "--yes").out
    assert "That was everybody who waits" in capped
    assert "The id 'more' is used up by it" in capped


def test_the_same_id_for_something_else_is_a_conflict(typed: Operator, sale: Sale) -> None:
    sale.join(10)
    typed("release", sale.event, 3, "--id", "doors")

    for other in ((4,), ("--to", 3)):
        refused = typed("release", sale.event, *other, "--id", "doors", "--json")
        assert (refused.code, refused.error["code"]) == (5, "conflict")

    assert sale.snapshot().served_up_to == 3


def test_two_releases_without_an_id_are_two_releases(typed: Operator, sale: Sale) -> None:
    sale.join(10)

    typed("release", sale.event, 3)
    typed("release", sale.event, 3)

    assert sale.snapshot().served_up_to == 6


def test_nothing_is_released_while_the_event_is_not_open(typed: Operator, sale: Sale) -> None:
    sale.join(3)
    typed("event", "pause", sale.event)

    for words in ((1,), (1, "--id", "x"), ("--to", 1), (1, "--dry-run")):
        refused = typed("release", sale.event, *words, "--json")
        assert (refused.code, refused.error["code"]) == (4, "refused")
        assert "Resume it first" in refused.error["message"]
    assert sale.snapshot().served_up_to == 0


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("0",),
        ("-1",),
        ("-5", "--yes"),
        ("--to", "-5"),
        ("--", "-5"),
        ("+5",),
        ("1.5",),
        ("5.0",),
        ("1e3",),
        ("1_000",),
        ("1,000",),
        (" 5",),
        ("five",),
        ("\u0665",),
        ("",),
        ("0x10",),
        ("true",),
        ("nan",),
        ("9007199254740992",),
        (str(10**30),),
        ("5", "6"),
        ("5", "--to", "6"),
        ("--to", "0"),
        ("--to", "x"),
        ("--to",),
        ("5", "--id", ""),
        ("5", "--force"),
        ("--dry-run",),
    ],
)
def test_what_is_no_amount_is_wrong_usage_and_moves_nothing(
    typed: Operator, sale: Sale, words: tuple[str, ...]
) -> None:
    sale.join(3)
    before = sale.snapshot()

    refused = typed("release", sale.event, *words)

    assert refused.code == 2
    assert refused.out == ""
    assert refused.err.startswith("gateway: ")
    after = sale.snapshot()
    assert (after.served_up_to, after.issued, after.state) == (0, 3, "open")
    # The ledger's time of the last change that anybody could see.
    assert after.updated_at_ms == before.updated_at_ms


@pytest.mark.parametrize("words", [(1000,), ("--to", 1000), (2**53 - 1,)])
def test_a_release_far_beyond_who_waits_needs_a_yes(
    typed: Operator, sale: Sale, words: tuple[str | int, ...]
) -> None:
    sale.join(3)

    refused = typed("release", sale.event, *words)

    assert refused.code == 4
    assert "3 people wait" in refused.err
    assert "--yes" in refused.err
    assert sale.snapshot().served_up_to == 0
    assert typed("release", sale.event, *words, "--dry-run").code == 0
    assert typed("release", sale.event, *words, "--yes").code == 0
    assert sale.snapshot().served_up_to == 3


@pytest.mark.parametrize(("reply", "code", "served"), [(b"n\n", 4, 0), (b"y\n", 0, 3)])
def test_at_a_terminal_the_operator_is_asked(
    operator: Operator, sale: Sale, reply: bytes, code: int, served: int
) -> None:
    sale.join(3)
    ours, terminal = pty.openpty()
    try:
        os.write(ours, reply)
        asked = subprocess.run(
            [sys.executable, "-m", "gateway", "release", sale.event, "5000"],
            cwd=operator.folder,
            env=clean_environment(),
            stdin=terminal,
            capture_output=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(terminal)

    assert asked.returncode == code
    assert b"3 people wait" in asked.stderr
    assert sale.snapshot().served_up_to == served
