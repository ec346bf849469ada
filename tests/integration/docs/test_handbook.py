"""The handbook is read in a hurry: every command, alert, metric, problem and log message in it must exist.

What the handbook is held to is read from the program itself: click knows the commands, the modules hold
the messages, `monitoring/alerts.yml` the alerts.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.problems import Problem
from gateway.cli.root import gateway
from gateway.domain.admission import ProblemType
from gateway.wiring import open_gate
from tests.support.gateways import Tables, event_table, write_settings
from tests.support.minting import Mint

ROOT = Path(__file__).parents[3]
PAGES = (ROOT / "docs" / "handbook.md", ROOT / "docs" / "drills.md")

_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_ALERT = re.compile(r"^[A-Z][a-z]+(?:[A-Z][a-z]+)+$")
_METRIC = re.compile(r"\bgateway_[a-z_]+\b")
_LOGGED = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def commands_in(text: str) -> list[str]:
    """Return the lines of `console` blocks, and of code in sentences, that call the gateway."""
    lines = [
        line.removeprefix("$ ")
        for block in _BLOCK.findall(text)
        for line in re.sub(r"\\\n\s*", "", block).splitlines()
        if line.startswith("$ ")
    ]
    spoken = [code for code in _CODE.findall(_BLOCK.sub("", text)) if code.startswith("gateway ")]
    calls = [call for line in lines for call in _calls(line)]
    return [*calls, *spoken]


def _calls(line: str) -> Iterator[str]:
    """Return each call of the gateway in a line of a shell."""
    for part in re.split(r"\s\|\s|&&|;\s|\$\(", line):
        words = part.strip().removesuffix(")")
        if words.startswith("gateway "):
            yield words


def mistakes_of(call: str) -> list[str]:
    """Say what of a call the command line does not know."""
    words = shlex.split(call, comments=True)[1:]
    command: click.Command = gateway
    context = click.Context(gateway, info_name="gateway")
    names: set[str] = set()
    while words:
        word = words.pop(0)
        if word.startswith(">") or word in {"2>", "<"}:
            break
        if word.startswith("-") and word != "-":
            option = _option(command, word.partition("=")[0])
            if option is None:
                return [f"{call!r}: {context.command_path} has no option {word}"]
            for _ in range(0 if option.is_flag or "=" in word else option.nargs):
                words.pop(0)
            continue
        names.add(word)
        if isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return [f"{call!r}: {context.command_path} has no command {word}"]
            context = click.Context(found, info_name=word, parent=context)
            command = found
    return []


def _option(command: click.Command, flag: str) -> click.Option | None:
    for parameter in command.get_params(click.Context(command)):
        if isinstance(parameter, click.Option) and flag in (
            *parameter.opts,
            *parameter.secondary_opts,
        ):
            return parameter
    return None


@cache
def alerts() -> frozenset[str]:
    rules = (ROOT / "monitoring" / "alerts.yml").read_text()
    return frozenset(re.findall(r"- alert: (\w+)", rules))


@cache
def messages() -> frozenset[str]:
    """Return every text that some module hands to a logger."""
    found: set[str] = set()
    for path in (ROOT / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in _LOGGED
            ):
                found |= {
                    argument.value
                    for argument in node.args[:2]  # `log` is given the level first
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
                }
    return frozenset(found)


@pytest.fixture
def metrics(tmp_path: Path) -> set[str]:
    """Return the names that a gateway with one event shows, as queries write them."""
    mint = Mint(tmp_path / "keys")
    tables: Tables = {"keys": {"dir": str(mint.folder)}, "events.sale": event_table("sale.example")}
    opened = open_gate(write_settings(tmp_path / "gateway.toml", tables), own_embedded=False)
    families = text_string_to_metric_families(opened.metrics.exposition().decode())
    shown = {
        f"{family.name}_total" if family.type == "counter" else family.name for family in families
    }
    rules = (ROOT / "monitoring" / "alerts.yml").read_text()
    # Those of an event are shown once it was read; the alert rules are tested to name them rightly.
    return shown | set(_METRIC.findall(rules))


@pytest.fixture(params=PAGES, ids=lambda page: page.name)
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param.read_text())


def test_every_command_and_option_exists(text: str) -> None:
    calls = commands_in(text)
    assert calls
    assert [mistake for call in calls for mistake in mistakes_of(call)] == []


def test_every_option_that_is_named_alone_exists(text: str) -> None:
    named = {
        word.partition("=")[0]
        for code in _CODE.findall(_BLOCK.sub("", text))
        if code.startswith("--")
        for word in code.split()
        if word.startswith("--")
    }
    assert named - set(_all_options(gateway)) == set()


def _all_options(command: click.Command) -> Iterator[str]:
    context = click.Context(command)
    for parameter in command.get_params(context):
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _all_options(found)


def test_every_alert_exists(text: str) -> None:
    named = {code for code in _CODE.findall(text) if _ALERT.match(code)}
    assert named - alerts() == set()


def test_every_alert_is_explained() -> None:
    handbook = (ROOT / "docs" / "handbook.md").read_text()
    assert {alert for alert in alerts() if f"`{alert}`" not in handbook} == set()


def test_every_metric_exists(text: str, metrics: set[str]) -> None:
    assert set(_METRIC.findall(text)) - metrics == set()


def test_every_log_message_exists(text: str) -> None:
    # The handbook writes each as: log: `message`.
    named = set(re.findall(r"[Ll]og: `([^`]+)`", " ".join(text.split())))
    patterns = [_pattern(message) for message in messages()]
    assert [name for name in named if not any(p.fullmatch(name) for p in patterns)] == []


def test_every_problem_exists() -> None:
    # A problem is written with its status before it: 429 `not-yet`.
    text = " ".join("".join(page.read_text() for page in PAGES).split())
    named = set(re.findall(r"\b[45][0-9][0-9] `([a-z-]+)`", text))
    known = {problem.value for problem in ProblemType} | {one.value[0] for one in Problem}
    assert named
    assert named - known == set()


def test_every_link_leads_somewhere(text: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#?([^)]*)\)", text):
        page = text if target == "" else (ROOT / "docs" / target).read_text()
        headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
        assert anchor == "" or anchor in {_anchor(heading) for heading in headings}


def _anchor(heading: str) -> str:
    """Return the name that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _pattern(message: str) -> re.Pattern[str]:
    """Match what a message becomes: `%d` is some number."""
    parts = re.split(r"%[a-z.0-9]+", message)
    return re.compile(".+".join(re.escape(part) for part in parts))


@pytest.mark.parametrize(
    "call",
    [
        "gateway releases sale 5",
        "gateway release sale 5 --at-once",
        "gateway event stop sale",
        "gateway event pause sale --text hello",
    ],
)
def test_a_call_that_does_not_exist_is_found(call: str) -> None:
    assert mistakes_of(call) != []


def test_what_surrounds_a_call_is_left_out() -> None:
    text = "```console\n$ KEY=$(gateway --json operator add a --role view) && gateway status\nout\n```\n"
    assert commands_in(text) == ["gateway --json operator add a --role view", "gateway status"]
    assert [mistakes_of(call) for call in commands_in(text)] == [[], []]


def test_a_call_over_two_lines_and_one_in_a_sentence_are_found() -> None:
    text = "See `gateway watch sale`.\n```console\n$ gateway status \\\n    --bad\n```\n"
    assert commands_in(text) == ["gateway status --bad", "gateway watch sale"]
    assert [len(mistakes_of(call)) for call in commands_in(text)] == [1, 0]
