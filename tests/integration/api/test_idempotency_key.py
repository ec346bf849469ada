"""An Idempotency-Key gives the same position again after a lost answer."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.staging import OpenStage, Stage

KEY = "a-random-key-of-the-client"


def test_an_idempotency_key_gives_the_same_place_after_a_lost_answer(stage: Stage) -> None:
    first = stage.visitor().call("join", {"idempotency-key": KEY})
    again = stage.visitor().call("join", {"idempotency-key": KEY})
    assert (first.status, again.status) == (201, 200)
    assert again.json()["position"] == first.json()["position"] == 1
    assert again.json()["generation"] == first.json()["generation"]
    assert stage.operator.read(stage.event).issued == 1


def test_tabs_that_join_at_once_under_one_key_share_a_place(stage: Stage) -> None:
    with ThreadPoolExecutor(8) as pool:
        tabs = [stage.visitor() for _ in range(8)]
        places = list(pool.map(lambda tab: tab.join({"idempotency-key": KEY}), tabs))
    assert {place["position"] for place in places} == {1}


def test_different_keys_are_different_visitors(stage: Stage) -> None:
    keys = [f"{KEY}-{number}" for number in range(3)]
    places = [stage.visitor().join({"idempotency-key": key}) for key in keys]
    assert [place["position"] for place in places] == [1, 2, 3]


def test_a_key_is_one_events_own(open_stage: OpenStage) -> None:
    one, two = open_stage(), open_stage()
    one.waiting()
    assert one.visitor().join({"idempotency-key": KEY})["position"] == 2
    assert two.visitor().join({"idempotency-key": KEY})["position"] == 1


def test_a_key_is_kept_hashed_and_for_ten_minutes(stage: Stage) -> None:
    stage.visitor().join({"idempotency-key": KEY})
    server = stage.operator.server
    (row,) = [name for name in server.command("KEYS", f"q:*{stage.event}*:join:*")]
    assert row.endswith(hashlib.sha256(KEY.encode()).hexdigest())
    assert 590_000 < server.command("PTTL", row) <= 600_000
    assert KEY not in server.command("GET", row)


@pytest.mark.parametrize("key", ["A" * 22, "z" * 64, "-_" * 11, "0123456789abcdefghijAZ"])
def test_an_idempotency_key_has_22_to_64_safe_characters(stage: Stage, key: str) -> None:
    assert stage.visitor().call("join", {"idempotency-key": key}).status == 201


@pytest.mark.parametrize(
    "key", ["", "A" * 21, "A" * 65, "A" * 21 + " ", "A" * 21 + "=", "A" * 21 + "é", '"' + "A" * 30]
)
def test_any_other_idempotency_key_is_refused(stage: Stage, key: str) -> None:
    reply = stage.visitor().call("join", {"idempotency-key": key})
    assert reply.verdict == (400, "about:blank")
    assert stage.operator.read(stage.event).issued == 0


def test_two_idempotency_keys_are_refused(stage: Stage) -> None:
    headers = [("idempotency-key", "A" * 22), ("idempotency-key", "B" * 22)]
    assert stage.visitor().call("join", headers).verdict == (400, "about:blank")
