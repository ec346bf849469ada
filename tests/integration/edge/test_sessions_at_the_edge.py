"""How a session ends or grows at the edge: its own end, a visitor who leaves, the backend's word."""

import time

import pytest

from tests.support.eventually import eventually
from tests.support.gateways import let_through
from tests.support.minting import now_s
from tests.support.staging import FINISH_GRACE_S, OpenStage, Stage
from tests.support.visitors import NAVIGATION

OVER = (410, "window-missed")


# The end of a pass.


def test_a_pass_ends_at_its_end_and_not_a_minute_later(stage: Stage) -> None:
    ends_at = now_s() + 2
    held = stage.mint.held(stage.event, stage.generation, expires_at=ends_at)
    visitor = stage.visitor()
    assert let_through(visitor.get("/book", {"queue-token": held}))
    eventually(lambda: visitor.get("/book", {"queue-token": held}).status == 410)
    assert ends_at - 0.1 < time.time() < ends_at + 1


def test_a_pass_whose_session_was_left_is_refused_within_a_second(stage: Stage) -> None:
    visitor = stage.admitted()
    held = visitor.held
    visitor.call("leave")
    left_at = time.monotonic()
    eventually(lambda: stage.visitor().get("/book", {"queue-token": held}).status == 410)
    assert time.monotonic() - left_at < 1.0
    assert stage.told_to_wait(stage.visitor().navigate("/book", {"queue-token": held}))


def test_whose_pass_has_ended_is_not_seated_again(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60)
    visitor = stage.admitted()
    visitor.drop("pass")
    stage.elapse(61)
    assert visitor.get("/book").verdict == OVER


def test_a_longer_session_admits_under_its_new_pass(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60, extend_s=6000)
    visitor = stage.admitted()
    assert visitor.call("extend").status == 200
    assert let_through(visitor.get("/book"))


# What the backend says of a session.


def test_the_backend_ends_a_session(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.backend.says["/end"] = [("Queue-Session", "end"), ("x-own", "1")]
    reply = visitor.get("/end")
    assert let_through(reply)
    assert (reply.header("queue-session"), reply.header("x-own")) == (None, "1")
    assert stage.operator.read(stage.event).active_sessions == 0
    eventually(lambda: visitor.get("/book").status == 410, 1.0)


def test_the_backend_makes_a_session_longer(open_stage: OpenStage) -> None:
    stage = open_stage(session_s=60, extend_times=0)
    visitor = stage.admitted()
    stage.backend.says["/longer"] = [("queue-session", "extend=3000")]
    reply = visitor.get("/longer")
    assert let_through(reply)
    assert reply.header("queue-session") is None
    assert reply.header("cache-control") == "no-store"
    life_s = int(reply.cookies[f"pass-{stage.event}"].attributes["max-age"])
    assert abs(life_s - 3000 - FINISH_GRACE_S) <= 1
    assert visitor.call("position").json()["session_ends_at"] > now_s() + 2900


def test_the_first_request_of_a_session_may_end_or_lengthen_it(stage: Stage) -> None:
    stage.backend.says["/longer"] = [("queue-session", "extend=3000")]
    stage.backend.says["/end"] = [("queue-session", "end")]
    longer = stage.served().get("/longer")
    assert int(longer.cookies[f"pass-{stage.event}"].attributes["max-age"]) > 2900
    assert let_through(stage.served().get("/end"))
    assert stage.operator.read(stage.event).active_sessions == 1


@pytest.mark.parametrize(
    "said",
    ["", "END", "end;x", "extend", "extend=", "extend=-1", "extend=1.5", "extend=999999", "x"],
)
def test_anything_else_that_the_backend_says_goes_no_further(stage: Stage, said: str) -> None:
    visitor = stage.admitted()
    stage.backend.says["/odd"] = [("queue-session", said)]
    reply = visitor.get("/odd")
    assert let_through(reply)
    assert (reply.header("queue-session"), reply.cookies) == (None, {})
    assert let_through(visitor.get("/book"))


def test_on_an_open_path_the_backend_speaks_of_nobody(stage: Stage) -> None:
    visitor = stage.admitted()
    stage.backend.says["/assets/end"] = [("queue-session", "end")]
    assert visitor.get("/assets/end").header("queue-session") is None
    assert let_through(visitor.get("/book"))


def test_a_browser_is_sent_to_the_page_of_the_closest_event(stage: Stage) -> None:
    reply = stage.visitor().ask("GET", "/book", {**NAVIGATION, "cookie": "x=y"})
    assert stage.told_to_wait(reply)
