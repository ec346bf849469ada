"""`gateway event`: make events, look at them, change their rules."""

from typing import Any

import click

from gateway.cli.authorship import signed
from gateway.cli.bridge import ask_ledger
from gateway.cli.commands.event_apply import apply
from gateway.cli.commands.event_lives import delete, reset
from gateway.cli.commands.event_states import bypass, close, message, open_, pause, resume
from gateway.cli.commands.status import show_all
from gateway.cli.exits import AlreadyThere
from gateway.cli.output import answer, note
from gateway.cli.parameters import EVENT
from gateway.cli.policy_flags import policy_flags
from gateway.cli.rendering import changes_text, policy_text, status_text
from gateway.cli.session import Group, Session, mode_of, pass_session
from gateway.domain.events import EventPolicy
from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId
from gateway.operating.documents import policy_document, status_document
from gateway.operating.policies import differences, with_flags
from gateway.ports import Ledger


@click.group("event", cls=Group)
def event() -> None:
    """Make events, change their rules and their state."""


@event.command(
    "create",
    epilog="""\b
Examples:
  gateway event create sale --max-sessions 500 --window 15m
  gateway event create sale --open
  gateway event create sale --draw --closes-at 2026-12-31T20:00+01:00
""",
)
@click.argument("name", type=EVENT)
@click.option("--open", "opened", is_flag=True, help="Open it at once; else it is scheduled.")
@policy_flags(creating=True)
@signed
@pass_session
def create(session: Session, /, name: EventId, opened: bool, author: Author, **given: Any) -> None:
    """Create event NAME. Until it is opened it takes joins, and nobody is let in.

    Which hosts it covers is in the settings file, under [events.NAME].
    With --json: {"event", "state", "policy"}.
    """
    policy = with_flags(EventPolicy(), given)

    async def carry_out(ledger: Ledger) -> bool:
        return await ledger.create(name, policy, opened=opened, author=author)

    if not ask_ledger(session, carry_out):
        raise AlreadyThere(f"event {name!r} exists; change its rules: gateway event set {name}")
    state = "open" if opened else "scheduled"
    rules = policy_document(policy)
    text = f"Created event {name!r}, {state}.\n{policy_text(rules)}"
    answer(session, {"event": name, "state": state, "policy": rules}, text)
    if name not in session.settings.events:
        note(
            session,
            f"No host is named for it yet: add [events.{name}] hosts = […] to the settings.",
        )
    if not opened:
        note(session, f"Open it when the time has come: gateway event open {name}")


@event.command("list", epilog="\b\nExamples:\n  gateway event list\n  gateway event list --json")
@pass_session
def list_(session: Session) -> None:
    """List the events. With --json: {"events": [...]}, each as `gateway status` shows it."""
    show_all(session)


@event.command("show", epilog="\b\nExample:\n  gateway event show sale")
@click.argument("name", type=EVENT)
@pass_session
def show(session: Session, name: EventId) -> None:
    """Show an event's numbers, its rules, and the hosts and paths that the settings give it.

    With --json: as `gateway status NAME`, with "route" (null where the settings name no host).
    """
    import msgspec

    snapshot = ask_ledger(session, lambda ledger: ledger.read(name))
    settings = session.settings.events.get(name)
    document = status_document(snapshot, mode_of(session, name))
    document["route"] = None if settings is None else msgspec.to_builtins(settings)
    hosts = "no host: add it to the settings" if settings is None else ", ".join(settings.hosts)
    text = (
        f"{status_text(document)}\n\nRules\n{policy_text(document['policy'])}\n\nHosts\n  {hosts}"
    )
    answer(session, document, text)


@event.command(
    "set",
    epilog="""\b
Examples:
  gateway event set sale --max-sessions 800
  gateway event set sale --session 20m --late-for 1h
""",
)
@click.argument("name", type=EVENT)
@policy_flags(creating=False)
@signed
@pass_session
def set_(session: Session, /, name: EventId, author: Author, **given: Any) -> None:
    """Change an event's rules; what is not named stays.

    With --json: {"event", "changes": {field: [before, after]}, "policy"}.
    """
    if all(value is None for value in given.values()):
        raise click.UsageError("Name at least one rule to change, such as --max-sessions 800.")

    async def carry_out(ledger: Ledger) -> tuple[EventPolicy, EventPolicy]:
        before = (await ledger.read(name)).policy
        after = with_flags(before, given)
        if after != before:
            await ledger.configure(name, after, author=author)
        return before, after

    before, after = ask_ledger(session, carry_out)
    changes = differences(before, after)
    document = {"event": name, "changes": changes, "policy": policy_document(after)}
    what = changes_text(changes) if changes else "nothing to change"
    answer(session, document, f"{name}: {what}.")


for command in (apply, open_, pause, resume, message, close, bypass, reset, delete):
    event.add_command(command)
