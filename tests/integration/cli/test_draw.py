"""`gateway draw verify`: a draw as promised, one that is not, and whose turn it gave."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.claims import QueueClaims
from gateway.domain.draw import commitment_to
from gateway.domain.positions import EventId, Generation, Position
from gateway.ledger.embedded import embedded_url
from gateway.tokens.codec import Signer
from gateway.tokens.keyring import KeyRing
from tests.support.command_line import Operator, Sale

OTHER = commitment_to(bytes(32))


@pytest.fixture
def drawn(shared_folder: Path, typed: Operator) -> Sale:
    """An event of twelve people who are drawn, and one who came after the opening."""
    sale = Sale(embedded_url(shared_folder / "ledger"), f"draw-{time.monotonic_ns()}")
    assert typed("event", "create", sale.event, "--draw").code == 0
    sale.join(12)
    return sale


def open_draw(sale: Sale, typed: Operator) -> dict[str, Any]:
    assert typed("event", "open", sale.event).code == 0
    sale.join(1)
    told = typed("status", sale.event, "--json").document["draw"]
    return dict(told)


def verified(sale: Sale, typed: Operator, *words: str | int) -> Any:
    ran = typed("draw", "verify", sale.event, *words, "--json")
    assert ran.code == 0, ran.err
    return ran.document


def test_before_the_opening_there_is_nothing_but_a_promise(drawn: Sale, typed: Operator) -> None:
    ran = typed("draw", "verify", drawn.event)
    assert ran.code == 4
    draw = drawn.snapshot().draw
    assert draw is not None
    assert draw.commitment in ran.err


def test_a_draw_as_promised_is_said_to_be_so(drawn: Sale, typed: Operator) -> None:
    draw = drawn.snapshot().draw
    assert draw is not None
    told = open_draw(drawn, typed)
    found = verified(drawn, typed, "--commitment", draw.commitment)
    assert found["faults"] == []
    assert (found["commitment"], found["seed"], found["count"]) == (
        draw.commitment,
        told["seed"],
        12,
    )
    # The promise stands in the operator log from the first entry on, the number from the opening.
    assert (found["noted_commitment"], found["noted_count"]) == (draw.commitment, 12)
    said = typed("draw", "verify", drawn.event).out
    assert "held as promised: among 12" in said
    assert "noted that hash when the queue began" in said


def test_turns_are_computed_and_compared_with_what_was_shown(drawn: Sale, typed: Operator) -> None:
    open_draw(drawn, typed)
    order = verified(drawn, typed, "--order")["order"]
    assert sorted(order) == list(range(1, 13))
    draw = drawn.snapshot().draw
    assert draw is not None
    assert order == [draw.turn_of(Position(position)) for position in range(1, 13)]
    lines = typed("draw", "verify", drawn.event, "--order").out.splitlines()
    assert lines == [f"{position} {turn}" for position, turn in enumerate(order, start=1)]
    typed("release", drawn.event, order[4])
    found = verified(drawn, typed, "--position", 5, "--turn", order[4])
    assert (found["turn"], found["has_come"]) == (order[4], True)
    late = verified(drawn, typed, "--position", 13)
    assert (late["turn"], late["has_come"]) == (13, False)
    assert "joined after the opening" in typed("draw", "verify", drawn.event, "--position", 13).out

    wrong = typed("draw", "verify", drawn.event, "--position", 5, "--turn", order[4] + 1, "--json")
    assert (wrong.code, wrong.error["code"]) == (1, "draw-wrong")
    assert f"has turn {order[4]} by this draw" in wrong.error["mistakes"][0]
    assert len(wrong.document["faults"]) == 1
    in_words = typed("draw", "verify", drawn.event, "--position", 5, "--turn", order[4] + 1)
    assert (in_words.code, in_words.out) == (1, "")


def test_a_promise_that_was_kept_elsewhere_must_be_this_one(drawn: Sale, typed: Operator) -> None:
    open_draw(drawn, typed)
    ran = typed("draw", "verify", drawn.event, "--commitment", OTHER)
    assert ran.code == 1
    assert "was kept from before the opening" in ran.err


def test_a_seed_that_was_changed_with_its_hash_is_found_by_the_log(
    drawn: Sale, typed: Operator
) -> None:
    async def exchange(ledger: Any) -> None:
        state = f"q:{{{drawn.event}}}:state"
        await ledger.redis.hset(state, mapping={"draw_seed": "00" * 32, "draw_hash": OTHER})

    drawn.ask(exchange)
    open_draw(drawn, typed)
    ran = typed("draw", "verify", drawn.event, "--json")
    assert ran.code == 1
    assert "the operator log noted" in ran.error["mistakes"][0]


def place(sale: Sale, typed: Operator, **changes: Any) -> str:
    ring = typed.folder / "keys"
    if not ring.exists():
        assert typed("keys", "new").code == 0
    fields: dict[str, Any] = {
        "event": EventId(sale.event),
        "position": Position(7),
        "generation": sale.snapshot().generation,
        # Long over: what counts is who signed it.
        "issued_at": int(time.time()) - 7200,
        "expires_at": int(time.time()) - 3600,
    }
    claims = QueueClaims(issuer="admission-gateway", visitor="visitor", **{**fields, **changes})
    return Signer(KeyRing(ring)).sign_queue(claims)


def test_a_token_says_whose_turn_it_is_with_its_head_start(drawn: Sale, typed: Operator) -> None:
    open_draw(drawn, typed)
    plain = verified(drawn, typed, "--token", place(drawn, typed))
    assert (plain["position"], plain["head_start"]) == (7, 0)
    ahead = typed(
        "draw", "verify", drawn.event, "--token", "-", "--json",
        stdin=place(drawn, typed, head_start=2) + "\n",
    )  # fmt: skip
    assert (ahead.document["head_start"], ahead.document["turn"]) == (2, max(1, plain["turn"] - 2))


def test_a_token_of_another_queue_or_another_maker_proves_nothing(
    drawn: Sale, typed: Operator
) -> None:
    open_draw(drawn, typed)
    token = place(drawn, typed)
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
    other = place(drawn, typed, event=EventId("another"))
    older = place(drawn, typed, generation=Generation(1))
    for refused, why in ((forged, "not genuine"), (other, "'another'"), (older, "generation 1")):
        ran = typed("draw", "verify", drawn.event, "--token", refused)
        assert ran.code == 4, ran
        assert why in ran.err


def test_a_saved_document_is_checked_without_a_ledger(
    drawn: Sale, typed: Operator, tmp_path: Path
) -> None:
    told = open_draw(drawn, typed)
    document = {"event": "sale", "generation": drawn.snapshot().generation, "draw": told}
    stranger = Operator(tmp_path)
    saved = tmp_path / "sale.json"
    saved.write_text(json.dumps(document))
    ran = stranger("draw", "verify", "sale", "--document", saved, "--position", 3, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["turn"] == verified(drawn, typed, "--position", 3)["turn"]
    assert ran.document["has_come"] is None
    assert not (tmp_path / "gateway-data").exists(), "no ledger was started for it"

    document["draw"] = {**told, "seed": "11" * 32}
    wrong = stranger(
        "draw", "verify", "sale", "--document", "-", "--position", 3, stdin=json.dumps(document)
    )
    assert wrong.code == 1
    assert "SHA-256 differs" in wrong.err
    assert stranger("draw", "verify", "other", "--document", saved).code == 2


def test_what_does_not_fit_together_is_wrong_usage(typed: Operator, sale: Sale) -> None:
    for words in (
        ("--turn", 5),
        ("--position", 1, "--token", "x"),
        ("--token", "-", "--document", "-"),
        ("--commitment", "5f0c"),
        ("--position", 0),
    ):
        assert typed("draw", "verify", sale.event, *words).code == 2
    without = typed("draw", "verify", sale.event)
    assert without.code == 4
    assert "has no draw" in without.err


def test_a_reset_promises_anew(drawn: Sale, typed: Operator) -> None:
    first = open_draw(drawn, typed)["commitment"]
    assert typed("event", "reset", drawn.event, "--yes").code == 0
    sale = drawn
    sale.join(3)
    assert open_draw(sale, typed)["commitment"] != first
    found = verified(sale, typed)
    assert (found["count"], found["noted_commitment"]) == (3, found["commitment"])
