"""`gateway log`: who did what, shown, exported and verified."""

import getpass
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.positions import EventId
from gateway.ledger import keyspace
from gateway.ledger.redis import RedisLedger
from tests.support.command_line import Operator, Sale


def acts(typed: Operator, sale: Sale) -> list[dict[str, Any]]:
    ran = typed("log", sale.event, "--json")
    assert ran.code == 0
    entries: list[dict[str, Any]] = ran.document["entries"]
    return entries


def spoil(sale: Sale, command: Callable[[RedisLedger, str], Any]) -> None:
    """Do to the log what nobody may."""
    sale.ask(lambda ledger: command(ledger, keyspace.log(EventId(sale.event))))


async def cut_the_end(ledger: RedisLedger, log: str) -> None:
    entries: Any = await ledger.redis.xrange(log)
    await ledger.redis.xdel(log, entries[-1][0])


def test_every_command_that_changes_something_says_who_and_why(typed: Operator, sale: Sale) -> None:
    name = sale.event
    signed = ("--by", "ada", "--reason", "rehearsal")
    for words in (
        ("event", "set", name, "--window", "5m"),
        ("release", name, 3),
        ("event", "pause", name, "--message", "Back soon"),
        ("event", "resume", name),
        ("event", "bypass", name, "--for", "1m"),
        ("event", "close", name, "--yes"),
        ("event", "open", name),
        ("event", "reset", name, "--yes"),
        ("event", "delete", name, "--yes"),
        ("event", "create", name),
    ):
        assert typed(*words, *signed).code == 0
    entries = acts(typed, sale)
    assert [entry["act"] for entry in entries] == [
        "create", "configure", "release", "pause", "resume", "bypass", "close", "open", "reset",
        "delete", "create",
    ]  # fmt: skip
    assert {(entry["by"], entry["reason"]) for entry in entries[1:]} == {("ada", "rehearsal")}


def test_a_file_that_is_applied_is_signed_too(typed: Operator, sale: Sale) -> None:
    file = f"[events.{sale.event}]\nwindow = '7m'\n[events.applied-and-signed]\n"
    (typed.folder / "signed.toml").write_text(file)
    assert typed("event", "apply", "-f", "signed.toml", "--by", "ada").code == 0
    assert typed("event", "apply", "-f", "signed.toml", "--by", "bob").code == 0
    assert acts(typed, sale)[-1]["by"] == "ada"
    made = typed("log", "applied-and-signed", "--json").document["entries"]
    assert [(entry["act"], entry["by"]) for entry in made] == [("create", "ada")]


def test_the_name_comes_from_the_flag_then_the_environment_then_the_system(
    typed: Operator, sale: Sale
) -> None:
    env = {"GATEWAY_OPERATOR": "night shift"}
    typed("event", "pause", sale.event, "--by", "ada", env=env)
    typed("event", "resume", sale.event, env=env)
    typed("event", "pause", sale.event)
    names = [entry["by"] for entry in acts(typed, sale)]
    assert names == [getpass.getuser(), "ada", "night shift", getpass.getuser()]


@pytest.mark.parametrize(
    "words", [("--by", ""), ("--by", "x" * 65), ("--by", "\x1b"), ("--reason", "x" * 201)]
)
def test_a_name_or_a_reason_that_cannot_be_kept_is_refused_before_the_act(
    typed: Operator, sale: Sale, words: tuple[str, ...]
) -> None:
    assert typed("event", "pause", sale.event, *words).code == 2
    assert sale.snapshot().state == "open"
    assert len(acts(typed, sale)) == 1


def test_people_see_a_table_and_the_verdict(typed: Operator, sale: Sale) -> None:
    typed("event", "pause", sale.event, "--by", "ada", "--message", "a\x1b[31mb")
    shown = typed("log", sale.event)
    assert shown.code == 0
    head, created, paused, _, verdict = shown.out.splitlines()
    assert head.split() == ["seq", "when", "who", "what", "change", "reason"]
    assert created.startswith("  1")
    assert "ada" in paused
    assert "state open -> paused, message '' -> a [31mb" in paused
    assert "\x1b[31m" not in shown.out
    assert verdict.startswith("The chain is whole: 2 entries, head ")
    latest = typed("log", sale.event, "--last", 1).out
    assert "create" not in latest
    assert "pause" in latest


def test_the_clock_and_a_dry_run_are_told_apart_from_operators(typed: Operator, sale: Sale) -> None:
    sale.join(5)
    typed("release", sale.event, 2, "--dry-run")
    typed("release", sale.event, 2, "--id", "once")
    typed("release", sale.event, 2, "--id", "once")
    assert [entry["act"] for entry in acts(typed, sale)] == ["create", "release"]


def test_an_export_can_be_verified_by_anyone_with_sha_256(typed: Operator, sale: Sale) -> None:
    typed("event", "pause", sale.event, "--message", 'Zürich "☕" \\')
    typed("event", "resume", sale.event)
    exported = typed("log", sale.event, "--jsonl")
    assert exported.code == 0
    previous = "0" * 64
    lines = exported.out.splitlines()
    assert len(lines) == 3
    for line in lines:
        held = json.loads(line)
        text = line.removeprefix('{"entry":').rpartition(',"hash":')[0]
        assert hashlib.sha256(text.encode()).hexdigest() == held["hash"]
        assert held["entry"]["prev"] == previous
        previous = held["hash"]
    assert typed("log", sale.event, "--json").document["head"] == {"seq": 3, "hash": previous}


def test_a_broken_chain_is_exit_1_however_it_is_looked_at(typed: Operator, sale: Sale) -> None:
    typed("event", "pause", sale.event)
    spoil(sale, cut_the_end)
    told = "entry 2, the latest by the event's state, is not in the log"
    for flags in ((), ("--verify",), ("--jsonl",)):
        ran = typed("log", sale.event, *flags)
        assert ran.code == 1
        assert told in ran.err
        assert "The chain is whole" not in ran.out
    as_json = typed("log", sale.event, "--json")
    assert (as_json.code, as_json.error["code"]) == (1, "log-broken")
    assert as_json.error["mistakes"] == as_json.document["faults"] == [told]
    assert not as_json.document["whole"]


def test_a_kept_head_must_be_in_the_log(typed: Operator, sale: Sale) -> None:
    kept = typed("log", sale.event, "--json").document["head"]["hash"]
    typed("event", "pause", sale.event)
    verified = typed("log", sale.event, "--verify", "--head", kept, "--json")
    assert (verified.code, verified.document["entries"]) == (0, [])
    refused = typed("log", sale.event, "--verify", "--head", kept, "--head", "0" * 64)
    assert refused.code == 1
    assert f"there is no entry with the hash {'0' * 64}" in refused.err
    assert typed("log", sale.event, "--head", "abc").code == 2


def test_flags_that_say_two_things_are_wrong_usage(typed: Operator, sale: Sale) -> None:
    for flags in (("--jsonl", "--json"), ("--jsonl", "--verify"), ("--last", "0")):
        assert typed("log", sale.event, *flags).code == 2


def test_the_log_of_a_deleted_event_stays_and_that_of_none_is_exit_3(
    typed: Operator, sale: Sale
) -> None:
    assert typed("event", "delete", sale.event, "--yes").code == 0
    assert [entry["act"] for entry in acts(typed, sale)] == ["create", "delete"]
    assert typed("log", "nobody-made-it", "--json").code == 3
