"""`gateway report`: how a sale went, as one page to keep."""

from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.exits import Refused
from gateway.cli.output import answer, to_json
from gateway.cli.parameters import EVENT
from gateway.cli.report_page import report_page
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.positions import EventId
from gateway.domain.samples import EVERY_S, Sample
from gateway.operating.course import course_of, summary_document
from gateway.ports import Ledger
from gateway.whole_files import replace_whole, usual_mode

LEAST_SAMPLES = 2
"""A line needs two points."""


@click.command(
    "report",
    cls=Command,
    epilog="""\b
Examples:
  gateway report sale
  gateway report sale --out /srv/reports/friday.html
  gateway report sale --json | jq .promises_kept

\b
Fields of --json:
  event, generation, state, from, to (Unix seconds), samples, file
  issued, served_up_to, let_in, waiting, claims, no_shows    at the end
  most_waiting, most_active_sessions, max_sessions
  longest_wait_s      of who had joined at a sample; pauses are left out
  waits_promised      samples whose waiters were told a range and had their turn
  promises_kept       for how many of them the range held
""",
)
@click.argument("event", type=EVENT)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write the page; - for stdout. [default: report-EVENT.html here]",
)
@pass_session
def report(session: Session, event: EventId, out: Path | None) -> None:
    """Write how a sale goes, or went, into one HTML file; one that is there is replaced.

    It shows arrivals, the pointer, who waits, sessions, and waiting times promised and had, from the
    samples that gateways take every ten seconds: about a day of them is kept. It needs no network to be
    opened.
    """
    samples = ask_ledger(session, lambda ledger: _samples_of_now(ledger, event))
    if len(samples) < LEAST_SAMPLES:
        raise Refused(
            f"there are no two samples of {event} yet: a running gateway takes one every "
            f"{EVERY_S} s while something changes; nothing was written"
        )
    course = course_of(samples)
    document = summary_document(event, samples, course)
    page = report_page(document, course)
    if str(out) == "-":
        click.echo(page if not session.json else to_json({**document, "file": None}))
        return
    file = out or Path(f"report-{event}.html")
    # Somebody may be looking at the one before.
    replace_whole(file, page.encode(), mode=usual_mode())
    answer(session, {**document, "file": str(file)}, f"Wrote {file}: {len(samples)} samples.")


async def _samples_of_now(ledger: Ledger, event: EventId) -> Sequence[Sample]:
    """Return the samples of the present generation.

    Raises:
        GatewayError: There is no such event, or it cannot be read.
    """
    generation = (await ledger.read(event)).generation
    return [sample for sample in await ledger.samples(event) if sample.generation == generation]
