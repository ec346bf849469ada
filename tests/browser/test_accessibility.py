"""Everybody can wait: axe-core finds nothing against WCAG 2.2 AA in any state, and a keyboard is enough."""

from typing import Any

import pytest

from gateway.ports import StateChange
from tests.browser.axe import faults_of
from tests.browser.browsers import Browsers, Tab
from tests.support.staging import OpenStage, Stage

LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    {"color_scheme": "dark", "viewport": {"width": 320, "height": 640}, "locale": "ar"},
]


def faults(tab: Tab) -> list[str]:
    return faults_of(tab.page)


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark-small-rtl"])
def test_on_the_way_in_nothing_keeps_anybody_out(
    stage: Stage, browsers: Browsers, look: dict[str, Any]
) -> None:
    stage.waiting()
    tab = browsers.tab(stage, **look)
    tab.page.route("**/join", lambda route: None)
    tab.look().shows("not_in")
    assert faults(tab) == []
    tab.press("join").shows("joining")
    assert faults(tab) == []
    tab.page.unroute("**/join")
    tab.wait_in()
    assert faults(tab) == []
    tab.press("leave")
    assert faults(tab) == []
    tab.press("leave-no")
    stage.change(StateChange.PAUSE, message="Back at nine.")
    tab.shows("paused")
    assert faults(tab) == []
    stage.change(StateChange.RESUME)
    tab.hide()
    stage.release(2)
    tab.shows("turn")
    assert faults(tab) == []


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark-small-rtl"])
def test_at_the_end_nothing_keeps_anybody_out(
    open_stage: OpenStage, browsers: Browsers, look: dict[str, Any]
) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    person = browsers.person(stage, **look)
    tab = person.tab().wait_in()
    plain = person.tab().look("/", path="room/plain")
    assert faults(plain) == []
    stage.release()
    stage.elapse(61)
    tab.shows("turn").press("enter").shows("ended")
    assert faults(tab) == []
    stage.change(StateChange.CLOSE, message="Sold out.")
    tab.press("again").shows("closed")
    assert faults(tab) == []
    plain.look("/", path="room/plain")
    assert faults(plain) == []


def test_blocked_cookies_are_told_to_everybody(stage: Stage, browsers: Browsers) -> None:
    script = (
        "Object.defineProperty(Document.prototype, 'cookie', {get() { return ''; }, set() {}});"
    )
    tab = browsers.tab(stage, script).look("/").shows("cookies").hears("Cookies are blocked")
    assert faults(tab) == []


def _focused(tab: Tab) -> str:
    return str(tab.page.evaluate("document.activeElement.id || document.activeElement.lang"))


def _next(tab: Tab) -> str:
    tab.page.keyboard.press("Tab")
    return _focused(tab)


def test_a_keyboard_is_enough(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).look().shows("not_in")
    assert _next(tab) == "join"
    tab.page.keyboard.press("Enter")
    tab.shows("waiting").page.reload()
    tab.shows("waiting")
    assert [_next(tab), _next(tab)] == ["notify", "leave"]
    tab.page.keyboard.press("Enter")
    tab.page.locator("#leave-dialog").wait_for(state="visible")
    # What loses nothing comes first.
    assert _focused(tab) == "leave-no"
    assert _next(tab) == "leave-yes"
    tab.page.keyboard.press("Escape")
    tab.page.locator("#leave-dialog").wait_for(state="hidden")
    assert (_focused(tab), tab.calls("leave")) == ("leave", 0)
    assert _next(tab) == "en"


def test_focus_stays_where_it_is_while_the_page_changes(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in()
    tab.page.locator("#leave").focus()
    stage.change(StateChange.PAUSE, message="Back at nine.")
    tab.shows("paused")
    assert _focused(tab) == "leave"
    stage.change(StateChange.RESUME)
    tab.hide()
    stage.release()
    tab.shows("turn")
    assert _focused(tab) == "leave"


def test_a_screen_reader_is_told_of_the_falling_number_at_a_bearable_rate(
    stage: Stage, browsers: Browsers
) -> None:
    for _ in range(3):
        stage.waiting()
    tab = browsers.tab(stage)
    tab.page.clock.install()
    tab.wait_in().hears("You are in the queue")
    stage.release()
    tab.reads("ahead", "2 people")
    assert "People ahead" not in tab.text("live")
    tab.page.clock.fast_forward(31_000)
    tab.hears("People ahead of you: 2.")
    stage.release()
    tab.reads("ahead", "1 person")
    assert "People ahead of you: 2." in tab.text("live")


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_has_to_be_scrolled_sideways(stage: Stage, browsers: Browsers, width: int) -> None:
    tab = browsers.tab(stage, viewport={"width": width, "height": 640}, locale="de").wait_in()
    stage.change(StateChange.PAUSE, message="https://example.org/" + "a" * 150)
    tab.shows("paused")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
