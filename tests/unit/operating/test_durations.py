import time
from collections.abc import Iterator

import pytest

from gateway.operating.durations import (
    LONGEST_S,
    describe_duration,
    describe_moment,
    parse_duration,
    parse_moment,
)


@pytest.fixture
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Paris")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("15m", 900),
        ("2h", 7200),
        ("7d", 604_800),
        ("0", 0),
        (" 5m ", 300),
        ("366d", LONGEST_S),
    ],
)
def test_a_length_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "-5",
        "-5m",
        "1.5h",
        "1h30m",
        "5 m",
        "5M",
        "1e3",
        "\u0665m",
        "soon",
        "367d",
        "9" * 40,
    ],
)
def test_anything_else_is_no_length(text: str) -> None:
    with pytest.raises(ValueError, match=r"length of time|longer than a year"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.9, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (65, "1 min 5 s"),
        (3600, "1 h"),
        (3601, "1 h"),
        (7500, "2 h 5 min"),
        (86_400 + 59, "1 d"),
        (604_800 + 3 * 3600, "7 d 3 h"),
    ],
)
def test_a_length_is_said_in_two_neighbouring_units(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words


@pytest.mark.usefixtures("paris")
def test_an_instant_is_said_in_local_time_with_its_offset() -> None:
    assert describe_moment(1_893_456_000) == "2030-01-01 01:00:00 +01:00"
    assert describe_moment(1_909_000_000) == "2030-06-29 23:46:40 +02:00"


@pytest.mark.parametrize("unix_s", [10**18, -(10**18)])
def test_an_instant_beyond_every_calendar_is_still_said(unix_s: int) -> None:
    assert str(unix_s) in describe_moment(unix_s)


@pytest.mark.usefixtures("paris")
def test_an_instant_without_an_offset_is_local() -> None:
    assert parse_moment("2030-01-01T01:00") == 1_893_456_000
    assert parse_moment("2030-01-01T00:00Z") == 1_893_456_000
    assert parse_moment("2030-01-01 02:00+02:00") == 1_893_456_000


@pytest.mark.parametrize("text", ["", "tomorrow", "2030-13-01", "20:00", "1893456000x"])
def test_anything_else_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match="no instant"):
        parse_moment(text)
