"""POST /queue/{event}/extend and /leave: a session made longer, and one given back."""

import pytest

from gateway.ports import StateChange
from tests.support.minting import now_s
from tests.support.staging import FINISH_GRACE_S, OpenStage, Stage

# Extending.


def test_a_session_is_made_longer_as_often_as_the_event_allows(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60, extend_s=600, extend_times=2)
    visitor = stage.served()
    ends_at = visitor.claim()["session_ends_at"]
    reply = visitor.call("extend")
    longer = reply.json()
    assert abs(longer["session_ends_at"] - (now_s() + 600)) <= 1
    assert longer["session_ends_at"] > ends_at
    assert (longer["position"], longer["extensions_left"]) == (1, 1)
    assert visitor.held == longer["pass"]
    # Only what gains a second counts.
    stage.elapse(5)
    assert visitor.call("extend").json()["extensions_left"] == 0
    refused = visitor.call("extend")
    assert refused.verdict == (403, "about:blank")
    assert visitor.call("position").json()["status"] == "admitted"


def test_the_cookie_of_a_longer_session_lives_until_a_purchase_could_be_finished(
    open_stage: OpenStage,
) -> None:
    stage = open_stage(session_s=60, extend_s=700)
    visitor = stage.admitted()
    (cookie,) = visitor.call("extend").cookies.values()
    assert abs(int(cookie.attributes["max-age"]) - 700 - FINISH_GRACE_S) <= 1


def test_who_claims_again_is_told_how_often_the_session_can_be_lengthened(
    open_stage: OpenStage,
) -> None:
    stage = open_stage(session_s=60, extend_s=600, extend_times=2)
    visitor = stage.served()
    assert [visitor.claim()["extensions_left"] for _ in range(2)] == [2, 2]
    longer = visitor.call("extend").json()
    again = visitor.claim()
    assert again["extensions_left"] == 1
    assert abs(again["session_ends_at"] - longer["session_ends_at"]) <= 1
    assert abs(again["session_seconds_left"] - 600) <= 1


def test_a_session_never_gets_shorter_by_extending(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=600, extend_s=10)
    visitor = stage.served()
    ends_at = visitor.claim()["session_ends_at"]
    assert visitor.call("extend").json()["session_ends_at"] == ends_at


def test_an_event_may_allow_no_longer_session(open_stage: OpenStage) -> None:
    visitor = open_stage(extend_times=0).admitted()
    assert visitor.call("extend").verdict == (403, "about:blank")


def test_only_who_holds_a_pass_can_extend(stage: Stage) -> None:
    admitted, waiting = stage.admitted(), stage.waiting()
    admitted.drop("pass")
    for visitor in (stage.visitor(), waiting, admitted):
        assert visitor.call("extend").verdict == (401, "no-token")


def test_a_session_that_is_over_is_not_brought_back(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    token = visitor.held
    stage.elapse(61)
    assert visitor.call("extend").verdict == (410, "window-missed")
    other = stage.admitted()
    token = other.held
    other.call("leave")
    assert other.call("extend", {"queue-token": token}).verdict == (410, "window-missed")


# Leaving.


def test_leaving_ends_the_session_and_clears_the_cookies(stage: Stage) -> None:
    visitor = stage.admitted()
    reply = visitor.call("leave")
    assert reply.json()["left"] == "session"
    assert {name: cookie.cleared for name, cookie in reply.cookies.items()} == {
        f"queue-{stage.event}": True,
        f"pass-{stage.event}": True,
    }
    assert visitor.cookies == {}
    assert stage.operator.read(stage.event).active_sessions == 0


def test_the_queue_token_alone_ends_its_session_too(stage: Stage) -> None:
    visitor = stage.admitted()
    visitor.drop("pass")
    assert visitor.call("leave").json()["left"] == "session"
    assert stage.operator.read(stage.event).active_sessions == 0


def test_while_waiting_only_the_cookie_is_cleared_and_that_is_said(stage: Stage) -> None:
    visitor = stage.waiting()
    token = visitor.place
    reply = visitor.call("leave")
    assert reply.json()["left"] == "waiting"
    assert "copy" in reply.json()["note"]
    assert visitor.cookies == {}
    assert visitor.call("position", {"queue-token": token}).json()["position"] == 1


def test_leaving_twice_frees_no_second_place(stage: Stage) -> None:
    stage.admitted()
    visitor = stage.admitted()
    token = visitor.held
    assert visitor.call("leave").json()["left"] == "session"
    assert visitor.call("leave", {"queue-token": token}).json()["left"] == "waiting"
    assert stage.operator.read(stage.event).active_sessions == 1


def test_a_stranger_has_nothing_to_leave(stage: Stage) -> None:
    reply = stage.visitor().call("leave")
    assert reply.verdict == (401, "no-token")
    assert reply.cookies == {}


def test_a_browser_without_an_app_leaves_by_a_form(stage: Stage) -> None:
    visitor = stage.admitted()
    reply = visitor.call("leave", {"accept": "text/html"}, return_to="/book")
    assert (reply.status, reply.body) == (303, b"")
    assert reply.location == f"/queue/{stage.event}/room?return_to=/book"
    assert visitor.cookies == {}


# Both, where there is nothing left to act on.


@pytest.mark.parametrize("verb", ["extend", "leave"])
def test_an_earlier_generation_is_over(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    stage.begin_new_generation()
    assert visitor.call(verb).verdict == (410, "generation-over")


@pytest.mark.parametrize("verb", ["extend", "leave"])
def test_a_deleted_event_is_over(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    stage.delete()
    assert visitor.call(verb).verdict == (410, "event-closed")


@pytest.mark.parametrize("verb", ["extend", "leave"])
def test_while_the_state_is_lost_a_session_stays_as_it_is(stage: Stage, verb: str) -> None:
    visitor = stage.admitted()
    stage.lose()
    reply = visitor.call(verb)
    assert reply.verdict == (503, "ledger-away")
    assert int(reply.header("retry-after") or "") >= 1
    assert visitor.call("position").json()["status"] == "admitted"


@pytest.mark.parametrize("change", [StateChange.PAUSE, StateChange.CLOSE])
def test_a_session_can_be_lengthened_and_left_after_a_pause_or_the_close(
    stage: Stage, change: StateChange
) -> None:
    visitor = stage.admitted()
    stage.change(change)
    assert visitor.call("extend").status == 200
    assert visitor.call("leave").json()["left"] == "session"
