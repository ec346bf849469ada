"""`gateway token inspect`: genuine, expired, forged, foreign."""

import time
from pathlib import Path

import pytest

from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.positions import EventId, Generation, Position
from gateway.tokens.codec import Signer
from gateway.tokens.keyring import KeyRing, new_key
from tests.support.command_line import Operator, Typist

ISSUER = "admission-gateway"


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    (tmp_path / "gateway.toml").write_text('[keys]\ndir = "ring"\n')
    return Typist(tmp_path)


def sign(folder: Path, *, age_s: int = 0, life_s: int = 3600, issuer: str = ISSUER) -> str:
    if not folder.exists():
        new_key(folder, now_s=time.time())
    now = int(time.time()) - age_s
    claims = QueueClaims(
        issuer,
        EventId("sale"),
        "visitor",
        Position(7),
        Generation(3),
        now,
        now + life_s,
        joined_active_ms=65_000,
    )
    return Signer(KeyRing(folder)).sign_queue(claims)


def test_a_genuine_token_is_said_to_be_so(operator: Operator) -> None:
    token = sign(operator.folder / "ring")

    shown = operator("token", "inspect", token, "--json")

    assert shown.code == 0
    document = shown.document
    assert (document["kind"], document["genuine"], document["accepted"]) == (
        "queue token",
        True,
        True,
    )
    assert document["fault"] is None
    assert document["header"]["alg"] == "ES256"
    assert (document["claims"]["pos"], document["claims"]["aud"]) == (7, "sale")
    assert 3500 < document["expires_in_s"] <= 3600
    for text in (
        operator("token", "inspect", stdin=token),
        operator("token", "inspect", "-", stdin=f"{token}\n"),
    ):
        assert text.code == 0
        assert "Queue token. Genuine." in text.out
        assert "position (pos)" in text.out
        assert "1 min 5 s" in text.out
        assert "(in 59 min" in text.out


def test_a_pass_is_told_apart(operator: Operator) -> None:
    ring = operator.folder / "ring"
    new_key(ring, now_s=time.time())
    now = int(time.time())
    claims = PassClaims(ISSUER, EventId("sale"), "v", Position(1), Generation(1), now, now + 600)

    shown = operator("token", "inspect", Signer(KeyRing(ring)).sign_pass(claims))

    assert "Pass. Genuine." in shown.out


def test_an_expired_token_is_genuine_and_not_accepted(operator: Operator) -> None:
    token = sign(operator.folder / "ring", age_s=7200)

    shown = operator("token", "inspect", token, "--json")

    assert shown.code == 1
    document = shown.document
    assert (document["genuine"], document["accepted"]) == (True, False)
    assert document["fault"] == "expired"
    assert document["expires_in_s"] <= -3600
    assert "error" in shown.err
    assert "(1 h ago)" in operator("token", "inspect", token).out


def test_a_forged_token_is_not_genuine(operator: Operator, tmp_path: Path) -> None:
    token = sign(operator.folder / "ring")
    header, payload, signature = token.split(".")
    other = sign(operator.folder / "ring", life_s=99).split(".")[2]
    stranger = sign(tmp_path / "other-ring")
    foreign = sign(operator.folder / "ring", issuer="somebody-else")
    cases = {
        f"{header}.{payload}.{other}": "bad-signature",
        stranger: "unknown-key",
        foreign: "wrong-issuer",
        f"{header}.{payload}.{signature[:-4]}": "malformed",
    }

    for forged, fault in cases.items():
        shown = operator("token", "inspect", forged, "--json")
        assert (shown.code, shown.document["fault"]) == (1, fault)
        assert shown.document["genuine"] is False
        assert shown.document["claims"]["pos"] == 7
        assert forged not in shown.err


def test_without_a_key_nothing_is_claimed(operator: Operator, tmp_path: Path) -> None:
    token = sign(tmp_path / "other-ring")

    shown = operator("token", "inspect", token, "--json")

    assert shown.code == 0
    assert (shown.document["genuine"], shown.document["accepted"]) == (None, None)
    assert "Not checked" in operator("token", "inspect", token).out


def test_public_keys_are_enough(operator: Operator, tmp_path: Path) -> None:
    token = sign(operator.folder / "ring")
    (tmp_path / "jwks.json").write_text(operator("keys", "export").out)
    (tmp_path / "edge.toml").write_text('[keys]\njwks = "jwks.json"\n')

    shown = operator("--config", "edge.toml", "token", "inspect", token, "--json")

    assert (shown.code, shown.document["genuine"]) == (0, True)


@pytest.mark.parametrize("text", ["", "nonsense", "a.b", "a.b.c", "!.!.!", "e30.W10.x"])
def test_what_is_no_token_is_wrong_usage(operator: Operator, text: str) -> None:
    shown = operator("token", "inspect", stdin=text)

    assert (shown.code, shown.out) == (2, "")


def test_nothing_in_a_token_reaches_the_terminal_raw(operator: Operator) -> None:
    # {"typ": "\x1b[2J"} and {"a\x1b": "\x1b]0;x"}, as a stranger might send them.
    token = "eyJ0eXAiOiJcdTAwMWJbMkoifQ.eyJhXHUwMDFiIjoiXHUwMDFiXTA7eCJ9." + "A" * 86

    shown = operator("token", "inspect", token)

    assert "\x1b" not in shown.out + shown.err
    assert "\x1b" not in operator("token", "inspect", token, "--json").out
