"""Lengths and instants as operators write and read them."""

import math
import re
from datetime import UTC, datetime

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})(|s|m|h|d)", re.ASCII)

LONGEST_S = 366 * 86_400
"""Nothing of an event lasts longer than a year: what does is a typing mistake."""


def parse_duration(text: str) -> int:
    """Return the whole seconds of `90`, `90s`, `15m`, `2h` or `7d`.

    Raises:
        ValueError: It is none of these, or longer than `LONGEST_S`.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time: write 90, 90s, 15m, 2h or 7d")
    seconds = int(match[1]) * _UNITS_S[match[2]]
    if seconds > LONGEST_S:
        raise ValueError(f"{text!r} is longer than a year")
    return seconds


def describe_duration(seconds: float) -> str:
    """Say a length of time in two neighbouring units at most, rounded down: `2 h 5 min`."""
    left = math.floor(seconds)
    words: list[str] = []
    for unit_s, word in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, unit_s)
        was_second = bool(words)
        if count:
            words.append(f"{count} {word}")
        if was_second:
            break
    return " ".join(words) or "0 s"


def parse_moment(text: str) -> int:
    """Return the Unix seconds of an ISO 8601 instant; without an offset it is local time.

    Raises:
        ValueError: It is no instant.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return int(moment.timestamp())
    except (ValueError, OverflowError, OSError) as exc:
        raise ValueError(
            f"{text!r} is no instant: write 2026-12-31T20:00 or 2026-12-31T20:00+01:00"
        ) from exc


def describe_moment(unix_s: float) -> str:
    """Say an instant in local time with its UTC offset: `2026-12-31 20:00:00 +01:00`."""
    try:
        moment = datetime.fromtimestamp(unix_s, UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{unix_s:.0f} (no date that a calendar has)"
    offset = moment.strftime("%z")
    return f"{moment:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"
