"""The operator console: what an operator sees and does on the night of a sale."""

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gateway.ports import StateChange
from tests.browser.axe import faults_of
from tests.browser.browsers import Browsers, become
from tests.browser.conftest import operator_of
from tests.browser.consoles import Desk, Venue, running_venue
from tests.support.eventually import eventually
from tests.support.gateways import Tables
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.staging import own_server

if TYPE_CHECKING:
    from playwright.sync_api import Request, Route

OpenDesk = Callable[..., Desk]

LOOKS: list[dict[str, Any]] = [
    {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    {"color_scheme": "dark", "viewport": {"width": 320, "height": 640}},
]

MANY = 110

DASH = "\N{EN DASH}"


@pytest.fixture(scope="module")
def running_one(
    short_folder: Path, valkey: RealServer, tables: Tables, operator: Operator
) -> Iterator[Venue]:
    valkey.reset()
    with running_venue(short_folder, tables, operator) as venue:
        yield venue


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def venue(running_one: Venue) -> Iterator[Venue]:
    yield running_one
    running_one.thaw()


@pytest.fixture
def event(numbers: Iterator[int]) -> str:
    """The name of an event that was not used before."""
    return f"sale-{next(numbers)}"


@pytest.fixture
def desk(venue: Venue, browsers: Browsers) -> Desk:
    return Desk(venue, browsers)


def test_a_wrong_key_is_refused_in_words(desk: Desk) -> None:
    desk.go().shows("login").types("key", "gwop_" + "0" * 64).press("login-button")
    desk.reads("login-problem", "The key is nobody's.").shows("login")
    assert desk.at("key").input_value() == ""
    assert desk.context.cookies() == []


def test_the_key_is_in_no_storage_no_address_and_no_cookie(venue: Venue, desk: Desk) -> None:
    desk.logs_in("admin")
    kept = desk.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert kept == "[{},{}]"
    assert desk.at("key").input_value() == ""
    (cookie,) = desk.context.cookies(f"{venue.admin}/admin/session")
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    key = venue.key("admin")
    assert key not in json.dumps([desk.requests, desk.page.url, cookie["value"]])


def test_everything_comes_from_the_admin_port(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event)
    desk.logs_in("view", event)
    assert {url.startswith(f"{venue.admin}/admin/") for _, url in desk.requests} == {True}


def test_its_files_may_be_kept_and_what_it_reads_may_not(venue: Venue, desk: Desk) -> None:
    desk.logs_in("view")

    def may_be_kept(ending: str) -> str:
        (url,) = {asked for _, asked in desk.requests if asked.endswith(ending)}
        return desk.context.request.get(url).headers["cache-control"]

    assert may_be_kept(".css") == "public, max-age=31536000, immutable"
    assert may_be_kept("/admin/") == "no-cache"
    assert may_be_kept("/admin/events") == "no-store"


def test_an_event_is_found_in_the_list(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event, waiting=3, max_sessions=50)
    desk.logs_in("view")
    entry = desk.page.locator("#events > li", has_text=re.compile(f"^{event}Open"))
    assert "3 people waiting, 0 of 50 sessions" in entry.inner_text()
    entry.get_by_role("link").click()
    desk.shows("event").reads("event-name", event).reads("waiting", "3").reads(
        "sessions", "0 of 50"
    )


def test_an_address_of_an_event_survives_the_login_and_a_reload(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event)
    desk.logs_in("view", event).page.reload()
    desk.shows("event").reads("event-name", event)


def test_the_numbers_move_by_themselves(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event, waiting=2, max_sessions=4)
    desk.logs_in("view", event).reads("waiting", "2").reads("people", "0")
    first = venue.visitor(event)
    first.join()
    venue.ledger.release(event, 3)
    desk.reads("waiting", "0").reads("people", "3").reads("people-more", "served up to 3")
    eventually(lambda: venue.pointer(event)["served_up_to"] == 3)
    first.claim()
    desk.reads("sessions", "1 of 4").reads("log", "release by unnamed")
    assert desk.at("sessions-bar").get_attribute("value") == "0.25"
    desk.reads("gateways", "well").reads("schedule", "None: people are let in by hand.")
    label = desk.page.locator("#spark-waiting svg").get_attribute("aria-label")
    assert re.fullmatch(r"Waiting over the last 10 min: lowest \d, highest \d, now \d", label or "")


def test_a_release_says_first_what_it_will_do_and_then_moves_the_pointer(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=MANY, max_sessions=200)
    desk.logs_in("release", event).types("release-by", "100").press("release-try")
    desk.reads("intent-title", "Let in 100 people?")
    desk.reads("intent-says", "the pointer goes from 0 to 100")
    desk.reads("intent-says", "Then about 100, at most 100, of 200 places.")
    desk.reads("intent-says", "Wait: there is a place for everybody.")
    assert venue.pointer(event)["served_up_to"] == 0
    desk.types("release-reason", "doors are open").press("release-do")
    desk.reads("released", "Let in 100 people: the pointer went from 0 to 100.")
    eventually(lambda: venue.pointer(event)["served_up_to"] == 100)
    desk.reads("log", "Reason: doors are open").reads("log", "release by release")


def test_what_is_no_number_of_people_is_refused_before_it_is_sent(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event)
    desk.logs_in("release", event)
    for text in ("", "0", "-5", "ten", "1e3", "1.5", "10,00"):
        desk.types("release-by", text).press("release-try").reads(
            "release-problem", "a whole number"
        )
    assert [method for method, _ in desk.requests if method == "POST"] == ["POST"]


def test_a_double_click_releases_once(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event, waiting=9)
    desk.logs_in("release", event).types("release-by", "2").press("release-try")
    desk.reads("intent-title", "Let in 2 people?").at("release-do").dblclick()
    desk.reads("released", "Let in 2 people").reads("people", "2")
    assert venue.ledger.read(event).served_up_to == 2


def test_a_release_whose_answer_was_lost_is_tried_again_and_happens_once(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=9)
    desk.logs_in("release", event).types("release-by", "2").press("release-try")
    desk.reads("intent-title", "Let in 2 people?")

    def lose(route: "Route", request: "Request") -> None:
        route.fetch()
        route.abort()

    desk.page.route("**/release", lose)
    desk.press("release-do").reads("intent-problem", "It may have happened or not.")
    assert venue.ledger.read(event).served_up_to == 2
    desk.page.unroute("**/release")
    desk.reads("release-do", "Try again").press("release-do")
    desk.reads("released", "It had happened before: the pointer went to 2.")
    assert venue.ledger.read(event).served_up_to == 2


def test_who_cancels_a_release_that_may_have_happened_is_told_to_look(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=9)
    desk.logs_in("release", event).types("release-by", "2").press("release-try")
    desk.page.route("**/release", lambda route: route.abort())
    desk.press("release-do").reads("intent-problem", "It may have happened or not.")
    desk.press("release-cancel").reads("released", "see the last acts").lacks("intent")


def test_a_release_out_of_the_ordinary_needs_a_tick(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event, waiting=MANY, max_sessions=5)
    desk.logs_in("release", event).types("release-by", "105").press("release-try")
    desk.reads("unusual", "100 people would find none of the 5 places free")
    desk.press("release-do").reads("intent-problem", "Tick the box first")
    assert venue.ledger.read(event).served_up_to == 0
    desk.press("unusual-yes").press("release-do").reads("released", "Let in 105 people")
    assert venue.ledger.read(event).served_up_to == 105


def test_what_becomes_out_of_the_ordinary_meanwhile_is_asked_about(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=MANY)
    desk.logs_in("release", event).types("release-by", "105").press("release-try")
    desk.reads("intent-title", "Let in 105 people?")
    venue.asks(
        "PATCH", f"/admin/events/{event}/policy", venue.bearer("admin"), b'{"max_sessions": 5}'
    )
    desk.press("release-do").reads("intent-problem", "the numbers have changed")
    assert venue.ledger.read(event).served_up_to == 0
    desk.reads("unusual", "none of the 5 places free")
    desk.press("unusual-yes").press("release-do").reads("released", "Let in 105 people")


def test_a_pause_reaches_everybody_who_waits(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event, waiting=1)
    desk.logs_in("release", event).press("do-pause").types("act-message", "Back at nine.")
    desk.press("act-do").reads("state", "Paused: no releases, no claims")
    eventually(
        lambda: (
            (venue.pointer(event)["state"], venue.pointer(event)["message"])
            == ("paused", "Back at nine.")
        )
    )
    desk.reads("message", "Visitors read: Back at nine.").reads(
        "release-not", "Nobody can be let in"
    )
    assert not desk.sees("release")
    # The button that was pressed is gone; whoever has no mouse goes on from the one in its place.
    assert desk.page.evaluate("document.activeElement.id") == "do-resume"
    desk.press("do-resume").press("act-do").reads("state", "Open")
    eventually(lambda: venue.pointer(event)["state"] == "open")


def test_a_pause_may_leave_the_claims_alone(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event)
    desk.logs_in("release", event).press("do-pause").press("act-releases_only").press("act-do")
    desk.reads("state", "Paused: no releases, claims go on")


def test_the_message_can_be_changed_and_taken_away(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event)
    desk.logs_in("release", event).press("do-message").types("act-message", "Five minutes.")
    desk.press("act-do").reads("message", "Visitors read: Five minutes.")
    eventually(lambda: venue.pointer(event)["message"] == "Five minutes.")
    desk.press("do-message")
    assert desk.at("act-message").input_value() == "Five minutes."
    desk.types("act-message", "").press("act-do").lacks("message")


def test_an_admin_opens_closes_and_bypasses_after_a_question(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, opened=False)
    desk.logs_in("admin", event).reads("state", "Scheduled")
    desk.press("do-open").reads("act-text", "Releases and claims begin").press("act-cancel")
    assert venue.ledger.read(event).state.value == "scheduled"
    desk.press("do-open").press("act-do").reads("state", "Open")
    desk.press("do-bypass").reads("act-text", "EVERYONE passes").types("act-for", "forever")
    desk.press("act-do").reads("act-problem", "no length of time")
    desk.types("act-for", "10m").press("act-do").reads("state", "Bypass: everyone passes")
    desk.press("do-open").reads("act-text", "Ends the bypass").press("act-do").reads(
        "state", "Open"
    )
    desk.press("do-close").reads("act-text", "0 people waiting will not be let in").press("act-do")
    desk.reads("state", "Closed")


def test_who_may_only_look_has_no_buttons_and_is_refused_without_them(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=1)
    desk.logs_in("view", event).reads("waiting", "1")
    shown = desk.page.get_by_role("button")
    assert [button.inner_text() for button in shown.all()] == ["Log out"]
    status = desk.page.evaluate(
        """async (event) => (await fetch(`events/${event}/release`, {
          method: "POST", body: '{"by": 1}',
          headers: {"operator-request": "1", "content-type": "application/json"},
        })).status""",
        event,
    )
    assert (status, venue.ledger.read(event).served_up_to) == (403, 0)


def test_who_may_release_is_offered_no_more_than_that(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event)
    desk.logs_in("release", event)
    offered = desk.page.locator("#acts button:visible").all_inner_texts()
    assert offered == ["Pause…", "Message…"]


def test_logging_out_ends_the_session(venue: Venue, desk: Desk) -> None:
    desk.logs_in("view")
    (cookie,) = desk.context.cookies(f"{venue.admin}/admin/session")
    held = f"{cookie['name']}={cookie['value']}"
    assert venue.asks("GET", "/admin/session", ("cookie", held)).status == 200
    desk.press("logout").shows("login").reads("login-why", "You are logged out.")
    desk.page.reload()
    desk.shows("login")
    # The cookie, had somebody kept it, is worth nothing either.
    assert venue.asks("GET", "/admin/session", ("cookie", held)).verdict == (401, "session-over")


def test_a_key_that_is_taken_away_ends_the_session(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event, waiting=1)
    desk.logs_in("leaver", event).reads("waiting", "1")
    venue.remove("leaver")
    desk.shows("login").reads("login-why", "Your session is over, or your key was removed.")
    assert not desk.sees("view-event")


def test_a_gateway_that_is_silent_leaves_no_number_that_looks_live(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=1)
    desk.logs_in("view", event).reads("waiting", "1")
    assert not desk.is_stale
    venue.freeze()
    desk.reads("away", re.compile("Not live: these numbers are .* old. The gateway"))
    assert desk.is_stale
    desk.hears("The numbers are not live any more.")
    assert desk.page.title().startswith("Not live: ")
    venue.thaw()
    desk.lacks("away").hears("The numbers are live again.")
    assert not desk.is_stale


def test_an_event_that_is_deleted_under_the_operator_is_told(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=1)
    desk.logs_in("view", event).reads("waiting", "1")
    venue.ledger.delete(event)
    desk.reads("away", "The event was deleted.")
    assert desk.is_stale


def test_a_hidden_tab_asks_less_often(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event)
    desk.page.clock.install()
    desk.logs_in("view", event)

    def looks() -> int:
        return sum("series=1" in url for _, url in desk.requests)

    def pass_s(seconds: int) -> int:
        before = looks()
        for _ in range(seconds):
            desk.page.clock.run_for(1000)
            desk.settles()
        return looks() - before

    assert pass_s(10) >= 5
    become(desk.page, "hidden")
    assert pass_s(14) <= 2


@pytest.mark.parametrize("look", LOOKS, ids=["light", "dark-small"])
def test_nothing_keeps_anybody_out(
    venue: Venue, browsers: Browsers, event: str, look: dict[str, Any]
) -> None:
    venue.open_event(event, waiting=MANY, max_sessions=5)
    # What axe-core does to a page is not what the page may do.
    desk = Desk(venue, browsers, bypass_csp=True, **look).go().shows("login")
    assert faults_of(desk.page) == []
    desk.logs_in("admin")
    assert faults_of(desk.page) == []
    desk.go(event).shows("event")
    assert faults_of(desk.page) == []
    desk.types("release-by", "105").press("release-try").reads("unusual", "none of the 5 places")
    assert faults_of(desk.page) == []
    desk.press("do-pause")
    assert faults_of(desk.page) == []
    desk.press("act-cancel")
    venue.freeze()
    desk.reads("away", "Not live")
    assert faults_of(desk.page) == []


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_has_to_be_scrolled_sideways(
    venue: Venue, browsers: Browsers, event: str, width: int
) -> None:
    venue.open_event(event, waiting=MANY, max_sessions=5)
    venue.ledger.change(event, StateChange.PAUSE, message="https://example.org/" + "a" * 150)
    venue.ledger.change(event, StateChange.RESUME)
    desk = Desk(venue, browsers, viewport={"width": width, "height": 640}).logs_in("admin")
    views = [desk.go(event).shows("event").reads("waiting", str(MANY))]
    for view in (*views, desk.types("release-by", "105").press("release-try").shows("event")):
        view.reads("acts", "Pause")
        assert view.page.evaluate("document.documentElement.scrollWidth") <= width
    desk.press("do-pause")
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_keyboard_is_enough(venue: Venue, desk: Desk, event: str) -> None:
    venue.open_event(event, waiting=3)
    keys = desk.page.keyboard
    desk.go(event).shows("login")
    keys.type(venue.key("release"))
    keys.press("Enter")
    desk.shows("event").at("release-by").focus()
    keys.type("2")
    keys.press("Enter")
    desk.reads("intent-title", "Let in 2 people?")
    assert desk.page.evaluate("document.activeElement.id") == "intent-title"
    focused = []
    for _ in range(2):
        keys.press("Tab")
        focused.append(desk.page.evaluate("document.activeElement.id"))
    assert focused == ["release-reason", "release-do"]
    keys.press("Enter")
    desk.reads("released", "Let in 2 people")
    assert desk.page.evaluate("document.activeElement.id") == "released"


def test_a_screen_reader_is_told_of_changes_at_once_and_of_numbers_once_a_minute(
    venue: Venue, desk: Desk, event: str
) -> None:
    venue.open_event(event, waiting=2)
    desk.logs_in("view", event).hears(f"{event}: Open. 2 waiting, 0 sessions.")
    venue.visitor(event).join()
    desk.reads("waiting", "3")
    assert "2 waiting" in (desk.at("live").text_content() or "")
    venue.ledger.change(event, StateChange.PAUSE)
    desk.hears(f"{event}: Paused: no releases, no claims. 3 waiting")


@pytest.fixture
def rules(venue: Venue, desk: Desk) -> Any:
    """Call functions of the console's modules, as the page has loaded them."""
    desk.go().shows("login")
    loaded = {url.rpartition("/")[2].partition(".")[0]: url for _, url in desk.requests}

    def call(module: str, name: str, *arguments: Any) -> Any:
        return desk.page.evaluate(
            "async ([script, name, given]) => (await import(script))[name](...given)",
            [loaded[module], name, list(arguments)],
        )

    return call


def test_lengths_of_time_are_said_in_two_units(rules: Any) -> None:
    said = [rules("words", "duration", seconds) for seconds in (0, 59.9, 60, 3725, 90_061, -3)]
    assert said == ["0 s", "59 s", "1 min", "1 h 2 min", "1 d 1 h", "0 s"]


def test_people_let_in_are_turns_in_no_hole_and_no_headroom(rules: Any) -> None:
    counts = [
        rules("words", "letIn", {"served_up_to": served, "issued": issued, "holes": holes})
        for served, issued, holes in (
            (5, 9, []),
            (9, 5, []),
            (8, 9, [[2, 4]]),
            (3, 9, [[2, 4]]),
            (1, 9, [[2, 4]]),
        )
    ]
    assert counts == [5, 5, 5, 1, 1]


@pytest.mark.parametrize(
    ("doc", "said"),
    [
        ({"oldest_wait": None, "waiting": 0}, [DASH, "nobody waits"]),
        ({"oldest_wait": None, "waiting": 1}, [DASH, "cannot be told"]),
        (
            {"oldest_wait": {"at_least_s": 60, "at_most_s": None}, "waiting": 1},
            ["1 min", "or more: it began before the first sample"],
        ),
        (
            {"oldest_wait": {"at_least_s": 60, "at_most_s": 70}, "waiting": 1},
            ["1 min 10 s", "or less, at least 1 min"],
        ),
        ({"oldest_wait": {"at_least_s": 60, "at_most_s": 60}, "waiting": 1}, ["1 min", ""]),
    ],
)
def test_the_oldest_wait_is_said_as_far_as_it_is_known(
    rules: Any, doc: dict[str, Any], said: list[str]
) -> None:
    assert rules("words", "oldestWait", doc) == said


def test_a_count_is_read_as_people_write_it(rules: Any) -> None:
    read = [
        rules("words", "count", text) for text in (" 100 ", "1,000", "12.000.000", "1 000", "007")
    ]
    assert read == [100, 1000, 12_000_000, 1000, 7]


def test_a_line_is_drawn_where_its_numbers_are_known(rules: Any) -> None:
    assert rules("sparks", "stretches", [None, 0, 10, None, 5]) == [
        [[1, 20], [2, 0]],
        [[4, 10]],
    ]
    assert rules("sparks", "stretches", [0, 0]) == [[[0, 20], [1, 20]]]
    assert rules("sparks", "spoken", "Waiting", [None], "lately").endswith(
        "nothing is known of lately"
    )


@pytest.fixture
def frail(short_folder: Path, tables: Tables) -> Iterator[tuple[RealServer, Venue]]:
    """A venue whose ledger a test may freeze."""
    with own_server(short_folder) as server, operator_of(server) as ledger:
        own_tables = {**tables, "ledger": {"url": server.url}}
        with running_venue(short_folder, own_tables, ledger) as venue:
            yield server, venue


def test_while_the_ledger_is_away_the_last_numbers_are_called_old(
    frail: tuple[RealServer, Venue], browsers: Browsers
) -> None:
    server, venue = frail
    venue.open_event("sale-1", waiting=2)
    desk = Desk(venue, browsers).logs_in("release", "sale-1").reads("waiting", "2")
    server.freeze()
    desk.reads("away", re.compile("Not live: .* its ledger is away"))
    assert desk.is_stale
    assert desk.at("waiting").inner_text() == "2"
    desk.types("release-by", "1").press("release-try")
    desk.reads("release-problem", "The ledger cannot be used")
    server.thaw()
    desk.lacks("away")
    assert not desk.is_stale
