"""GET /queue/{event}: the public pointer document, the same bytes for everyone."""

import hashlib
import itertools

import pytest

from gateway.domain.draw import Draw
from gateway.domain.positions import Position
from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.staging import LISTED_ORIGIN, OpenStage, Stage


def test_it_says_how_far_the_queue_is(stage: Stage) -> None:
    for _ in range(3):
        stage.waiting()
    stage.release(2)
    document = stage.visitor().call("").json()
    del document["updated_at"]
    assert document == {
        "event": stage.event,
        "state": "open",
        "issued": 3,
        "served_up_to": 2,
        "generation": stage.generation,
        "rate": None,
        "wait": None,
        "draw": None,
        "holes": [],
        "window": 900,
        "message": "",
        "opens_at": None,
        "full": False,
        "poll": {"nearest": 2, "farthest": 60, "unknown": 10, "heartbeat": 15},
    }


def test_it_says_when_the_event_opens_and_whether_the_site_is_full(open_stage: OpenStage) -> None:
    stage = open_stage(max_sessions=1, opens_at=1_893_456_000)
    document = stage.visitor().call("").json()
    assert (document["opens_at"], document["full"]) == (1_893_456_000, False)
    stage.admitted()
    eventually(lambda: stage.visitor().call("").json()["full"])


def test_it_is_the_same_bytes_for_everyone(stage: Stage) -> None:
    admitted, waiting = stage.admitted(), stage.waiting()
    # A join is told to nobody: the count comes with the next read.
    eventually(lambda: waiting.call("").json()["issued"] == 2)
    callers = [
        (stage.visitor(), {}),
        (waiting, {}),
        (admitted, {}),
        (stage.visitor(), {"queue-token": waiting.place}),
        (stage.visitor(), {"authorization": "Basic eDp5", "accept-language": "de"}),
        (stage.visitor(), {"origin": LISTED_ORIGIN}),
        (stage.visitor(), {"origin": "https://evil.example", "accept": "text/html"}),
    ]
    answers = [visitor.call("", headers) for visitor, headers in callers]
    assert len({reply.body for reply in answers}) == 1
    assert len({tuple(h for h in reply.headers if h[0] != "date") for reply in answers}) == 1
    assert answers[0].header("cache-control") == "public, max-age=1"
    assert answers[0].header("access-control-allow-origin") == "*"
    assert answers[0].header("vary") is None
    assert answers[0].cookies == {}


def test_who_holds_it_already_gets_no_bytes(stage: Stage) -> None:
    visitor = stage.visitor()
    etag = visitor.call("").header("etag") or ""
    for held in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        reply = visitor.call("", {"if-none-match": held})
        assert (reply.status, reply.body) == (304, b"")
        assert reply.header("etag") == etag
        assert reply.header("cache-control") == "public, max-age=1"
    for other in ('"other"', "", etag.strip('"'), '"*"'):
        assert visitor.call("", {"if-none-match": other}).status == 200


def test_its_name_changes_with_it(stage: Stage) -> None:
    visitor = stage.visitor()
    before = visitor.call("")
    assert visitor.call("").header("etag") == before.header("etag")
    stage.waiting()
    stage.release()
    after = visitor.call("", {"if-none-match": before.header("etag") or ""})
    assert after.status == 200
    assert after.json()["served_up_to"] == 1


def test_a_head_says_how_long_it_is(stage: Stage) -> None:
    visitor = stage.visitor()
    full, head = visitor.call(""), visitor.ask("HEAD", f"/queue/{stage.event}")
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(full.body))
    assert head.header("etag") == full.header("etag")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (StateChange.PAUSE, "paused"),
        (StateChange.CLOSE, "closed"),
        (StateChange.BYPASS, "bypass"),
    ],
)
def test_it_names_the_state_and_the_operators_words(
    stage: Stage, change: StateChange, state: str
) -> None:
    stage.change(change, message='We are "back" <soon>.')
    document = stage.visitor().call("").json()
    assert (document["state"], document["message"]) == (state, 'We are "back" <soon>.')


def test_lost_and_deleted_events_are_said_to_be(open_stage: OpenStage) -> None:
    lost, deleted = open_stage(), open_stage()
    lost.lose()
    deleted.delete()
    assert lost.visitor().call("").json()["state"] == "suspended"
    assert deleted.visitor().call("").json()["state"] == "deleted"


def test_a_rate_is_said_once_there_is_one_to_tell(stage: Stage) -> None:
    for _ in range(6):
        stage.waiting()
    stage.release(2)
    stage.elapse(30)
    stage.release(2)
    stage.elapse(30)
    # Two a minute, as soon as the gateway has read how late it is.
    near = pytest.approx(2.0, abs=0.2)
    eventually(lambda: stage.visitor().call("").json()["rate"] == near)


def test_a_wait_is_said_for_any_number_of_people_ahead(stage: Stage) -> None:
    for _ in range(9):
        stage.waiting()
    for _ in range(3):
        stage.release(2)
        stage.elapse(60)
    eventually(lambda: stage.visitor().call("").json()["wait"] is not None)
    wait = stage.visitor().call("").json()["wait"]
    assert wait["coverage"] == 0.9
    for before, after in itertools.pairwise(wait["curve"]):
        assert all(a <= b for a, b in zip(before, after, strict=True))
    assert len(stage.visitor().call("").body) < 2048


def test_an_offline_client_computes_its_own_place_from_it(open_stage: OpenStage) -> None:
    stage = open_stage(opened=False, draw=True)
    visitors = [stage.waiting() for _ in range(7)]
    before = stage.visitor().call("").json()["draw"]
    assert (before["seed"], before["count"]) == (None, None)
    stage.change(StateChange.OPEN)
    eventually(lambda: stage.visitor().call("").json()["draw"]["count"] == 7)
    draw = stage.visitor().call("").json()["draw"]
    assert draw["commitment"] == before["commitment"]
    assert hashlib.sha256(bytes.fromhex(draw["seed"])).hexdigest() == draw["commitment"]
    drawn = Draw(draw["commitment"], draw["seed"], draw["count"])
    places = [visitor.call("position").json() for visitor in visitors]
    assert [place["turn"] for place in places] == [
        drawn.turn_of(Position(place["position"])) for place in places
    ]
    assert sorted(place["turn"] for place in places) == list(range(1, 8))


def test_an_event_that_nobody_made_has_none(stage: Stage) -> None:
    visitor = stage.visitor()
    visitor.event = "nobody-made-this"
    assert visitor.call("").verdict == (404, "about:blank")
