"""Plots are SVG that any program can read, within their frame, and say in words what they show."""

from xml.etree import ElementTree as ET

import pytest

from gateway.cli.plots import HEIGHT, WIDTH, Band, Line, Plot, Shade, draw, nice_step

SVG = "{http://www.w3.org/2000/svg}"


def drawn(plot: Plot) -> ET.Element:
    text = draw(plot, x_text=lambda x: f"{x:g}", y_text=lambda y: f"{y:g}")
    return ET.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def plot_of(*lines: Line, over: tuple[float, float] = (0.0, 10.0), title: str = "Waiting") -> Plot:
    return Plot("waiting", title, "At most 9 waited.", over, lines)


@pytest.mark.parametrize(
    ("top", "step"), [(0, 1), (4, 1), (5, 2), (9, 5), (40, 10), (0.9, 0.5), (170_000, 50_000)]
)
def test_steps_are_numbers_that_people_count_in(top: float, step: float) -> None:
    assert nice_step(top, 4) == pytest.approx(step)


def test_it_is_a_picture_with_a_name_and_a_description() -> None:
    svg = drawn(plot_of(Line("waiting", "first", [[(0, 0), (10, 9)]])))
    labels = (svg.get("aria-labelledby") or "").split()
    ids = {element.get("id"): element.text for element in svg}
    assert svg.get("role") == "img"
    assert [ids[label] for label in labels] == ["Waiting", "At most 9 waited."]


def test_lines_stay_within_the_frame() -> None:
    svg = drawn(plot_of(Line("waiting", "first", [[(0, 0), (5, 9), (10, 3)]])))
    (path,) = [
        element.get("d") or "" for element in svg.iter(f"{SVG}path")
        if element.get("class") == "line first" and "L" in (element.get("d") or "")
    ]  # fmt: skip
    points = [tuple(map(float, pair.split())) for pair in path.removeprefix("M").split("L")]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    # More is higher.
    assert points[1][1] < points[2][1] < points[0][1]


def test_what_is_marked_is_named() -> None:
    plot = Plot(
        "waits", "Waits", "", (0, 10), [],
        Band("told", [[(0, 1, 2), (10, 2, 4)]]), [Shade(2, 4, "paused")],
    )  # fmt: skip
    svg = drawn(plot)
    texts = [text for text in svg.itertext() if text.strip()]
    assert {"told", "paused"} <= set(texts)


def test_nothing_to_show_is_no_fault() -> None:
    assert drawn(plot_of(Line("waiting", "first", [[]]), over=(5, 5))) is not None


def test_words_cannot_break_out() -> None:
    svg = drawn(plot_of(title="</title><script>"))
    assert svg[0].text == "</title><script>"
