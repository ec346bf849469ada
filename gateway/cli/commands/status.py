"""`gateway status`: the numbers of one event, or of all."""

from typing import Any

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.output import answer
from gateway.cli.parameters import EVENT
from gateway.cli.rendering import missing_text, observed_text, overview_text, status_text
from gateway.cli.session import Command, Session, mode_of, pass_session
from gateway.domain.positions import EventId
from gateway.errors import EventGone, StateLost
from gateway.operating.documents import STATUS_HELP, status_document
from gateway.ports import Ledger


@click.command(
    "status",
    cls=Command,
    epilog=f"""\b
Examples:
  gateway status
  gateway status sale
  gateway status sale --json | jq .waiting

{STATUS_HELP}
""",
)
@click.argument("event", type=EVENT, required=False)
@pass_session
def status(session: Session, event: EventId | None) -> None:
    """Show how an event stands; without EVENT, all of them in short.

    With --json and no EVENT the answer is {"events": [...], "missing": [...]}; an event whose state cannot
    be read has an "error" in place of its numbers, and the exit code is 6. Missing are those that the
    settings name and the ledger does not have.
    """
    if event is None:
        show_all(session)
        return
    snapshot = ask_ledger(session, lambda ledger: ledger.read(event))
    mode = mode_of(session, event)
    document = status_document(snapshot, mode)
    answer(
        session,
        document,
        status_text(document) + observed_text([event] if mode == "observe" else []),
    )


def show_all(session: Session) -> None:
    """Show every event, also when one of them is lost; then fail for that one."""
    lost: list[StateLost] = []
    missing: list[str] = []

    async def read_all(ledger: Ledger) -> list[dict[str, Any]]:
        documents: list[dict[str, Any]] = []
        listed = await ledger.events()
        missing.extend(sorted(session.settings.events.keys() - set(listed)))
        for event in listed:
            try:
                snapshot = await ledger.read(event)
                documents.append(status_document(snapshot, mode_of(session, event)))
            except EventGone:
                continue
            except StateLost as exc:
                lost.append(exc)
                documents.append({"event": event, "error": "state-lost"})
        return documents

    documents = ask_ledger(session, read_all)
    text = overview_text(documents) if documents else nothing_here(session)
    text += observed_text(
        [document["event"] for document in documents if document.get("mode") == "observe"]
    )
    answer(session, {"events": documents, "missing": missing}, text + missing_text(missing))
    if lost:
        raise lost[0]


def nothing_here(session: Session) -> str:
    from gateway.cli.masking import masked_url

    ledger = session.settings.ledger
    where = masked_url(ledger.url) if ledger.url else ledger.data_dir
    return f"There is no event in the ledger at {where}. Make one: gateway event create NAME --open"
