"""A plan as one HTML page that needs nothing but itself. Pure."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Final

from gateway.cli.plan_view import assumptions_text, headline, let_in_per_min, sale_name, sale_rows
from gateway.cli.plots import PLOTS_CSS, Line, Plot, Shade, draw
from gateway.cli.report_page import PAGE_CSS
from gateway.operating.durations import describe_duration

_STYLES: Final = ("first", "second", "third")
_HOUR_S: Final = 3600


def plan_page(document: Mapping[str, Any]) -> str:
    """Return the whole page."""
    name = escape(document["event"] or "A sale")
    assumed = (line.strip().split("  ", 1) for line in assumptions_text(document).splitlines())
    facts = "\n".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(how.strip())}</dd></div>" for what, how in assumed
    )
    figures = "\n".join(_figure(plot, picture) for plot, picture in _plots(document))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{name}: the plan</title>
<style>
{PAGE_CSS}{PLOTS_CSS}</style>
</head>
<body>
<header>
<h1>{name}: the plan</h1>
<p>{escape(headline(document))}</p>
</header>
<main>
<dl>
{facts}
</dl>
{_table(document)}
{figures}
</main>
</body>
</html>
"""


def _table(document: Mapping[str, Any]) -> str:
    columns = [sale_rows(document, sale) for sale in document["sales"]]
    head, *rows = zip(*columns, strict=True)
    names = "".join(f'<th scope="col">{escape(value)}</th>' for _, value in head)
    body = "\n".join(
        f'<tr><th scope="row">{escape(row[0][0].strip())}</th>'
        + "".join(f"<td>{escape(value)}</td>" for _, value in row)
        + "</tr>"
        for row in rows
    )
    return f"""<div class="table" role="region" aria-label="The numbers" tabindex="0">
<table>
<caption>By a simulated sale, seed {document["assumed"]["seed"]}; lengths count from the opening, waits
from joining.</caption>
<thead><tr><th scope="col">{escape(head[0][0])}</th>{names}</tr></thead>
<tbody>
{body}
</tbody>
</table>
</div>"""


def _plots(document: Mapping[str, Any]) -> list[tuple[Plot, str]]:
    """Return each plot with its picture. Three sales fit into one: more are not told apart.

    A sale whose backend fails stands beside the same one without.
    """
    sales = document["sales"]
    end_s = max(sale["course"][-1]["at_s"] for sale in sales) or 1
    unit_s, unit = (_HOUR_S, "h") if end_s >= 3 * _HOUR_S else (60, "min")
    shades = []
    failure = document["assumed"]["failure"]
    if failure is not None:
        until_s = min(failure["after_s"] + failure["for_s"], end_s)
        shades = [Shade(min(failure["after_s"], end_s), until_s, "the backend fails")]
    limit = document["policy"]["max_sessions"]
    plots: list[tuple[Plot, str]] = []
    side_by_side = len(_STYLES) if failure is None else 2
    for first in range(0, len(sales), side_by_side):
        some = sales[first : first + side_by_side]
        for name, title, values_of in _WHAT:
            told = "; ".join(_told(name, sale, values_of(sale["course"])) for sale in some)
            bound = f", of {limit:,}" if name == "sessions" and limit else ""
            plot = Plot(
                f"{name}-{first}",
                title,
                f"{told}{bound}.",
                (0.0, float(end_s)),
                [_line(sale, style, values_of) for sale, style in zip(some, _STYLES, strict=False)],
                shades=shades,
            )
            picture = draw(
                plot,
                x_text=lambda at: f"{at / unit_s:.3g} {unit}",
                y_text=lambda value: f"{value:,.0f}",
            )
            plots.append((plot, picture))
    return plots


def _told(name: str, sale: Mapping[str, Any], values: Sequence[float]) -> str:
    if name == "let-in":
        return f"all after {describe_duration(sale['all_in_after_s'])} with {sale_name(sale)}"
    return f"{max(values):,.0f} at most with {sale_name(sale)}"


def _line(
    sale: Mapping[str, Any],
    style: str,
    values_of: Callable[[Sequence[Mapping[str, int]]], Sequence[float]],
) -> Line:
    course = sale["course"]
    points = [
        (float(point["at_s"]), float(value))
        for point, value in zip(course, values_of(course), strict=True)
    ]
    return Line(sale_name(sale), style, [points])


def _waiting(course: Sequence[Mapping[str, int]]) -> list[float]:
    return [point["waiting"] for point in course]


def _let_in(course: Sequence[Mapping[str, int]]) -> list[float]:
    return [point["served_up_to"] for point in course]


def _sessions(course: Sequence[Mapping[str, int]]) -> list[float]:
    return [point["active_sessions"] for point in course]


_WHAT: Final = (
    ("waiting", "People waiting", _waiting),
    ("let-in", "People let in", _let_in),
    ("rate", "People let in, a minute", let_in_per_min),
    ("sessions", "Active sessions", _sessions),
)


def _figure(plot: Plot, picture: str) -> str:
    text = f'<p class="quiet">{escape(plot.description)}</p>'
    return f"<h2>{escape(plot.title)}</h2>\n{text}\n<figure>\n{picture}\n</figure>"
