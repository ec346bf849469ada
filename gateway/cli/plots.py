"""Line plots as SVG, to stand inside an HTML page: no script, no request, colours by the page's CSS.

SVG 2 with a title and a description, which screen readers read in place of the picture (WAI-ARIA Graphics).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

WIDTH: Final = 760
HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 34
_Y_TICKS: Final = 4
_X_TICKS: Final = 6

Point: TypeAlias = tuple[float, float]

PLOTS_CSS: Final = """\
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--quiet); font: 12px system-ui, sans-serif; }
svg .grid { stroke: var(--grid); stroke-width: 1; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .first { stroke: var(--first); }
svg .second { stroke: var(--second); stroke-dasharray: 7 4; }
svg .third { stroke: var(--third); stroke-dasharray: 2 3; }
svg .band { fill: var(--second); fill-opacity: 0.22; stroke: none; }
svg .span { fill: var(--grid); fill-opacity: 0.55; }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. Gaps part it into pieces.

    Attributes:
        style: `first` (whole), `second` (dashed) or `third` (dotted): never told apart by colour alone.
    """

    name: str
    style: str
    pieces: Sequence[Sequence[Point]]


@dataclass(frozen=True, slots=True)
class Band:
    """An area between two lines: `(x, low, high)` in pieces."""

    name: str
    pieces: Sequence[Sequence[tuple[float, float, float]]]


@dataclass(frozen=True, slots=True)
class Shade:
    """A stretch of x that is marked over the whole height."""

    from_x: float
    to_x: float
    name: str


@dataclass(frozen=True, slots=True)
class Plot:
    """What is to be drawn.

    Attributes:
        name: A word for ids, alone on its page.
        description: The picture in a sentence or two.
        over: The first and last x.
    """

    name: str
    title: str
    description: str
    over: tuple[float, float]
    lines: Sequence[Line]
    band: Band | None = None
    shades: Sequence[Shade] = ()


def nice_step(top: float, parts: int) -> float:
    """Return a step of 1, 2 or 5 times a power of ten, so that `parts` of them reach `top`."""
    if top <= 0:
        return 1.0
    rough = top / parts
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))


def draw(plot: Plot, *, x_text: Callable[[float], str], y_text: Callable[[float], str]) -> str:
    """Draw it, from 0 upwards, with the texts of the axes by the two functions."""
    highest = max(_highs(plot), default=0.0)
    step = nice_step(highest, _Y_TICKS)
    top = step * max(math.ceil(highest / step - 1e-9), 1)
    from_x, to_x = plot.over
    width, height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + width * (value - from_x) / ((to_x - from_x) or 1)

    def y(value: float) -> float:
        return _TOP + height * (1 - value / top)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-labelledby="{plot.name}-title {plot.name}-text">',
        f'<title id="{plot.name}-title">{escape(plot.title)}</title>',
        f'<desc id="{plot.name}-text">{escape(plot.description)}</desc>',
    ]
    for shade in plot.shades:
        left, right = x(shade.from_x), x(shade.to_x)
        parts.append(
            f'<rect class="span" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" '
            f'height="{height}"><title>{escape(shade.name)}</title></rect>'
        )
    for tick in range(round(top / step) + 1):
        at = y(tick * step)
        parts.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{escape(y_text(tick * step))}</text>"
        )
    for tick in range(_X_TICKS + 1):
        value = from_x + (to_x - from_x) * tick / _X_TICKS
        anchor = "end" if tick == _X_TICKS else "middle"
        parts.append(
            f'<text x="{x(value):.1f}" y="{HEIGHT - 12}" text-anchor="{anchor}">'
            f"{escape(x_text(value))}</text>"
        )
    if plot.band is not None:
        for piece in plot.band.pieces:
            lows = [(at, low) for at, low, _ in piece]
            highs = [(at, high) for at, _, high in piece]
            parts.append(f'<path class="band" d="{_path([*lows, *reversed(highs)], x, y)}Z"/>')
    for line in plot.lines:
        parts += [
            f'<path class="line {line.style}" d="{_path(piece, x, y)}"/>'
            for piece in line.pieces
            if piece
        ]
    parts += [*_legend(plot), "</svg>"]
    return "\n".join(parts)


def _highs(plot: Plot) -> list[float]:
    highs = [value for line in plot.lines for piece in line.pieces for _, value in piece]
    if plot.band is not None:
        highs += [high for piece in plot.band.pieces for _, _, high in piece]
    return highs


def _path(points: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    return "M" + "L".join(f"{x(at):.1f} {y(value):.1f}" for at, value in points)


def _legend(plot: Plot) -> list[str]:
    parts: list[str] = []
    left = _LEFT
    entries = [(f"line {line.style}", line.name) for line in plot.lines]
    if plot.band is not None:
        entries.append(("band", plot.band.name))
    for style, name in entries:
        shape = (
            f'<rect class="band" x="{left}" y="9" width="26" height="12"/>'
            if style == "band"
            else f'<path class="{style}" d="M{left} 15h26"/>'
        )
        parts += [shape, f'<text x="{left + 32}" y="19">{escape(name)}</text>']
        left += 32 + 8 * len(name) + 16
    return parts
