from dataclasses import fields
from datetime import UTC, datetime

import pytest

from gateway.domain.events import AS_MANY_AGAIN, FOR_THE_TOKENS_LIFE, NO_LIMIT, EventPolicy
from gateway.operating.policies import RULES, differences, read_table, with_flags

RULE = {rule.name: rule for rule in RULES}


def test_there_is_a_rule_for_everything_that_an_operator_decides() -> None:
    assert {rule.field for rule in RULES} == {field.name for field in fields(EventPolicy)}


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("window", "15m", 900),
        ("window", 60, 60),
        ("late_for", "forever", FOR_THE_TOKENS_LIFE),
        ("late_for", "0", 0),
        ("max_sessions", "none", NO_LIMIT),
        ("max_sessions", 500, 500),
        ("max_sessions", "500", 500),
        ("closes_at", "never", 0),
        ("closes_at", datetime(2030, 1, 1, tzinfo=UTC), 1_893_456_000),
        ("closes_at", "2030-01-01T00:00Z", 1_893_456_000),
        ("draw", True, True),
        ("release_people", "100", 100),
        ("release_people", "none", 0),
        ("release_every", "1m", 60),
        ("overshoot", "limit", AS_MANY_AGAIN),
        ("overshoot", "0", 0),
    ],
)
def test_a_rule_reads_what_operators_write(name: str, written: object, value: int) -> None:
    assert RULE[name].value_of(written) == value


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("window", 0),
        ("window", True),
        ("window", -1),
        ("window", 1.5),
        ("window", None),
        ("session", "25h"),
        ("max_sessions", True),
        ("max_sessions", -1),
        ("max_sessions", "-1"),
        ("max_sessions", 2**53),
        ("max_sessions", "1" * 17),
        ("extend_times", 1001),
        ("token_life", "59s"),
        ("late_for", -1),
        ("closes_at", 5),
        ("closes_at", "1960-01-01T00:00Z"),
        ("draw", 1),
        ("release_people", 1_000_001),
        ("release_every", 0),
        ("overshoot", -1),
        ("overshoot", "many"),
        ("draw", "yes"),
    ],
)
def test_a_rule_refuses_what_makes_no_sense(name: str, written: object) -> None:
    with pytest.raises(ValueError, match=r"must|no length|no instant|longer"):
        RULE[name].value_of(written)


def test_what_is_not_given_stays() -> None:
    before = EventPolicy(window_s=60, draw=True)

    after = with_flags(before, {"session": 30, "window": None, "voucher_required": False})

    assert after == EventPolicy(window_s=60, session_s=30, draw=True)
    assert differences(before, after) == {"session_s": (600, 30)}


def test_every_mistake_of_a_table_is_collected() -> None:
    mistakes: list[str] = []

    given = read_table({"window": "15m", "speed": 3, "session": "soon"}, "[events.a]", mistakes)

    assert given == {"window": 900}
    assert len(mistakes) == 2
    assert all(mistake.startswith("[events.a] ") for mistake in mistakes)
