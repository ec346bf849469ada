"""`gateway plan`: what a sale is going to be like, before it begins."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.live_view import ASCII_BLOCKS, BLOCKS
from gateway.cli.output import answer
from gateway.cli.parameters import AMOUNT, EVENT, Length
from gateway.cli.plan_page import plan_page
from gateway.cli.plan_view import plan_text
from gateway.cli.policy_flags import policy_flags
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.events import EventPolicy, EventSnapshot
from gateway.domain.positions import EventId
from gateway.errors import BadInput
from gateway.operating.documents import policy_document
from gateway.operating.durations import LONGEST_S, parse_duration, parse_moment
from gateway.operating.plan import (
    Assumed,
    Forecast,
    Needed,
    check,
    check_by,
    forecast_document,
    foretell,
    needed_by,
)
from gateway.operating.policies import with_flags

DEFAULT_NO_SHOW: Final = 0.2
DEFAULT_COME_AFTER_S: Final = 20
MOST_COLUMNS: Final = 6
PERSONS: Final = (1_000, 10_000, 100_000)

PROGRESS_AFTER_S: Final = 1.0
PROGRESS_EVERY_S: Final = 0.2


class Percents(click.ParamType[tuple[float, ...]]):
    """`20%`, or several after one another: `0,20,40%`."""

    name = "percents"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        words = [word.strip().removesuffix("%").strip() for word in str(value).split(",")]
        if not all(word.isascii() and word.isdigit() and int(word) <= 100 for word in words):
            self.fail(
                f"{value!r} is no share: write 20%, or 0,20,40% to compare; whole numbers to 100.",
                param,
                ctx,
            )
        return tuple(dict.fromkeys(int(word) / 100 for word in words))


class Progress:
    """One line on a terminal's stderr, once a plan takes more than a moment."""

    def __init__(self, session: Session) -> None:
        self._is_shown = sys.stderr.isatty() and not session.json
        self._next_s = time.monotonic() + PROGRESS_AFTER_S
        self._has_written = False

    def tell(self, what: str, part: float) -> None:
        if self._is_shown and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + PROGRESS_EVERY_S
            self._write(f"simulating {what}: {part:.0%} let in")

    def clear(self) -> None:
        if self._has_written:
            self._write("")

    def _write(self, text: str) -> None:
        self._has_written = True
        # The rest of a longer line before it is wiped out.
        click.echo(f"\r{text.ljust(60)}\r", err=True, nl=False)


@click.command(
    "plan",
    cls=Command,
    epilog="""\b
Examples:
  gateway plan --people 20000 --release-people 500
  gateway plan --people 200000 --fill --max-sessions 4000 --stay 4m --no-shows 0,20,40%
  gateway plan --people 50000 --fill --max-sessions 2000 --failure 30m 5m --html plan.html
  gateway plan --people 50000 --release-people 400 --by 90m
  gateway plan --event sale --by 2026-12-31T22:00+01:00 --opens-at 2026-12-31T20:00+01:00

\b
Fields of --json (lengths are seconds):
  event, people, by_s, file, policy (as gateway event show has it)
  assumed   waiting, arrive_over_s, stay_s, come_after_s, seated, seed,
            failure {after_s, for_s} or null
  sales     one for each share of no-shows, with --failure each without and with it:
    no_show_share, backend_fails
    all_in_after_s, all_in_at (Unix seconds; null without --opens-at)
    wait_half_s, wait_nine_of_ten_s, wait_longest_s, wait_last_s
    persons     [{person, let_in_after_s, wait_s}]
    by          null, or {let_in, all, needs {release_people, max_sessions, both}}:
                each alone with the other as it is; null where no number is enough
    sessions, no_shows
    no_shows_filled   at least so many; null without a limit
    places_used       share, in the mean while somebody waits
    nearly_full_after_s, most_sessions, most_with_open_turns, most_at_a_full_door
    well_again_after_s   until nine tenths are used again, once the backend is well
    course      [{at_s, issued, served_up_to, waiting, active_sessions, with_open_turns}]
""",
)
@click.option(
    "--people", type=AMOUNT, metavar="N", help="How many join; with --event, besides who waits."
)
@click.option(
    "--event", type=EVENT, metavar="NAME", help="Begin with this event's rules and who waits there."
)
@click.option(
    "--arrive-over",
    type=Length(1, 86_400),
    metavar="LENGTH",
    help="They join within this time, most of them at first. [default: all at once]",
)
@click.option(
    "--no-shows",
    type=Percents(),
    metavar="SHARE[,...]",
    help="The part of those let in who never come; several to compare. [default: what the event has "
    "seen, or 20%]",
)
@click.option(
    "--stay",
    type=Length(1, 86_400),
    metavar="LENGTH",
    help="How long a session is used, in the mean. [default: all of --session]",
)
@click.option(
    "--come-after",
    type=Length(0, 86_400),
    metavar="LENGTH",
    default=DEFAULT_COME_AFTER_S,
    help="How long who is let in takes to come, in the mean. [default: 20s]",
)
@click.option(
    "--failure",
    type=Length(0, LONGEST_S),
    nargs=2,
    metavar="AT LENGTH",
    help="The backend fails so long after the opening, for so long; shown beside a sale without.",
)
@click.option(
    "--by",
    metavar="LENGTH|TIME",
    help="How many are in by then, and what it takes for all: a length from the opening, or with "
    "--opens-at an instant.",
)
@click.option(
    "--person",
    "persons",
    type=AMOUNT,
    multiple=True,
    metavar="N",
    help="How long the Nth waits; may be given again. [default: the 1,000th, the 10,000th ...]",
)
@click.option("--seed", type=click.IntRange(0), default=1, help="Another draw of chance.")
@click.option(
    "--html",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page with plots too.",
)
@policy_flags(creating=True)
@pass_session
def plan(
    session: Session,
    /,
    people: int | None,
    event: EventId | None,
    arrive_over: int | None,
    no_shows: tuple[float, ...] | None,
    stay: int | None,
    come_after: int,
    failure: tuple[int, int] | None,
    by: str | None,
    persons: tuple[int, ...],
    seed: int,
    file: Path | None,
    **given: Any,
) -> None:
    """Foretell a sale: how long people wait, how full the backend is, what a time needs.

    The sale is run on a simulated clock, by the rules that let people in when it is real. Nothing is
    changed. Rules are those of `gateway event create`, or of --event, and flags go before them. Not
    reckoned with: lengthened sessions, head starts, releases by hand, people who come late.
    """
    snapshot = None if event is None else _read(session, event)
    policy = with_flags(EventPolicy() if snapshot is None else snapshot.policy, given)
    waiting = 0 if snapshot is None else snapshot.waiting
    if not (people or waiting):
        raise click.UsageError(
            "Say how many: --people N."
            if event is None
            else f"Nobody waits for {event}: add --people N."
        )
    assumed = Assumed(
        people=waiting + (people or 0),
        waiting=waiting,
        stay_s=policy.session_s if stay is None else stay,
        arrive_over_s=arrive_over or 0,
        # Nobody is there within no time at all.
        come_after_s=max(come_after, 1),
        failure=_checked(failure),
        seated=0 if snapshot is None else snapshot.active_sessions,
        seed=seed,
    )
    check(policy, assumed)
    by_s = None if by is None else _by(by, policy)
    if by_s is not None:
        check_by(assumed, by_s)
    shares = no_shows or (_seen(snapshot),)
    progress = Progress(session)
    try:
        sales = _sales(policy, assumed, shares, by_s, progress)
    finally:
        progress.clear()
    persons = persons or tuple(number for number in PERSONS if number < assumed.people)
    _check_persons(persons, assumed.people)
    document = {
        "event": event,
        "people": assumed.people,
        "by_s": by_s,
        "file": None if file is None else str(file),
        "policy": policy_document(policy),
        "assumed": _assumed_document(assumed),
        "sales": [
            forecast_document(
                forecast, persons=persons, by_s=by_s, needed=needed, opens_at=policy.opens_at
            )
            for forecast, needed in sales
        ],
    }
    if file is not None:
        file.write_text(plan_page(document), "utf-8")
    text = "" if session.json else plan_text(document, width=_width(), blocks=_blocks())
    answer(session, document, text)


