"""The flags of the commands that set an event's policy: one for each rule."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from gateway.operating.policies import RULES, Rule

F = TypeVar("F", bound=Callable[..., Any])


class _Written(click.ParamType[int]):
    """A flag's value, read by its rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.name = rule.name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | bool:
        try:
            return self.rule.value_of(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


def policy_flags(*, creating: bool) -> Callable[[F], F]:
    """Add one flag for each rule; a command takes what was given as `**given`."""

    def add(function: F) -> F:
        for rule in reversed(RULES):
            if rule.at_creation and not creating:
                continue
            function = _flag(rule)(function)
        return function

    return add


def _flag(rule: Rule) -> Callable[[F], F]:
    if rule.is_switch:
        name = rule.name.replace("_", "-")
        return click.option(f"--{name}/--no-{name}", rule.name, default=None, help=rule.help)
    return click.option(
        rule.flag, rule.name, type=_Written(rule), metavar=rule.metavar, help=rule.help
    )
