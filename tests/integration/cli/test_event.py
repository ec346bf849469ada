"""`gateway event`: what it makes, shows, changes and refuses."""

from pathlib import Path

import pytest

from tests.support.command_line import Operator, Sale

STATUS_FIELDS = {
    "event",
    "state",
    "message",
    "mode",
    "generation",
    "issued",
    "served_up_to",
    "waiting",
    "active_sessions",
    "max_sessions",
    "sessions_held",
    "schedule",
    "claims",
    "rate_per_min",
    "event_clock_s",
    "holes",
    "ceiling",
    "claims_frozen",
    "updated_at",
    "healed",
    "draw",
    "policy",
}


def test_a_new_event_is_scheduled_and_holds_the_rules_of_its_flags(operator: Operator) -> None:
    made = operator(
        "event", "create", "flags", "--window", "20m", "--session", "90s", "--max-sessions", 7,
        "--late-for", "1h", "--extend-times", 2, "--extend-by", "5m", "--finish-grace", "1m",
        "--token-life", "2d", "--opens-at", "2029-12-31T00:00+00:00",
        "--closes-at", "2030-01-01T00:00+00:00", "--headroom", 3,
        "--one-place-per-sub", "--voucher-required", "--draw", "--release-people", 100,
        "--release-every", "2m", "--fill", "--overshoot", 3, "--json",
    )  # fmt: skip

    assert made.code == 0
    assert made.err == ""
    assert made.document["event"] == "flags"
    assert made.document["state"] == "scheduled"
    assert operator("status", "flags", "--json").document["policy"] == {
        "window_s": 1200,
        "session_s": 90,
        "max_sessions": 7,
        "headroom": 3,
        "late_for_s": 3600,
        "extend_times": 2,
        "extend_s": 300,
        "finish_grace_s": 60,
        "token_life_s": 172_800,
        "opens_at": 1_893_369_600,
        "closes_at": 1_893_456_000,
        "one_place_per_sub": True,
        "voucher_required": True,
        "draw": True,
        "durability": "fsync",
        "replicas": 1,
        "schedule_people": 100,
        "schedule_every_s": 120,
        "fill": True,
        "overshoot": 3,
    }


def test_people_are_told_what_is_left_to_do(operator: Operator) -> None:
    made = operator("event", "create", "told")

    assert "Created event 'told', scheduled." in made.out
    assert "max sessions       no limit" in made.out
    assert "[events.told] hosts" in made.err
    assert "gateway event open told" in made.err


def test_creating_an_event_twice_is_a_conflict_and_changes_nothing(
    typed: Operator, sale: Sale
) -> None:
    before = sale.snapshot().policy

    again = typed("event", "create", sale.event, "--max-sessions", 99, "--json")

    assert again.code == 5
    assert again.out == ""
    assert again.error["code"] == "conflict"
    assert sale.snapshot().policy == before


def test_list_and_status_show_every_event(typed: Operator, sale: Sale) -> None:
    for command in (("event", "list"), ("status",)):
        shown = typed(*command, "--json")
        found = [entry for entry in shown.document["events"] if entry["event"] == sale.event]
        assert found[0].keys() == STATUS_FIELDS
        assert sale.event in typed(*command).out


def test_status_has_the_numbers_of_the_ledger(typed: Operator, sale: Sale) -> None:
    sale.join(5)
    typed("release", sale.event, 2)

    status = typed("status", sale.event, "--json").document

    assert status.keys() == STATUS_FIELDS
    assert status["mode"] is None, "the settings do not name this event"
    assert status["event"] == sale.event
    assert (status["issued"], status["served_up_to"], status["waiting"]) == (5, 2, 3)
    assert (status["active_sessions"], status["max_sessions"], status["claims"]) == (0, 20, 0)
    assert status["rate_per_min"] is None
    assert status["holes"] == []
    assert status["ceiling"] >= 5
    assert isinstance(status["updated_at"], int)
    text = typed("status", sale.event).out
    assert "active sessions  0 of 20" in text
    assert "let in lately    no history yet" in text


def test_status_shows_local_time_with_its_offset(operator: Operator, sale: Sale) -> None:
    assert " +01:00\n" in operator("status", sale.event).out.replace("+02:00", "+01:00")


