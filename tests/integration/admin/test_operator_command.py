"""`gateway operator`: keys are shown once, kept hashed, and taken away."""

import hashlib
import json
import re
import time
from pathlib import Path

import pytest

from tests.support.admin import open_house
from tests.support.command_line import CONFIG, Operator, Ran, Typist
from tests.support.eventually import eventually


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    (tmp_path / "gateway.toml").write_text(CONFIG)
    return Typist(tmp_path)


def test_a_key_is_shown_once_and_only_its_hash_is_kept(operator: Operator) -> None:
    made = operator("operator", "add", "anna", "--role", "release", "--json")

    assert made.code == 0
    assert made.document.keys() == {"name", "role", "created", "expires", "key"}
    key = made.document["key"]
    assert re.fullmatch(r"gwop_[0-9a-f]{64}", key)
    file = operator.folder / "operators.json"
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert key not in text
    assert hashlib.sha256(key.encode()).hexdigest() in text
    listed = operator("operator", "list", "--json")
    assert key not in listed.out
    assert listed.document == {
        "file": file.name,
        "operators": [
            {
                "name": "anna",
                "role": "release",
                "created": made.document["created"],
                "expires": None,
            }
        ],
    }


def test_at_a_terminal_stdout_is_the_key_alone(operator: Operator) -> None:
    made = operator("operator", "add", "anna", "--role", "view", "--expires", "12h")

    assert re.fullmatch(r"gwop_[0-9a-f]{64}\n", made.out)
    assert "shown this once" in made.err
    assert "anna" in operator("operator", "list").out


def test_no_two_keys_are_alike(operator: Operator) -> None:
    keys = {operator("operator", "add", f"o{number}", "--role", "view").out for number in range(3)}
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("anna", "--role", "view"), 4, "gateway operator remove anna"),
        (("", "--role", "view"), 2, "1 to 48 characters"),
        (("a b", "--role", "view"), 2, "1 to 48 characters"),
        (("anna\u202e", "--role", "view"), 2, "1 to 48 characters"),
        (("x" * 49, "--role", "view"), 2, "1 to 48 characters"),
        (("bea",), 2, "--role"),
        (("bea", "--role", "root"), 2, "view"),
        (("bea", "--role", "view", "--expires", "2020-01-01T00:00Z"), 2, "has passed"),
        (("bea", "--role", "view", "--expires", "soon"), 2, "12h"),
    ],
)
def test_what_is_mistaken_changes_nothing_and_says_what_to_do(
    operator: Operator, words: tuple[str, ...], code: int, what: str
) -> None:
    operator("operator", "add", "anna", "--role", "admin")
    before = (operator.folder / "operators.json").read_bytes()

    ran = operator("operator", "add", *words, "--json")

    assert (ran.code, ran.out) == (code, "")
    assert what in ran.error["message"]
    assert (operator.folder / "operators.json").read_bytes() == before


def test_an_end_is_an_instant_or_a_length(operator: Operator) -> None:
    def end_of(written: str, name: str) -> int:
        words = ("operator", "add", name, "--role", "view", "--expires", written, "--json")
        return int(operator(*words).document["expires"])

    assert end_of("2999-12-31T20:00+01:00", "a") == 32503662000
    assert abs(end_of("12h", "b") - time.time() - 12 * 3600) < 60


def test_removing_asks_first_and_names_who_is_there(operator: Operator) -> None:
    operator("operator", "add", "anna", "--role", "admin")

    asked = operator("operator", "remove", "anna", "--json")
    assert asked.code == 4
    assert "--yes" in asked.error["message"]
    unknown = operator("operator", "remove", "bea", "--yes", "--json")
    assert unknown.code == 4
    assert "anna" in unknown.error["message"]

    assert operator("operator", "remove", "anna", "--yes").code == 0
    assert operator("operator", "list", "--json").document["operators"] == []
    assert "gateway operator add" in operator("operator", "list").out


@pytest.mark.parametrize("text", ["{", "[]", '{"operators": [{}]}', '{"operators": 1}', ""])
def test_a_damaged_file_is_named_and_never_written_over(operator: Operator, text: str) -> None:
    file = operator.folder / "operators.json"
    file.write_text(text)
    file.chmod(0o600)
    ran: list[Ran] = [
        operator("operator", "list", "--json"),
        operator("operator", "add", "anna", "--role", "view", "--json"),
        operator("operator", "remove", "anna", "--yes", "--json"),
    ]
    for each in ran:
        assert each.code == 1
        assert file.name in each.error["message"]
    assert file.read_text() == text


def test_the_file_is_where_the_settings_say(operator: Operator) -> None:
    operator.config.write_text(CONFIG + '[admin]\noperators = "private/ops.json"\n')

    assert operator("operator", "add", "anna", "--role", "view").code == 0

    held = json.loads((operator.folder / "private" / "ops.json").read_text())
    assert [entry["name"] for entry in held["operators"]] == ["anna"]


@pytest.mark.parametrize("host", ["*", "a b", "http://x.example", ""])
def test_a_host_that_is_none_is_a_mistake_of_the_settings(operator: Operator, host: str) -> None:
    operator.config.write_text(CONFIG + f'[admin]\nhosts = ["{host}"]\n')

    ran = operator("config", "check", "--json")

    assert ran.code != 0
    assert "[admin] hosts" in json.dumps(json.loads(ran.err))


def test_a_gateways_log_tells_changed_operators_from_changed_keys() -> None:
    with open_house(roles=False) as house:

        def said(message: str) -> bool:
            return any(line["message"] == message for line in house.log_lines())

        assert house.operator("operator", "add", "anna", "--role", "view").code == 0
        eventually(lambda: said("the operators have changed"))
        assert not said("the keys have changed")
        assert house.operator("keys", "new").code == 0
        eventually(lambda: said("the keys have changed"))
