"""`gateway event apply`: events as a file says, however often it is applied."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

import click

from gateway.cli.authorship import signed
from gateway.cli.bridge import ask_ledger
from gateway.cli.exits import EventFileInvalid
from gateway.cli.output import answer
from gateway.cli.rendering import changes_text
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.events import EventPolicy
from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId, is_event_id
from gateway.errors import EventGone, UnknownEvent
from gateway.operating.policies import differences, read_table, with_flags
from gateway.ports import Ledger


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be done for one event; `before` is None for a new one."""

    event: EventId
    before: EventPolicy | None
    after: EventPolicy

    @property
    def result(self) -> str:
        if self.before is None:
            return "created"
        return "unchanged" if self.before == self.after else "changed"

    def document(self) -> dict[str, Any]:
        changes = {} if self.before is None else differences(self.before, self.after)
        return {"event": self.event, "result": self.result, "changes": changes}


@click.command(
    "apply",
    cls=Command,
    epilog="""\b
The file:
  [events.sale]
  max_sessions = 500
  window = "15m"
  closes_at = 2026-12-31T20:00:00+01:00

\b
Examples:
  gateway event apply -f events.toml --dry-run
  gateway event apply -f events.toml
""",
)
@click.option("-f", "--file", type=click.File("rb"), required=True, help="TOML; '-' for stdin.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@signed
@pass_session
def apply(session: Session, file: IO[bytes], dry_run: bool, author: Author) -> None:
    """Make events and their rules as FILE says; doing it again changes nothing.

    The names are those of the flags of `gateway event set`, with _ for -. What a table does not
    name stays as it is; a new event has the default. States are not touched: a new event is
    scheduled. Everything is checked before anything is changed.

    With --json: {"events": [{"event", "result", "changes"}], "dry_run"}; result is created, changed
    or unchanged.
    """
    wanted = _read_file(file)

    async def carry_out(ledger: Ledger) -> list[Plan]:
        plans = await _plan(ledger, wanted)
        for plan in plans if not dry_run else ():
            await _carry_out(ledger, plan, author)
        return plans

    documents = [plan.document() for plan in ask_ledger(session, carry_out)]
    lines = [_line(document, dry_run=dry_run) for document in documents]
    answer(session, {"events": documents, "dry_run": dry_run}, "\n".join(lines))


def _read_file(file: IO[bytes]) -> Mapping[EventId, Mapping[str, int | bool | None]]:
    try:
        content: dict[str, object] = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise EventFileInvalid([f"{file.name}: is not TOML: {exc}"]) from exc
    mistakes = [
        f"[{name}]: only [events.NAME] belongs here" for name in content if name != "events"
    ]
    tables = content.get("events")
    if not isinstance(tables, dict) or not tables:
        raise EventFileInvalid([*mistakes, "there is no table [events.NAME]"])
    wanted: dict[EventId, Mapping[str, int | bool | None]] = {}
    for name, table in cast("dict[str, object]", tables).items():
        where = f"[events.{name}]"
        if not is_event_id(name):
            mistakes.append(f"{where}: a name is 1 to 63 characters of a-z, 0-9 and '-'")
        elif not isinstance(table, dict):
            mistakes.append(f"{where}: must be a table")
        else:
            wanted[EventId(name)] = read_table(cast("dict[str, object]", table), where, mistakes)
    if mistakes:
        raise EventFileInvalid(mistakes)
    return wanted


async def _plan(
    ledger: Ledger, wanted: Mapping[EventId, Mapping[str, int | bool | None]]
) -> list[Plan]:
    plans: list[Plan] = []
    mistakes: list[str] = []
    for event, given in wanted.items():
        try:
            before = (await ledger.read(event)).policy
        except (UnknownEvent, EventGone):
            plans.append(Plan(event, None, with_flags(EventPolicy(), given)))
            continue
        plan = Plan(event, before, with_flags(before, given))
        if plan.after.draw != before.draw:
            mistakes.append(f"[events.{event}] draw: is decided when the event is created")
        plans.append(plan)
    if mistakes:
        raise EventFileInvalid(mistakes)
    return plans


async def _carry_out(ledger: Ledger, plan: Plan, author: Author) -> None:
    if plan.before is None and await ledger.create(
        plan.event, plan.after, opened=False, author=author
    ):
        return
    if plan.before != plan.after:
        await ledger.configure(plan.event, plan.after, author=author)


def _line(document: Mapping[str, Any], *, dry_run: bool) -> str:
    result = f"would be {document['result']}" if dry_run else document["result"]
    changes = changes_text(document["changes"])
    return f"{document['event']}: {result}" + (f" ({changes})" if changes else "")
