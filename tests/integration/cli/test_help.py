"""Help, completion and the manners of the command line."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gateway.cli.root import gateway
from tests.support.command_line import Operator, Sale, clean_environment


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if path:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))


ALL = dict(commands(gateway))


def test_every_command_of_the_manual_is_there() -> None:
    assert {" ".join(path) for path in ALL} == {
        "run", "demo", "plan", "release", "status", "watch", "report", "recover", "completion",
        "event", "event create", "event list", "event show", "event set", "event apply",
        "event open", "event pause", "event resume", "event message", "event close", "event bypass",
        "event reset", "event delete", "log", "doctor", "draw", "draw verify",
        "session", "session show", "session extend", "session end",
        "keys", "keys new", "keys list", "keys activate", "keys retire", "keys remove",
        "operator", "operator add", "operator list", "operator remove",
        "keys export", "token", "token inspect", "config", "config check",
        "config envoy", "config haproxy", "config nginx", "config sync",
    }  # fmt: skip


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    command = ALL[path]
    text = command.get_help(click.Context(command, info_name=f"gateway {' '.join(path)}"))

    assert command.help
    if not isinstance(command, click.Group):
        assert "--json" in text
        assert f"gateway {' '.join(path)}" in (command.epilog or "") + (command.help or "")
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, gateway.cli.root as root; root.run_command_line(['--help']);"
        "print([m for m in ('redis', 'aiohttp', 'uvicorn', 'cryptography', 'asyncio', 'msgspec')"
        " if m in sys.modules])"
    )

    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )

    assert ran.stdout.splitlines()[-1] == "[]"
    assert "Exit codes:" in ran.stdout


def test_the_version_is_told(operator: Operator) -> None:
    assert operator("--version").out.startswith("gateway ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_the_command(operator: Operator, shell: str) -> None:
    script = operator("completion", shell)

    assert script.code == 0
    assert f"_GATEWAY_COMPLETE={shell}_complete" in script.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.out, text=True, timeout=30, check=True)


def test_completion_knows_the_commands(operator: Operator) -> None:
    def complete(line: str) -> set[str]:
        words = line.split(" ")
        env = {
            "_GATEWAY_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        return {entry.partition(",")[2] for entry in operator(env=env).out.split()}

    assert {"release", "run"} <= complete("gateway r")
    assert complete("gateway event pa") == {"pause"}
    assert "--max-sessions" in complete("gateway event set sale --max")


def test_an_unknown_shell_command_or_flag_is_wrong_usage(operator: Operator) -> None:
    for words in (("completion", "tcsh"), ("nonsense",), ("status", "--nonsense"), ("event", "x")):
        plain, as_json = operator(*words), operator(*words, "--json")
        assert (plain.code, as_json.code) == (2, 2)
        assert plain.err.startswith("gateway: ")
        assert as_json.error["code"] == "usage"
        assert plain.out == as_json.out == ""


def test_json_may_stand_before_or_behind_the_command(operator: Operator, sale: Sale) -> None:
    before = operator("--json", "status", sale.event)
    behind = operator("status", sale.event, "--json")

    assert before.document["event"] == behind.document["event"] == sale.event


def test_colour_is_for_terminals_alone(operator: Operator, sale: Sale) -> None:
    assert "\x1b" not in operator("status").out

    def at_a_terminal(*flags: str, **env: str) -> bytes:
        ours, terminal = pty.openpty()
        try:
            subprocess.run(
                [sys.executable, "-m", "gateway", *flags, "status", sale.event],
                cwd=operator.folder,
                env=clean_environment({"TERM": "xterm", **env}),
                stdout=terminal,
                timeout=30,
                check=True,
            )
            return os.read(ours, 65_536)
        finally:
            os.close(ours)
            os.close(terminal)

    assert b"\x1b" in at_a_terminal()
    assert b"\x1b" not in at_a_terminal("--no-color")
    assert b"\x1b" not in at_a_terminal(NO_COLOR="1")
    assert b"\x1b" not in at_a_terminal(TERM="dumb")


def test_a_reader_that_has_seen_enough_is_no_error(operator: Operator, sale: Sale) -> None:
    ran = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m gateway status --json | true"],
        cwd=operator.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ran.stderr == ""


def test_a_json_answer_is_one_document(operator: Operator, sale: Sale) -> None:
    for words in (("status",), ("event", "list"), ("config", "check"), ("keys", "list")):
        json.loads(operator(*words, "--json").out)
