"""What a client does when what it is told cannot be."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.client import MemoryStorage, QueueClient, View
from gateway.tokens.keyring import activate, new_key
from tests.integration.client.conftest import Program
from tests.support.eventually import eventually
from tests.support.minting import Mint
from tests.support.odd_gateway import EVENT, OddGateway


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[OddGateway]:
    folder = tmp_path / "keys"
    with OddGateway(Mint(folder)).running() as odd:
        yield odd


@pytest.fixture
def program(odd: OddGateway, command: list[str], tmp_path: Path) -> Iterator[Program]:
    program = Program(command, f"http://127.0.0.1:{odd.port}", EVENT, tmp_path / "record")
    yield program
    program.kill()


def asked_again(odd: OddGateway, what: str, times: int = 2) -> None:
    """Wait until something was asked for some times more."""
    before = odd.count(what)
    eventually(lambda: odd.count(what) >= before + times, timeout_s=20)


def test_a_pointer_that_goes_back_is_not_believed(odd: OddGateway, program: Program) -> None:
    odd.pointer = {"served_up_to": 3}
    program.start().shows(lambda view: view["served_up_to"] == 3)
    # Newer by its time, and of another state, so that it is told when it has come.
    odd.pointer = {"served_up_to": 1, "message": "I have forgotten."}
    view = program.shows(lambda view: view["message"])
    assert (view["served_up_to"], view["ahead"]) == (3, 1)
    program.kill()
    # Not by another process either.
    odd.pointer = {"served_up_to": 0, "message": "And more."}
    assert program.start().shows(lambda view: True)["served_up_to"] == 3
    assert program.shows(lambda view: view["message"] == "And more.")["served_up_to"] == 3


def test_an_older_generation_is_a_stale_copy(odd: OddGateway, program: Program) -> None:
    odd.pointer = {"generation": 1, "served_up_to": 2}
    program.start().shows(lambda view: view["served_up_to"] == 2)
    odd.pointer = {"generation": 2}
    assert program.gets("over")["why"] == "generation-over"


def test_what_is_pushed_is_a_hint_and_nothing_else(odd: OddGateway, program: Program) -> None:
    odd.stream = "lies"
    program.start().shows(lambda view: view["connection"] == "push")
    # It looks at what is signed, again and again, and claims nothing.
    asked_again(odd, "GET pointer.jws", times=3)
    assert odd.count("POST claim") == 0


def test_a_stream_that_falls_silent_is_given_up(odd: OddGateway, program: Program) -> None:
    odd.stream = "silence"
    program.start().shows(lambda view: view["connection"] == "push")
    # Two heartbeats of one second; the connection stays open all the while.
    program.shows(lambda view: view["connection"] == "poll")
    asked_again(odd, "GET pointer.jws")
    # And it is tried anew.
    eventually(lambda: odd.count("GET events") >= 2, timeout_s=20)


def test_a_refused_stream_is_not_asked_for_again_too_soon(
    odd: OddGateway, program: Program
) -> None:
    odd.stream = "refusal"
    view = program.start().shows(lambda view: view["served_up_to"] == 0)
    assert view["connection"] == "poll"
    asked_again(odd, "GET pointer.jws", times=4)
    assert odd.count("GET events") == 1


def test_where_there_is_no_stream_it_polls(odd: OddGateway, program: Program) -> None:
    program.start().gets("waiting")
    odd.pointer = {"served_up_to": 2}
    program.shows(lambda view: view["served_up_to"] == 2)


def test_another_key_is_fetched_and_one_that_is_not_published_is_not_believed(
    odd: OddGateway, program: Program
) -> None:
    program.start().shows(lambda view: view["served_up_to"] == 0)
    program.kill()
    activate(odd.mint.folder, new_key(odd.mint.folder, now_s=time.time()).kid, now_s=time.time())
    odd.pointer = {"served_up_to": 1}
    program.start().shows(lambda view: view["served_up_to"] == 1)
    assert odd.count("GET jwks") == 2
    # A third key, within a minute: it is not asked for again at once, and nothing is believed.
    activate(odd.mint.folder, new_key(odd.mint.folder, now_s=time.time()).kid, now_s=time.time())
    odd.pointer = {"served_up_to": 4}
    view = program.shows(lambda view: view["problem"] is not None)
    assert (view["problem"]["type"], view["status"]) == ("not-genuine", "waiting")
    assert view["served_up_to"] == 1
    assert odd.count("GET jwks") == 2


def test_a_claim_that_is_refused_for_now_is_repeated(odd: OddGateway, program: Program) -> None:
    odd.pointer = {"served_up_to": 5}
    view = program.start().gets("turn")
    assert view["position"] == 5
    asked_again(odd, "POST claim")
    assert odd.count("POST join") == 1


CURVE = {"coverage": 0.9, "curve": [[0, 120, 300], [4, 600, 1200]]}


def in_seconds(view: dict[str, Any]) -> float:
    """Return the earliest turn in Unix seconds: each language has its own unit of time."""
    at = float(view["earliest_turn_at"])
    return at / 1000 if at > 1e11 else at


def test_the_waiting_time_is_known_without_the_gateway(odd: OddGateway, program: Program) -> None:
    odd.pointer = {"wait": CURVE, "holes": [[2, 3]]}
    before_s = time.time()
    # Four turns are before, and two of them are nobody's.
    view = program.start().shows(lambda view: view["wait"] is not None)
    assert view["ahead"] == 2
    assert list(view["wait"].values()) == [360, 780]
    # The statement may have been signed in the second before.
    assert before_s + 360 - 2 <= in_seconds(view) <= time.time() + 360
    program.kill()
    odd.away = True
    cold = program.start().shows(lambda view: True)
    assert (cold["status"], cold["ahead"]) == ("waiting", 2)
    assert list(cold["wait"].values()) == [360, 780]
    # By the device's clock it stays where it was, however long nobody could be asked.
    assert in_seconds(cold) == pytest.approx(in_seconds(view), abs=0.01)


def test_a_page_of_somebody_between_is_no_answer(odd: OddGateway, program: Program) -> None:
    odd.pointer = {"served_up_to": 5}
    program.start().gets("turn")
    odd.portal = True
    view = program.shows(lambda view: (view["problem"] or {}).get("type") == "unreadable")
    assert (view["status"], view["position"], view["pass"]) == ("turn", 5, None)
    odd.portal = False
    asked_again(odd, "POST claim")
    assert odd.count("POST join") == 1


def test_before_the_opening_it_is_the_opening(odd: OddGateway, program: Program) -> None:
    opens_at = int(time.time()) + 5000
    odd.pointer = {"state": "scheduled", "opens_at": opens_at}
    view = program.start().shows(lambda view: view["state"] == "scheduled")
    assert abs(in_seconds(view) - opens_at) <= 2


def test_a_session_that_has_ended_is_told(odd: OddGateway, tmp_path: Path) -> None:
    record = {
        "version": 1,
        "stage": "admitted",
        "token": odd.mint.place(EVENT, 1, 5),
        "pass": odd.mint.held(EVENT, 1, 5),
        "session_ends_at": int(time.time()) - 1,
    }
    storage = MemoryStorage(json.dumps(record))

    async def wait_for_the_end() -> View:
        async with QueueClient(f"http://127.0.0.1:{odd.port}", EVENT, storage) as client:
            # Only the server's time ends it, and that is asked first.
            assert client.view.status == "admitted"
            return await client.until(lambda view: view.status == "over")

    view = asyncio.run(wait_for_the_end())
    assert (view.why, view.pass_) == ("session-ended", None)
    assert odd.count("POST claim") == 0
