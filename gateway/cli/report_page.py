"""The report of a sale: one HTML page that needs nothing but itself. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from gateway.cli.plots import PLOTS_CSS, Band, Line, Plot, Point, Shade, draw
from gateway.domain.samples import EVERY_S, Waited
from gateway.operating.course import Course, Tick
from gateway.operating.durations import describe_duration, describe_moment

MOST_ROWS: Final = 120
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_UNITS: Final = ((3 * _HOUR_S, _HOUR_S, "h"), (180, 60, "min"), (0, 1, "s"))

PAGE_CSS: Final = """\
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --quiet: #57606a; --grid: #d8dee4;
  --first: #0b5cad; --second: #a04a00; --third: #5b6470; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171a; --ink: #e8eaed; --quiet: #a5adb6;
  --grid: #333a41; --first: #6cb2ff; --second: #ffad66; --third: #b3bac2; } }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 52rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 1.5rem; }
h2 { margin: 2rem 0 .25rem; font-size: 1.1rem; }
p { margin: .25rem 0; } .quiet { color: var(--quiet); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem 1rem; }
dt { color: var(--quiet); font-size: .875rem; } dd { margin: 0; font-size: 1.15rem; }
figure { margin: .5rem 0 0; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: .5rem; }
th, td { padding: .15rem .75rem .15rem 0; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; font-weight: 400; }
thead th { border-bottom: 1px solid var(--grid); font-weight: 600; }
summary { cursor: pointer; margin-top: 1rem; }
@media print { details { display: block; } }
"""


def report_page(summary: Mapping[str, Any], course: Course) -> str:
    """Return the whole page."""
    event = escape(str(summary["event"]))
    began, ended = describe_moment(summary["from"]), describe_moment(summary["to"])
    figures = "\n".join(_figures(summary, course))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{event}: how the sale went</title>
<style>
{PAGE_CSS}{PLOTS_CSS}</style>
</head>
<body>
<header>
<h1>{event}</h1>
<p class="quiet">{escape(began)} to {escape(ended)}; {escape(str(summary["state"]))} at the end;
generation {summary["generation"]}</p>
</header>
<main>
{_facts(summary)}
{figures}
{_table(course)}
</main>
</body>
</html>
"""


def _facts(summary: Mapping[str, Any]) -> str:
    limit = summary["max_sessions"]
    told, kept = summary["waits_promised"], summary["promises_kept"]
    longest = summary["longest_wait_s"]
    facts = [
        ("Places given", f"{summary['issued']:,}"),
        ("Let in", f"{summary['let_in']:,}"),
        ("Still waiting", f"{summary['waiting']:,}"),
        ("Most waiting at once", f"{summary['most_waiting']:,}"),
        ("Sessions opened", f"{summary['claims']:,}"),
        ("No-shows", f"{summary['no_shows']:,}"),
        (
            "Most sessions at once",
            f"{summary['most_active_sessions']:,}" + ("" if limit is None else f" of {limit:,}"),
        ),
        ("Longest wait", "nobody waited" if longest is None else describe_duration(longest)),
        (
            "Waits within their range",
            f"{kept / told:.0%} of {told:,} samples" if told else "none was promised and is over",
        ),
    ]
    rows = "\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f"<dl>\n{rows}\n</dl>"


def _figures(summary: Mapping[str, Any], course: Course) -> Iterable[str]:
    over = (float(summary["from"]), float(summary["to"]))
    shades = [Shade(span.from_s, span.to_s, span.state.value) for span in course.spans]
    ticks = course.ticks

    def line(name: str, style: str, values: Sequence[float]) -> Line:
        # Rates begin one tick later than levels.
        known = ticks[len(ticks) - len(values) :]
        return Line(name, style, [[(tick.at_s, v) for tick, v in zip(known, values, strict=True)]])

    arrivals = [tick.arrivals_per_min for tick in ticks if tick.arrivals_per_min is not None]
    let_in = [tick.let_in_per_min for tick in ticks if tick.let_in_per_min is not None]
    waiting = [float(tick.sample.waiting) for tick in ticks]
    active = [float(tick.sample.active_sessions) for tick in ticks]
    issued = [float(tick.sample.issued) for tick in ticks]
    served = [float(tick.sample.served_up_to) for tick in ticks]
    sessions = [line("active sessions", "first", active)]
    if any(tick.sample.max_sessions for tick in ticks):
        limits = [float(tick.sample.max_sessions) for tick in ticks]
        sessions.append(line("limit", "second", limits))
    plots = [
        Plot(
            "arrivals",
            "Arrivals and people let in, a minute",
            f"Arrivals reached {max(arrivals):,.0f} a minute, people let in {max(let_in):,.0f}.",
            over,
            [line("arrivals", "first", arrivals), line("let in", "second", let_in)],
            shades=shades,
        ),
        Plot(
            "pointer",
            "Places given, and the pointer",
            f"At the end {issued[-1]:,.0f} places had been given and the pointer stood at "
            f"{served[-1]:,.0f}.",
            over,
            [line("places given", "first", issued), line("served up to", "second", served)],
            shades=shades,
        ),
        Plot(
            "waiting",
            "People waiting",
            f"At most {max(waiting):,.0f} waited; at the end {waiting[-1]:,.0f}.",
            over,
            [line("waiting", "first", waiting)],
            shades=shades,
        ),
        Plot(
            "sessions",
            "Active sessions",
            f"At most {max(active):,.0f} ran at once; at the end {active[-1]:,.0f}.",
            over,
            sessions,
            shades=shades,
        ),
    ]
    span_s = over[1] - over[0]
    for plot in plots:
        yield _figure(
            plot, draw(plot, x_text=lambda at: _clock(at, span_s), y_text=lambda v: f"{v:,.0f}")
        )
    plot, unit = _waits(course.waits, over, shades)
    picture = draw(plot, x_text=lambda at: _clock(at, span_s), y_text=lambda v: f"{v:,.3g} {unit}")
    note = (
        "For the last who had joined at each moment; minutes that a pause took are left out on both "
        "sides. Head starts and the draw are left out too: the place dealt is taken for the turn."
    )
    yield _figure(plot, picture, note)


