"""Names of events, the one comparison, and how many are ahead."""

import pytest

from gateway.domain.holes import Holes
from gateway.domain.positions import (
    MAX_POSITION,
    ServedUpTo,
    Turn,
    ahead_of,
    is_event_id,
    is_served,
    parse_event_id,
)
from gateway.errors import BadInput


def test_the_visitor_at_the_pointer_is_served() -> None:
    assert is_served(Turn(7), ServedUpTo(7))


def test_the_visitor_just_past_the_pointer_is_not_served_and_has_nobody_ahead() -> None:
    assert not is_served(Turn(8), ServedUpTo(7))
    assert ahead_of(Turn(8), ServedUpTo(7)) == 0


def test_nobody_is_served_before_the_first_release() -> None:
    assert not is_served(Turn(1), ServedUpTo(0))
    assert ahead_of(Turn(1), ServedUpTo(0)) == 0
    assert ahead_of(Turn(100), ServedUpTo(0)) == 99


def test_who_is_served_has_nobody_ahead() -> None:
    assert ahead_of(Turn(3), ServedUpTo(7)) == 0
    assert ahead_of(Turn(7), ServedUpTo(7)) == 0


def test_turns_inside_holes_are_not_ahead_of_anyone() -> None:
    holes = Holes(((11, 20), (25, 25)))
    assert ahead_of(Turn(31), ServedUpTo(5), holes) == 25 - 11
    assert ahead_of(Turn(21), ServedUpTo(10), holes) == 0
    assert ahead_of(Turn(21), ServedUpTo(15), holes) == 0


def test_the_highest_position_is_the_highest_exact_double() -> None:
    assert float(MAX_POSITION) + 1 == float(MAX_POSITION + 1)
    assert int(float(MAX_POSITION)) == MAX_POSITION


@pytest.mark.parametrize("text", ["a", "0", "summer-2027", "a-", "a--b", "a" * 63])
def test_a_slug_names_an_event(text: str) -> None:
    assert is_event_id(text)
    assert parse_event_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-a",
        "A",
        "a_b",
        "a.b",
        "a/b",
        "a b",
        " a",
        "a ",
        "a\n",
        "\na",
        "a\x00",
        "é",
        "\u0430",  # Cyrillic
        "\uff11",  # a full-width digit
        "a{b}",
        "a:b",
        "*",
        "..",
        "a" * 64,
    ],
)
def test_anything_else_names_no_event(text: str) -> None:
    assert not is_event_id(text)
    with pytest.raises(BadInput, match="1 to 63 characters"):
        parse_event_id(text)
