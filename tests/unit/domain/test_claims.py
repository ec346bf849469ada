"""Claims of a verified token: a good signature does not make a payload well formed."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.claims import (
    LEEWAY_S,
    PassClaims,
    QueueClaims,
    check_issued,
    check_not_expired,
)
from gateway.domain.positions import MAX_POSITION, EventId, Generation, Position
from gateway.errors import TokenFault, TokenRejected

Parse = Callable[[dict[str, Any]], QueueClaims | PassClaims]

THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
QUEUE: dict[str, Any] = {
    "iss": "admission-gateway",
    "aud": "summer-sale",
    "sub": "v" * 22,
    "pos": 7,
    "gen": 3,
    "iat": 1_000,
    "exp": 2_000,
    "clk": 55,
    "adv": 4,
    "cnf": {"jkt": THUMBPRINT},
}
PASS: dict[str, Any] = {name: QUEUE[name] for name in QUEUE if name not in {"clk", "adv"}}
NAN = float("nan")

both_kinds = pytest.mark.parametrize(
    ("parse", "payload"),
    [(QueueClaims.parse, QUEUE), (PassClaims.parse, PASS)],
    ids=["queue", "pass"],
)


def place(issued_at: int = 1_000, expires_at: int = 2_000) -> QueueClaims:
    return QueueClaims.parse({**QUEUE, "iat": issued_at, "exp": expires_at})


def fault_of(parse: Parse, payload: dict[str, Any]) -> TokenFault:
    with pytest.raises(TokenRejected) as rejection:
        parse(payload)
    return rejection.value.fault


def test_a_queue_token_says_all_of_this() -> None:
    assert QueueClaims.parse(QUEUE) == QueueClaims(
        issuer="admission-gateway",
        event=EventId("summer-sale"),
        visitor="v" * 22,
        position=Position(7),
        generation=Generation(3),
        issued_at=1_000,
        expires_at=2_000,
        joined_active_ms=55,
        head_start=4,
        key_thumbprint=THUMBPRINT,
    )


def test_a_pass_says_all_of_this() -> None:
    assert PassClaims.parse(PASS) == PassClaims(
        issuer="admission-gateway",
        event=EventId("summer-sale"),
        visitor="v" * 22,
        position=Position(7),
        generation=Generation(3),
        issued_at=1_000,
        expires_at=2_000,
        key_thumbprint=THUMBPRINT,
    )


def test_what_is_written_is_read_back() -> None:
    queue, held = QueueClaims.parse(QUEUE), PassClaims.parse(PASS)
    assert queue.to_payload() == QUEUE
    assert held.to_payload() == PASS
    bare = {name: QUEUE[name] for name in QUEUE if name not in {"clk", "adv", "cnf"}}
    assert QueueClaims.parse(bare).to_payload() == {**bare, "clk": 0}
    assert PassClaims.parse(bare).to_payload() == bare


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "pos", "gen", "iat", "exp"])
@both_kinds
def test_a_missing_claim_is_refused(parse: Parse, payload: dict[str, Any], name: str) -> None:
    rest = {key: value for key, value in payload.items() if key != name}
    assert fault_of(parse, rest) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize("name", ["nbf", "jti", "ep", "evt", "admin", "", "POS", "pos "])
@both_kinds
def test_an_unknown_claim_is_refused(parse: Parse, payload: dict[str, Any], name: str) -> None:
    assert fault_of(parse, {**payload, name: 1}) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize("name", ["clk", "adv"])
def test_a_pass_carries_nothing_that_only_a_queue_token_does(name: str) -> None:
    assert fault_of(PassClaims.parse, {**PASS, name: 1}) is TokenFault.BAD_CLAIMS


NO_INTEGERS = [
    True,
    False,
    None,
    "7",
    "",
    " 7 ",
    "\u0667",  # an Arabic seven
    7.0,
    0.5,
    NAN,
    float("inf"),
    [7],
    {},
    {"a": 7},
]


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
@pytest.mark.parametrize("name", ["pos", "gen", "iat", "exp"])
@both_kinds
def test_a_number_is_an_integer_and_nothing_that_looks_like_one(
    parse: Parse, payload: dict[str, Any], name: str, value: object
) -> None:
    assert fault_of(parse, {**payload, name: value}) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize("value", NO_INTEGERS, ids=repr)
@pytest.mark.parametrize("name", ["clk", "adv"])
def test_the_optional_numbers_are_as_strict(name: str, value: object) -> None:
    assert fault_of(QueueClaims.parse, {**QUEUE, name: value}) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pos", 0),
        ("pos", -1),
        ("pos", MAX_POSITION + 1),
        ("pos", 10**30),
        ("gen", 0),
        ("gen", -1),
        ("gen", MAX_POSITION + 1),
        ("iat", -1),
        ("iat", MAX_POSITION + 1),
        ("exp", -1),
        ("exp", 10**18),
    ],
)
@both_kinds
def test_a_number_out_of_range_is_refused(
    parse: Parse, payload: dict[str, Any], name: str, value: int
) -> None:
    assert fault_of(parse, {**payload, name: value}) is TokenFault.BAD_CLAIMS


@pytest.mark.parametrize(("name", "value"), [("clk", -1), ("adv", -1), ("adv", MAX_POSITION + 1)])
def test_an_optional_number_out_of_range_is_refused(name: str, value: int) -> None:
    assert fault_of(QueueClaims.parse, {**QUEUE, name: value}) is TokenFault.BAD_CLAIMS


@both_kinds
def test_the_first_and_the_highest_position_are_good(parse: Parse, payload: dict[str, Any]) -> None:
    for position in (1, MAX_POSITION):
        assert parse({**payload, "pos": position}).position == position


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("iss", ""),
        ("iss", "i" * 257),
        ("iss", None),
        ("iss", 1),
        ("iss", ["admission-gateway"]),
        ("iss", b"admission-gateway"),
        ("sub", ""),
        ("sub", "s" * 65),
        ("sub", 7),
        ("sub", None),
        ("aud", ""),
        ("aud", ["summer-sale"]),
        ("aud", ["summer-sale", "other"]),
        ("aud", "Summer-Sale"),
        ("aud", "summer sale"),
        ("aud", "summer-sale\n"),
        ("aud", "*"),
        ("aud", "a" * 64),
        ("aud", 7),
        ("aud", None),
        ("cnf", None),
        ("cnf", THUMBPRINT),
        ("cnf", []),
        ("cnf", {}),
        ("cnf", {"jkt": ""}),
        ("cnf", {"jkt": THUMBPRINT[:-1]}),
        ("cnf", {"jkt": THUMBPRINT + "A"}),
        ("cnf", {"jkt": None}),
        ("cnf", {"jkt": [THUMBPRINT]}),
        ("cnf", {"jkt": THUMBPRINT, "jwk": {}}),
        ("cnf", {"jwk": {}}),
    ],
)
@both_kinds
def test_a_text_of_the_wrong_kind_or_length_is_refused(
    parse: Parse, payload: dict[str, Any], name: str, value: object
) -> None:
    assert fault_of(parse, {**payload, name: value}) is TokenFault.BAD_CLAIMS


def test_a_rejection_quotes_nothing_of_the_payload() -> None:
    with pytest.raises(TokenRejected) as rejection:
        QueueClaims.parse({**QUEUE, "sub": "personal data" * 9})
    assert str(rejection.value) == "bad-claims"


def test_a_token_from_just_within_the_leeway_is_good_and_one_second_more_is_not() -> None:
    token = place(issued_at=1_000)
    check_issued(token, now_s=1_000 - LEEWAY_S)
    check_issued(token, now_s=1_000 - LEEWAY_S + 1)
    with pytest.raises(TokenRejected) as rejection:
        check_issued(token, now_s=1_000 - LEEWAY_S - 1)
    assert rejection.value.fault is TokenFault.NOT_YET_VALID


@pytest.mark.parametrize("expires_at", [0, 999, 1_000])
def test_a_token_that_ends_before_it_begins_is_refused(expires_at: int) -> None:
    with pytest.raises(TokenRejected) as rejection:
        check_issued(place(issued_at=1_000, expires_at=expires_at), now_s=1_000)
    assert rejection.value.fault is TokenFault.BAD_CLAIMS


def test_a_token_is_good_before_its_end_and_not_at_it() -> None:
    token = place(expires_at=2_000)
    check_not_expired(token, 1_999)
    check_not_expired(token, 1_999.999)
    for now_s in (2_000, 2_000.001, 2_001, 10**12):
        with pytest.raises(TokenRejected) as rejection:
            check_not_expired(token, now_s)
        assert rejection.value.fault is TokenFault.EXPIRED


def test_the_grace_of_a_refresh_ends_as_sharply() -> None:
    token = place(expires_at=2_000)
    check_not_expired(token, 2_099, grace_s=100)
    for now_s in (2_100, 2_101):
        with pytest.raises(TokenRejected):
            check_not_expired(token, now_s, grace_s=100)
