"""`gateway event open`, `pause`, `resume`, `close`, `bypass`: what an operator does on the night."""

import time
from typing import Any

import click

from gateway.cli.authorship import signed
from gateway.cli.bridge import ask_ledger
from gateway.cli.output import answer, note, require_consent
from gateway.cli.parameters import EVENT, Length
from gateway.cli.rendering import people, state_word
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.events import EventState
from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId
from gateway.operating.durations import describe_duration, describe_moment
from gateway.ports import Ledger, StateChange

# A gate that stands open for longer than a day is no gate: take it out of the way instead.
LONGEST_BYPASS_S = 86_400

# The waiting page shows it in one place; a longer text would push everything else away.
LONGEST_MESSAGE = 500


def change(
    session: Session, event: EventId, act: StateChange, author: Author, **details: Any
) -> None:
    """Carry out an act and answer with `{"event", "state", …}`."""
    ask_ledger(session, lambda ledger: ledger.change_state(event, act, author=author, **details))
    state = _LEADS_TO[act]
    document = {"event": event, "state": state.value, **details}
    answer(session, document, f"Event {event!r} is {state_word(state.value)}.")


_LEADS_TO = {
    StateChange.OPEN: EventState.OPEN,
    StateChange.PAUSE: EventState.PAUSED,
    StateChange.RESUME: EventState.OPEN,
    StateChange.CLOSE: EventState.CLOSED,
    StateChange.BYPASS: EventState.BYPASS,
}


@click.command("open", cls=Command, epilog="\b\nExample:\n  gateway event open sale")
@click.argument("name", type=EVENT)
@signed
@pass_session
def open_(session: Session, name: EventId, author: Author) -> None:
    """Open an event: releases and claims begin; a draw is held. Ends a bypass; reopens a closed one.

    With --json: {"event", "state"}.
    """
    change(session, name, StateChange.OPEN, author)


@click.command(
    "pause",
    cls=Command,
    epilog="""\b
Examples:
  gateway event pause sale --message "The shop is catching its breath. Your place is kept."
  gateway event pause sale --releases-only
""",
)
@click.argument("name", type=EVENT)
@click.option("--message", default="", help="Shown on the waiting page.")
@click.option("--releases-only", is_flag=True, help="Whose turn has come may still claim.")
@signed
@pass_session
def pause(
    session: Session, name: EventId, message: str, releases_only: bool, author: Author
) -> None:
    """Pause an event: nobody new is let in, claim windows stand still, held passes go on.

    With --json: {"event", "state", "message", "releases_only"}.
    """
    if len(message) > LONGEST_MESSAGE:
        raise click.UsageError(f"--message may have {LONGEST_MESSAGE} characters.")
    change(session, name, StateChange.PAUSE, author, message=message, releases_only=releases_only)


@click.command(
    "message",
    cls=Command,
    epilog="""\b
Examples:
  gateway event message sale "Doors open a little later tonight. Your place is kept."
  gateway event message sale ""           # takes it away
""",
)
@click.argument("name", type=EVENT)
@click.argument("text")
@signed
@pass_session
def message(session: Session, name: EventId, text: str, author: Author) -> None:
    """Set what the waiting page says, in any state; nothing else changes.

    The next act on the state sets it anew. With --json: {"event", "message"}.
    """
    if len(text) > LONGEST_MESSAGE:
        raise click.UsageError(f"TEXT may have {LONGEST_MESSAGE} characters.")
    ask_ledger(
        session,
        lambda ledger: ledger.change_state(name, StateChange.MESSAGE, message=text, author=author),
    )
    said = "The waiting page says so." if text else "The waiting page says nothing of its own."
    answer(session, {"event": name, "message": text}, said)


@click.command("resume", cls=Command, epilog="\b\nExample:\n  gateway event resume sale")
@click.argument("name", type=EVENT)
@signed
@pass_session
def resume(session: Session, name: EventId, author: Author) -> None:
    """Resume a paused event. With --json: {"event", "state"}."""
    change(session, name, StateChange.RESUME, author)


@click.command("close", cls=Command, epilog="\b\nExample:\n  gateway event close sale --yes")
@click.argument("name", type=EVENT)
@click.option("--yes", is_flag=True, help="Do not ask.")
@signed
@pass_session
def close(session: Session, name: EventId, yes: bool, author: Author) -> None:
    """Close an event: no joins and no releases any more; who was let in finishes.

    Asks first; without a terminal it needs --yes. With --json: {"event", "state"}.
    """

    async def carry_out(ledger: Ledger) -> None:
        snapshot = await ledger.read(name)
        waiting = people(snapshot.waiting)
        require_consent(f"Close {name!r} with {waiting} waiting?", given=yes)
        await ledger.change_state(name, StateChange.CLOSE, author=author)

    ask_ledger(session, carry_out)
    document = {"event": name, "state": EventState.CLOSED.value}
    answer(session, document, f"Event {name!r} is {state_word('closed')}.")


@click.command(
    "bypass",
    cls=Command,
    epilog="""\b
Examples:
  gateway event bypass sale --for 10m
  gateway event open sale               # ends it early
""",
)
@click.argument("name", type=EVENT)
@click.option(
    "--for",
    "for_s",
    type=Length(1, LONGEST_BYPASS_S),
    required=True,
    metavar="LENGTH",
    help="How long the gate stands open: 90s, 10m, at most 24h.",
)
@signed
@pass_session
def bypass(session: Session, name: EventId, for_s: int, author: Author) -> None:
    """Let everyone through without a place, for a while; the state before comes back by itself.

    With --json: {"event", "state", "for_s"}.
    """
    change(session, name, StateChange.BYPASS, author, for_s=for_s)
    until = describe_moment(time.time() + for_s)
    length = describe_duration(for_s)
    note(session, f"EVERYONE passes for {length}, until {until}. End it: gateway event open {name}")
