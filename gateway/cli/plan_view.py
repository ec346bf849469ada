"""A plan as text: tables side by side as far as the terminal is wide, and lines that show its course."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from gateway.cli.live_view import BLOCKS, sparkline
from gateway.cli.rendering import pairs
from gateway.operating.durations import describe_duration, describe_moment

LEAST_WIDTH: Final = 72
MOST_WIDTH: Final = 140
_INDENT: Final = "  "
_GAP: Final = "  "
_TO_LEGEND: Final = 24


def plan_text(document: Mapping[str, Any], *, width: int, blocks: str = BLOCKS) -> str:
    """Return the whole plan in lines of up to `width` columns."""
    width = min(max(width, LEAST_WIDTH), MOST_WIDTH)
    sales = document["sales"]
    parts = [click.style(headline(document), bold=True), assumptions_text(document), ""]
    parts += [_tables(document, width), "", *_courses(sales, width, blocks)]
    return "\n".join(parts)


def headline(document: Mapping[str, Any]) -> str:
    """Say in a sentence when the last one is in."""
    longest = max(document["sales"], key=lambda sale: sale["all_in_after_s"])
    shortest = min(document["sales"], key=lambda sale: sale["all_in_after_s"])
    until = describe_duration(longest["all_in_after_s"])
    if until == describe_duration(shortest["all_in_after_s"]):
        when = until
    else:
        when = f"{describe_duration(shortest['all_in_after_s'])} to {until}"
    return f"{document['people']:,} people: the last is let in after {when}."


def assumptions_text(document: Mapping[str, Any]) -> str:
    policy, assumed = document["policy"], document["assumed"]
    lets_in: list[str] = []
    if policy["schedule_people"]:
        every = describe_duration(policy["schedule_every_s"])
        lets_in.append(f"{policy['schedule_people']:,} every {every}")
    if policy["max_sessions"]:
        lets_in.append(f"as {policy['max_sessions']:,} sessions have room")
    over_s, failure = assumed["arrive_over_s"], assumed["failure"]
    arrive = f"within {describe_duration(over_s)}, most at first" if over_s else "all at once"
    waiting = assumed["waiting"]
    if waiting and over_s:
        arrive = f"{waiting:,} wait already, the others {arrive}"
    come = describe_duration(assumed["come_after_s"])
    rows = [
        ("lets in", "; ".join(lets_in) or "everybody at once"),
        ("they join", arrive),
        ("they come", f"{come} after their turn, of {describe_duration(policy['window_s'])}"),
        (
            "they stay",
            f"{describe_duration(assumed['stay_s'])} in the mean, "
            f"{describe_duration(policy['session_s'])} at most",
        ),
    ]
    if assumed["seated"]:
        rows.append(("sessions now", f"{assumed['seated']:,}, which end within that mean"))
    if failure is not None:
        began, length = (describe_duration(failure[name]) for name in ("after_s", "for_s"))
        rows.append(("backend fails", f"after {began}, for {length}"))
    return pairs(rows, indent=_INDENT)


def sale_name(sale: Mapping[str, Any]) -> str:
    """Tell a sale from the others of its plan."""
    fails = ", backend fails" if sale["backend_fails"] else ""
    return f"{share_text(sale)} no-shows{fails}"


def share_text(sale: Mapping[str, Any]) -> str:
    return f"{sale['no_show_share'] * 100:.3g}%"


def sale_rows(document: Mapping[str, Any], sale: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of one sale; the names are the same for all sales of a plan."""
    rows = [
        ("no-shows", share_text(sale) + (", fails" if sale["backend_fails"] else "")),
        ("all let in after", describe_duration(sale["all_in_after_s"])),
    ]
    if sale["all_in_at"] is not None:
        rows.append(("at", describe_moment(sale["all_in_at"])))
    rows += [
        ("half wait at most", describe_duration(sale["wait_half_s"])),
        ("nine of ten at most", describe_duration(sale["wait_nine_of_ten_s"])),
        ("the longest wait", describe_duration(sale["wait_longest_s"])),
        ("the last one waits", describe_duration(sale["wait_last_s"])),
    ]
    rows += [
        (f"person {entry['person']:,} waits", describe_duration(entry["wait_s"]))
        for entry in sale["persons"]
    ]
    if sale["by"] is not None:
        rows += _by_rows(document, sale["by"])
    rows.append(("sessions", f"{sale['sessions']:,}"))
    if document["policy"]["max_sessions"]:
        full_s, use = sale["nearly_full_after_s"], sale["places_used"]
        rows += [
            ("most at one time", f"{sale['most_sessions']:,}"),
            ("and with open turns", f"{sale['most_with_open_turns']:,}"),
            ("places used", "nobody waits" if use is None else f"{use:.1%}"),
            ("nine tenths used after", "never" if full_s is None else describe_duration(full_s)),
            ("most at a full door", f"{sale['most_at_a_full_door']:,}"),
        ]
    rows.append(("do not come", f"{sale['no_shows']:,}"))
    if sale["no_shows_filled"] is not None:
        rows.append(("their places filled", f"{sale['no_shows_filled']:,}"))
    if document["assumed"]["failure"] is not None and document["policy"]["max_sessions"]:
        again_s = sale["well_again_after_s"]
        again = "never" if again_s is None else describe_duration(again_s)
        rows.append(("full again, once well", again if sale["backend_fails"] else "-"))
    return rows


