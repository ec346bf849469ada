"""`gateway operator`: who may use the admin interface."""

import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.exits import Refused
from gateway.cli.output import answer, note, require_consent
from gateway.cli.rendering import table
from gateway.cli.session import Group, Session, pass_session
from gateway.errors import Conflict
from gateway.operating.durations import describe_moment, parse_duration, parse_moment
from gateway.operators.keys import Operator, Role


class End(click.ParamType[int]):
    """An instant, or a length of time from now, as Unix seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(time.time()) + parse_duration(value)
        except ValueError:
            pass
        try:
            return parse_moment(value)
        except ValueError as exc:
            self.fail(f"{exc}, or a length of time like 12h or 30d.", param, ctx)


@click.group(
    "operator",
    cls=Group,
    epilog="""\b
Examples:
  gateway operator add anna --role admin
  gateway operator add door-2 --role release --expires 12h
  gateway operator list
  gateway operator remove door-2 --yes

\b
Roles, each with what those before it may do:
  view      look at events, their course and their log
  release   let people in, pause and resume, set the message, end and extend sessions
  admin     create, open, close, bypass, change rules, reset, delete
""",
)
def operator() -> None:
    """Give and take the keys of the admin interface; running gateways follow within a second.

    The file is [admin] operators; copy it to every machine whose gateway is to know the operators.
    """


@operator.command(
    "add",
    epilog="""\b
Examples:
  gateway operator add anna --role admin
  gateway operator add dashboard --role view --expires 2026-12-31T20:00+01:00
  KEY=$(gateway operator add script --role release --json | jq -r .key)
""",
)
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    required=True,
    help="What the operator may do.",
)
@click.option(
    "--expires", type=End(), metavar="TIME", help="When the key ends: an instant, or 12h."
)
@pass_session
def add(session: Session, name: str, role: str, expires: int | None) -> None:
    """Make operator NAME and show the key, once: only its hash is kept.

    With --json: {"name", "role", "created", "expires", "key"}, times in Unix seconds; expires is null
    for a key without an end.
    """
    from gateway.operators.file import add as add_operator

    try:
        made, key = add_operator(
            _file(session), name, Role(role), now_s=time.time(), expires_at=expires
        )
    except Conflict as exc:
        raise Refused(str(exc)) from exc
    until = "" if expires is None else f", until {describe_moment(expires)}"
    note(session, f"Operator {name}, role {role}{until}. The key is shown this once; keep it safe:")
    answer(session, {**_document(made), "key": key}, key)


@operator.command("list", epilog="\b\nExample:\n  gateway operator list --json")
@pass_session
def list_(session: Session) -> None:
    """List the operators; of their keys nothing can be shown.

    With --json: {"file", "operators": [{"name", "role", "created", "expires"}]}.
    """
    from gateway.operators.file import read_operators

    operators = read_operators(_file(session))
    rows = [(one.name, one.role.value, _local(one.created_at), _end(one)) for one in operators]
    none = "There is no operator. Make one: gateway operator add NAME --role admin"
    text = table(("NAME", "ROLE", "CREATED", "EXPIRES"), rows) if rows else none
    document = {"file": str(_file(session)), "operators": [_document(one) for one in operators]}
    answer(session, document, text)


@operator.command("remove", epilog="\b\nExample:\n  gateway operator remove door-2 --yes")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def remove(session: Session, name: str, yes: bool) -> None:
    """Take NAME's key away; sessions that it opened are over within a second.

    Asks first; without a terminal it needs --yes. With --json: {"name", "role", "created", "expires"}.
    """
    from gateway.operators.file import remove as remove_operator

    require_consent(f"Take the key of operator {name} away?", given=yes)
    try:
        gone = remove_operator(_file(session), name)
    except Conflict as exc:
        raise Refused(str(exc)) from exc
    answer(session, _document(gone), f"Operator {name} is removed; the key opens nothing any more.")


def _file(session: Session) -> Path:
    return Path(session.settings.admin.operators)


def _document(operator: Operator) -> dict[str, Any]:
    return {
        "name": operator.name,
        "role": operator.role.value,
        "created": operator.created_at,
        "expires": operator.expires_at,
    }


def _local(unix_s: int | None) -> str:
    return "-" if unix_s is None else describe_moment(unix_s)


def _end(operator: Operator) -> str:
    over = " (over)" if operator.is_expired(time.time()) else ""
    return _local(operator.expires_at) + over
