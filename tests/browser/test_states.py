"""What a visitor is told while a sale is in each of its states, and what becomes of their place."""

import re
import time

import pytest

from gateway.ports import StateChange
from tests.browser.browsers import Browsers, Tab
from tests.support.staging import OpenStage, Stage

MARKUP = '<img src="x" onerror="document.title=1"> Back at <b>9</b>'


def test_a_pause_is_told_with_the_operators_words_and_ends_by_itself(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).wait_in()
    stage.change(StateChange.PAUSE, message="Back at nine.")
    tab.shows("paused").reads("message", "Back at nine.").reads("wait", "paused")
    tab.hears("The queue is paused")
    stage.change(StateChange.RESUME)
    tab.shows("waiting").reads("position", "1")
    assert not tab.sees("message")
    stage.release()
    tab.shows("turn")


def test_the_operators_words_are_text_and_nothing_else(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in()
    stage.change(StateChange.PAUSE, message=MARKUP)
    tab.shows("paused").reads("message", MARKUP)
    assert tab.page.locator("#message *").count() == 0


def test_a_pause_that_stops_claims_keeps_a_turn_that_has_come(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).wait_in()
    tab.hide()
    stage.release()
    tab.shows("turn")
    stage.change(StateChange.PAUSE)
    tab.show()
    tab.press("enter").shows("paused")
    stage.change(StateChange.RESUME)
    tab.shows("turn").press("enter").lands_on("/")


def test_before_the_opening_the_time_left_is_counted(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(opened=False, opens_at=int(time.time()) + 3 * 3600 + 60)
    tab = browsers.tab(stage).look("/").shows("scheduled").reads("position", "1")
    # By the server's clock: a device may be wrong by hours.
    tab.reads("countdown", re.compile("Opens in\\s+3 hours")).hears("The sale has not opened yet")
    stage.change(StateChange.OPEN)
    tab.shows("waiting")
    assert not tab.sees("countdown")


def test_a_device_whose_clock_is_wrong_counts_the_same_time(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(opened=False, opens_at=int(time.time()) + 3 * 3600 + 60)
    script = "const right = Date.now; Date.now = () => right() + 5 * 3600 * 1000;"
    tab = browsers.tab(stage, script).look("/").shows("scheduled")
    tab.reads("countdown", re.compile("Opens in\\s+3 hours"))


def test_before_a_draw_no_turn_is_shown_and_afterwards_ones_own(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(opened=False, draw=True)
    tab = browsers.tab(stage).look("/").shows("scheduled").reads("position", "1")
    assert not tab.sees("row-ahead")
    stage.change(StateChange.OPEN)
    tab.shows("waiting").reads("ahead", "None: you are next")


SOON = "Math.random = () => 0.01;"
WITHOUT_CRYPTOGRAPHY = 'Object.defineProperty(crypto, "subtle", { value: undefined });'


@pytest.mark.parametrize(
    ("script", "asks"), [("", False), (WITHOUT_CRYPTOGRAPHY, True)], ids=["by itself", "by asking"]
)
def test_the_page_finds_the_turn_that_a_draw_gave(
    script: str, asks: bool, open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(opened=False, draw=True)
    for _ in range(20):
        stage.waiting()
    tab = browsers.tab(stage, SOON + script).look("/").shows("scheduled").reads("position", "21")
    # Soon after a join, the page asks once more.
    tab.comes_to(lambda: tab.calls("position") >= 2)
    for _ in range(20):
        stage.waiting()
    before = tab.calls("position")
    # Not when all pages hear of the draw in the same second.
    assert tab.loaded("draw")
    stage.change(StateChange.OPEN)
    tab.shows("waiting")
    place = f"JSON.parse(localStorage.getItem('queue:{stage.event}:place'))"
    tab.comes_to(lambda: tab.page.evaluate(f"{place}.turn !== null"))
    assert (tab.calls("position") > before) is asks
    visitor = stage.visitor()
    held = tab.page.context.cookies(tab.site)
    visitor.cookies = {cookie["name"]: cookie["value"] for cookie in held}
    assert tab.page.evaluate(f"{place}.turn") == visitor.call("position").json()["turn"]


def test_without_a_draw_its_script_is_not_loaded(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in()
    assert (tab.loaded("place"), tab.loaded("draw")) == (True, False)


def test_a_closed_event_gives_no_place(stage: Stage, browsers: Browsers) -> None:
    stage.change(StateChange.CLOSE)
    tab = browsers.tab(stage).look("/").shows("closed")
    assert not tab.sees("join")
    assert not tab.sees("again")


def test_whoever_waits_when_an_event_closes_is_told(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in()
    stage.change(StateChange.CLOSE, message="Sold out.")
    tab.shows("closed").reads("message", "Sold out.")


def test_a_bypass_lets_everyone_through(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in("/open")
    stage.change(StateChange.BYPASS)
    tab.lands_on("/open")
    stage.change(StateChange.OPEN)
    # What the browser remembers of it sends nobody round in circles.
    tab.look("/later").shows("waiting").reads("position", "1")


def test_whoever_missed_the_window_is_told_and_joins_again(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    tab = browsers.tab(stage).wait_in()
    tab.page.goto("about:blank")
    stage.release()
    stage.elapse(61)
    tab.look("/book").shows("turn").press("enter").shows("ended")
    tab.press("again").shows("waiting").reads("position", "2")


def test_places_of_an_earlier_queue_are_told_and_joined_again(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).wait_in()
    stage.begin_new_generation()
    tab.shows("anew").hears("The queue was started anew")
    tab.press("again").shows("waiting").reads("position", "1")


def test_a_full_site_is_told_and_entered_as_soon_as_there_is_room(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage(max_sessions=1)
    inside = stage.admitted()
    tab = browsers.tab(stage).wait_in("/book")
    stage.release()
    tab.shows("turn").press("enter").shows("full")
    inside.call("leave")
    tab.press("enter").lands_on("/book")


def _with_place(tab: Tab, stage: Stage, **changes: int) -> Tab:
    """Give the browser a queue token that was signed for it."""
    token = stage.mint.place(stage.event, stage.generation, **changes)
    cookie = {"name": f"queue-{stage.event}", "value": token, "url": tab.site}
    tab.page.context.add_cookies([cookie])  # type: ignore[list-item]
    return tab


def test_an_expired_token_is_renewed(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in()
    _with_place(tab, stage, issued_at=int(time.time()) - 7200, expires_at=int(time.time()) - 3600)
    tab.look("/").shows("waiting").reads("position", "1")
    assert (tab.calls("refresh"), tab.calls("join")) == (1, 1)


def test_a_place_whose_token_is_gone_has_ended_and_can_be_joined_again(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).wait_in()
    tab.page.context.clear_cookies()
    tab.look("/").shows("ended").press("again").shows("waiting").reads("position", "2")
