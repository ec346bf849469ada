"""GET /queue/{event}/room/plain: the page without a script says what is true, in each case."""

import time
from collections.abc import Callable

import pytest

from gateway.ports import StateChange
from tests.support.pages import Page, onward, plain, press, title_of
from tests.support.staging import OpenStage, Stage
from tests.support.visitors import Visitor

NOT_IN = "You are not in the queue yet"
WAITING = "You are in the queue"
PAUSED = "The queue is paused"
TURN = "It is your turn"
CLOSED = "This event is closed"
ENDED = "Your place has ended"
ANEW = "The queue was started anew"
AWAY = "One moment, please"


# What it says, in every state.


def nobody(stage: Stage) -> Visitor:
    return stage.visitor()


def someone_waiting(stage: Stage) -> Visitor:
    return stage.waiting()


def someone_served(stage: Stage) -> Visitor:
    return stage.served()


SAYS: list[tuple[str, Callable[[Stage], Visitor], StateChange | None, int, str, list[str]]] = [
    ("open, a stranger", nobody, None, 200, NOT_IN, ["join"]),
    ("open, waiting", someone_waiting, None, 200, WAITING, ["leave"]),
    ("open, served", someone_served, None, 200, TURN, ["claim", "leave"]),
    ("paused, a stranger", nobody, StateChange.PAUSE, 200, NOT_IN, ["join"]),
    ("paused, waiting", someone_waiting, StateChange.PAUSE, 200, PAUSED, ["leave"]),
    ("paused, served", someone_served, StateChange.PAUSE, 200, PAUSED, ["leave"]),
    ("closed, a stranger", nobody, StateChange.CLOSE, 410, CLOSED, []),
    ("closed, waiting", someone_waiting, StateChange.CLOSE, 200, CLOSED, ["leave"]),
    ("closed, served", someone_served, StateChange.CLOSE, 200, TURN, ["claim", "leave"]),
]


@pytest.mark.parametrize("row", SAYS, ids=lambda row: row[0])
def test_the_page_says_where_the_visitor_stands(
    stage: Stage,
    row: tuple[str, Callable[[Stage], Visitor], StateChange | None, int, str, list[str]],
) -> None:
    _, comes, change, status, title, forms = row
    visitor = comes(stage)
    if change is not None:
        stage.change(change, message="Back at noon.")
    reply = plain(visitor, "/book")
    page = Page(reply)
    assert (reply.status, title_of(reply), page.forms) == (status, title, forms)
    assert ("Back at noon." in page.text) == (change is not None)


def test_before_the_opening_the_number_is_kept(open_stage: OpenStage) -> None:
    page = Page(plain(open_stage(opened=False).waiting()))
    assert "has not opened yet" in page.text
    assert "Opens in" not in page.text
    assert page.refresh is None


def test_before_an_opening_that_was_said_the_time_until_then_is_shown(
    open_stage: OpenStage,
) -> None:
    stage = open_stage(opened=False, opens_at=int(time.time()) + 7230)
    assert "Opens in 2 hours" in Page(plain(stage.waiting())).text


def test_while_the_state_is_lost_the_page_is_a_503_for_strangers_and_keeps_places(
    stage: Stage,
) -> None:
    waiting, served = stage.waiting(), stage.served()
    stage.lose()
    stranger = plain(stage.visitor())
    assert (stranger.status, title_of(stranger)) == (503, AWAY)
    assert stranger.header("retry-after") == "5"
    for visitor in (waiting, served):
        reply = plain(visitor)
        assert (reply.status, title_of(reply)) == (200, AWAY)
        assert "Your place is kept" in Page(reply).text


