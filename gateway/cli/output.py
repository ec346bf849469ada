"""How answers, notes and questions reach the operator: data on stdout, everything else on stderr."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from gateway.cli.exits import Refused, Report
from gateway.cli.session import Session


def answer(session: Session, document: Mapping[str, Any], text: str) -> None:
    """Print the result: one JSON document for programs, or the same in words."""
    if session.json:
        click.echo(to_json(document))
    elif text:
        click.echo(text)


def note(session: Session, text: str) -> None:
    """Tell people something that is not the result; programs are spared it."""
    if not session.json:
        click.echo(text, err=True)


def to_json(document: Mapping[str, Any], *, one_line: bool = False) -> str:
    return json.dumps(document, indent=None if one_line else 2, ensure_ascii=False)


def show_error(report: Report, *, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(report.document()), err=True)
        return
    click.echo(f"gateway: {report.message}", err=True)
    for mistake in report.mistakes:
        click.echo(f"  {mistake}", err=True)


def require_consent(question: str, *, given: bool) -> None:
    """Ask the operator at a terminal; elsewhere `--yes` must have been given.

    Raises:
        Refused: There is no consent. Nothing was changed.
    """
    if given:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Add --yes to say so; nothing was changed.")
    if not click.confirm(question, err=True):
        raise Refused("Not confirmed; nothing was changed.")


def require_name(question: str, name: str, *, given: bool) -> None:
    """Ask for a name to be typed, for what cannot be taken back; elsewhere `--yes` must have been given.

    Raises:
        Refused: There is no consent. Nothing was changed.
    """
    if given:
        return
    if not sys.stdin.isatty():
        raise Refused(f"{question} Add --yes to say so; nothing was changed.")
    typed: str = click.prompt(f"{question} Type its name", err=True, default="", show_default=False)
    if typed != name:
        raise Refused("Not confirmed; nothing was changed.")


def wants_color(no_color: bool) -> bool | None:
    """Return False for no colour, None to let the terminal decide (https://no-color.org)."""
    if no_color or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return None
