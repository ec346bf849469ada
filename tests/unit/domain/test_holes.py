"""Ranges of positions that belong to nobody."""

import pytest

from gateway.domain.holes import NO_HOLES, Holes


def test_no_text_is_no_holes() -> None:
    assert Holes.parse("") is NO_HOLES
    assert NO_HOLES.occupied_between(0, 10) == 10


def test_the_ledger_s_notation_is_read() -> None:
    assert Holes.parse("101-150,900-1000").ranges == ((101, 150), (900, 1000))
    assert Holes.parse("7-7").ranges == ((7, 7),)


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "-",
        "5-",
        "-5",
        "--5",
        "5--6",
        "0-5",
        "6-5",
        "a-b",
        "1-2,",
        ",1-2",
        "1-2,,4-5",
        "1-5,5-9",
        "4-5,1-2",
        "1-9,3-4",
        "1 - 5",
        " 1-5",
        "1-5 ",
        "+1-5",
        "1_0-20",
        "1-5;7-9",
        "1.0-5",
        "1e3-2000",
        "0x1-5",
        "\u0661-\u0665",  # Arabic digits
        "²-5",
        "1\u20135",  # an en dash
    ],
)
def test_anything_but_ascending_ranges_of_whole_numbers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hole"):
        Holes.parse(text)


def test_neighbouring_ranges_need_not_be_merged() -> None:
    assert Holes.parse("1-5,6-9").occupied_between(0, 10) == 1


@pytest.mark.parametrize(
    ("after", "through", "occupied"),
    [
        (0, 9, 9),
        (0, 10, 9),
        (0, 15, 9),
        (0, 20, 9),
        (0, 21, 10),
        (9, 20, 0),
        (12, 18, 0),
        (9, 21, 1),
        (20, 20, 0),
        (21, 20, 0),
        (15, 40, 19),
        (40, 0, 0),
    ],
)
def test_occupied_counts_after_exclusive_and_through_inclusive(
    after: int, through: int, occupied: int
) -> None:
    holes = Holes(((10, 20), (30, 30)))
    assert holes.occupied_between(after, through) == occupied
