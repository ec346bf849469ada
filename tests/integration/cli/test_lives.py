"""`gateway event reset` and `delete`: they ask first, say what is lost, and do it once."""

import os
import pty
import subprocess
import sys
import time

import pytest

from tests.support.command_line import COMMAND_TIMEOUT_S, Operator, Sale, clean_environment


def at_a_terminal(operator: Operator, typed_in: str, *words: str) -> tuple[int, str]:
    """Type a command at a terminal and answer its question; return its exit code and what was shown."""
    ours, terminal = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "gateway", *words],
            cwd=operator.folder,
            env=clean_environment({"TERM": "dumb"}),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        ) as process:
            os.write(ours, typed_in.encode() + b"\n")
            code = process.wait(COMMAND_TIMEOUT_S)
        return code, os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(terminal)


def test_a_reset_begins_a_later_generation_at_nothing(typed: Operator, sale: Sale) -> None:
    sale.join(5)
    typed("release", sale.event, 2)
    before = sale.snapshot()

    done = typed("event", "reset", sale.event, "--yes", "--json")

    after = sale.snapshot()
    assert done.document == {
        "event": sale.event,
        "state": "scheduled",
        "generation": after.generation,
        "previous_generation": before.generation,
    }
    assert after.generation > before.generation
    assert (after.state, after.issued, after.served_up_to) == ("scheduled", 0, 0)
    assert after.policy == before.policy


def test_a_reset_event_is_open_at_once_if_asked(typed: Operator, sale: Sale) -> None:
    told = typed("event", "reset", sale.event, "--open", "--yes")
    assert "begins anew in generation" in told.out
    assert told.err == ""
    assert sale.snapshot().state == "open"
    assert "gateway event open" in typed("event", "reset", sale.event, "--yes").err


def test_a_deleted_event_is_gone(typed: Operator, sale: Sale) -> None:
    done = typed("event", "delete", sale.event, "--yes", "--json")
    assert done.document == {"event": sale.event, "state": "deleted"}
    for words in (("status",), ("event", "delete"), ("event", "reset"), ("event", "open")):
        consent = ["--yes"] if words[-1] in ("delete", "reset") else []
        again = typed(*words, sale.event, *consent, "--json")
        assert (again.code, again.error["code"]) == (3, "event-deleted")


@pytest.mark.parametrize("verb", ["reset", "delete"])
def test_where_nobody_can_be_asked_it_needs_a_yes(typed: Operator, sale: Sale, verb: str) -> None:
    sale.join(2)
    refused = typed("event", verb, sale.event)
    assert refused.code == 4
    assert "2 people waiting lose their place" in refused.err
    assert "--yes" in refused.err
    assert (sale.snapshot().state, sale.snapshot().issued) == ("open", 2)


def test_a_deletion_asks_for_the_name(operator: Operator, sale: Sale) -> None:
    for answer in ("yes", "", sale.event + "x"):
        code, shown = at_a_terminal(operator, answer, "event", "delete", sale.event)
        assert (code, "Not confirmed" in shown) == (4, True)
    assert sale.snapshot().state == "open"
    code, shown = at_a_terminal(operator, sale.event, "event", "delete", sale.event)
    assert (code, "is deleted" in shown) == (0, True)


def test_a_reset_asks_for_a_yes(operator: Operator, sale: Sale) -> None:
    before = sale.snapshot().generation
    code, _ = at_a_terminal(operator, "n", "event", "reset", sale.event)
    assert (code, sale.snapshot().generation) == (4, before)
    code, _ = at_a_terminal(operator, "y", "event", "reset", sale.event)
    assert code == 0
    assert sale.snapshot().generation > before


@pytest.mark.parametrize("verb", ["reset", "delete"])
def test_an_unknown_event_is_exit_3(typed: Operator, verb: str) -> None:
    assert typed("event", verb, "nobody-made-it", "--yes", "--json").code == 3


def test_an_event_opens_by_itself_at_the_set_time(typed: Operator, sale: Sale) -> None:
    opens_at = int(time.time()) + 4
    name = f"{sale.event}-timed"
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(opens_at))
    assert typed("event", "create", name, "--opens-at", moment).code == 0
    timed = Sale(sale.url, name)
    deadline = time.monotonic() + 30
    while timed.snapshot().state != "open":
        assert time.monotonic() < deadline
    latest = typed("log", name, "--json").document["entries"][-1]
    assert (latest["act"], latest["by"]) == ("open", "clock")
    assert latest["at"] >= opens_at * 1000
