"""Visitors of an event with a release schedule: below its limit they see no queue."""

from concurrent.futures import ThreadPoolExecutor

from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.gateways import let_through
from tests.support.staging import OpenStage, Stage
from tests.support.visitors import Visitor


def joined(stage: Stage) -> tuple[Visitor, str]:
    visitor = stage.visitor()
    return visitor, visitor.join()["status"]


def test_who_joins_an_event_below_its_limit_has_a_turn_at_once(open_stage: OpenStage) -> None:
    stage = open_stage(fill=True, max_sessions=3)
    for _ in range(3):
        visitor, status = joined(stage)
        assert status == "your-turn"
        assert let_through(visitor.get("/book"))


def test_who_joins_a_full_event_waits_for_a_place(open_stage: OpenStage) -> None:
    stage = open_stage(fill=True, max_sessions=1)
    first, status = joined(stage)
    assert status == "your-turn"
    first.claim()
    second, status = joined(stage)
    assert status == "waiting"
    first.call("leave")
    eventually(lambda: let_through(second.get("/book")), 10)


def test_a_crowd_that_joins_at_once_is_let_in_up_to_the_limit(open_stage: OpenStage) -> None:
    stage = open_stage(fill=True, max_sessions=20, overshoot=0)
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: joined(stage), range(40)))
    eventually(lambda: stage.operator.read(stage.event).served_up_to == 20, 10)
    assert stage.operator.read(stage.event).issued == 40


def test_a_rate_lets_people_in_without_an_operator(open_stage: OpenStage) -> None:
    stage = open_stage(schedule_people=20, schedule_every_s=1)
    visitors = [stage.waiting() for _ in range(10)]
    eventually(lambda: let_through(visitors[-1].get("/book")), 15)


def test_a_paused_event_lets_nobody_in_and_says_so(open_stage: OpenStage) -> None:
    stage = open_stage(fill=True, max_sessions=3)
    stage.change(StateChange.PAUSE)
    assert joined(stage)[1] == "waiting"
    assert stage.operator.read(stage.event).served_up_to == 0
    stage.change(StateChange.RESUME)
    eventually(lambda: stage.operator.read(stage.event).served_up_to == 1, 10)
