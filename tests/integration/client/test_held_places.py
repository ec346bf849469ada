"""Clients that hold a place by themselves, in both languages, and what may happen to them."""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.ports import StateChange
from tests.integration.client.conftest import PYTHON, Link, OpenProgram, Program
from tests.support.eventually import eventually
from tests.support.gateways import let_through
from tests.support.staging import OpenStage, Stage

KILLS = 8
LONGEST_LIFE_S = 0.8


def killed_now_and_then(program: Program, goes_on: Callable[[], bool]) -> None:
    """Start it and end it at random moments, some of them before it has said anything."""
    chance = random.Random()
    for _ in range(KILLS):
        program.start()
        time.sleep(chance.uniform(0.05, LONGEST_LIFE_S))
        program.kill()
        if not goes_on():
            return


def test_a_place_is_joined_waited_for_and_claimed(stage: Stage, open_program: OpenProgram) -> None:
    others = [stage.waiting() for _ in range(3)]
    program = open_program(stage).start()
    waiting = program.shows(lambda view: view["ahead"] == 3)
    assert (waiting["status"], waiting["position"], waiting["turn"]) == ("waiting", 4, 4)
    assert waiting["generation"] == stage.generation
    stage.release(len(others))
    program.shows(lambda view: view["ahead"] == 0)
    stage.release()
    admitted = program.gets("admitted")
    assert admitted["position"] == 4
    assert let_through(stage.visitor().get("/", {"queue-token": admitted["pass"]}))


def test_whoever_is_killed_again_and_again_has_one_place_and_one_session(
    stage: Stage, open_program: OpenProgram
) -> None:
    program = open_program(stage)
    killed_now_and_then(program, lambda: True)
    assert program.start().gets("waiting")["position"] == 1
    program.kill()
    assert stage.operator.read(stage.event).issued == 1
    stage.release()
    killed_now_and_then(program, lambda: True)
    admitted = program.start().gets("admitted")
    assert admitted["position"] == 1
    read = stage.operator.read(stage.event)
    assert (read.issued, read.claims, read.active_sessions) == (1, 1, 1)


def test_a_join_whose_answer_is_lost_is_the_same_join_after_a_restart(
    stage: Stage, open_program: OpenProgram, link: Link
) -> None:
    # The keys come, the join goes, and its answer never does, however often it is repeated.
    link.faults.lose_replies(1000, after=1)
    program = open_program(stage, link.port).start()
    eventually(lambda: stage.operator.read(stage.event).issued > 0, timeout_s=20)
    eventually(lambda: link.faults.lost > 1, timeout_s=20)
    program.kill()
    link.heal()
    assert program.start().gets("waiting")["position"] == 1
    assert stage.operator.read(stage.event).issued == 1


def test_without_a_network_the_place_is_known_and_kept(
    stage: Stage, open_program: OpenProgram, link: Link
) -> None:
    for _ in range(2):
        stage.waiting()
    program = open_program(stage, link.port).start()
    program.shows(lambda view: view["ahead"] == 2)
    link.reject()
    offline = program.shows(lambda view: view["connection"] == "offline")
    assert (offline["status"], offline["position"], offline["ahead"]) == ("waiting", 3, 2)
    program.kill()
    # Started without any network at all.
    cold = program.start().shows(lambda view: True)
    assert (cold["status"], cold["position"], cold["ahead"]) == ("waiting", 3, 2)
    # Nobody has told the time: how old the document is cannot be known.
    assert cold["age"] is None
    stage.release(3)
    link.heal()
    assert program.gets("admitted")["position"] == 3


def test_where_nothing_is_pushed_it_polls(stage: Stage, open_program: OpenProgram) -> None:
    program = open_program(stage)
    program.push = "none"
    program.start()
    assert program.gets("waiting")["connection"] == "poll"
    stage.release()
    program.gets("admitted")


def test_what_is_pushed_brings_the_turn(stage: Stage, open_program: OpenProgram) -> None:
    program = open_program(stage).start()
    program.shows(lambda view: view["connection"] == "push" and view["ahead"] == 0)
    stage.release()
    program.gets("admitted")


