"""`gateway keys`: the life of a key, and the public half."""

import json
import stat
from pathlib import Path

import pytest

from gateway.tokens.jwks import parse_jwk_set
from tests.support.command_line import Operator, Typist


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    (tmp_path / "gateway.toml").write_text('[keys]\ndir = "ring"\n')
    return Typist(tmp_path)


def test_a_kid_that_begins_with_a_dash_is_no_option(operator: Operator) -> None:
    for command in ("activate", "retire", "remove"):
        for kid in ("-abcdefgh", "--jsonabc", "-hYq3_-x"):
            asked = operator("keys", command, kid, *(["--yes"] if command == "remove" else []))
            assert "no key" in asked.err.lower()


def test_a_key_is_made_activated_retired_and_removed(operator: Operator) -> None:
    assert operator("keys", "list", "--json").document["keys"] == []
    assert "Make one: gateway keys new" in operator("keys", "list").out
    first = operator("keys", "new", "--json").document
    second = operator("keys", "new", "--json").document
    assert (first["state"], second["state"]) == ("active", "next")

    activated = operator("keys", "activate", second["kid"][:8], "--json").document
    assert (activated["kid"], activated["state"]) == (second["kid"], "active")
    listed = operator("keys", "list", "--json").document
    assert listed["dir"].endswith("ring")
    assert {key["kid"]: key["state"] for key in listed["keys"]} == {
        first["kid"]: "retired",
        second["kid"]: "active",
    }
    text = operator("keys", "list").out
    assert first["kid"] in text
    assert "retired" in text

    third = operator("keys", "new", "--json").document
    assert operator("keys", "retire", third["kid"]).code == 0
    refused = operator("keys", "remove", first["kid"])
    assert refused.code == 4
    assert "--yes" in refused.err
    assert operator("keys", "remove", first["kid"], "--yes").code == 0
    assert {key["kid"] for key in operator("keys", "list", "--json").document["keys"]} == {
        second["kid"],
        third["kid"],
    }


def test_the_active_key_can_neither_be_retired_nor_removed(operator: Operator) -> None:
    kid = operator("keys", "new", "--json").document["kid"]

    for words in (("retire", kid), ("remove", kid, "--yes"), ("activate", "nosuchkey")):
        refused = operator("keys", *words, "--json")
        assert (refused.code, refused.error["code"]) == (4, "key-ring")
    assert operator("keys", "list", "--json").document["keys"][0]["state"] == "active"


def test_export_prints_public_keys_alone(operator: Operator) -> None:
    assert operator("keys", "export").code == 4
    kids = {operator("keys", "new", "--json").document["kid"] for _ in range(2)}

    exported = operator("keys", "export")

    assert parse_jwk_set(exported.out.strip().encode()).keys() == kids
    assert all("d" not in key for key in json.loads(exported.out)["keys"])


def test_private_keys_are_the_owners_alone_and_never_printed(operator: Operator) -> None:
    printed = operator("keys", "new").out + operator("keys", "list").out

    files = list((operator.folder / "ring").glob("*.pem"))
    assert len(files) == 1
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600
    secret = files[0].read_text().splitlines()[1]
    assert secret not in printed


def test_a_folder_that_anyone_may_write_is_refused(operator: Operator) -> None:
    operator("keys", "new")
    (operator.folder / "ring").chmod(0o777)

    refused = operator("keys", "list")

    assert refused.code == 4
    assert "chmod o-w" in refused.err