def _by_rows(document: Mapping[str, Any], by: Mapping[str, Any]) -> list[tuple[str, str]]:
    until = describe_duration(document["by_s"])
    rows = [(f"let in within {until}", f"{by['let_in']:,}")]
    needs = by["needs"]
    if document["policy"]["schedule_people"]:
        rows.append(("  all, with a rate of", _or_none(needs["release_people"])))
    if document["policy"]["max_sessions"]:
        rows.append(("  all, with sessions", _or_none(needs["max_sessions"])))
    both = needs["both"]
    if both is not None:
        rows.append(
            ("  all, rate + sessions", f"{both['release_people']:,} + {both['max_sessions']:,}")
        )
    elif document["policy"]["schedule_people"] and document["policy"]["max_sessions"]:
        rows.append(("  all, rate + sessions", "-"))
    return rows


def _or_none(number: int | None) -> str:
    return "no number does" if number is None else f"{number:,}"


def _tables(document: Mapping[str, Any], width: int) -> str:
    columns = [sale_rows(document, sale) for sale in document["sales"]]
    names = [name for name, _ in columns[0]]
    label = max(len(name) for name in names)
    widths = [max(len(value) for _, value in column) for column in columns]
    blocks: list[str] = []
    first = 0
    while first < len(columns):
        last, used = first, len(_INDENT) + label
        # One column at least, however narrow the terminal is.
        while last < len(columns) and (last == first or used + len(_GAP) + widths[last] <= width):
            used += len(_GAP) + widths[last]
            last += 1
        lines: list[str] = []
        for index, name in enumerate(names):
            cells = (columns[at][index][1].rjust(widths[at]) for at in range(first, last))
            text = _INDENT + _GAP.join((name.ljust(label), *cells))
            lines.append(click.style(text, bold=True) if index == 0 else text)
        blocks.append("\n".join(lines))
        first = last
    return "\n\n".join(blocks)


def _courses(sales: Sequence[Mapping[str, Any]], width: int, blocks: str) -> list[str]:
    """Draw how people waiting, the rate and sessions go, all sales on one axis of time."""
    end_s = max(sale["course"][-1]["at_s"] for sale in sales) or 1
    cells = width - len(_INDENT) - _TO_LEGEND
    lines: list[str] = []
    for sale in sales:
        lines.append(_INDENT + click.style(sale_name(sale), bold=True))
        course = sale["course"]
        for name, values in (
            ("waiting", [point["waiting"] for point in course]),
            ("let in a minute", let_in_per_min(course)),
            ("sessions", [point["active_sessions"] for point in course]),
        ):
            drawn = sparkline(_spread(course, values, cells, end_s), blocks)
            most = f"{name} {max(values):,.0f}".ljust(_TO_LEGEND - 1)
            lines.append(f"{_INDENT}{most} {click.style(drawn, fg='cyan')}")
    end = describe_duration(end_s)
    axis = "0".ljust(max(cells - len(end), 1)) + end
    lines.append(" " * (len(_INDENT) + _TO_LEGEND) + axis)
    lines.append(f"{_INDENT}The numbers beside the lines are the highest of each.")
    return lines


def let_in_per_min(course: Sequence[Mapping[str, int]]) -> list[float]:
    """Return how many were let in a minute, since the point before each."""
    rates: list[float] = []
    before_s, before = -1, 0
    for point in course:
        rates.append((point["served_up_to"] - before) * 60 / (point["at_s"] - before_s))
        before_s, before = point["at_s"], point["served_up_to"]
    # Who is let in at the opening itself is no rate: it would dwarf all that follows.
    return rates if len(rates) == 1 else [rates[1], *rates[1:]]


def _spread(
    course: Sequence[Mapping[str, int]], values: Sequence[float], cells: int, end_s: int
) -> list[float | None]:
    """Take the highest value of each cell of the axis; an empty one goes on as the cell before."""
    spread: list[float | None] = [None] * cells
    last = 0
    for point, value in zip(course, values, strict=True):
        cell = min(point["at_s"] * cells // end_s, cells - 1)
        for skipped in range(last + 1, cell):
            spread[skipped] = spread[last]
        spread[cell] = max(value, spread[cell] or 0)
        last = cell
    return spread
