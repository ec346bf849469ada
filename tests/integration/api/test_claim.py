"""POST /queue/{event}/claim: a place whose turn has come, for a pass; once, however often it is asked."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.gateways import let_through
from tests.support.minting import now_s
from tests.support.oracles.tokens import other_form_of
from tests.support.pages import onward
from tests.support.staging import FINISH_GRACE_S, OpenStage, Stage


def test_whose_turn_has_come_gets_a_pass_and_its_cookie(stage: Stage) -> None:
    reply = stage.served().call("claim")
    assert reply.status == 200
    held = reply.json()
    (cookie,) = reply.cookies.values()
    assert (cookie.name, cookie.value) == (f"pass-{stage.event}", held["pass"])
    life_s = int(cookie.attributes.pop("max-age"))
    assert cookie.attributes == {"path": "/", "httponly": "", "samesite": "Lax"}
    assert abs(now_s() + life_s - held["session_ends_at"] - FINISH_GRACE_S) <= 1
    assert abs(held["session_seconds_left"] - 600) <= 1
    assert held["extensions_left"] == 1
    assert (held["position"], held["generation"]) == (1, stage.generation)


def test_who_waits_is_told_when_to_ask_again(stage: Stage) -> None:
    stage.waiting()
    reply = stage.waiting().call("claim")
    assert reply.verdict == (429, "not-yet")
    problem = reply.json()
    assert (problem["position"], problem["turn"], problem["ahead"]) == (2, 2, 1)
    assert reply.header("retry-after") == str(problem["retry_after"])
    assert reply.cookies == {}


def test_the_visitor_at_the_pointer_enters_and_the_next_one_waits(stage: Stage) -> None:
    first, second = stage.waiting(), stage.waiting()
    stage.release(1)
    assert first.call("claim").status == 200
    assert second.call("claim").status == 429


def test_claiming_again_finds_the_same_session(stage: Stage) -> None:
    visitor = stage.served()
    first, again = visitor.claim(), visitor.claim()
    visitor.drop("pass")
    from_the_place = visitor.claim()
    visitor.drop("queue")
    from_the_pass = visitor.claim()
    ends = {held["session_ends_at"] for held in (first, again, from_the_place, from_the_pass)}
    assert len(ends) == 1
    assert stage.operator.read(stage.event).claims == 1


def test_many_claims_at_once_open_one_session(stage: Stage) -> None:
    visitor = stage.served()
    token = visitor.place
    with ThreadPoolExecutor(20) as pool:
        answers = list(
            pool.map(lambda _: stage.visitor().call("claim", {"queue-token": token}), range(40))
        )
    assert {reply.status for reply in answers} == {200}
    assert len({reply.json()["session_ends_at"] for reply in answers}) == 1
    read = stage.operator.read(stage.event)
    assert (read.claims, read.active_sessions) == (1, 1)


def test_both_byte_forms_of_a_token_are_one_place(stage: Stage) -> None:
    """An ECDSA signature has a second form that anybody can compute: it must buy nothing."""
    visitor = stage.served()
    other_place = {"queue-token": other_form_of(visitor.place.encode()).decode()}
    first = visitor.claim()
    again = stage.visitor().call("claim", other_place)
    assert again.status == 200
    assert again.json()["session_ends_at"] == first["session_ends_at"]
    assert stage.operator.read(stage.event).claims == 1
    # What ends the one ends the other, of the pass too, and also for an edge that remembers it.
    other_pass = {"queue-token": other_form_of(visitor.held.encode()).decode()}
    assert let_through(stage.visitor().get("/book", other_pass))
    assert visitor.call("leave").status == 200
    stage.settle()
    assert not let_through(stage.visitor().get("/book", other_pass))
    assert stage.visitor().call("claim", other_place).status == 410


def test_claiming_again_gives_the_sessions_present_end(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60, extend_s=3000)
    visitor = stage.served()
    before = visitor.claim()["session_ends_at"]
    extended = visitor.call("extend").json()["session_ends_at"]
    assert extended > before
    visitor.drop("pass")
    assert visitor.claim()["session_ends_at"] == extended


def test_a_pass_alone_opens_no_session(stage: Stage) -> None:
    # Genuine, and of a session that the ledger does not know: it is not what the turn is for.
    stage.served()
    held = stage.mint.held(stage.event, stage.generation, position=1)
    assert stage.visitor().call("claim", {"queue-token": held}).status == 429
    assert stage.operator.read(stage.event).claims == 0


def test_a_stranger_has_nothing_to_claim(stage: Stage) -> None:
    reply = stage.visitor().call("claim")
    assert reply.verdict == (401, "no-token")
    assert reply.header("www-authenticate") == "Bearer"


def test_whose_session_was_ended_has_had_their_turn(stage: Stage) -> None:
    visitor = stage.admitted()
    tokens = (visitor.place, visitor.held)
    visitor.call("leave")
    for token in tokens:
        reply = stage.visitor().call("claim", {"queue-token": token})
        assert reply.verdict == (410, "window-missed")


def test_whose_session_ran_out_has_had_their_turn(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    stage.elapse(61)
    assert visitor.call("claim").verdict == (410, "window-missed")
    visitor.drop("pass")
    assert visitor.call("claim").verdict == (410, "window-missed")


def test_a_missed_window_costs_the_place_where_no_lateness_is_allowed(
    open_stage: OpenStage,
) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    visitor = stage.served()
    stage.elapse(61)
    assert visitor.call("claim").verdict == (410, "window-missed")


def test_lateness_is_allowed_for_the_tokens_life_by_default(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60)
    visitor = stage.served()
    stage.elapse(300)
    assert visitor.call("claim").status == 200


def test_at_the_limit_whose_turn_has_come_waits_for_room(open_stage: OpenStage) -> None:
    stage = open_stage(max_sessions=1)
    first, second = stage.waiting(), stage.waiting()
    stage.release(2)
    first.claim()
    reply = second.call("claim")
    assert reply.verdict == (429, "backend-full")
    assert int(reply.header("retry-after") or "") >= 1
    first.call("leave")
    assert second.call("claim").status == 200
    assert stage.operator.read(stage.event).active_sessions == 1


def test_a_pause_freezes_claims(stage: Stage) -> None:
    visitor = stage.served()
    stage.change(StateChange.PAUSE)
    assert visitor.call("claim").verdict == (429, "not-yet")
    stage.change(StateChange.RESUME)
    assert visitor.call("claim").status == 200


def test_a_pause_freezes_the_window_too(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    visitor = stage.served()
    stage.change(StateChange.PAUSE)
    stage.elapse(300)
    stage.change(StateChange.RESUME)
    assert visitor.call("claim").status == 200


def test_a_pause_of_releases_only_lets_claims_go_on(stage: Stage) -> None:
    visitor = stage.served()
    stage.change(StateChange.PAUSE, releases_only=True)
    assert visitor.call("claim").status == 200


def test_after_the_close_claims_go_on_until_the_windows_end(open_stage: OpenStage) -> None:
    stage = open_stage(window_s=60)
    early, late = stage.waiting(), stage.waiting()
    waiting = stage.waiting()
    stage.release(2)
    stage.change(StateChange.CLOSE)
    assert early.call("claim").status == 200
    assert waiting.call("claim").verdict == (410, "event-closed")
    stage.elapse(61)
    assert late.call("claim").verdict == (410, "event-closed")
    assert early.call("claim").status == 200


def test_before_the_opening_there_is_nothing_to_claim(open_stage: OpenStage) -> None:
    for draw in (False, True):
        visitor = open_stage(opened=False, draw=draw).waiting()
        assert visitor.call("claim").verdict == (429, "not-yet")


def test_in_a_bypass_claims_go_on(stage: Stage) -> None:
    visitor = stage.served()
    stage.change(StateChange.BYPASS)
    assert visitor.call("claim").status == 200


def test_while_the_state_is_lost_claims_wait(stage: Stage) -> None:
    visitor = stage.served()
    stage.lose()
    reply = visitor.call("claim")
    assert reply.verdict == (503, "ledger-away")
    assert int(reply.header("retry-after") or "") >= 1


def test_an_earlier_generation_has_nothing_to_claim(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.begin_new_generation()
    assert visitor.call("claim").verdict == (410, "generation-over")
    visitor.drop("pass")
    assert visitor.call("claim").verdict == (410, "generation-over")


def test_a_deleted_event_has_nothing_to_claim(stage: Stage) -> None:
    visitor = stage.served()
    stage.delete()
    assert visitor.call("claim").verdict == (410, "event-closed")


def test_a_browser_without_an_app_claims_by_a_form(stage: Stage) -> None:
    visitor = stage.served()
    reply = visitor.call("claim", {"accept": "text/html"}, return_to="/book")
    assert reply.status == 303
    assert reply.location == f"/queue/{stage.event}/room?return_to=/book"
    assert visitor.has("pass")
    assert onward(visitor, "/book").location == "/book"


def test_a_form_of_who_must_wait_goes_back_to_the_page(stage: Stage) -> None:
    visitor = stage.waiting()
    reply = visitor.call("claim", {"accept": "text/html"})
    assert (reply.status, reply.location) == (303, f"/queue/{stage.event}/room")
    assert not visitor.has("pass")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_nothing_but_a_post_claims(stage: Stage, method: str) -> None:
    visitor = stage.served()
    assert visitor.ask(method, f"/queue/{stage.event}/claim").status == 405
    assert stage.operator.read(stage.event).claims == 0


def test_everyone_let_in_by_one_release_gets_in(stage: Stage) -> None:
    visitors = [stage.waiting() for _ in range(20)]
    stage.release(20)
    with ThreadPoolExecutor(10) as pool:
        assert {reply.status for reply in pool.map(lambda v: v.call("claim"), visitors)} == {200}
    eventually(lambda: stage.operator.read(stage.event).active_sessions == 20)
