"""POST /queue/{event}/refresh: the same position under today's key, with a new end."""

import pytest

from gateway.ports import StateChange
from tests.support.minting import now_s
from tests.support.staging import OpenStage, Stage

DAY_S = 86_400


def expired(stage: Stage, ago_s: int, **changes: object) -> str:
    """Return a token that expired so long ago."""
    now = now_s()
    times = {"issued_at": now - 30 * DAY_S, "expires_at": now - ago_s}
    return stage.mint.place(stage.event, stage.generation, 7, **times, **changes)


def test_the_position_stays_and_the_end_is_new(stage: Stage) -> None:
    visitor = stage.waiting()
    now = now_s()
    token = stage.mint.place(
        stage.event, stage.generation, 1, issued_at=now - 900, expires_at=now + 60
    )
    reply = visitor.call("refresh", {"queue-token": token, "cookie": ""})
    assert reply.status == 200
    fresh = reply.json()
    assert (fresh["position"], fresh["generation"]) == (1, stage.generation)
    assert abs(fresh["expires_at"] - (now + 7 * DAY_S)) <= 2
    (cookie,) = reply.cookies.values()
    assert (cookie.name, cookie.value) == (f"queue-{stage.event}", fresh["token"])
    assert cookie.attributes["max-age"] == str(7 * DAY_S)
    assert visitor.call("position").json()["position"] == 1


def test_what_the_place_is_worth_stays(stage: Stage) -> None:
    token = expired(stage, 60, head_start=3, joined_active_ms=123)
    visitor = stage.visitor()
    visitor.call("refresh", {"queue-token": token})
    place = visitor.call("position").json()
    assert (place["position"], place["turn"]) == (7, 4)


def test_a_token_that_expired_within_seven_days_is_refreshed(stage: Stage) -> None:
    for ago_s in (0, 1, 60, DAY_S, 7 * DAY_S - 60):
        reply = stage.visitor().call("refresh", {"queue-token": expired(stage, ago_s)})
        assert (reply.status, reply.json()["position"]) == (200, 7)


def test_an_older_one_is_not(stage: Stage) -> None:
    for ago_s in (7 * DAY_S, 7 * DAY_S + 60, 20 * DAY_S):
        reply = stage.visitor().call("refresh", {"queue-token": expired(stage, ago_s)})
        assert reply.verdict == (401, "no-token")
        assert reply.cookies == {}


def test_one_of_another_generation_is_not(stage: Stage) -> None:
    visitor = stage.waiting()
    token = expired(stage, 60)
    stage.begin_new_generation()
    assert visitor.call("refresh").verdict == (410, "generation-over")
    reply = stage.visitor().call("refresh", {"queue-token": token})
    assert reply.verdict == (410, "generation-over")


def test_only_a_genuine_queue_token_is_refreshed(stage: Stage) -> None:
    visitor = stage.admitted()
    for headers in (
        {"cookie": ""},
        {"cookie": "", "queue-token": visitor.held},
        {"cookie": "", "queue-token": visitor.place[:-8] + "AAAAAAAA"},
        {"cookie": "", "queue-token": expired(stage, 60, issuer="somebody")},
        {"cookie": "", "queue-token": stage.mint.place("sale-0", stage.generation)},
    ):
        reply = stage.visitor().call("refresh", headers)
        assert reply.verdict == (401, "no-token")


def test_a_refreshed_token_claims_like_the_old_one(stage: Stage) -> None:
    visitor = stage.served()
    old = visitor.place
    visitor.call("refresh")
    ends_at = visitor.claim()["session_ends_at"]
    visitor.drop("pass")
    again = stage.visitor().call("claim", {"queue-token": old})
    assert again.json()["session_ends_at"] == ends_at
    assert stage.operator.read(stage.event).claims == 1


def test_refreshing_prolongs_the_place_and_not_the_session(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    stage.elapse(61)
    visitor.drop("pass")
    assert visitor.call("refresh").status == 200
    assert visitor.call("claim").verdict == (410, "window-missed")


@pytest.mark.parametrize("change", [StateChange.PAUSE, StateChange.CLOSE, StateChange.BYPASS])
def test_a_token_is_refreshed_in_every_state(stage: Stage, change: StateChange) -> None:
    visitor = stage.waiting()
    stage.change(change)
    assert visitor.call("refresh").status == 200


def test_a_token_is_refreshed_while_the_state_is_lost(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.lose()
    assert visitor.call("refresh").json()["position"] == 1


def test_a_deleted_event_refreshes_none(stage: Stage) -> None:
    visitor = stage.waiting()
    stage.delete()
    assert visitor.call("refresh").verdict == (410, "event-closed")
