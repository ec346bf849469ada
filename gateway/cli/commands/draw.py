"""`gateway draw verify`: whether a draw was held as promised, and which turn it gave to somebody."""

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.commands.log import Hash
from gateway.cli.configured_keys import configured_keys
from gateway.cli.exits import DrawWrong, Refused
from gateway.cli.inspection import GENUINE_FAULTS, take_apart
from gateway.cli.output import answer
from gateway.cli.parameters import AMOUNT, EVENT, POSITION
from gateway.cli.session import Group, Session, pass_session
from gateway.domain.claims import QUEUE_TYP, QueueClaims
from gateway.domain.positions import EventId, Position
from gateway.errors import BadInput, TokenRejected
from gateway.operating.draw_check import (
    NotedDraw,
    ToldDraw,
    faults_of,
    is_permutation,
    noted_in,
    verdict_document,
)
from gateway.ports import Ledger


@click.group("draw", cls=Group)
def draw() -> None:
    """Check the draw of an event."""


@draw.command(
    "verify",
    epilog="""\b
Examples:
  gateway draw verify sale
  gateway draw verify sale --commitment 5f0c… --position 4711 --turn 812
  gateway draw verify sale --token - < token.txt
  curl -s https://tickets.example.org/queue/sale | gateway draw verify sale --document -
  gateway draw verify sale --order > order.txt       # each position and its turn, in lines

\b
Fields of --json:
  event, commitment, seed, count
                      what is told of the draw; seed and count are null before it is held
  noted_commitment, noted_count
                      what the operator log noted when the queue began, and at the opening; null where
                      it noted nothing, or was not read
  position, head_start, turn, shown_turn
                      with --position or --token: the computed turn, and --turn; else null
  has_come            whether the pointer has reached that turn; null with --document
  order               with --order: the turns of positions 1, 2, …; else null
  faults              what is wrong; the exit code is 1 where there is anything
""",
)
@click.argument("event", type=EVENT)
@click.option("--position", type=POSITION, help="Compute the turn of this position.")
@click.option("--token", metavar="TOKEN", help="Compute the turn of this queue token; - reads it.")
@click.option(
    "--turn", type=AMOUNT, metavar="T", help="The turn that the visitor was shown: it must be that."
)
@click.option(
    "--commitment",
    "kept",
    type=Hash(),
    multiple=True,
    metavar="HASH",
    help="A commitment that was written down before the opening; as often as you like.",
)
@click.option(
    "--document",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Check a saved pointer document, and ask no ledger.",
)
@click.option(
    "--order", is_flag=True, help="Compute the turns of all, and that each is given once."
)
@pass_session
def verify(
    session: Session,
    event: EventId,
    position: Position | None,
    token: str | None,
    turn: int | None,
    kept: tuple[str, ...],
    document: Path | None,
    order: bool,
) -> None:
    """Check that the draw of EVENT used the seed that was promised, and compute turns from it.

    The seed must have the published hash. By the ledger, the hash and the number of those drawn must
    also be what the operator log noted when the queue began and at the opening. Exit code 1 when anything
    differs. All of it is computed here: nothing that a gateway answered is believed.
    """
    if position is not None and token is not None:
        raise click.UsageError("Name --position or --token: a token says its position.")
    if turn is not None and position is None and token is None:
        raise click.UsageError("Whose turn? Name --position or --token too.")
    if token == "-" and document == Path("-"):  # noqa: S105 - standard input, not a password
        raise click.UsageError("Only one of --token and --document can be standard input.")
    claims = None if token is None else _claims_of(session, token, event)
    look = _by_ledger(session, event) if document is None else _by_document(document, event)
    if claims is not None and claims.generation != look.generation:
        raise Refused(
            f"the token is of generation {claims.generation}, and this draw of {look.generation}: the "
            "queue was begun anew between them"
        )
    if not look.told.is_held:
        raise Refused(
            f"the draw of {event!r} is not held yet; at the opening it must show the seed whose hash is "
            f"{look.told.commitment}: keep that, and name it then by --commitment"
        )
    head_start = 0
    if claims is not None:
        position, head_start = claims.position, claims.head_start
    faults = faults_of(look.told, kept, look.noted)
    computed, turns = _compute(look.told, position, head_start, order=order)
    if computed is not None and turn not in (None, computed):
        faults.append(f"position {position} has turn {computed} by this draw, and not {turn}")
    if turns is not None and not is_permutation(turns):
        faults.append("the draw does not give every turn once")
    result: dict[str, Any] = {
        **verdict_document(event, look.told, look.noted, faults),
        "position": position,
        "head_start": None if position is None else head_start,
        "turn": computed,
        "shown_turn": turn,
        "has_come": None if computed is None or look.served is None else computed <= look.served,
        "order": turns,
    }
    if not faults or session.json:
        answer(session, result, _text(result) if turns is None else _order_text(turns))
    if faults:
        raise DrawWrong(event, faults)


