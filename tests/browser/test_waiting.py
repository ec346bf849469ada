"""A visitor waits, and gets in."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.browsers import Browsers
from tests.support.command_line import Operator as CommandLine
from tests.support.gateways import Seen
from tests.support.replies import Reply
from tests.support.staging import OpenStage, Stage

if TYPE_CHECKING:
    from playwright.sync_api import Route

WANTED = "/book?seat=12&row=%C3%A9"


def _is_for(stage: Stage, seen: Seen) -> bool:
    return any(host.partition(":")[0] == stage.host for host in seen.all("host"))


def test_whoever_was_sent_here_joins_and_sees_their_place(stage: Stage, browsers: Browsers) -> None:
    stage.waiting()
    stage.waiting()
    tab = browsers.tab(stage)
    tab.go(WANTED).shows("waiting")
    tab.reads("position", "3").reads("ahead", "2 people").reads("wait", "not known yet")
    assert tab.page.title() == f"2 ahead · {stage.event}"


def test_whoever_only_looks_joins_by_the_button(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).look().shows("not_in")
    assert tab.calls("join") == 0
    tab.press("join").shows("waiting").reads("position", "1").reads("ahead", "None: you are next")


def test_the_number_falls_with_a_release_at_the_command_line(
    stage: Stage, browsers: Browsers, command_line_settings: Path
) -> None:
    for _ in range(5):
        stage.waiting()
    tab = browsers.tab(stage).wait_in().listens_to("stream").reads("ahead", "5 people")
    polled = tab.calls("")
    operator = CommandLine(command_line_settings.parent)
    ran = operator("--config", command_line_settings, "release", stage.event, 3)
    assert ran.code == 0, ran
    tab.reads("ahead", "2 people")
    # It was pushed: nothing was asked for.
    assert tab.calls("") == polled


def test_a_visitor_gets_in_and_lands_on_the_page_first_asked_for(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).go(WANTED).shows("waiting")
    stage.release()
    tab.shows("turn").hears("It is your turn").reads("lead", re.compile("in [0-5] second"))
    assert tab.page.title() == f"It is your turn · {stage.event}"
    tab.lands_on(WANTED)
    (arrived,) = [
        seen for seen in stage.backend.seen if seen.target == WANTED and _is_for(stage, seen)
    ]
    assert arrived.queue_headers["queue-position"] == "1"


def test_nobody_has_to_wait_for_the_count_to_end(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).go(WANTED).shows("waiting")
    stage.release()
    tab.shows("turn").press("enter").lands_on(WANTED)


def test_whoever_is_admitted_is_sent_on_at_once(stage: Stage, browsers: Browsers) -> None:
    person = browsers.person(stage)
    tab = person.tab().wait_in()
    stage.release()
    tab.shows("turn").press("enter").lands_on("/")
    person.tab().look("/more").lands_on("/more")


def test_whoever_came_from_another_host_of_the_event_lands_there(
    open_stage: OpenStage, browsers: Browsers
) -> None:
    stage = open_stage("twin")
    tab = browsers.tab(stage)
    wanted = f"http://tour.localhost:{stage.gateway.port}{WANTED}"
    tab.page.goto(wanted, wait_until="domcontentloaded")
    tab.shows("waiting")
    assert tab.page.url.startswith(f"{tab.base}/room")
    stage.release()
    tab.shows("turn").press("enter")
    tab.page.wait_for_url(wanted, wait_until="commit")
    tab.page.get_by_text("the booking site").wait_for()


def test_a_reload_keeps_the_place(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in().reads("position", "1")
    stage.waiting()
    tab.page.reload()
    tab.shows("waiting").reads("position", "1")
    assert tab.calls("join") == 1


def test_two_tabs_opened_together_have_one_place(stage: Stage, browsers: Browsers) -> None:
    person = browsers.person(stage)
    tabs = [person.tab() for _ in range(2)]
    for tab in tabs:
        # Not waiting for the first to have joined.
        tab.page.evaluate("url => { location.href = url }", f"{tab.base}/room?return_to=%2F")
    for tab in tabs:
        tab.shows("waiting").reads("position", "1")
    assert stage.operator.read(stage.event).issued == 1


def test_two_tabs_share_one_stream(stage: Stage, browsers: Browsers) -> None:
    stage.waiting()
    person = browsers.person(stage)
    first = person.tab().wait_in().listens_to("stream")
    second = person.tab().look("/").shows("waiting")
    stage.release()
    second.listens_to("another tab").reads("ahead", "None: you are next")
    assert (first.calls("events"), second.calls("events")) == (1, 0)


def test_the_tab_that_is_left_takes_over_the_stream(stage: Stage, browsers: Browsers) -> None:
    stage.waiting()
    person = browsers.person(stage)
    first = person.tab().wait_in().listens_to("stream")
    second = person.tab().look("/").shows("waiting")
    first.page.close()
    second.listens_to("stream").reads("ahead", "1 person")


def test_the_way_of_a_waiting_visitor_is_drawn(stage: Stage, browsers: Browsers) -> None:
    for _ in range(4):
        stage.waiting()
    tab = browsers.tab(stage).wait_in().reads("ahead", "4 people")
    stage.release()
    tab.reads("ahead", "3 people")
    assert tab.page.locator("#progress").evaluate("bar => bar.value") == 0.25


def test_leaving_asks_first(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in().press("leave").press("leave-no").shows("waiting")
    assert tab.calls("leave") == 0
    tab.press("leave").press("leave-yes").shows("left")
    tab.page.reload()
    # Though sent here once, whoever left is not made to join again by a reload.
    tab.shows("left").press("again").shows("waiting").reads("position", "2")


def test_another_tab_hears_of_leaving(stage: Stage, browsers: Browsers) -> None:
    person = browsers.person(stage)
    first = person.tab().wait_in()
    second = person.tab().look("/").shows("waiting")
    first.press("leave").press("leave-yes").shows("left")
    second.shows("left")


def test_an_answer_that_comes_after_leaving_does_not_bring_the_place_back(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage).wait_in()
    late: list[tuple[Route, Reply]] = []
    tab.page.route("**/position", lambda route, request: late.append((route, tab.answer(request))))
    tab.show()
    tab.comes_to(lambda: len(late) == 1)
    tab.press("leave").press("leave-yes").shows("left")
    ((route, reply),) = late
    with tab.page.expect_request_finished():
        route.fulfill(status=reply.status, body=reply.body, content_type="application/json")
    tab.page.wait_for_timeout(100)
    tab.shows("left")
    assert not tab.sees("facts")


def test_nobody_is_let_in_while_being_asked_whether_to_leave(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    tab.page.clock.install()
    tab.wait_in("/book").press("leave")
    stage.release()
    tab.shows("turn")
    tab.page.clock.run_for(20_000)
    assert tab.calls("claim") == 0
    tab.press("leave-no")
    tab.page.clock.run_for(7_000)
    tab.lands_on("/book")
