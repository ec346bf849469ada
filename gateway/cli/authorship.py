"""Who does an act: the options that every command has which changes something."""

import getpass
import os
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from gateway.domain.operator_log import LONGEST_NAME, UNNAMED, Author
from gateway.errors import BadInput


def signed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--by` and `--reason`; the command takes them as `author`, for the operator log."""

    @click.option(
        "--by",
        "signed_by",  # `gateway release` has a `by` of its own
        envvar="GATEWAY_OPERATOR",
        show_envvar=True,
        metavar="NAME",
        help="Who does this, for the operator log; else the user of this system.",
    )
    @click.option("--reason", default="", metavar="TEXT", help="Why, for the operator log.")
    @wraps(function)
    def command(*args: Any, signed_by: str | None, reason: str, **options: Any) -> Any:
        name = system_user() if signed_by is None else signed_by
        return function(*args, author=Author.of(name, reason), **options)

    return command


def system_user() -> str:
    """Return the name of the user that this process runs as, fit for the log."""
    try:
        return Author.of(getpass.getuser()[:LONGEST_NAME]).name
    except (OSError, KeyError):
        # A container may run as a number that no user has.
        return f"uid {os.getuid()}"
    except BadInput:
        return UNNAMED.name