class _Look(NamedTuple):
    """What is told of a draw.

    Attributes:
        served: The pointer; None where no ledger was asked.
    """

    told: ToldDraw
    noted: NotedDraw
    generation: int
    served: int | None


def _compute(
    told: ToldDraw, position: Position | None, head_start: int, *, order: bool
) -> tuple[int | None, list[int] | None]:
    """Compute a turn and the whole order, as far as asked; none by a seed that is not the promised one."""
    if faults_of(told, (), NotedDraw()):
        return None, None
    turn = None if position is None else told.turn_of(position, head_start)
    return turn, told.order() if order else None


def _by_ledger(session: Session, event: EventId) -> _Look:
    async def ask(ledger: Ledger) -> _Look:
        snapshot = await ledger.read(event)
        if snapshot.draw is None:
            raise Refused(f"{event!r} has no draw: turns are the positions themselves")
        log = await ledger.operator_log(event)
        noted = noted_in(log.entries, snapshot.generation)
        told = ToldDraw.of(snapshot.draw)
        return _Look(told, noted, snapshot.generation, snapshot.served_up_to)

    return ask_ledger(session, ask)


def _by_document(path: Path, event: EventId) -> _Look:
    text = sys.stdin.read() if path == Path("-") else path.read_text("utf-8", "replace")
    told, of_event, generation = ToldDraw.from_pointer_document(text)
    if of_event != event:
        raise BadInput(f"this pointer document is of {of_event!r}, not of {event!r}")
    return _Look(told, NotedDraw(), generation, None)


def _claims_of(session: Session, token: str, event: EventId) -> QueueClaims:
    """Return what a queue token says, once it is known to be genuine, or nobody can tell."""
    from gateway.tokens.codec import Verifier

    text = sys.stdin.read().strip() if token == "-" else token.strip()  # noqa: S105 - standard input
    parts = take_apart(text)
    if parts.header.get("typ") != QUEUE_TYP:
        raise BadInput(
            "this is no queue token: a pass says nothing of a head start; give the place"
        )
    settings = session.settings.keys
    keys = configured_keys(settings)
    try:
        claims = QueueClaims.parse(parts.claims)
        if keys is not None:
            Verifier(keys, settings.issuer).verify(text, time.time())
    except TokenRejected as exc:
        if exc.fault not in GENUINE_FAULTS:
            raise Refused(
                f"the token is not genuine ({exc.fault.value}): it proves no place"
            ) from exc
        claims = QueueClaims.parse(parts.claims)
    if claims.event != event:
        raise Refused(f"the token is of {claims.event!r}, not of {event!r}")
    return claims


def _order_text(turns: list[int]) -> str:
    return "\n".join(f"{position} {turn}" for position, turn in enumerate(turns, start=1))


def _text(result: dict[str, Any]) -> str:
    lines = [
        f"The draw of {result['event']!r} was held as promised: among {result['count']}, by the seed "
        f"whose hash is {result['commitment']}."
    ]
    if result["noted_commitment"] is not None:
        lines.append("The operator log noted that hash when the queue began.")
    if result["turn"] is not None:
        head_start = result["head_start"]
        ahead = f", {head_start} ahead of its draw by an invitation" if head_start else ""
        drawn = "" if result["position"] <= result["count"] else " (joined after the opening)"
        come = {None: "", True: " It has come.", False: " It has not come yet."}[result["has_come"]]
        lines.append(
            f"Position {result['position']} has turn {result['turn']}{drawn}{ahead}.{come}"
        )
    return "\n".join(lines)
