"""The live picture as text: a screen for a terminal, one line for a log."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from gateway.cli.rendering import observed_text, pairs, people, state_word
from gateway.operating.durations import describe_duration, describe_moment
from gateway.operating.picture import TICK_S, TICKS, Picture

BLOCKS: Final = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS: Final = "_.-=+*%#"

_HEALTH_COLOURS = {"well": "green", "late": "yellow", "silent": "red"}
_NUMBER_WIDTH = 22


def sparkline(values: Sequence[float | None], blocks: str = BLOCKS) -> str:
    """Draw values between 0 and the largest of them, one character each; a gap where none is known."""
    top = max((value for value in values if value is not None), default=0.0)
    drawn = [
        " " if value is None else blocks[round((len(blocks) - 1) * value / top) if top else 0]
        for value in values
    ]
    return "".join(drawn).rstrip()


def screen(picture: Picture, trouble: str | None, *, blocks: str = BLOCKS) -> str:
    """Return the whole view, some twenty lines of up to 80 columns."""
    document = picture.document

    def moving(text: str, name: str) -> str:
        line = sparkline(picture.series[name], blocks)
        return f"{text.ljust(_NUMBER_WIDTH)}{click.style(line, fg='cyan')}"

    limit = document["max_sessions"]
    rows = [
        ("message", document["message"]),
        ("waiting", moving(str(document["waiting"]), "waiting")),
        ("issued", str(document["issued"])),
        ("served up to", str(document["served_up_to"])),
        ("arrivals", moving(_a_minute(document["arrivals_per_min"]), "arrivals")),
        ("let in", moving(_a_minute(document["let_in_per_min"]), "let_in")),
        (
            "active sessions",
            moving(
                f"{document['active_sessions']} of {'no limit' if limit is None else limit}",
                "active_sessions",
            ),
        ),
        ("at the door", str(document["at_the_door"])),
        ("no-shows", no_shows_text(document)),
        ("oldest wait", oldest_wait_text(document["oldest_wait"], document["waiting"])),
    ]
    head = (
        f"{click.style(document['event'], bold=True)}  {state_word(document['state'])}"
        f"  {describe_moment(document['at'])}"
    )
    lines = [head, "", *pairs(rows, indent="  ").splitlines(), ""]
    lines.append(f"  The lines show the last {describe_duration(TICK_S * TICKS)}.")
    lines += ["", *_gateway_lines(document["gateways"])]
    if document["mode"] == "observe":
        lines.append(observed_text([document["event"]]).lstrip("\n"))
    if trouble is not None:
        lines += ["", click.style(f"  {trouble}", fg="red", bold=True)]
    return "\n".join(line.rstrip() for line in lines)


def line(picture: Picture) -> str:
    """Return the picture in one line."""
    document = picture.document
    limit = document["max_sessions"]
    sessions = str(document["active_sessions"]) + ("" if limit is None else f"/{limit}")
    silent = sum(gateway["health"] == "silent" for gateway in document["gateways"])
    parts = [
        describe_moment(document["at"]),
        document["event"],
        document["state"],
        f"waiting {document['waiting']}",
        f"served {document['served_up_to']}",
        f"issued {document['issued']}",
        f"sessions {sessions}",
        f"arrivals/min {_short(document['arrivals_per_min'])}",
        f"let in/min {_short(document['let_in_per_min'])}",
        f"no-shows {document['no_shows']}",
        f"gateways {len(document['gateways']) - silent}",
    ]
    if silent:
        parts.append(f"silent {silent}")
    return "  ".join(parts)


def what_changes(picture: Picture) -> Mapping[str, Any]:
    """Return the picture without what moves by the clock alone: a change of this is news."""
    document = dict(picture.document)
    for name in ("at", "event_clock_s", "oldest_wait", "arrivals_per_min", "let_in_per_min"):
        del document[name]
    document["rate_per_min"] = None
    document["gateways"] = [
        (gateway["id"], gateway["health"]) for gateway in picture.document["gateways"]
    ]
    return document


def no_shows_text(document: Mapping[str, Any]) -> str:
    rate = document["no_show_rate"]
    if rate is None:
        return "nobody's window is over yet"
    return f"{people(document['no_shows'])}, {rate:.0%} of those who came or whose window is over"


def oldest_wait_text(wait: Mapping[str, int | None] | None, waiting: int) -> str:
    if wait is None:
        return "cannot be told" if waiting else "nobody waits"
    least, most = describe_duration(wait["at_least_s"] or 0), wait["at_most_s"]
    if most is None:
        return f"{least} or more: it began before the first sample"
    longest = describe_duration(most)
    return longest if longest == least else f"{least} to {longest}"


def _a_minute(rate: float | None) -> str:
    return "not known yet" if rate is None else f"{rate:g} a minute"


def _short(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:g}"


def _gateway_lines(gateways: Sequence[Mapping[str, Any]]) -> list[str]:
    if not gateways:
        return ["  No gateway has read this event."]
    lines = ["  gateway processes"]
    for gateway in gateways:
        word = click.style(gateway["health"].ljust(6), fg=_HEALTH_COLOURS[gateway["health"]])
        ago = describe_duration(gateway["read_ago_s"])
        lines.append(f"    {gateway['id']}  {word}  read {ago} ago")
    return lines
