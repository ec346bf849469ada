"""Networks, streams and machines fail; nobody loses their place, and the page says what it knows."""

import json
import re

from tests.browser.browsers import Browsers, Tab
from tests.support.replies import ask
from tests.support.staging import OpenStage, Stage

# More than two heartbeats of a stream, and less than what the page takes for sleep.
SILENCE_MS = 40_000

# A part of what the first poll is put off at most.
A_WHILE_MS = 4_000


def _let_it_poll(tab: Tab) -> Tab:
    """Let time pass until the page has polled."""

    def polled() -> bool:
        tab.page.clock.fast_forward(A_WHILE_MS)
        return tab.feed == "poll"

    return tab.comes_to(polled)


def test_offline_and_back(stage: Stage, browsers: Browsers) -> None:
    stage.waiting()
    person = browsers.person(stage)
    tab = person.tab().wait_in().listens_to("stream").reads("position", "2")
    person.context.set_offline(True)
    tab.reads("updated", "Offline. Your place is kept.").reads("position", "2")
    stage.release()
    person.context.set_offline(False)
    tab.reads("ahead", "None: you are next").reads("position", "2")
    assert tab.calls("join") == 1


def test_a_reload_that_is_not_answered_keeps_the_place_on_the_screen(
    stage: Stage, browsers: Browsers
) -> None:
    stage.waiting()
    tab = browsers.tab(stage).wait_in().reads("ahead", "1 person")
    for verb in ("position", "events"):
        tab.page.route(f"**/{verb}", lambda route: route.abort())
    tab.page.reload()
    tab.reads("position", "2").reads("ahead", "1 person")
    tab.reads("updated", "The connection was lost. Trying again; your place is kept.")