def _read(session: Session, event: EventId) -> EventSnapshot:
    return ask_ledger(session, lambda ledger: ledger.read(event))


def _seen(snapshot: EventSnapshot | None) -> float:
    """Return the part that does not come: what the event has seen, where it has."""
    seen = None if snapshot is None or snapshot.turnout is None else snapshot.turnout.show_rate()
    return DEFAULT_NO_SHOW if seen is None else round(1 - seen, 4)


def _sales(
    policy: EventPolicy,
    assumed: Assumed,
    shares: Sequence[float],
    by_s: int | None,
    progress: Progress,
) -> list[tuple[Forecast, Needed | None]]:
    crowds = [assumed]
    if assumed.failure is not None:
        crowds.insert(0, replace(assumed, failure=None))
    if len(shares) * len(crowds) > MOST_COLUMNS:
        raise BadInput(
            f"at most {MOST_COLUMNS} sales are set side by side, and --failure makes two of each share: "
            "give fewer --no-shows"
        )
    sales: list[tuple[Forecast, Needed | None]] = []
    for share in shares:
        for crowd in crowds:
            forecast = foretell(policy, crowd, share, progress.tell)
            needed = None
            if by_s is not None:
                needed = needed_by(policy, crowd, share, by_s, progress.tell)
            sales.append((forecast, needed))
    return sales


def _checked(failure: tuple[int, int] | None) -> tuple[int, int] | None:
    if failure is not None and failure[1] == 0:
        raise BadInput("a failure lasts at least a second: --failure AT LENGTH, such as 30m 5m")
    return failure


def _check_persons(persons: Sequence[int], people: int) -> None:
    for person in persons:
        if person > people:
            raise BadInput(f"there is no person {person:,} among {people:,}: give a lower --person")


def _by(written: str, policy: EventPolicy) -> int:
    """Return the seconds from the opening to the time that is asked for."""
    try:
        return parse_duration(written)
    except ValueError:
        pass
    try:
        moment = parse_moment(written)
    except ValueError as exc:
        raise BadInput(
            f"--by: {written!r} is neither a length (90m) nor an instant (2026-12-31T22:00+01:00)"
        ) from exc
    if not policy.opens_at:
        raise BadInput(
            "--by names an instant: say when it opens, too (--opens-at TIME), or give a length"
        )
    if moment <= policy.opens_at:
        raise BadInput("--by lies before --opens-at: give a later --by")
    return moment - policy.opens_at


def _assumed_document(assumed: Assumed) -> dict[str, Any]:
    failure = assumed.failure
    return {
        "waiting": assumed.waiting,
        "arrive_over_s": assumed.arrive_over_s,
        "stay_s": assumed.stay_s,
        "come_after_s": assumed.come_after_s,
        "failure": None if failure is None else {"after_s": failure[0], "for_s": failure[1]},
        "seated": assumed.seated,
        "seed": assumed.seed,
    }


def _width() -> int:
    return shutil.get_terminal_size().columns


def _blocks() -> str:
    try:
        BLOCKS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII_BLOCKS
    return BLOCKS
