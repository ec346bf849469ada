"""Floods of joins: one address takes its share, and who holds a place is never asked."""

import pytest

from tests.support.gateways import Tables
from tests.support.pages import plain, press
from tests.support.staging import Stage

BURST = 3
WORD = "swordfish"


async def knows_the_word(event: str, address: str | None, answer: str | None) -> bool:
    """The challenge of the site under test: no answer, or the right one."""
    return answer in (None, WORD)


@pytest.fixture(scope="module")
def tables(tables: Tables) -> Tables:
    return {
        **tables,
        "server": {"trusted_proxies": ["127.0.0.1/32"]},
        "joins": {
            "burst": BURST,
            "per_minute": 0.5,
            "challenge": f"{__name__}:knows_the_word",
        },
    }


def from_address(number: int) -> dict[str, str]:
    return {"x-forwarded-for": f"203.0.113.{number}"}


def test_an_address_that_took_its_places_is_told_to_come_later(stage: Stage) -> None:
    for _ in range(BURST):
        assert stage.visitor().call("join", from_address(1)).status == 201
    reply = stage.visitor().call("join", from_address(1))
    assert reply.verdict == (429, "too-many-joins")
    assert reply.header("retry-after") == str(reply.json()["retry_after"])
    assert stage.visitor().call("join", from_address(2)).status == 201


def test_the_form_of_the_waiting_page_is_told_the_same(stage: Stage) -> None:
    for _ in range(BURST):
        stage.visitor().call("join", from_address(3))
    reply = stage.visitor().call("join", {**from_address(3), "accept": "text/html"})
    assert reply.verdict == (429, "too-many-joins")


def test_the_page_without_a_script_explains_it(stage: Stage) -> None:
    for _ in range(BURST):
        stage.visitor().call("join", from_address(8))
    visitor = stage.visitor()
    back = press(visitor, plain(visitor, "/book"), "join", from_address(8))
    assert back.location == f"/queue/{stage.event}/room/plain?return_to=/book&problem=many"
    assert "Too many people have joined" in visitor.navigate(back.location).body.decode()


def test_who_holds_a_place_is_never_limited(stage: Stage) -> None:
    visitors = [stage.visitor() for _ in range(BURST)]
    for visitor in visitors:
        visitor.call("join", from_address(4))
    for visitor in visitors:
        for _ in range(3):
            assert visitor.call("join", from_address(4)).status == 200


def test_a_refused_join_takes_no_position(stage: Stage) -> None:
    for _ in range(BURST + 5):
        stage.visitor().call("join", from_address(5))
    late = stage.visitor().call("join", from_address(6))
    assert late.json()["position"] == BURST + 1


def test_a_wrong_answer_to_the_sites_challenge_is_refused(stage: Stage) -> None:
    refused = stage.visitor().call("join", from_address(7), challenge="guess")
    assert refused.verdict == (403, "challenge-required")
    assert stage.visitor().call("join", from_address(7), challenge=WORD).status == 201
