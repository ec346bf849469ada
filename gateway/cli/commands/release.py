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
from gateway.cli.rendering import release_text
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.events import EventSnapshot
from gateway.domain.operator_log import Author
from gateway.domain.positions import EventId
from gateway.errors import RequestIdReused
from gateway.operating.documents import RELEASE_HELP, release_document
from gateway.operating.releases import (
    LEAST_UNUSUAL,
    Reason,
    amount_asked,
    effects_of,
    question,
    unusual,
)
from gateway.ports import Ledger, Released

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

"""
    + RELEASE_HELP,
)
@click.argument("event", type=EVENT)
@click.argument("by", metavar="[N]", type=AMOUNT, required=False)
@click.option("--to", type=AMOUNT, metavar="T", help="Move the pointer to turn T instead.")
@click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
@click.option(
    "--id",
    "request_id",
    metavar="ID",
    help="A name for this release: asked for twice, it happens once, and a name is used up also where "
    "nobody waited. Kept for 7 days.",
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
    What is out of the ordinary is asked about first, and without a terminal needs --yes: far more
    than wait, than the sessions have room for, or than was usual so far; and a crowd while the
    backend is ill. --dry-run tells what a release would do, and whether it would be asked about.
    """
    if (by is None) == (to is None):
        raise click.UsageError(
            "Say how many: gateway release EVENT N, or gateway release EVENT --to T"
        )
    if request_id == "":
        raise click.UsageError("--id must not be empty.")
    # Also without a name of the operator's: the retry after a lost answer must not release twice.
    own_id = request_id or (secrets.token_hex(16) if by is not None and not dry_run else None)

    async def ask(ledger: Ledger, *, only_try: bool) -> Released:
        return await persistently(
            lambda: ledger.release(
                event, by=by, to=to, request_id=own_id, dry_run=only_try, author=author
            )
        )

    async def carry_out(ledger: Ledger) -> tuple[EventSnapshot, Released, tuple[Reason, ...]]:
        snapshot = await ledger.read(event)
        reasons: tuple[Reason, ...] = ()
        try:
            if dry_run or amount_asked(snapshot, by, to) >= LEAST_UNUSUAL:
                would = await ask(ledger, only_try=True)
                effects = effects_of(snapshot, would)
                reasons = () if would.repeated else unusual(snapshot, effects, by=by, to=to)
                if dry_run:
                    return snapshot, would, reasons
                if reasons:
                    require_consent(question(snapshot, effects, reasons), given=yes)
            return snapshot, await ask(ledger, only_try=False), reasons
        except RequestIdReused as exc:
            raise AlreadyThere(str(exc)) from exc

    snapshot, released, reasons = ask_ledger(session, carry_out)
    asked: dict[str, Any] = (
        {"mode": "by", "asked": by} if by is not None else {"mode": "to", "asked": to}
    )
    document = release_document(
        event,
        released,
        request_id=own_id,
        effects=None if released.repeated else effects_of(snapshot, released),
        reasons=reasons,
        **asked,
    )
    answer(session, document, release_text(document, id_was_named=request_id is not None))