def test_news_come_over_a_websocket_too(stage: Stage, tmp_path: Path) -> None:
    # Node 20 has none of its own: JavaScript's is tried in tests/browser.
    url = f"http://127.0.0.1:{stage.gateway.port}"
    program = Program(PYTHON, url, stage.event, tmp_path / "record")
    program.push = "websocket"
    try:
        program.start().shows(lambda view: view["connection"] == "push" and view["ahead"] == 0)
        stage.release()
        program.gets("admitted")
    finally:
        program.kill()


def test_a_cut_stream_is_taken_up_again(
    stage: Stage, open_program: OpenProgram, link: Link
) -> None:
    program = open_program(stage, link.port).start()
    program.shows(lambda view: view["connection"] == "push")
    link.faults.cut()
    program.shows(lambda view: view["connection"] != "push")
    program.shows(lambda view: view["connection"] == "push")


def test_a_draw_is_computed_as_the_gateway_does(
    open_stage: OpenStage, open_program: OpenProgram
) -> None:
    stage = open_stage(opened=False, draw=True)
    before = [stage.waiting() for _ in range(5)]
    program = open_program(stage).start()
    undrawn = program.shows(lambda view: view["state"] == "scheduled")
    assert (undrawn["position"], undrawn["turn"], undrawn["ahead"]) == (6, None, None)
    stage.change(StateChange.OPEN)
    drawn = program.shows(lambda view: view["turn"] is not None)
    turns = {visitor.call("position").json()["turn"] for visitor in before}
    # The six turns are those of six people.
    assert turns | {drawn["turn"]} == {1, 2, 3, 4, 5, 6}


def test_a_new_generation_is_told(stage: Stage, open_program: OpenProgram) -> None:
    program = open_program(stage).start()
    program.gets("waiting")
    stage.begin_new_generation()
    assert program.gets("over")["why"] == "generation-over"


def test_a_closed_event_is_told(stage: Stage, open_program: OpenProgram) -> None:
    program = open_program(stage).start()
    program.gets("waiting")
    stage.change(StateChange.CLOSE)
    assert program.gets("over")["why"] == "event-closed"


def test_a_missed_window_is_told(open_stage: OpenStage, open_program: OpenProgram) -> None:
    stage = open_stage(window_s=60, late_for_s=0)
    program = open_program(stage).start()
    program.gets("waiting")
    program.kill()
    stage.release()
    stage.elapse(120)
    assert program.start().gets("over")["why"] == "window-missed"


def test_a_full_site_is_told_and_entered_once_there_is_room(
    open_stage: OpenStage, open_program: OpenProgram
) -> None:
    stage = open_stage(max_sessions=1)
    inside = stage.admitted()
    program = open_program(stage).start()
    program.gets("waiting")
    stage.release()
    full = program.gets("full")
    assert full["problem"]["type"] == "backend-full"
    assert inside.call("leave").status == 200
    program.gets("admitted")


def test_an_expired_token_is_refreshed_and_keeps_its_place(
    stage: Stage, open_program: OpenProgram
) -> None:
    stage.waiting()
    now = int(time.time())
    old = stage.mint.place(
        stage.event, stage.generation, 1, issued_at=now - 90_000, expires_at=now - 3600
    )
    program = open_program(stage)
    program.record.write_text(json.dumps({"version": 1, "stage": "waiting", "token": old}))
    program.start()
    fresh = program.shows(lambda view: view["token"] not in (None, old))
    assert (fresh["status"], fresh["position"]) == ("waiting", 1)


def test_a_record_with_a_token_of_nobodys_is_no_place(
    stage: Stage, open_program: OpenProgram
) -> None:
    token = stage.mint.place(stage.event, stage.generation, 1)
    program = open_program(stage)
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("A") else "BBBBBBBQ")
    program.record.write_text(json.dumps({"version": 1, "stage": "waiting", "token": forged}))
    assert program.start().gets("over")["why"] == "no-token"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}'])
def test_a_record_that_cannot_be_read_is_none(
    stage: Stage, open_program: OpenProgram, text: str
) -> None:
    program = open_program(stage)
    program.record.write_text(text)
    assert program.start().gets("waiting")["position"] == 1
