"""The report of a sale in a real browser: it opens from disk, asks for nothing, and all can read it."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from gateway.cli.report_page import report_page
from gateway.domain.events import EventState
from gateway.domain.waiting import Wait
from gateway.operating.course import course_of, summary_document
from tests.browser.axe import faults_of
from tests.support.samples import sample

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The report of a sale of half an hour, with a pause in it."""
    paused = {"state": EventState.PAUSED}
    samples = [
        sample(
            1_800_000_000 + at_s,
            issued=at_s * 3,
            served=at_s * 2,
            active_sessions=min(at_s, 300),
            max_sessions=300,
            promised=Wait(at_s // 3, at_s),
            **(paused if 600 <= at_s < 900 else {}),
        )
        for at_s in range(0, 1800, 10)
    ]
    course = course_of(samples)
    file = tmp_path / "report.html"
    file.write_text(report_page(summary_document("sale", samples, course), course), "utf-8")
    return file


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_opens_from_disk_and_nothing_keeps_anybody_out(
    chromium: "Browser", report: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    context = chromium.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 800}, offline=True
    )
    try:
        page = context.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(report.as_uri())
        page.get_by_text("Show the table").click()
        assert page.get_by_role("img").count() == 5
        assert page.get_by_role("row").count() > 50
        # Wide content scrolls in a box of its own; the page never does sideways.
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert faults_of(page) == []
        assert asked == [report.as_uri()]
        assert said == []
    finally:
        context.close()