def test_a_refused_join_says_why_and_is_tried_again_when_the_server_allows(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    refusal = {"type": "too-many-joins", "status": 429}
    tab.page.route(
        "**/join",
        lambda route: route.fulfill(status=429, headers={"retry-after": "2"}, json=refusal),
    )
    tab.look("/").shows("not_in").reads("problem", re.compile("Too many people have joined"))
    tab.page.unroute("**/join")
    tab.shows("waiting")
    assert not tab.sees("problem")


def test_an_event_for_invited_visitors_says_so(open_stage: OpenStage, browsers: Browsers) -> None:
    stage = open_stage(voucher_required=True)
    tab = browsers.tab(stage).look("/").shows("not_in")
    tab.reads("problem", re.compile("This event is for invited visitors"))


def test_a_join_whose_answer_is_lost_gives_the_same_place(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage)
    with tab.losing_an_answer("join"):
        tab.look("/").shows("waiting").reads("position", "1")
    assert tab.calls("join") == 2
    assert stage.operator.read(stage.event).issued == 1


def test_a_claim_whose_answer_is_lost_is_repeated(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in("/book")
    stage.release()
    with tab.losing_an_answer("claim"):
        tab.shows("turn").press("enter").lands_on("/book")
    assert tab.calls("claim") == 2
    assert stage.operator.read(stage.event).claims == 1


def test_where_no_stream_can_be_had_the_page_polls(stage: Stage, browsers: Browsers) -> None:
    stage.waiting()
    tab = browsers.tab(stage)
    tab.page.route("**/events", lambda route: route.abort())
    tab.page.clock.install()
    _let_it_poll(tab.wait_in()).reads("ahead", "1 person")
    stage.release()
    tab.reads("ahead", "None: you are next")


def test_a_refused_stream_is_left_alone_for_as_long_as_the_server_says(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    refusal = 'event: refused\ndata: {"reason": "too-many-streams", "retry_after": 60}\n\n'
    tab.page.route(
        "**/events", lambda route: route.fulfill(content_type="text/event-stream", body=refusal)
    )
    tab.page.clock.install()
    _let_it_poll(tab.wait_in())
    polled = tab.calls("")
    tab.page.clock.fast_forward(20_000)
    tab.comes_to(lambda: tab.calls("") > polled)
    assert tab.calls("events") == 1
    tab.page.unroute("**/events")
    tab.page.clock.fast_forward(60_000)
    tab.listens_to("stream")


def test_a_stream_that_is_silent_for_two_heartbeats_has_failed(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    tab.page.clock.install()
    tab.look("/").shows("waiting").listens_to("stream")
    tab.page.route("**/events", lambda route: None)
    tab.page.clock.fast_forward(SILENCE_MS)
    _let_it_poll(tab).reads("ahead", "None: you are next")


def test_a_stream_that_says_nothing_at_first_is_not_waited_for(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    # Never answered, as behind a proxy that holds everything back.
    tab.page.route("**/events", lambda route: None)
    tab.page.clock.install()
    tab.look("/").shows("waiting")
    tab.page.clock.run_for(6_000)
    tab.listens_to("poll").reads("ahead", "None: you are next")
    polled = tab.calls("")
    tab.page.clock.run_for(6_000)
    tab.comes_to(lambda: tab.calls("") > polled)


def test_polls_that_are_not_answered_are_given_up_one_by_one(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    given_up: list[str] = []
    tab.page.on("requestfailed", lambda request: given_up.append(request.url))
    tab.page.route("**/events", lambda route: route.abort())
    tab.page.route(tab.base, lambda route: None)
    tab.page.clock.install()
    tab.wait_in()

    def waited_for() -> int:
        return tab.calls("") - given_up.count(tab.base)

    def two_given_up() -> bool:
        tab.page.clock.fast_forward(A_WHILE_MS)
        assert waited_for() <= 1
        return given_up.count(tab.base) == 2

    tab.comes_to(two_given_up)
    tab.reads("updated", "The connection was lost. Trying again; your place is kept.")


def test_a_refused_poll_is_repeated_when_the_server_allows(
    stage: Stage, browsers: Browsers
) -> None:
    tab = browsers.tab(stage)
    tab.page.route("**/events", lambda route: route.abort())
    tab.page.route(
        tab.base, lambda route: route.fulfill(status=429, headers={"retry-after": "60"}, json={})
    )
    tab.page.clock.install()
    tab.wait_in()
    tab.page.clock.run_for(6_000)
    tab.comes_to(lambda: tab.calls("") == 1)
    tab.page.clock.run_for(40_000)
    assert tab.calls("") == 1
    tab.page.unroute(tab.base)
    tab.page.clock.fast_forward(60_000)
    tab.listens_to("poll")


def test_on_a_deleted_event_nothing_is_asked_for_any_more(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage)
    target = f"/queue/{stage.event}"
    asked = ask(stage.gateway.port, "GET", target, [("host", stage.host)])
    document = asked.json() | {"state": "deleted"}
    last = f"event: pointer\ndata: {json.dumps(document)}\n\n"
    tab.page.route(
        "**/events", lambda route: route.fulfill(content_type="text/event-stream", body=last)
    )
    tab.page.clock.install()
    tab.look().shows("closed")
    tab.page.clock.run_for(60_000)
    assert (tab.calls("events"), tab.calls("")) == (1, 0)


def test_a_machine_that_slept_asks_at_once(stage: Stage, browsers: Browsers) -> None:
    stage.waiting()
    tab = browsers.tab(stage)
    tab.page.clock.install()
    tab.wait_in().listens_to("stream").reads("ahead", "1 person")
    # Soon after a join, the page asks once more.
    tab.page.clock.fast_forward(6_000)
    tab.comes_to(lambda: tab.calls("position") >= 2)
    asked = tab.calls("position")
    streams = tab.calls("events")
    # The timers that would have run meanwhile run once, late, as after sleep.
    tab.page.clock.fast_forward("02:00:00")
    tab.page.clock.run_for(1000)
    tab.comes_to(lambda: tab.calls("position") > asked and tab.calls("events") > streams)


def test_a_page_brought_back_from_the_browsers_memory_goes_on(
    stage: Stage, browsers: Browsers
) -> None:
    stage.waiting()
    tab = browsers.tab(stage).wait_in().reads("ahead", "1 person")
    tab.page.goto("about:blank")
    stage.release()
    tab.page.go_back()
    tab.shows("waiting").reads("ahead", "None: you are next")


def test_storage_that_is_not_allowed_breaks_nothing(stage: Stage, browsers: Browsers) -> None:
    refuse = """
      Object.defineProperty(window, "localStorage", {
        get() { throw new DOMException("not allowed", "SecurityError"); },
      });
    """
    tab = browsers.tab(stage, refuse).wait_in("/book")
    tab.page.reload()
    tab.shows("waiting").reads("position", "1")
    stage.release()
    tab.shows("turn").press("enter").lands_on("/book")


def test_without_locks_and_channels_between_tabs_there_is_one_place_all_the_same(
    stage: Stage, browsers: Browsers
) -> None:
    bare = """
      Object.defineProperty(Navigator.prototype, "locks", {value: undefined});
      delete window.BroadcastChannel;
    """
    person = browsers.person(stage, bare)
    first = person.tab().wait_in().listens_to("stream")
    second = person.tab().wait_in().listens_to("stream")
    assert first.text("position") == second.text("position") == "1"