def test_show_names_rules_and_hosts(typed: Operator, sale: Sale) -> None:
    assert "no host: add it to the settings" in typed("event", "show", sale.event).out
    assert typed("event", "show", sale.event, "--json").document["route"] is None
    assert typed("event", "create", "sale").code == 0

    shown = typed("event", "show", "sale", "--json").document

    assert shown.keys() == STATUS_FIELDS | {"route"}
    assert shown["route"]["hosts"] == ["shop.example"]
    assert "shop.example" in typed("event", "show", "sale").out


def test_set_changes_what_is_named_and_nothing_else(typed: Operator, sale: Sale) -> None:
    before = sale.snapshot().policy

    done = typed("event", "set", sale.event, "--session", "20m", "--late-for", "forever", "--json")

    assert done.document["changes"] == {"session_s": [before.session_s, 1200]}
    after = sale.snapshot().policy
    assert (after.session_s, after.max_sessions, after.window_s) == (1200, 20, before.window_s)
    again = typed("event", "set", sale.event, "--session", "20m")
    assert (again.code, again.out) == (0, f"{sale.event}: nothing to change.\n")


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--draw",),
        ("--session", "0"),
        ("--session", "25h"),
        ("--window", "-5"),
        ("--window", "soon"),
        ("--max-sessions", "1.5"),
        ("--max-sessions", "-1"),
        ("--max-sessions", str(10**30)),
        ("--extend-times", "many"),
        ("--closes-at", "tomorrow"),
        ("--late-for", "-1"),
    ],
)
def test_bad_rules_are_refused_and_change_nothing(
    typed: Operator, sale: Sale, flags: tuple[str, ...]
) -> None:
    before = sale.snapshot().policy

    assert typed("event", "set", sale.event, *flags).code == 2
    assert sale.snapshot().policy == before


def test_the_states_of_a_night(typed: Operator, sale: Sale) -> None:
    def state() -> tuple[str, str, bool]:
        snapshot = sale.snapshot()
        return snapshot.state.value, snapshot.message, snapshot.claims_frozen

    paused = typed("event", "pause", sale.event, "--message", "Back soon", "--json")
    assert paused.document == {
        "event": sale.event,
        "state": "paused",
        "message": "Back soon",
        "releases_only": False,
    }
    assert state() == ("paused", "Back soon", True)
    assert typed("event", "pause", sale.event, "--releases-only").code == 0
    # Pausing again changes how, and does not take back what was said.
    assert state() == ("paused", "Back soon", False)
    refused = typed("event", "open", sale.event)
    assert refused.code == 4
    assert "gateway event resume" in refused.err
    assert typed("event", "resume", sale.event, "--json").document["state"] == "open"
    assert state()[0] == "open"

    bypassed = typed("event", "bypass", sale.event, "--for", "10m")
    assert bypassed.code == 0
    assert "EVERYONE passes for 10 min" in bypassed.err
    assert state()[0] == "bypass"
    assert typed("event", "open", sale.event).code == 0

    assert typed("event", "close", sale.event, "--yes", "--json").document["state"] == "closed"
    assert state()[0] == "closed"
    assert typed("event", "pause", sale.event).code == 4
    assert state()[0] == "closed"


def test_closing_needs_a_yes_where_nobody_can_be_asked(typed: Operator, sale: Sale) -> None:
    sale.join(2)

    refused = typed("event", "close", sale.event)

    assert refused.code == 4
    assert "2 people waiting" in refused.err
    assert "--yes" in refused.err
    assert sale.snapshot().state == "open"


@pytest.mark.parametrize("words", [(), ("--for", "0"), ("--for", "25h"), ("--for", "x")])
def test_a_bypass_needs_an_end_within_a_day(
    typed: Operator, sale: Sale, words: tuple[str, ...]
) -> None:
    assert typed("event", "bypass", sale.event, *words).code == 2
    assert sale.snapshot().state == "open"


