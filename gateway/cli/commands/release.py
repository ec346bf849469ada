"""`gateway release`: let the next people in."""

import re
import secrets
from typing import Any

import click

from gateway.cli.authorship import signed
from gateway.cli.bridge import ask_ledger, persistently
from gateway.cli.exits import AlreadyThere
from gateway.cli.output import answer, require_consent
from gateway.cli.parameters import AMOUNT, EVENT
from gateway.cli.rendering import people, release_text
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.events import EventSnapshot
from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId
from gateway.errors import RequestIdReused
from gateway.operating.documents import release_document
from gateway.ports import Ledger, Released

# A slip of a finger adds a digit; small amounts do no harm, since sessions are limited anyway.
UNUSUAL_FACTOR = 10
UNUSUAL_FROM = 1000

_NEGATIVE = re.compile(r"-[0-9].*")


class ReleaseCommand(Command):
    """Takes `-5` for the amount that it is meant to be, not for an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for argument in args:
            if _NEGATIVE.fullmatch(argument):
                raise click.UsageError(
                    f"{argument!r} is not a whole number from 1: the pointer never goes back.", ctx
                )
        return super().parse_args(ctx, args)


@click.command(
    "release",
    cls=ReleaseCommand,
    epilog="""\b
Examples:
  gateway release sale 100
  gateway release sale --to 5000 --dry-run
  gateway release sale 100 --id doors-20:15      # safe to repeat: happens once
  gateway release sale 20000 --yes

\b
Fields of --json:
  event, by or to     what was asked
  before, after       the pointer
  people              let in; turns in holes are not counted
  capped              whether fewer were let in than asked: nobody else waits
  repeated            whether this id was carried out before; nothing moved now
  dry_run, id
""",
)
@click.argument("event", type=EVENT)
@click.argument("by", metavar="[N]", type=AMOUNT, required=False)
@click.option("--to", type=AMOUNT, metavar="T", help="Move the pointer to turn T instead.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@click.option(
    "--id",
    "request_id",
    metavar="ID",
    help="A name for this release: asked for twice, it happens once. Kept for 7 days.",
)
@click.option("--yes", is_flag=True, help="Do not ask, however large the release.")
@signed
@pass_session
def release(
    session: Session,
    event: EventId,
    by: int | None,
    to: int | None,
    dry_run: bool,
    request_id: str | None,
    yes: bool,
    author: Author,
) -> None:
    """Let in the next N people, or everyone up to turn T.

    The pointer never goes back, and never past the positions handed out plus the event's headroom.
    More than ten times the people waiting, from 1000 on, is asked about first; without a terminal
    it needs --yes.
    """
    if (by is None) == (to is None):
        raise click.UsageError(
            "Say how many: gateway release EVENT N, or gateway release EVENT --to T"
        )
    if request_id == "":
        raise click.UsageError("--id must not be empty.")
    # Also without a name of the operator's: the retry after a lost answer must not release twice.
    own_id = request_id or (secrets.token_hex(16) if by is not None and not dry_run else None)

    async def carry_out(ledger: Ledger) -> Released:
        snapshot = await ledger.read(event)
        if not dry_run:
            _ask_about_the_unusual(snapshot, by, to, given=yes)
        try:
            return await persistently(
                lambda: ledger.release(
                    event, by=by, to=to, request_id=own_id, dry_run=dry_run, author=author
                )
            )
        except RequestIdReused as exc:
            raise AlreadyThere(str(exc)) from exc

    released = ask_ledger(session, carry_out)
    asked: dict[str, Any] = (
        {"mode": "by", "asked": by} if by is not None else {"mode": "to", "asked": to}
    )
    document = release_document(event, released, request_id=own_id, **asked)
    answer(session, document, release_text(document))


def _ask_about_the_unusual(
    snapshot: EventSnapshot, by: int | None, to: int | None, *, given: bool
) -> None:
    amount = by if by is not None else (to or 0) - snapshot.served_up_to
    if amount < UNUSUAL_FROM or amount <= UNUSUAL_FACTOR * snapshot.waiting:
        return
    require_consent(
        f"{people(snapshot.waiting).capitalize()} wait at {snapshot.event!r}; really release {amount}?",
        given=given,
    )
