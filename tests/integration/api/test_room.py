"""GET /queue/{event}/room: the waiting page says what is true, and leads nowhere but back."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from gateway.ports import StateChange
from tests.support.pages import Page, room, title_of
from tests.support.staging import OpenStage, Stage
from tests.support.visitors import NAVIGATION, Visitor

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
    reply = room(visitor, "/book")
    page = Page(reply)
    assert (reply.status, title_of(reply), page.forms) == (status, title, forms)
    assert ("Back at noon." in page.text) == (change is not None)


def test_before_the_opening_the_number_is_kept(open_stage: OpenStage) -> None:
    page = Page(room(open_stage(opened=False).waiting()))
    assert "has not opened yet" in page.text
    assert page.refresh is not None


def test_while_the_state_is_lost_the_page_is_a_503_for_strangers_and_keeps_places(
    stage: Stage,
) -> None:
    waiting, served = stage.waiting(), stage.served()
    stage.lose()
    stranger = room(stage.visitor())
    assert (stranger.status, title_of(stranger)) == (503, AWAY)
    assert stranger.header("retry-after") == "5"
    for visitor in (waiting, served):
        reply = room(visitor)
        assert (reply.status, title_of(reply)) == (200, AWAY)
        assert "Your place is kept" in Page(reply).text


def test_in_a_bypass_the_page_sends_everybody_on(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.change(StateChange.BYPASS)
    assert room(visitor, "/book").location == "/book"
    assert room(stage.visitor()).location == "/"


def test_a_deleted_event_is_closed(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.delete()
    for who in (visitor, stage.visitor()):
        reply = room(who)
        assert (reply.status, title_of(reply)) == (410, CLOSED)


def test_an_earlier_generation_is_invited_to_join_again(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.begin_new_generation()
    reply = room(visitor)
    assert (title_of(reply), Page(reply).forms) == (ANEW, ["join"])


def test_who_waits_sees_number_people_before_and_wait(stage: Stage) -> None:
    visitors = [stage.waiting() for _ in range(4)]
    page = Page(room(visitors[3]))
    for text in ("Your number4", "People before you3", "Waiting timenot known yet"):
        assert text in page.text


def test_the_page_looks_again_by_itself_and_stays_where_it_is(stage: Stage) -> None:
    reply = room(stage.waiting(), "/book?seat=1")
    after_s, target = Page(reply).refresh or (0, "")
    assert reply.header("retry-after") == str(after_s)
    assert target == f"/queue/{stage.event}/room?return_to=/book%3Fseat%3D1"


def test_whose_turn_has_come_goes_on_without_a_click(stage: Stage) -> None:
    visitor = stage.served()
    after_s, target = Page(room(visitor, "/book?seat=1")).refresh or (0, "")
    assert (after_s, target) == (2, "/book?seat=1")
    assert visitor.navigate(target).status == 200
    assert room(visitor, "/book?seat=1").location == "/book?seat=1"


def test_whose_turn_has_come_while_the_site_is_full_waits_here(open_stage: OpenStage) -> None:
    stage = open_stage(max_sessions=1)
    first, second = stage.waiting(), stage.waiting()
    stage.release(2)
    first.claim()
    reply = room(second, "/book")
    page = Page(reply)
    assert (title_of(reply), page.refresh) == (
        TURN,
        (10, f"/queue/{stage.event}/room?return_to=/book"),
    )
    assert "full" in page.text


def test_a_pause_of_releases_only_lets_in_whose_turn_has_come(stage: Stage) -> None:
    visitor = stage.served()
    stage.change(StateChange.PAUSE, releases_only=True)
    assert title_of(room(visitor, "/book")) == TURN
    assert visitor.navigate("/book").status == 200


def test_whose_session_ran_out_is_not_sent_round_in_circles(open_stage: OpenStage) -> None:
    # The door refuses and sends here; here must not send to the door.
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    visitor.drop("pass")
    stage.elapse(61)
    assert visitor.navigate("/book").location.startswith(f"/queue/{stage.event}/room")
    reply = room(visitor, "/book")
    page = Page(reply)
    assert (title_of(reply), page.forms, page.refresh) == (ENDED, ["join"], None)
    assert visitor.call("join").status == 201
    assert title_of(room(visitor, "/book")) == WAITING


def test_who_missed_the_window_is_invited_to_join_again(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    visitor = stage.served()
    stage.elapse(61)
    reply = room(visitor, "/book")
    assert (title_of(reply), Page(reply).forms) == (ENDED, ["join"])


def test_after_the_close_and_the_windows_the_page_is_the_closed_one(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60)
    visitor = stage.served()
    stage.change(StateChange.CLOSE)
    stage.elapse(61)
    reply = room(visitor)
    assert (reply.status, title_of(reply)) == (410, CLOSED)


def test_showing_the_page_opens_no_session_and_takes_no_place(stage: Stage) -> None:
    visitor = stage.served()
    for _ in range(5):
        room(visitor)
        room(stage.visitor())
    read = stage.operator.read(stage.event)
    assert (read.issued, read.claims) == (1, 0)


def test_the_whole_way_without_a_script(stage: Stage) -> None:
    visitor = stage.visitor()
    sent = visitor.navigate("/book/7?seat=1")
    assert sent.status == 303
    joining = Page(visitor.navigate(sent.location))
    (field,) = joining.all("input")
    form = {**NAVIGATION, "content-type": "application/x-www-form-urlencoded"}
    back = visitor.ask(
        "POST", joining.all("form")[0]["action"], form, f"return_to={quote(field['value'])}"
    )
    assert title_of(visitor.navigate(back.location)) == WAITING
    stage.release()
    goal = (Page(visitor.navigate(back.location)).refresh or (0, ""))[1]
    assert goal == "/book/7?seat=1"
    assert visitor.navigate(goal).status == 200
    assert stage.backend.last.target == "/book/7?seat=1"
