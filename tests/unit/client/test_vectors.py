"""The gateway and its Python client are held to the vectors; the JavaScript client is by Node."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.client.documents import Poll, read_pointer
from gateway.client.pace import enter_delay, may_hold_for, poll_after, retry_after, when_full
from gateway.domain.claims import QueueClaims
from gateway.domain.draw import Draw
from gateway.domain.events import turn_of
from gateway.domain.holes import Holes
from gateway.domain.positions import EventId, Position, ServedUpTo, Turn, ahead_of
from gateway.domain.waiting import Wait, WaitCurve
from gateway.errors import TokenRejected
from gateway.tokens.codec import Verifier
from gateway.tokens.jwks import JwksFile, parse_jwk_set
from gateway.tokens.statements import read_place, verify_pointer

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "vectors"
JS_CLIENT = ROOT / "clients" / "js"
NOW_S = 1_800_000_000


def read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


KEYS = parse_jwk_set((FOLDER / "keys.json").read_bytes())
TOKENS, POINTERS, PACES = read("tokens"), read("pointers"), read("back_off")
SALE, ISSUER = EventId(TOKENS["event"]), TOKENS["issuer"]


def named(cases: list[dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


@named(TOKENS["genuine"])
def test_a_genuine_token_is_read_by_gateway_and_client(case: dict[str, Any]) -> None:
    held = read_place(case["token"], KEYS, expect_event=SALE, expect_issuer=ISSUER)
    assert held == QueueClaims.parse(case["claims"])
    verifier = Verifier(JwksFile(FOLDER / "keys.json"), ISSUER)
    assert verifier.verify(case["token"], NOW_S, expect_event=SALE) == held


@named(TOKENS["refused"])
def test_what_is_no_place_is_refused_for_its_fault(case: dict[str, Any]) -> None:
    with pytest.raises(TokenRejected) as rejected:
        read_place(case["token"], KEYS, expect_event=SALE, expect_issuer=ISSUER)
    assert rejected.value.fault.value == case["fault"]
    if case["name"] == "a pass":
        return  # A token all the same, though no place.
    verifier = Verifier(JwksFile(FOLDER / "keys.json"), ISSUER)
    with pytest.raises(TokenRejected) as rejected:
        verifier.verify(case["token"], NOW_S, expect_event=SALE)
    assert rejected.value.fault.value == case["fault"]


@named(POINTERS["genuine"])
def test_a_genuine_pointer_is_read(case: dict[str, Any]) -> None:
    found = read_pointer(case["statement"], KEYS, SALE, ISSUER)
    genuine = verify_pointer(case["statement"], KEYS, expect_event=SALE, expect_issuer=ISSUER)
    assert genuine.document == case["document"]
    assert found.issued_at == case["issued_at"]
    assert found.document.served_up_to == case["document"]["served_up_to"]
    assert [list(hole) for hole in found.document.holes] == case["document"]["holes"]


@named(POINTERS["refused"])
def test_what_is_no_pointer_is_refused_for_its_fault(case: dict[str, Any]) -> None:
    with pytest.raises(TokenRejected) as rejected:
        read_pointer(case["statement"], KEYS, SALE, ISSUER)
    assert rejected.value.fault.value == case["fault"]


def test_the_documents_of_the_vectors_have_what_clients_lean_on() -> None:
    documents = {case["name"]: case["document"] for case in POINTERS["genuine"]}
    assert documents["with a waiting time"]["wait"] is not None
    assert documents["after the draw"]["draw"]["seed"] is not None
    assert documents["before the draw"]["draw"]["seed"] is None
    assert documents["a queue"]["holes"]


@pytest.mark.parametrize("case", read("turns")["draws"], ids=lambda case: case["draw"]["count"])
def test_turns_are_those_of_the_draw(case: dict[str, Any]) -> None:
    draw = Draw(**case["draw"])
    for entry in case["turns"]:
        assert turn_of(Position(entry["position"]), entry["head_start"], draw) == entry["turn"]


def test_people_ahead_are_counted_outside_holes() -> None:
    for case in read("places")["places"]:
        holes = Holes(tuple(tuple(hole) for hole in case["holes"]))
        found = ahead_of(Turn(case["turn"]), ServedUpTo(case["served_up_to"]), holes)
        assert found == case["ahead"], case


def test_waits_lie_on_the_curve() -> None:
    for case in read("waits")["waits"]:
        curve = WaitCurve(tuple(tuple(point) for point in case["curve"]))
        assert curve.at(case["ahead"]) == Wait(case["low"], case["high"]), case


def test_pauses_are_those_of_the_vectors() -> None:
    for case in PACES["poll"]:
        wait = case["wait"] and Wait(case["wait"]["low"], case["wait"]["high"])
        found = poll_after(Poll(**case["poll"]), case["ahead"], wait, case["chance"])
        assert found == case["seconds"], case
    for case in PACES["retry"]:
        assert retry_after(case["failures"], case["chance"]) == case["seconds"], case
    for case in PACES["full"]:
        found = when_full(case["times"], case["least"], case["left"], case["chance"])
        assert found == case["seconds"], case
    for case in PACES["enter"]:
        where = (case["turn"], case["served_before"], case["served_up_to"], case["most"])
        assert enter_delay(*where) == case["seconds"], case
    for case in PACES["hold"]:
        found = may_hold_for(case["window"], case["since_turn"], case["margin"])
        assert found == case["seconds"], case


def test_pauses_keep_their_bounds() -> None:
    for case in PACES["poll"]:
        assert 2 <= case["seconds"] <= 60 * 1.25
    for case in PACES["retry"]:
        assert 1 <= case["seconds"] <= 60
    for case in PACES["full"]:
        assert max(case["least"], 2) <= case["seconds"] <= max(60, case["least"]) * 1.25


@pytest.mark.parametrize("script", ["place.js", "draw.js"])
def test_the_page_and_the_client_have_one_script(script: str) -> None:
    """The page computes places by the very bytes that the client ships."""
    page = ROOT / "gateway" / "page" / "static" / script
    ours = JS_CLIENT / "src" / script
    assert ours.read_bytes() == page.read_bytes(), f"copy {page} to {ours}"


def test_the_javascript_client_passes_its_own_tests() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node on PATH (Debian's package: nodejs)")
    files = sorted(map(str, (JS_CLIENT / "test").glob("*.test.js")))
    assert files
    ran = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stdout + ran.stderr