def test_in_a_bypass_the_page_sends_everybody_on(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.change(StateChange.BYPASS)
    assert plain(visitor, "/book").location == "/book"
    assert plain(stage.visitor()).location == "/"
    assert onward(stage.visitor(), "/book").location == "/book"


def test_a_deleted_event_is_closed(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.delete()
    for who in (visitor, stage.visitor()):
        reply = plain(who)
        assert (reply.status, title_of(reply)) == (410, CLOSED)


def test_an_earlier_generation_is_invited_to_join_again(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.begin_new_generation()
    reply = plain(visitor)
    assert (title_of(reply), Page(reply).forms) == (ANEW, ["join"])


def test_who_waits_sees_number_people_before_and_wait(stage: Stage) -> None:
    visitors = [stage.waiting() for _ in range(4)]
    page = Page(plain(visitors[3]))
    for text in ("Your number4", "People ahead of you3 people", "Waiting timenot known yet"):
        assert text in page.text


def test_the_page_looks_again_by_itself_only_for_who_asks(stage: Stage) -> None:
    visitor = stage.waiting()
    quiet = plain(visitor, "/book?seat=1")
    assert Page(quiet).refresh is None
    here = f"/queue/{stage.event}/room/plain?return_to=/book%3Fseat%3D1"
    assert here in Page(quiet).links
    assert f"{here}&refresh=on" in Page(quiet).links
    lively = visitor.navigate(f"{here}&refresh=on")
    after_s, target = Page(lively).refresh or (0, "")
    assert lively.header("retry-after") == str(after_s)
    assert target == f"{here}&refresh=on"
    # And the way back to quiet.
    assert here in Page(lively).links


def test_whose_turn_has_come_goes_on_by_a_click(stage: Stage) -> None:
    visitor = stage.served()
    page = plain(visitor, "/book?seat=1")
    assert Page(page).refresh is None
    back = press(visitor, page, "claim")
    assert back.location == f"/queue/{stage.event}/room/plain?return_to=/book%3Fseat%3D1"
    on = visitor.navigate(back.location)
    assert on.location == f"/queue/{stage.event}/onward?return_to=/book%3Fseat%3D1"
    assert visitor.navigate(on.location).location == "/book?seat=1"


def test_whose_turn_has_come_and_who_asked_for_it_goes_on_without_a_click(stage: Stage) -> None:
    visitor = stage.served()
    page = Page(plain(visitor, "/book?seat=1", refresh="on"))
    after_s, target = page.refresh or (0, "")
    assert (after_s, target) == (2, "/book?seat=1")
    assert visitor.navigate(target).status == 200


def test_whose_turn_has_come_while_the_site_is_full_waits_here(open_stage: OpenStage) -> None:
    stage = open_stage(max_sessions=1)
    first, second = stage.waiting(), stage.waiting()
    stage.release(2)
    first.claim()
    reply = plain(second, "/book", refresh="on")
    page = Page(reply)
    assert (title_of(reply), page.refresh) == (
        TURN,
        (10, f"/queue/{stage.event}/room/plain?return_to=/book&refresh=on"),
    )
    assert "full" in page.text


def test_a_pause_of_releases_only_lets_in_whose_turn_has_come(stage: Stage) -> None:
    visitor = stage.served()
    stage.change(StateChange.PAUSE, releases_only=True)
    assert title_of(plain(visitor, "/book")) == TURN
    assert visitor.navigate("/book").status == 200


def test_whose_session_ran_out_is_not_sent_round_in_circles(open_stage: OpenStage) -> None:
    # The door refuses and sends here; here must not send to the door.
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    visitor.drop("pass")
    stage.elapse(61)
    assert visitor.navigate("/book").location.startswith(f"/queue/{stage.event}/room")
    reply = plain(visitor, "/book", refresh="on")
    page = Page(reply)
    assert (title_of(reply), page.forms, page.refresh) == (ENDED, ["join"], None)
    assert visitor.call("join").status == 201
    assert title_of(plain(visitor, "/book")) == WAITING


def test_who_missed_the_window_is_invited_to_join_again(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    visitor = stage.served()
    stage.elapse(61)
    reply = plain(visitor, "/book")
    assert (title_of(reply), Page(reply).forms) == (ENDED, ["join"])


def test_after_the_close_and_the_windows_the_page_is_the_closed_one(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60)
    visitor = stage.served()
    stage.change(StateChange.CLOSE)
    stage.elapse(61)
    reply = plain(visitor)
    assert (reply.status, title_of(reply)) == (410, CLOSED)


def test_showing_the_page_opens_no_session_and_takes_no_place(stage: Stage) -> None:
    visitor = stage.served()
    for _ in range(5):
        plain(visitor)
        plain(stage.visitor())
    read = stage.operator.read(stage.event)
    assert (read.issued, read.claims) == (1, 0)


def test_the_whole_way_without_a_script(stage: Stage) -> None:
    visitor = stage.visitor()
    sent = visitor.navigate("/book/7?seat=1")
    assert sent.status == 303
    shell = visitor.navigate(sent.location)
    (refresh,) = [meta for meta in Page(shell).all("meta") if "http-equiv" in meta]
    way = refresh["content"].removeprefix("0;url=")
    # The shell cannot know where this visitor goes; the browser tells where it comes from.
    page = visitor.navigate(way, {"referer": f"http://{stage.host}{sent.location}"})
    waiting = visitor.navigate(press(visitor, page, "join").location)
    assert title_of(waiting) == WAITING
    stage.release()
    turn = visitor.navigate(next(iter(a for a in Page(waiting).links if a.endswith("lang=en"))))
    assert title_of(turn) == TURN
    back = press(visitor, turn, "claim")
    goal = visitor.navigate(visitor.navigate(back.location).location).location
    assert goal == "/book/7?seat=1"
    assert visitor.navigate(goal).status == 200
    assert stage.backend.last.target == "/book/7?seat=1"


# Where the visitor goes, told by the page that they come from.


@pytest.mark.parametrize(
    "referer",
    [
        "http://evil.example/queue/{event}/room?return_to=/book",
        "http://{host}.evil.example/queue/{event}/room?return_to=/book",
        "http://{host}/queue/other/room?return_to=/book",
        "http://{host}/book?return_to=/book",
        "http://{host}/queue/{event}/room?return_to=/book&return_to=/book",
        "http://{host}/queue/{event}/room?return_to=//evil.example",
        "http://{host}/queue/{event}/room?return_to=http://evil.example/",
        "http://[::1/queue/{event}/room?return_to=/book",
        "{host}",
    ],
)
def test_only_this_waiting_page_is_believed(stage: Stage, referer: str) -> None:
    told = referer.format(host=stage.host, event=stage.event)
    page = stage.visitor().navigate(f"/queue/{stage.event}/room/plain", {"referer": told})
    assert "return_to" not in Page(page).fields("join")[1]


def test_what_the_address_says_goes_before_the_page_that_one_comes_from(stage: Stage) -> None:
    referer = f"http://{stage.host}/queue/{stage.event}/room?return_to=/other"
    page = stage.visitor().navigate(
        f"/queue/{stage.event}/room/plain?return_to=/book", {"referer": referer}
    )
    assert Page(page).fields("join")[1]["return_to"] == "/book"


# Cookies.


def test_blocked_cookies_are_noticed_before_a_place_is_given(stage: Stage) -> None:
    visitor = stage.visitor()
    page = plain(visitor, "/book")
    visitor.cookies.clear()
    back = press(visitor, page, "join")
    assert back.cookies == {}
    explained = visitor.navigate(back.location)
    assert title_of(explained) == NOT_IN
    assert "Cookies are blocked" in Page(explained).text
    assert Page(explained).forms == []
    assert stage.operator.read(stage.event).issued == 0
    # Now they are allowed: the page has set its cookie again, and joining is one click away.
    again = next(iter(Page(explained).links.values()))
    assert again == f"/queue/{stage.event}/room/plain?return_to=/book"
    assert title_of(visitor.navigate(press(visitor, visitor.navigate(again), "join").location)) == (
        WAITING
    )


def test_the_cookie_that_tries_out_cookies_ends_soon_and_reaches_no_backend(stage: Stage) -> None:
    (cookie,) = plain(stage.visitor()).cookies.values()
    assert cookie.name == f"queue-check-{stage.event}"
    assert cookie.attributes["path"] == f"/queue/{stage.event}/"
    assert int(cookie.attributes["max-age"]) <= 3600


def test_no_other_showing_sets_a_cookie(stage: Stage) -> None:
    for visitor in (stage.waiting(), stage.served()):
        assert plain(visitor).cookies == {}


# Languages.


def test_the_visitors_language_is_spoken(stage: Stage) -> None:
    visitor = stage.waiting()
    reply = visitor.navigate(f"/queue/{stage.event}/room/plain", {"accept-language": "fr-CA"})
    assert title_of(reply) == "Vous êtes dans la file d\N{RIGHT SINGLE QUOTATION MARK}attente"
    assert reply.header("content-language") == "fr"


def test_a_chosen_language_stays_through_every_button(stage: Stage) -> None:
    visitor = stage.visitor()
    page = plain(visitor, "/book", lang="de")
    back = press(visitor, page, "join")
    assert "lang=de" in back.location
    assert title_of(visitor.navigate(back.location)) == "Sie sind in der Warteschlange"


def test_arabic_runs_from_right_to_left_and_counts_in_its_own_way(stage: Stage) -> None:
    visitors = [stage.waiting() for _ in range(4)]
    said = []
    for visitor in visitors:
        page = Page(plain(visitor, lang="ar"))
        assert page.all("html")[0]["dir"] == "rtl"
        said.append(page.text)
    assert "الأشخاص أمامكشخص واحد" in said[1]
    assert "الأشخاص أمامكشخصان" in said[2]
    assert "الأشخاص أمامك3 أشخاص" in said[3]  # noqa: RUF001 - Arabic


def test_the_operators_message_keeps_its_own_direction(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.change(StateChange.PAUSE, message="نعود قريبًا")
    page = Page(plain(visitor))
    assert "نعود قريبًا" in page.text
    assert [p for p in page.all("p") if p.get("dir") == "auto"]


@pytest.mark.parametrize("word", ["many", "challenge", "voucher"])
def test_what_stands_against_a_join_is_explained(stage: Stage, word: str) -> None:
    page = Page(plain(stage.visitor(), problem=word))
    assert page.forms == ["join"]
    assert any(p.get("role") == "alert" for p in page.all("p"))


def test_an_address_makes_the_page_say_nothing_of_its_own(stage: Stage) -> None:
    reply = plain(stage.visitor(), problem="<b>x", cookies="<b>y", lang="<b>z", refresh="<b>")
    assert b"<b>" not in reply.body
    assert b"&lt;b&gt;" not in reply.body
    assert not any(p.get("role") == "alert" for p in Page(reply).all("p"))
    # Who has a place is not told of a problem that somebody else's link made up.
    assert not Page(plain(stage.waiting(), problem="many")).all("section")
