"""`gateway session`: one visitor's session, shown, extended and ended by an operator."""

import click

from gateway.cli.authorship import signed
from gateway.cli.bridge import ask_ledger, persistently
from gateway.cli.exits import Refused
from gateway.cli.output import answer, require_consent
from gateway.cli.parameters import EVENT, POSITION, Length
from gateway.cli.session import Group, Session, pass_session
from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId, Generation, Position
from gateway.operating.durations import describe_duration
from gateway.operating.sessions import (
    LONGEST_EXTENSION_S,
    SESSION_HELP,
    session_document,
    session_text,
    why_not_running,
)
from gateway.ports import Extended, ExtendOutcome, Ledger, SessionSeen


@click.group("session", cls=Group)
def session() -> None:
    """Show, extend or end the session of one visitor, by the position.

    The site gets the position with each request as Queue-Position, and visitors see it on the
    waiting page as their number.
    """


@session.command(
    "show",
    epilog="\b\nExample:\n  gateway session show sale 4711\n\n" + SESSION_HELP,
)
@click.argument("event", type=EVENT)
@click.argument("position", type=POSITION)
@pass_session
def show(session: Session, event: EventId, position: Position) -> None:
    """Show how the session of POSITION stands."""

    async def look(ledger: Ledger) -> tuple[Generation, SessionSeen]:
        generation = (await ledger.read(event)).generation
        return generation, await ledger.session(event, generation, position)

    generation, seen = ask_ledger(session, look)
    document = session_document(event, generation, position, seen)
    answer(session, document, session_text(document))


@session.command(
    "extend",
    epilog="""\b
Examples:
  gateway session extend sale 4711 --for 20m
  gateway session extend sale 4711 --for 1h --reason "called: card reader broke"
""",
)
@click.argument("event", type=EVENT)
@click.argument("position", type=POSITION)
@click.option(
    "--for",
    "for_s",
    type=Length(1, LONGEST_EXTENSION_S),
    required=True,
    metavar="LENGTH",
    help="From now to the new end: 90s, 20m, at most 24h.",
)
@signed
@pass_session
def extend(
    session: Session, event: EventId, position: Position, for_s: int, author: Author
) -> None:
    """Let the session of POSITION run for LENGTH from now, whatever its visitor has asked for.

    A session never gets shorter by it. The visitor's browser goes on under the new end by itself,
    at the latest when the pass that it holds ends.

    With --json: {"event", "generation", "position", "extended", "session_ends_at"}; extended is
    false where the session lasts longer already.
    """

    async def carry_out(ledger: Ledger) -> tuple[Generation, Extended]:
        generation = (await ledger.read(event)).generation
        extended = await persistently(
            lambda: ledger.extend(
                event, generation, position, by_s=for_s, by_visitor=False, author=author
            )
        )
        if extended.outcome is not ExtendOutcome.EXTENDED:
            refuse(position, await ledger.session(event, generation, position))
        return generation, extended

    generation, extended = ask_ledger(session, carry_out)
    document = {
        "event": event,
        "generation": generation,
        "position": position,
        "extended": extended.longer,
        "session_ends_at": extended.session_ends_at,
    }
    length = describe_duration(for_s)
    text = (
        f"The session of position {position} runs for {length} from now."
        if extended.longer
        else f"The session of position {position} lasts longer than {length} already; it stays so."
    )
    answer(session, document, text)


@session.command(
    "end",
    epilog="""\b
Examples:
  gateway session end sale 4711 --reason "bought by a bot"
  gateway session end sale 4711 --yes
""",
)
@click.argument("event", type=EVENT)
@click.argument("position", type=POSITION)
@click.option("--yes", is_flag=True, help="Do not ask.")
@signed
@pass_session
def end(session: Session, event: EventId, position: Position, yes: bool, author: Author) -> None:
    """End the session of POSITION: every gateway turns its pass away within a second.

    Its capacity is free at once. The position has had its session: the visitor can only join again.
    Asks first; without a terminal it needs --yes.

    With --json: {"event", "generation", "position", "session"}.
    """

    async def carry_out(ledger: Ledger) -> Generation:
        generation = (await ledger.read(event)).generation
        seen = await ledger.session(event, generation, position)
        refuse(position, seen)
        left = describe_duration(seen.seconds_left)
        require_consent(
            f"End the session of position {position}, which has {left} left? It cannot be taken back.",
            given=yes,
        )
        # One that ended meanwhile, by itself or by a repetition of this, is what was asked for.
        await persistently(lambda: ledger.leave(event, generation, position, 0, author=author))
        return generation

    generation = ask_ledger(session, carry_out)
    document = {"event": event, "generation": generation, "position": position, "session": "over"}
    answer(session, document, f"The session of position {position} is over.")


def refuse(position: Position, seen: SessionSeen) -> None:
    """Raise where no session runs.

    Raises:
        Refused: With the reason. Nothing was changed.
    """
    if (why := why_not_running(position, seen)) is not None:
        raise Refused(f"{why}. Nothing was changed.")
