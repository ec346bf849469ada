"""The style sheet: colours that can be told apart, and what it must provide for."""

import re
from importlib.resources import files

import pytest

from tests.support.colours import contrast

CSS = (files("gateway.page") / "static" / "room.css").read_text("utf-8")


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--queue-([a-z-]+): (#[0-9a-f]{3,6});", block))


LIGHT = colours(CSS[: CSS.index("@media")])
DARK = colours(CSS[CSS.index("@media (prefers-color-scheme: dark)") :])


def test_contrast_is_measured_as_wcag_does() -> None:
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_every_text_can_be_read(scheme: dict[str, str]) -> None:
    for behind in ("background", "surface"):
        for text in ("text", "muted", "accent"):
            assert contrast(scheme[text], scheme[behind]) >= 4.5, (text, behind)
    assert contrast(scheme["on-accent"], scheme["accent"]) >= 4.5


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_buttons_and_the_progress_can_be_seen(scheme: dict[str, str]) -> None:
    # Success criterion 1.4.11.
    for behind in ("background", "surface"):
        assert contrast(scheme["border"], scheme[behind]) >= 3
        assert contrast(scheme["accent"], scheme[behind]) >= 3
    assert contrast(scheme["accent"], scheme["track"]) >= 3


@pytest.mark.parametrize(
    "feature",
    ["prefers-color-scheme: dark", "prefers-reduced-motion: reduce", "forced-colors: active"],
)
def test_what_the_visitor_prefers_is_heeded(feature: str) -> None:
    assert f"@media ({feature})" in CSS


def test_sides_are_named_by_the_direction_of_reading() -> None:
    sided = (
        r"[{;\s](?:(?:margin|padding|border)-(?:left|right|top|bottom)|left|right|float)\s*:"
        r"|:\s*(?:left|right)\b"
    )
    assert re.findall(sided, CSS) == []


def test_it_loads_nothing_from_elsewhere() -> None:
    assert "url(" not in CSS
    assert "@import" not in CSS