@pytest.mark.parametrize(
    "words",
    [
        ("status",),
        ("release", 5),
        ("release", 5, "--dry-run"),
        ("event", "show"),
        ("event", "set", "--headroom", 1),
        ("event", "open"),
        ("event", "pause"),
        ("event", "resume"),
        ("event", "close", "--yes"),
        ("event", "bypass", "--for", "1m"),
    ],
)
def test_an_unknown_event_is_exit_3_everywhere(
    typed: Operator, words: tuple[str | int, ...]
) -> None:
    verb = 2 if words[0] == "event" else 1

    ran = typed(*words[:verb], "nobody-made-it", *words[verb:], "--json")

    assert ran.code == 3
    assert ran.out == ""
    assert ran.error["code"] == "no-such-event"
    assert ran.error["exit_code"] == 3


@pytest.mark.parametrize("name", ["Sale", "-sale", "a" * 64, "a b", "a/b", ""])
def test_a_name_that_is_no_slug_is_wrong_usage(typed: Operator, name: str) -> None:
    assert typed("event", "create", "--", name).code == 2


def test_apply_makes_changes_and_repeats_nothing(typed: Operator, tmp_path: Path) -> None:
    file = tmp_path / "events.toml"
    file.write_text(
        '[events.apply-a]\nwindow = "15m"\nmax_sessions = 500\n'
        "[events.apply-b]\ncloses_at = 2030-01-01T00:00:00Z\nvoucher_required = true\n"
    )

    def results() -> dict[str, str]:
        answer = typed("event", "apply", "-f", file, "--json")
        assert answer.code == 0, answer.err
        return {entry["event"]: entry["result"] for entry in answer.document["events"]}

    assert results() == {"apply-a": "created", "apply-b": "created"}
    assert results() == {"apply-a": "unchanged", "apply-b": "unchanged"}
    policy = typed("status", "apply-b", "--json").document["policy"]
    assert (policy["closes_at"], policy["voucher_required"]) == (1_893_456_000, True)
    typed("event", "open", "apply-a")
    typed("event", "set", "apply-a", "--headroom", 9)
    file.write_text('[events.apply-a]\nsession = "5m"\n')
    changed = typed("event", "apply", "-f", file, "--json").document
    assert changed == {
        "events": [{"event": "apply-a", "result": "changed", "changes": {"session_s": [600, 300]}}],
        "dry_run": False,
    }
    status = typed("status", "apply-a", "--json").document
    # What the file does not name stays: a change made on the night is not undone by accident.
    assert (status["state"], status["policy"]["headroom"]) == ("open", 9)
    assert status["policy"]["max_sessions"] == 500


def test_apply_checks_everything_before_it_changes_anything(
    typed: Operator, tmp_path: Path
) -> None:
    file = tmp_path / "events.toml"
    file.write_text(
        '[server]\nport = 1\n[events.good-one]\nwindow = "15m"\n'
        '[events.Bad]\n[events.bad-two]\nwindow = "soon"\nspeed = 3\nmax_sessions = 2.5\ndraw = 1\n'
    )

    refused = typed("event", "apply", "-f", file, "--json")

    assert refused.code == 1
    assert refused.error["code"] == "file-invalid"
    assert len(refused.error["mistakes"]) == 6
    assert typed("status", "good-one").code == 3


@pytest.mark.parametrize("content", ["", "events = 3", "[events]", "not toml", "[events.a\n"])
def test_a_file_without_events_is_refused(typed: Operator, tmp_path: Path, content: str) -> None:
    file = tmp_path / "events.toml"
    file.write_text(content)

    assert typed("event", "apply", "-f", file).code == 1


def test_apply_in_a_dry_run_says_and_does_nothing(
    typed: Operator, sale: Sale, operator: Operator
) -> None:
    content = f"[events.{sale.event}]\nheadroom = 4\n[events.dry-new]\n"

    said = operator("event", "apply", "-f", "-", "--dry-run", stdin=content)

    assert said.code == 0, said.err
    assert f"{sale.event}: would be changed (headroom 0 -> 4)" in said.out
    assert "dry-new: would be created" in said.out
    assert sale.snapshot().policy.headroom == 0
    assert typed("status", "dry-new").code == 3


def test_a_draw_cannot_be_decided_later(typed: Operator, sale: Sale, tmp_path: Path) -> None:
    file = tmp_path / "events.toml"
    file.write_text(f"[events.{sale.event}]\ndraw = true\nheadroom = 4\n")

    refused = typed("event", "apply", "-f", file)

    assert refused.code == 1
    assert "draw: is decided when the event is created" in refused.err
    assert sale.snapshot().policy.headroom == 0