def _waits(
    waits: Sequence[Waited], over: tuple[float, float], shades: Sequence[Shade]
) -> tuple[Plot, str]:
    """Return the plot, and the unit of its numbers."""
    longest_s = max(
        (max(wait.seconds, wait.promised.high_s if wait.promised else 0) for wait in waits),
        default=0.0,
    )
    unit_s, unit = next((unit_s, unit) for least_s, unit_s, unit in _UNITS if longest_s >= least_s)
    had = [(wait.joined_at_s, wait.seconds / unit_s) for wait in waits if wait.is_over]
    so_far = [(wait.joined_at_s, wait.seconds / unit_s) for wait in waits if not wait.is_over]
    promised = [
        (wait.joined_at_s, wait.promised.low_s / unit_s, wait.promised.high_s / unit_s)
        for wait in waits
        if wait.promised is not None
    ]
    lines = [Line("waited", "first", _pieces(had))]
    if so_far:
        lines.append(Line("waiting still", "third", _pieces(so_far)))
    longest = describe_duration(max((wait.seconds for wait in waits if wait.is_over), default=0.0))
    plot = Plot(
        "waits",
        "Waiting time promised, and had",
        f"Who joined at the moment below waited {longest} at most; the band is the range that they "
        "were told."
        if had
        else "Nobody who waited has had their turn yet.",
        over,
        lines,
        Band("told on joining", [list(piece) for piece in _parted(promised)]),
        shades,
    )
    return plot, unit


def _pieces(points: Sequence[Point]) -> list[list[Point]]:
    return [list(piece) for piece in _parted(points)]


def _parted(points: Sequence[Any]) -> Iterable[Iterable[Any]]:
    """Part points where more than a few samples lie between two: there was nobody waiting."""
    numbered: list[tuple[int, Any]] = []
    piece = 0
    for index, point in enumerate(points):
        if index and point[0] - points[index - 1][0] > 30 * EVERY_S:
            piece += 1
        numbered.append((piece, point))
    for _, group in groupby(numbered, key=itemgetter(0)):
        yield (point for _, point in group)


def _figure(plot: Plot, picture: str, note: str = "") -> str:
    text = f'<p class="quiet">{escape(plot.description)}</p>'
    if note:
        text += f'<p class="quiet">{escape(note)}</p>'
    return f"<h2>{escape(plot.title)}</h2>\n{text}\n<figure>\n{picture}\n</figure>"


_COLUMNS: Final = (
    "Time", "State", "Places given", "Served up to", "Waiting", "Sessions", "Arrivals a minute",
    "Let in a minute", "Opened", "No-shows", "Told on joining",
)  # fmt: skip


def _table(course: Course) -> str:
    every = -(-len(course.ticks) // MOST_ROWS)
    rows = "\n".join(_row(tick) for tick in course.ticks[::every])
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    apart = describe_duration(course.step_s * every)
    return f"""<h2>The numbers</h2>
<details>
<summary>Show the table</summary>
<div class="table" role="region" aria-label="The numbers" tabindex="0">
<table>
<caption>As they stood, {apart} apart; rates are those of the last {describe_duration(course.step_s)}.
</caption>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</details>"""


def _row(tick: Tick) -> str:
    sample = tick.sample
    told = "-"
    if sample.promised is not None:
        low, high = sample.promised.low_s, sample.promised.high_s
        told = f"{describe_duration(low)} to {describe_duration(high)}"
    cells = [
        sample.state.value,
        f"{sample.issued:,}",
        f"{sample.served_up_to:,}",
        f"{sample.waiting:,}",
        f"{sample.active_sessions:,}",
        _rate(tick.arrivals_per_min),
        _rate(tick.let_in_per_min),
        f"{sample.claims:,}",
        f"{sample.no_shows:,}",
        told,
    ]
    moment = escape(describe_moment(tick.at_s))
    return f'<tr><th scope="row">{moment}</th>' + "".join(f"<td>{c}</td>" for c in cells) + "</tr>"


def _clock(at_s: float, span_s: float) -> str:
    moment = datetime.fromtimestamp(at_s, UTC).astimezone()
    if span_s > _DAY_S:
        return f"{moment:%d %b %H:%M}"
    return f"{moment:%H:%M}" if span_s > _HOUR_S else f"{moment:%H:%M:%S}"


def _rate(per_min: float | None) -> str:
    return "-" if per_min is None else f"{per_min:,.1f}"
