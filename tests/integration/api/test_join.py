"""POST /queue/{event}/join: a place, once for each visitor, and never as a side effect."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.minting import now_s
from tests.support.replies import Reply
from tests.support.staging import OpenStage, Stage
from tests.support.visitors import Visitor

FORM = {"content-type": "application/x-www-form-urlencoded"}
KEY = "a-random-key-of-the-client"
DAY_S = 86_400


def test_the_first_visitor_gets_the_first_position(stage: Stage) -> None:
    reply = stage.visitor().call("join")
    assert reply.status == 201
    place = reply.json()
    del place["token"], place["expires_at"]
    assert place == {
        "event": stage.event,
        "status": "waiting",
        "generation": stage.generation,
        "position": 1,
        "turn": 1,
        "served_up_to": 0,
        "ahead": 0,
        "wait": None,
        "retry_after": place["retry_after"],
        "head_start": 0,
    }


def test_positions_follow_the_order_of_the_joins(stage: Stage) -> None:
    places = [stage.visitor().join() for _ in range(5)]
    assert [place["position"] for place in places] == [1, 2, 3, 4, 5]
    assert [place["ahead"] for place in places] == [0, 1, 2, 3, 4]


def test_joins_at_the_same_moment_get_different_positions(stage: Stage) -> None:
    with ThreadPoolExecutor(20) as pool:
        places = list(pool.map(lambda _: stage.visitor().join(), range(60)))
    assert sorted(place["position"] for place in places) == list(range(1, 61))


def test_the_cookie_holds_the_token_and_ends_with_it(stage: Stage) -> None:
    reply = stage.visitor().call("join")
    place = reply.json()
    (cookie,) = reply.cookies.values()
    assert (cookie.name, cookie.value) == (f"queue-{stage.event}", place["token"])
    life_s = int(cookie.attributes.pop("max-age"))
    assert cookie.attributes == {"path": "/", "httponly": "", "samesite": "Lax"}
    assert life_s == 7 * DAY_S
    assert abs(place["expires_at"] - (time.time() + life_s)) < 5


def test_a_token_lives_to_the_close_of_its_event_and_a_day(open_stage: OpenStage) -> None:
    closes_at = now_s() + 5000
    place = open_stage(closes_at=closes_at).visitor().join()
    assert place["expires_at"] == closes_at + DAY_S


@pytest.mark.parametrize("way", ["cookie", "header", "bearer", "bearer in capitals"])
def test_joining_again_gains_nothing(stage: Stage, way: str) -> None:
    first = stage.waiting()
    stage.waiting()
    headers = {
        "cookie": {"cookie": f"a=b; queue-{stage.event}={first.place}"},
        "header": {"queue-token": first.place},
        "bearer": {"authorization": f"Bearer {first.place}"},
        "bearer in capitals": {"authorization": f"BEARER {first.place}"},
    }[way]
    reply = stage.visitor().call("join", headers)
    assert reply.status == 200
    assert reply.json()["position"] == 1
    assert stage.waiting().join()["position"] == 3


def test_a_place_whose_turn_has_come_is_still_the_visitors(stage: Stage) -> None:
    visitor = stage.served()
    reply = visitor.call("join")
    assert (reply.status, reply.json()["position"]) == (200, 1)
    assert reply.json()["status"] == "your-turn"


def test_a_place_in_a_live_session_is_still_the_visitors(stage: Stage) -> None:
    visitor = stage.admitted()
    visitor.drop("pass")
    reply = visitor.call("join")
    assert (reply.status, reply.json()["position"]) == (200, 1)


def test_who_left_their_session_gets_a_new_position(stage: Stage) -> None:
    visitor = stage.admitted()
    place = visitor.place
    visitor.call("leave")
    reply = stage.visitor().call("join", {"queue-token": place})
    assert (reply.status, reply.json()["position"]) == (201, 2)


def test_whose_session_has_run_out_gets_a_new_position(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    visitor.drop("pass")
    stage.elapse(61)
    reply = visitor.call("join")
    assert (reply.status, reply.json()["position"]) == (201, 2)


def test_who_missed_their_window_gets_a_new_position(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    visitor = stage.served()
    stage.elapse(61)
    reply = visitor.call("join")
    assert (reply.status, reply.json()["position"]) == (201, 2)


def test_a_place_of_an_earlier_generation_gives_a_new_one(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.begin_new_generation()
    reply = visitor.call("join")
    assert reply.status == 201
    assert reply.json()["generation"] == stage.generation


def test_a_place_of_another_event_counts_for_nothing(open_stage: OpenStage) -> None:
    other, stage = open_stage(), open_stage()
    token = other.waiting().place
    stage.waiting()
    reply = stage.visitor().call("join", {"queue-token": token})
    assert (reply.status, reply.json()["position"]) == (201, 2)


def test_two_different_places_in_one_request_are_refused(stage: Stage) -> None:
    first, second = stage.waiting(), stage.waiting()
    reply = first.call("join", {"queue-token": second.place})
    assert reply.verdict == (400, "about:blank")
    assert first.call("join", {"queue-token": first.place}).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_but_a_post_joins(stage: Stage, method: str) -> None:
    reply = stage.visitor().ask(method, f"/queue/{stage.event}/join")
    assert reply.status == 405
    assert reply.header("allow") == "POST"
    assert stage.operator.read(stage.event).issued == 0


# What comes with a join.


def test_a_browser_without_an_app_joins_by_a_form(stage: Stage) -> None:
    visitor = stage.visitor()
    reply = visitor.ask(
        "POST",
        f"/queue/{stage.event}/join",
        {**FORM, "accept": "text/html"},
        "return_to=%2Fbook%3Fseat%3D1",
    )
    assert (reply.status, reply.body) == (303, b"")
    assert reply.location == f"/queue/{stage.event}/room?return_to=/book%3Fseat%3D1"
    assert visitor.call("position").json()["position"] == 1


def test_a_list_of_what_the_client_accepts_may_come_in_several_fields(stage: Stage) -> None:
    reply = stage.visitor().call("join", [("accept", "text/html"), ("accept", "*/*")])
    assert reply.status == 303


def test_a_form_works_for_an_app_too(stage: Stage) -> None:
    reply = stage.visitor().ask("POST", f"/queue/{stage.event}/join", FORM, "challenge=")
    assert reply.status == 201


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "APPLICATION/JSON"])
def test_the_media_type_may_have_parameters_and_capitals(stage: Stage, kind: str) -> None:
    reply = stage.visitor().ask("POST", f"/queue/{stage.event}/join", {"content-type": kind}, "{}")
    assert reply.status == 201


def test_what_a_body_says_of_a_place_is_not_heard(stage: Stage) -> None:
    for name in ("position", "turn", "head_start", "adv", "token", "generation"):
        reply = stage.visitor().call("join", None, **{name: "1"})
        assert reply.verdict == (400, "about:blank")
    assert stage.operator.read(stage.event).issued == 0


# In each state of the event.


def joined(stage: Stage) -> Reply:
    return stage.visitor().call("join")


def test_before_the_opening_visitors_join_and_wait(open_stage: OpenStage) -> None:
    reply = joined(open_stage(opened=False))
    assert reply.status == 201
    assert reply.json()["status"] == "waiting"


def test_before_a_draw_there_is_no_turn(open_stage: OpenStage) -> None:
    stage = open_stage(opened=False, draw=True)
    place = joined(stage).json()
    assert (place["position"], place["turn"], place["ahead"]) == (1, None, None)
    stage.change(StateChange.OPEN)
    drawn = stage.visitor().call("position", {"queue-token": place["token"]}).json()
    assert (drawn["position"], drawn["turn"], drawn["ahead"]) == (1, 1, 0)


@pytest.mark.parametrize("change", [StateChange.PAUSE, StateChange.BYPASS])
def test_a_paused_or_bypassed_event_takes_joins(stage: Stage, change: StateChange) -> None:
    stage.change(change)
    assert joined(stage).status == 201


def test_a_closed_event_takes_no_joins(stage: Stage) -> None:
    stage.change(StateChange.CLOSE)
    assert joined(stage).verdict == (410, "event-closed")


def test_who_still_waited_at_the_close_waits_for_nothing(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.change(StateChange.CLOSE)
    assert visitor.call("join").verdict == (410, "event-closed")


def test_whose_turn_had_come_at_the_close_keeps_the_place(stage: Stage) -> None:
    visitor = stage.served()
    stage.change(StateChange.CLOSE)
    assert visitor.call("join").status == 200


def test_a_deleted_event_takes_no_joins(stage: Stage) -> None:
    waiting, served = stage.waiting(), stage.served()
    stage.delete()
    for visitor in (stage.visitor(), waiting, served):
        assert visitor.call("join").verdict == (410, "event-closed")


def test_while_the_state_is_lost_nobody_joins_and_every_place_stays(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.lose()
    refused = joined(stage)
    assert refused.verdict == (503, "ledger-away")
    assert int(refused.header("retry-after") or "") >= 1
    again = visitor.call("join")
    assert (again.status, again.json()["position"]) == (200, 1)


def test_a_form_that_cannot_be_granted_goes_back_to_the_page(stage: Stage) -> None:
    stage.change(StateChange.CLOSE)
    reply = stage.visitor().call("join", {"accept": "text/html"}, return_to="/book")
    assert reply.status == 303
    assert reply.location == f"/queue/{stage.event}/room?return_to=/book"
    assert reply.cookies == {}


def test_an_event_that_nobody_made_is_unknown(stage: Stage) -> None:
    for name in ("nobody-made-this", "UPPER", "-x", "a" * 64, "x%79z", "a.b", "%C3%BC"):
        visitor = Visitor(stage.gateway.port, stage.host, event=name)
        assert visitor.call("join").verdict == (404, "about:blank")


def test_the_token_says_nothing_that_the_visitor_told(stage: Stage) -> None:
    visitor = stage.visitor()
    visitor.join({"idempotency-key": KEY, "user-agent": "someone/1"})
    payload = visitor.place.split(".")[1]
    assert json.dumps(KEY) not in payload
    assert len(visitor.place) < 600


def test_after_a_gap_in_the_numbers_nobody_is_told_of_people_in_it(stage: Stage) -> None:
    assert stage.visitor().join()["position"] == 1
    # The gateway has heard of the ceiling, as it has a second after any join.
    eventually(lambda: (read := stage.gateway.knows(stage.event)) and read.ceiling > 0)
    # What a restarted server finds: another mark than its own.
    stage.operator.server.command("HSET", f"q:{{{stage.event}}}:state", "mark", "another")
    place = stage.visitor().join()
    assert place["position"] > 2
    assert place["ahead"] == 1
