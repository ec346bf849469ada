"""GET /queue/{event}/position: where the visitor stands, from memory."""

import json
from base64 import urlsafe_b64encode

import pytest

from gateway.domain.positions import EventId
from gateway.ports import StateChange
from tests.support.minting import Mint, now_s
from tests.support.replies import Reply
from tests.support.staging import OpenStage, Stage

HOUR_S = 3600


def test_who_waits_is_told_how_many_are_before_them(stage: Stage) -> None:
    visitors = [stage.waiting() for _ in range(4)]
    stage.release(1)
    reply = visitors[3].call("position")
    place = reply.json()
    assert (place["status"], place["position"], place["turn"]) == ("waiting", 4, 4)
    assert (place["served_up_to"], place["ahead"]) == (1, 2)
    assert reply.header("retry-after") == str(place["retry_after"])
    assert reply.header("cache-control") == "no-store"


def test_a_wait_is_a_range_and_only_told_when_known(stage: Stage) -> None:
    visitors = [stage.waiting() for _ in range(30)]
    assert visitors[29].call("position").json()["wait"] is None
    stage.release(2)
    stage.elapse(60)
    stage.release(2)
    wait = visitors[29].call("position").json()["wait"]
    # 25 are served before, at two a minute.
    assert 0 < wait["low"] < 13 * 60 < wait["high"]


def test_who_is_served_need_not_ask_again(stage: Stage) -> None:
    reply = stage.served().call("position")
    place = reply.json()
    assert (place["status"], place["ahead"], place["retry_after"]) == ("your-turn", 0, None)
    assert reply.header("retry-after") is None


def test_who_holds_a_pass_is_told_its_end(stage: Stage) -> None:
    visitor = stage.served()
    ends_at = visitor.claim()["session_ends_at"]
    place = visitor.call("position").json()
    assert (place["status"], place["session_ends_at"]) == ("admitted", ends_at)
    assert 598 <= place["session_seconds_left"] <= 600
    assert visitor.ask("GET", f"/queue/{stage.event}/position", {"queue-token": visitor.held})


def test_a_stranger_is_told_to_join(stage: Stage) -> None:
    reply = stage.visitor().call("position")
    assert reply.verdict == (401, "no-token")
    assert reply.header("www-authenticate") == "Bearer"


def test_asking_costs_no_place(stage: Stage) -> None:
    for _ in range(20):
        stage.visitor().call("position")
        stage.visitor().call("")
        stage.visitor().call("room")
    assert stage.operator.read(stage.event).issued == 0


def forgeries(stage: Stage, site: Mint) -> dict[str, str]:
    event, generation = stage.event, stage.generation
    good = stage.mint.place(event, generation)
    header, payload, signature = good.split(".")
    none = urlsafe_b64encode(json.dumps({"alg": "none", "typ": "queue+jwt", "kid": "x"}).encode())
    return {
        "text": "text",
        "dots": "..",
        "no signature": f"{header}.{payload}.",
        "alg none": f"{none.decode().rstrip('=')}.{payload}.",
        "a changed signature": f"{header}.{payload}.{signature[::-1]}",
        "padding": f"{good}==",
        "another key": site.place(event, generation),
        "another event": stage.mint.place("sale-0", generation),
        "another issuer": stage.mint.place(event, generation, issuer="somebody"),
        "from the future": stage.mint.place(event, generation, issued_at=now_s() + HOUR_S),
        "position 0": stage.mint.place(event, generation, position=0),
        "a voucher": site.voucher(event, "anna"),
        "too long": "A" * 3000,
    }


def test_one_answer_for_every_token_that_is_not_genuine(stage: Stage, site: Mint) -> None:
    answers: dict[str, Reply] = {}
    for note, token in forgeries(stage, site).items():
        for headers in (
            {"queue-token": token},
            {"cookie": f"queue-{stage.event}={token}"},
            {"authorization": f"Bearer {token}"},
        ):
            reply = stage.visitor().call("position", headers)
            assert reply.verdict == (401, "no-token"), note
            assert token.encode() not in reply.body
            answers[note] = reply
    assert len({reply.body for reply in answers.values()}) == 1


def test_only_an_honest_bearer_is_told_that_the_token_has_expired(stage: Stage) -> None:
    now = now_s()
    token = stage.mint.place(
        stage.event, stage.generation, issued_at=now - HOUR_S, expires_at=now - 1
    )
    reply = stage.visitor().call("position", {"queue-token": token})
    assert reply.verdict == (401, "no-token")
    assert "expired" in reply.json()["detail"]


def test_a_token_ends_at_its_end_to_the_second(stage: Stage) -> None:
    now = now_s()
    soon = stage.mint.place(stage.event, stage.generation, issued_at=now - 9, expires_at=now + 30)
    assert stage.visitor().call("position", {"queue-token": soon}).status == 200


def test_an_earlier_generation_is_told_to_join_again(stage: Stage) -> None:
    waiting, admitted = stage.waiting(), stage.admitted()
    stage.begin_new_generation()
    for visitor in (waiting, admitted):
        assert visitor.call("position").verdict == (410, "generation-over")


def test_who_left_is_told_that_it_is_over(stage: Stage) -> None:
    visitor = stage.admitted()
    tokens = (visitor.place, visitor.held)
    visitor.call("leave")
    stage.settle()
    for token in tokens:
        reply = stage.visitor().call("position", {"queue-token": token})
        assert reply.verdict == (410, "window-missed")


@pytest.mark.parametrize("change", [StateChange.PAUSE, StateChange.CLOSE, StateChange.BYPASS])
def test_a_place_is_shown_in_every_state(stage: Stage, change: StateChange) -> None:
    visitor = stage.waiting()
    stage.change(change)
    assert visitor.call("position").json()["position"] == 1


def test_a_place_is_shown_while_the_state_is_lost(stage: Stage) -> None:
    waiting, served = stage.waiting(), stage.served()
    stage.lose()
    assert waiting.call("position").json()["position"] == 1
    assert served.call("position").json()["status"] == "your-turn"


def test_a_deleted_event_shows_no_place(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.delete()
    assert visitor.call("position").verdict == (410, "event-closed")


def test_a_genuine_token_proves_that_its_position_was_dealt(stage: Stage) -> None:
    # A gateway that has not read the ledger since the join shows the place all the same.
    token = stage.mint.place(stage.event, stage.generation, position=500)
    place = stage.visitor().call("position", {"queue-token": token}).json()
    assert (place["position"], place["ahead"]) == (500, 499)


def test_the_tokens_of_two_events_go_their_own_ways(open_stage: OpenStage) -> None:
    one, two = open_stage(), open_stage()
    visitor = one.waiting()
    two.waiting()
    visitor.event = EventId(two.event)
    visitor.join()
    visitor.cookies |= one.waiting().cookies
    assert visitor.call("position").json()["position"] == 2
    visitor.event = EventId(one.event)
    assert visitor.call("position").json()["position"] == 2
