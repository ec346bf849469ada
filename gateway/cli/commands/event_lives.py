"""`gateway event reset`, `gateway event delete`: how a queue begins anew, and how it ends for good."""

import secrets

import click

from gateway.cli.authorship import signed
from gateway.cli.bridge import ask_ledger, persistently
from gateway.cli.output import answer, note, require_consent, require_name
from gateway.cli.parameters import EVENT
from gateway.cli.rendering import people, state_word
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.events import EventSnapshot, EventState
from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId, Generation
from gateway.ports import Ledger


@click.command(
    "reset",
    cls=Command,
    epilog="""\b
Examples:
  gateway event reset sale --reason "after the rehearsal"
  gateway event reset sale --open --yes
""",
)
@click.argument("name", type=EVENT)
@click.option("--open", "opened", is_flag=True, help="Open it at once; else it is scheduled.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@signed
@pass_session
def reset(session: Session, name: EventId, opened: bool, yes: bool, author: Author) -> None:
    """Begin a new queue: positions start at 1 again, sessions end, the rules stay.

    Whoever holds a place of the queue before is told that it is over and may join again.
    Asks first; without a terminal it needs --yes.

    With --json: {"event", "state", "generation", "previous_generation"}.
    """
    request_id = secrets.token_hex(16)

    async def carry_out(ledger: Ledger) -> tuple[Generation, Generation]:
        snapshot = await ledger.read(name)
        require_consent(f"Reset {name!r}? {_losses(snapshot)}", given=yes)
        begun = await persistently(
            lambda: ledger.reset(
                name, snapshot.generation, opened=opened, request_id=request_id, author=author
            )
        )
        return snapshot.generation, begun

    ended, begun = ask_ledger(session, carry_out)
    state = EventState.OPEN if opened else EventState.SCHEDULED
    document = {
        "event": name,
        "state": state.value,
        "generation": begun,
        "previous_generation": ended,
    }
    text = f"Event {name!r} begins anew in generation {begun}, {state_word(state.value)}."
    answer(session, document, text)
    if not opened:
        note(session, f"Open it when the time has come: gateway event open {name}")


@click.command(
    "delete",
    cls=Command,
    epilog="""\b
Examples:
  gateway event delete sale
  gateway event delete sale --yes --reason "sold out"
""",
)
@click.argument("name", type=EVENT)
@click.option("--yes", is_flag=True, help="Do not ask.")
@signed
@pass_session
def delete(session: Session, name: EventId, yes: bool, author: Author) -> None:
    """Delete an event: its queue, its sessions and its rules. The operator log stays.

    Its hosts stay protected for as long as the settings name them: visitors see that it is closed.
    Asks for the name first; without a terminal it needs --yes.

    With --json: {"event", "state"}.
    """
    request_id = secrets.token_hex(16)

    async def carry_out(ledger: Ledger) -> None:
        snapshot = await ledger.read(name)
        require_name(f"Delete {name!r} for good? {_losses(snapshot)}", name, given=yes)
        await persistently(lambda: ledger.delete(name, request_id=request_id, author=author))

    ask_ledger(session, carry_out)
    answer(
        session, {"event": name, "state": EventState.DELETED.value}, f"Event {name!r} is deleted."
    )
    note(session, f"What was done to it stays to be read: gateway log {name}")


def _losses(snapshot: EventSnapshot) -> str:
    waiting, inside = people(snapshot.waiting), people(snapshot.active_sessions)
    state = snapshot.state.value
    return f"It is {state}: {waiting} waiting lose their place, {inside} inside their session."
