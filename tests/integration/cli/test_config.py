"""`gateway config check`: every mistake, what is in force, and no secret."""

from pathlib import Path

import pytest

from tests.support.command_line import Operator, Typist


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Typist(tmp_path)


def test_every_mistake_is_named_at_once(operator: Operator) -> None:
    operator.config.write_text(
        '[server]\nport = 99999\nworkers = "two"\nspeed = 1\nscheme = "gopher"\n'
        '[nonsense]\n[ledger]\nurl = "http://x"\n'
    )

    checked = operator("config", "check", env={"GATEWAY_PROXY__SPEED": "1"})

    assert checked.code == 1
    assert checked.out == ""
    for word in ("port", "workers", "speed", "[nonsense]", "GATEWAY_PROXY__SPEED"):
        assert word in checked.err
    document = operator("config", "check", "--json")
    assert document.error["code"] == "settings-invalid"
    assert len(document.error["mistakes"]) >= 4


def test_mistakes_in_the_values_are_named_together(operator: Operator) -> None:
    operator.config.write_text(
        'log_level = "loud"\n[server]\nscheme = "gopher"\ntrusted_proxies = ["everyone"]\n'
        '[ledger]\nurl = "http://x"\n[proxy]\nbackend = "ftp://x"\n'
        '[events.a]\nhosts = []\nopen = ["get /x"]\n'
    )

    mistakes = operator("config", "check", "--json").error["mistakes"]

    assert len(mistakes) == 7


def test_files_that_the_settings_name_are_opened(operator: Operator) -> None:
    operator.config.write_text(
        '[keys]\njwks = "none.json"\nvoucher_jwks = "neither.json"\nsub_secret = "nor.this"\n'
    )

    assert len(operator("config", "check", "--json").error["mistakes"]) == 3


def test_a_brand_is_tried(operator: Operator) -> None:
    operator.config.write_text('[page]\nbrand = "look"\n')
    (operator.folder / "look").mkdir()
    page = operator.folder / "look" / "base.html"
    page.write_text('{% extends "built-in/base.html" %}{% block header %}{{ nmae }}{% endblock %}')

    mistakes = operator("config", "check", "--json").error["mistakes"]
    assert [mistake.split(":")[0] for mistake in mistakes] == ["[page] brand"] * 2
    assert all("nmae" in mistake for mistake in mistakes)

    page.write_text('{% extends "built-in/base.html" %}')
    assert "brand  look" in operator("config", "check").out


@pytest.mark.parametrize("content", ["not toml", "\xff\xfe", "[server]\nport = 1\n[server]\n"])
def test_what_is_no_settings_file_is_a_mistake(operator: Operator, content: str) -> None:
    operator.config.write_bytes(content.encode("latin-1"))

    assert operator("config", "check").code == 1
    assert operator("status").code == 1


def test_a_file_that_is_not_there_is_a_mistake(operator: Operator) -> None:
    missing = operator("--config", "nowhere.toml", "config", "check")

    assert missing.code == 1
    assert "nowhere.toml" in missing.err


def test_what_is_in_force_is_shown_with_the_environment_over_the_file(operator: Operator) -> None:
    operator.config.write_text('[server]\nport = 7000\n[events.sale]\nhosts = ["shop.example"]\n')
    env = {"GATEWAY_SERVER__PORT": "9000", "GATEWAY_SERVER__TRUSTED_PROXIES": "10.0.0.0/8,::1"}

    shown = operator("config", "check", "--json", env=env)

    assert shown.code == 0
    document = shown.document
    assert document["config"] == str(operator.config)
    assert document["environment"] == sorted(env)
    assert document["settings"]["server"]["port"] == 9000
    assert document["settings"]["server"]["trusted_proxies"] == ["10.0.0.0/8", "::1"]
    text = operator("config", "check", env=env)
    assert "The settings are sound" in text.out
    assert "shop.example" in text.out
    assert "gateway keys new" in text.err


def test_the_file_may_be_named_by_the_environment(operator: Operator) -> None:
    (operator.folder / "other.toml").write_text("[server]\nport = 7001\n")

    shown = operator("config", "check", "--json", env={"GATEWAY_CONFIG": "other.toml"})

    assert shown.document["settings"]["server"]["port"] == 7001
    assert shown.document["config"].endswith("other.toml")


def test_defaults_are_enough(operator: Operator) -> None:
    shown = operator("config", "check")

    assert shown.code == 0
    assert "no file, defaults" in shown.out
    assert "No event has hosts yet" in shown.out


PASSWORD = "hunter2-secret"
COMMANDS = (
    ("config", "check"),
    ("config", "check", "--json"),
    ("status",),
    ("release", "sale", "5", "--json"),
)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{PASSWORD}@127.0.0.1:1/0",
        f"rediss://ops:{PASSWORD}@127.0.0.1:1/0",
        f"redis://ops:a@{PASSWORD}@127.0.0.1:1/0",
        f"redis://127.0.0.1:1/0?password={PASSWORD}",
    ],
)
def test_a_password_is_never_printed(operator: Operator, url: str) -> None:
    operator.config.write_text(f'[ledger]\nurl = "{url}"\n')

    ran = [operator(*words) for words in COMMANDS]

    assert [command.code for command in ran] == [0, 0, 6, 6]
    assert "***" in ran[0].out
    assert all(PASSWORD not in command.out + command.err for command in ran)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:a/{PASSWORD}@127.0.0.1:1/0",
        f"redis://:a#{PASSWORD}@127.0.0.1:1/0",
        f"redis://127.0.0.1:{PASSWORD}/0",
    ],
)
def test_a_url_that_cannot_be_read_is_not_quoted(operator: Operator, url: str) -> None:
    operator.config.write_text(f'[ledger]\nurl = "{url}"\n')

    ran = [operator(*words) for words in COMMANDS]

    assert all(command.code != 0 for command in ran)
    assert all(PASSWORD not in command.out + command.err for command in ran)
