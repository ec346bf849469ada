"""`gateway recover`: bring back an event whose state is lost and that no gateway remembers whole."""

from collections.abc import Sequence
from typing import Any

import click

from gateway.cli.authorship import signed
from gateway.cli.bridge import ask_ledger
from gateway.cli.exits import Refused
from gateway.cli.output import answer, note, require_consent
from gateway.cli.parameters import EVENT
from gateway.cli.policy_flags import policy_flags
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.draw import SEED_BYTES, Draw, commitment_to
from gateway.domain.events import EventPolicy, EventState
from gateway.domain.operator_log import Author
from gateway.domain.positions import MAX_POSITION, EventId, Generation, ServedUpTo
from gateway.operating.durations import describe_duration
from gateway.operating.policies import with_flags
from gateway.ports import Evidence, Ledger, Recovery

# Tokens that have been shown say how far positions went at least. Where nothing else is known, as many
# again are skipped: positions are plenty, and one that is given twice cannot be mended.
LEAST_MARGIN = 1000

# Each is a row in the ledger; more than any site bears at one time.
MOST_HELD = 100_000

_NUMBER = click.IntRange(0, MAX_POSITION)


@click.command(
    "recover",
    cls=Command,
    epilog="""\b
Examples:
  gateway recover sale --dry-run
  gateway recover sale --max-sessions 500 --state paused
  gateway recover sale --max-sessions 500 --sessions 120   # the shop counts 120 inside
  gateway recover sale --issued 52000 --served-up-to 4100 --yes
""",
)
@click.argument("event", type=EVENT)
@click.option("--generation", type=click.IntRange(1, MAX_POSITION), help="The queue's generation.")
@click.option("--issued", type=_NUMBER, help="The highest position known to be handed out.")
@click.option("--served-up-to", type=_NUMBER, help="How far the pointer was, at least.")
@click.option("--margin", type=_NUMBER, help="How many positions to skip above the highest known.")
@click.option(
    "--state",
    type=click.Choice(["paused", "open", "scheduled"]),
    default="paused",
    show_default=True,
    help="How it goes on; paused lets you look first.",
)
@click.option(
    "--sessions",
    type=click.IntRange(0, MOST_HELD),
    help="How many sessions may still run.  [default: as many as --max-sessions]",
)
@click.option("--draw-seed", metavar="HEX", help="The seed of a draw that was held.")
@click.option("--draw-count", type=_NUMBER, help="Among how many it was held.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@policy_flags(creating=False)
@signed
@pass_session
def recover(
    session: Session,
    /,
    event: EventId,
    generation: int | None,
    issued: int | None,
    served_up_to: int | None,
    margin: int | None,
    state: str,
    sessions: int | None,
    draw_seed: str | None,
    draw_count: int | None,
    dry_run: bool,
    yes: bool,
    author: Author,
    **given: Any,
) -> None:
    """Bring back EVENT, whose state the ledger has lost.

    A gateway that knew the event brings it back by itself. This is for when none is left: gateways note
    the genuine tokens that visitors show, and what those prove is the default here. Wait until
    many have been shown, or name the numbers. Rules that you do not name have their defaults again.

    Who was inside goes on booking, and which sessions those are is lost. So room is held for as many as
    --max-sessions allows: a session whose pass is shown takes its own room, and what nobody shows a pass
    for becomes free when the longest session has passed. --sessions says that it were fewer.

    With --json: {"event", "generation", "issued", "goes_on_above", "served_up_to", "state",
    "sessions_held", "sessions_held_s", "gateways", "dry_run"}.
    """
    evidence = ask_ledger(session, lambda ledger: ledger.evidence(event))
    recovery = _recovery(
        evidence,
        generation=generation,
        issued=issued,
        served_up_to=served_up_to,
        margin=margin,
        state=EventState(state),
        sessions=sessions,
        draw=_draw(draw_seed, draw_count),
        policy=with_flags(EventPolicy(), given),
    )
    document = {
        "event": event,
        "generation": recovery.generation,
        "issued": recovery.issued,
        "goes_on_above": recovery.goes_on_above,
        "served_up_to": recovery.served_up_to,
        "state": recovery.state.value,
        "sessions_held": recovery.room_held,
        "sessions_held_s": _longest_session_s(recovery.policy) if recovery.room_held else 0,
        "gateways": len(evidence),
        "dry_run": dry_run,
    }
    plan = (
        f"generation {recovery.generation}, pointer {recovery.served_up_to}, positions up to "
        f"{recovery.issued} are given; the next one is {recovery.goes_on_above + 1}; {_room_text(recovery)}"
    )
    if sessions is None and not recovery.room_held:
        note(
            session,
            "No --max-sessions is named, so no room is held for those who are inside. Name the limit here: "
            "set afterwards, it does not count them before their passes are shown.",
        )
    if dry_run:
        answer(session, document, f"Would bring back {event!r}, {state}: {plan}.")
        return
    require_consent(
        f"Bring back {event!r}, {state}: {plan}? A position above the next one that was given "
        "before would be given twice.",
        given=yes,
    )

    async def carry_out(ledger: Ledger) -> None:
        await ledger.recover(event, recovery, author=author)

    ask_ledger(session, carry_out)
    answer(session, document, f"Brought back {event!r}, {state}: {plan}.")
    if recovery.state is EventState.PAUSED:
        note(session, f"Look at it, set its rules, then: gateway event resume {event}")


def _recovery(
    evidence: Sequence[Evidence],
    *,
    generation: int | None,
    issued: int | None,
    served_up_to: int | None,
    margin: int | None,
    state: EventState,
    sessions: int | None,
    draw: Draw | None,
    policy: EventPolicy,
) -> Recovery:
    if generation is None:
        generation = max((told.generation for told in evidence), default=0)
    of_it = [told for told in evidence if told.generation == generation]
    proved = max((told.issued for told in of_it), default=0)
    passed = max((told.served_up_to for told in of_it), default=0)
    if not generation or (issued is None and not proved):
        raise Refused(
            "no gateway has seen a token of this event yet. Leave the gateways running until visitors "
            "have shown theirs, or name --generation and --issued (both are in every token: "
            "gateway token inspect)"
        )
    if (issued or 0) < proved and issued is not None:
        raise Refused(f"--issued {issued}: a token of position {proved} was shown")
    if served_up_to is not None and served_up_to < passed:
        raise Refused(f"--served-up-to {served_up_to}: a pass of turn {passed} was shown")
    known = proved if issued is None else issued
    served = passed if served_up_to is None else served_up_to
    skipped = max(known, LEAST_MARGIN) if margin is None else margin
    if sessions is None and policy.max_sessions > MOST_HELD:
        raise Refused(
            f"room is held for {MOST_HELD} sessions at most: say how many run by --sessions"
        )
    goes_on_above = max(known, served) + skipped
    if goes_on_above >= MAX_POSITION:
        raise Refused("there are no positions left above that")
    return Recovery(
        generation=Generation(generation),
        issued=max(known, served),
        goes_on_above=goes_on_above,
        served_up_to=ServedUpTo(served),
        state=state,
        policy=policy,
        draw=draw,
        sessions=sessions,
    )


def _longest_session_s(policy: EventPolicy) -> int:
    return max(policy.session_s, policy.extend_s if policy.extend_times else 0)


def _room_text(recovery: Recovery) -> str:
    held = recovery.room_held
    if held == 0:
        return "no room is held for sessions that may still run"
    lasts = describe_duration(_longest_session_s(recovery.policy))
    count = "1 session" if held == 1 else f"{held} sessions"
    return f"room is held for {count} that may still run, for {lasts} at most"


def _draw(seed: str | None, count: int | None) -> Draw | None:
    if seed is None and count is None:
        return None
    if seed is None or count is None:
        raise click.UsageError("Name both --draw-seed and --draw-count, or neither.")
    try:
        raw = bytes.fromhex(seed)
    except ValueError:
        raise click.UsageError("--draw-seed is written in hexadecimal digits.") from None
    if len(raw) != SEED_BYTES:
        raise click.UsageError(f"--draw-seed has {SEED_BYTES} bytes.")
    return Draw(commitment_to(raw), seed.lower(), count)
