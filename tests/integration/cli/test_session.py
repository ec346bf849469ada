"""`gateway session`: one visitor's session, shown, extended and ended by an operator."""

import time
from typing import Any

import pytest

from gateway.domain.positions import EventId, Position, Turn
from gateway.ledger.redis import RedisLedger
from tests.support.command_line import Operator, Sale


def seat(sale: Sale, typed: Operator, people: int = 1) -> None:
    """Seat the first `people` visitors."""
    sale.join(people + 1)
    assert typed("release", sale.event, people).code == 0
    generation = sale.snapshot().generation

    async def claim_all(ledger: RedisLedger) -> None:
        for position in range(1, people + 1):
            await ledger.claim(
                EventId(sale.event), generation, Position(position), Turn(position), 0
            )

    sale.ask(claim_all)


def shown(sale: Sale, typed: Operator, position: int = 1) -> Any:
    ran = typed("session", "show", sale.event, position, "--json")
    assert ran.code == 0
    return ran.document


def acts(sale: Sale, typed: Operator) -> list[dict[str, Any]]:
    ran = typed("log", sale.event, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["whole"]
    return list(ran.document["entries"])


def test_it_shows_how_a_session_stands(sale: Sale, typed: Operator) -> None:
    seat(sale, typed)
    document = shown(sale, typed)
    assert document.pop("session_ends_at") - time.time() == pytest.approx(600, abs=5)
    assert document.pop("session_seconds_left") == pytest.approx(600, abs=5)
    assert document == {
        "event": sale.event,
        "generation": sale.snapshot().generation,
        "position": 1,
        "session": "running",
        "extensions_used": 0,
        "extensions_left": 1,
    }
    for position in (2, 99):
        empty = shown(sale, typed, position)
        assert (empty["session"], empty["session_ends_at"]) == ("none", None)
    text = typed("session", "show", sale.event, 1).out
    assert "position 1 ends in 9 min" in text or "position 1 ends in 10 min" in text
    assert typed("session", "show", sale.event, 2).out.startswith("Position 2 has no session")


def test_an_extension_counts_from_now_and_takes_none_of_the_visitors(
    sale: Sale, typed: Operator
) -> None:
    seat(sale, typed)
    ran = typed(
        "session",
        "extend",
        sale.event,
        1,
        "--for",
        "2h",
        "--by",
        "ada",
        "--reason",
        "rang",
        "--json",
    )
    assert ran.code == 0
    assert ran.document["extended"] is True
    assert ran.document["session_ends_at"] - time.time() == pytest.approx(7200, abs=5)
    after = shown(sale, typed)
    assert after["session_seconds_left"] == pytest.approx(7200, abs=5)
    assert (after["extensions_used"], after["extensions_left"]) == (0, 1)
    entry = acts(sale, typed)[-1]
    assert (entry["act"], entry["by"], entry["reason"]) == ("extend-session", "ada", "rang")
    assert entry["after"]["position"] == 1
    gained = entry["after"]["session_ends_at"] - entry["before"]["session_ends_at"]
    assert gained == pytest.approx(6600, abs=5)


def test_a_session_never_gets_shorter_and_what_changes_nothing_is_not_logged(
    sale: Sale, typed: Operator
) -> None:
    seat(sale, typed)
    before = acts(sale, typed)
    ran = typed("session", "extend", sale.event, 1, "--for", "1m", "--json")
    assert (ran.code, ran.document["extended"]) == (0, False)
    assert ran.document["session_ends_at"] - time.time() > 590
    assert "stays so" in typed("session", "extend", sale.event, 1, "--for", "1m").out
    assert acts(sale, typed) == before


def test_a_session_ends_at_once_and_its_place_is_free(sale: Sale, typed: Operator) -> None:
    seat(sale, typed, 2)
    ran = typed(
        "session", "end", sale.event, 1, "--yes", "--by", "ada", "--reason", "bot", "--json"
    )
    assert (ran.code, ran.document["session"]) == (0, "over")
    snapshot = sale.snapshot()
    assert (snapshot.active_sessions, set(snapshot.ended)) == (1, {1})
    assert shown(sale, typed)["session"] == "over"
    assert shown(sale, typed, 2)["session"] == "running"
    entry = acts(sale, typed)[-1]
    assert (entry["act"], entry["by"], entry["reason"]) == ("end-session", "ada", "bot")
    assert entry["after"]["position"] == 1
    assert entry["before"]["session_ends_at"] > entry["after"]["session_ends_at"]
    assert "position 1" in typed("log", sale.event).out


def test_ending_needs_consent(sale: Sale, typed: Operator) -> None:
    seat(sale, typed)
    ran = typed("session", "end", sale.event, 1)
    assert ran.code == 4
    assert "--yes" in ran.err
    assert shown(sale, typed)["session"] == "running"


@pytest.mark.parametrize("words", [("extend", "--for", "5m"), ("end", "--yes")])
def test_where_no_session_runs_nothing_is_done_and_the_reason_is_told(
    sale: Sale, typed: Operator, words: tuple[str, ...]
) -> None:
    act, *flags = words
    seat(sale, typed)
    none = typed("session", act, sale.event, 2, *flags, "--json")
    assert (none.code, none.error["code"]) == (4, "refused")
    assert "no session" in none.error["message"]
    assert typed("session", "end", sale.event, 1, "--yes").code == 0
    before = acts(sale, typed)
    over = typed("session", act, sale.event, 1, *flags, "--json")
    assert over.code == 4
    assert "join again" in over.error["message"]
    assert acts(sale, typed) == before


@pytest.mark.parametrize("position", ["0", "-1", "1.5", "x", "٣", "9007199254740992", ""])
def test_what_is_no_position_is_wrong_usage(sale: Sale, typed: Operator, position: str) -> None:
    for words in (("show",), ("extend", "--for", "5m"), ("end", "--yes")):
        ran = typed("session", words[0], *words[1:], sale.event, "--", position, "--json")
        assert ran.code == 2, ran


@pytest.mark.parametrize("length", ["0s", "25h", "-5m", "soon"])
def test_an_extension_is_a_day_at_most(sale: Sale, typed: Operator, length: str) -> None:
    seat(sale, typed)
    assert typed("session", "extend", sale.event, 1, f"--for={length}").code == 2
    assert shown(sale, typed)["session_seconds_left"] <= 600


def test_an_event_that_is_not_there_has_no_sessions(typed: Operator) -> None:
    for words in (("show",), ("extend", "--for", "5m"), ("end", "--yes")):
        act, *flags = words
        assert typed("session", act, "nobody", 1, *flags).code == 3
