"""The table of states, cell by cell: joins, releases, claims, held passes, and no token at all."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from gateway.errors import Conflict, GatewayError
from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.pages import without_script
from tests.support.replies import Reply
from tests.support.staging import OpenStage, Stage

ADMITTED = 200
AWAY = (503, "ledger-away")
NO_TOKEN = (401, "no-token")
NOT_YET = (429, "not-yet")
CLOSED = (410, "event-closed")
NOT_IN = "You are not in the queue yet"

Verdict = tuple[int, str] | int


@dataclass(frozen=True)
class Row:
    """One state, and what it means.

    Attributes:
        enter: Brings an open event with its visitors into the state.
        claim: What whose turn has come gets, by the call and at the edge alike.
        stranger: What an app without a token gets.
        page: Status and title of the page where a browser without a token ends up.
    """

    name: str
    enter: Callable[[Stage], None]
    join: int
    release: bool
    claim: Verdict
    held: Verdict
    waiting: Verdict
    stranger: Verdict
    page: tuple[int, str]


ROWS = [
    Row(
        "open",
        lambda stage: None,
        join=201,
        release=True,
        claim=ADMITTED,
        held=ADMITTED,
        waiting=NOT_YET,
        stranger=NO_TOKEN,
        page=(200, NOT_IN),
    ),
    Row(
        "paused",
        lambda stage: stage.change(StateChange.PAUSE),
        join=201,
        release=False,
        claim=NOT_YET,
        held=ADMITTED,
        waiting=NOT_YET,
        stranger=NO_TOKEN,
        page=(200, NOT_IN),
    ),
    Row(
        "paused, releases only",
        lambda stage: stage.change(StateChange.PAUSE, releases_only=True),
        join=201,
        release=False,
        claim=ADMITTED,
        held=ADMITTED,
        waiting=NOT_YET,
        stranger=NO_TOKEN,
        page=(200, NOT_IN),
    ),
    Row(
        "closed",
        lambda stage: stage.change(StateChange.CLOSE),
        join=410,
        release=False,
        claim=ADMITTED,
        held=ADMITTED,
        waiting=CLOSED,
        stranger=CLOSED,
        page=(410, "This event is closed"),
    ),
    Row(
        "suspended",
        lambda stage: stage.lose(),
        join=503,
        release=False,
        claim=AWAY,
        held=ADMITTED,
        waiting=AWAY,
        stranger=AWAY,
        page=(503, "One moment, please"),
    ),
    Row(
        "bypass",
        lambda stage: stage.change(StateChange.BYPASS),
        join=201,
        release=False,
        claim=ADMITTED,
        held=ADMITTED,
        waiting=ADMITTED,
        stranger=ADMITTED,
        page=(200, "the booking site"),
    ),
]


def verdict_of(reply: Reply) -> Verdict:
    return 200 if reply.status == 200 else reply.verdict


def shown(reply: Reply) -> tuple[int, str]:
    found = re.search(r"<title>(.*?)</title>", reply.body.decode())
    return reply.status, found[1] if found else reply.body.decode()


def releases(stage: Stage) -> bool:
    try:
        stage.operator.release(stage.event)
    except (Conflict, GatewayError):
        return False
    return True


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_a_state_means(stage: Stage, row: Row) -> None:
    held, by_call, at_edge, waiting = (stage.waiting() for _ in range(4))
    stage.release(3)
    held.claim()
    row.enter(stage)

    stranger = stage.visitor()
    assert verdict_of(stranger.get("/book")) == row.stranger
    assert verdict_of(waiting.get("/book")) == row.waiting
    assert verdict_of(held.get("/book")) == row.held
    assert verdict_of(by_call.call("claim")) == row.claim
    assert verdict_of(at_edge.get("/book")) == row.claim
    assert stage.visitor().call("join").status == row.join
    assert shown(follow(stage, stage.visitor().navigate("/book"))) == row.page
    expected = [row.stranger, row.waiting, row.held, row.claim].count(ADMITTED)
    expected += row.page[1] == "the booking site"
    assert len(stage.reached) == expected
    assert releases(stage) == row.release


def follow(stage: Stage, reply: Reply) -> Reply:
    if reply.status != 303:
        return reply
    return stage.visitor().navigate(without_script(reply.location))


def test_a_scheduled_event_takes_joins_and_lets_nobody_in(open_stage: OpenStage) -> None:
    for draw in (False, True):
        stage = open_stage(opened=False, draw=draw)
        visitor = stage.visitor()
        assert visitor.call("join").status == 201
        assert not releases(stage)
        assert visitor.call("claim").verdict == NOT_YET
        assert visitor.get("/book").verdict == NOT_YET
        assert stage.visitor().get("/book").verdict == NO_TOKEN
        page = follow(stage, stage.visitor().navigate("/book"))
        assert shown(page) == (200, NOT_IN)
        assert stage.reached == []


def test_a_deleted_event_lets_nobody_in(stage: Stage) -> None:
    held, served = stage.admitted(), stage.served()
    stage.delete()
    for visitor in (held, served, stage.visitor()):
        assert visitor.get("/book").verdict == CLOSED
        assert shown(follow(stage, visitor.navigate("/book")))[0] == 410
    assert stage.reached == []


def test_an_event_that_the_ledger_never_had_lets_nobody_in(stage: Stage) -> None:
    # Its host is named in the settings, so it is no host to pass by.
    visitor = stage.visitor("sale-120.example")
    assert visitor.get("/book").verdict == AWAY


def test_an_earlier_generation_is_told_to_join_again(stage: Stage) -> None:
    held, waiting = stage.admitted(), stage.waiting()
    stage.begin_new_generation()
    for visitor in (held, waiting):
        assert visitor.get("/book").verdict == (410, "generation-over")
        assert stage.told_to_wait(visitor.navigate("/book"))


def test_a_bypass_says_of_nobody_who_they_are_and_is_counted(stage: Stage) -> None:
    held = stage.admitted()
    stage.change(StateChange.BYPASS)
    for visitor in (stage.visitor(), held):
        assert visitor.get("/book", {"queue-position": "1", "queue-visitor": "me"}).status == 200
        assert stage.backend.last.queue_headers == {}
    metrics = stage.gateway.opened.metrics
    eventually(
        lambda: f'event="{stage.event}",outcome="bypassed"}} 2.0'.encode() in metrics.exposition()
    )


def test_a_bypass_ends_by_itself(stage: Stage) -> None:
    stage.change(StateChange.BYPASS, for_s=60)
    assert stage.visitor().get("/book").status == 200
    stage.elapse(61)
    eventually(lambda: stage.visitor().get("/book").status == 401)
