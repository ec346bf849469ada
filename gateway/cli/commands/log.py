"""`gateway log`: what operators did to an event, and the proof that nobody changed it since."""

import json
import re
from collections.abc import Mapping
from typing import Any

import click

from gateway.cli.bridge import ask_ledger
from gateway.cli.exits import LogBroken
from gateway.cli.output import answer, note, to_json
from gateway.cli.parameters import EVENT
from gateway.cli.rendering import table
from gateway.cli.session import Command, Session, pass_session
from gateway.domain.operator_log import (
    Logged,
    OperatorLog,
    canonical,
    one_line,
    read_entry,
    verify,
)
from gateway.domain.positions import EventId
from gateway.operating.durations import describe_moment
from gateway.operating.log_documents import entry_document, log_document

_LONGEST_CHANGE = 120


class Hash(click.ParamType[str]):
    name = "hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", value, re.ASCII):
            self.fail(
                "a hash has 64 hexadecimal digits, as in a gateway's log under 'head'.", param, ctx
            )
        return str(value).lower()


@click.command(
    "log",
    cls=Command,
    epilog="""\b
Examples:
  gateway log sale
  gateway log sale --last 20
  gateway log sale --verify --head 5f0c…   # a head that a gateway's log names
  gateway log sale --jsonl > sale.jsonl

\b
Each line of --jsonl is {"entry": {...}, "hash"}; hash is the SHA-256 of the entry's text as it stands
there, and entry.prev is the hash of the entry before.

\b
Fields of --json:
  event
  entries       seq, at (Unix ms), event, generation, act, by, reason, before, after, prev, hash
  head          seq and hash of the latest entry by the event's state; null where it is lost
  whole         whether the chain is whole
  faults        what is wrong with it
  notices       what the log itself says that it lacks
""",
)
@click.argument("event", type=EVENT)
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Show the latest N only.")
@click.option("--jsonl", is_flag=True, help="Export: one JSON document a line, oldest first.")
@click.option("--verify", "only_verify", is_flag=True, help="Show no entries, only the verdict.")
@click.option(
    "--head",
    "kept",
    type=Hash(),
    multiple=True,
    metavar="HASH",
    help="A hash that was kept elsewhere and must be in the log; as often as you like.",
)
@pass_session
def log(
    session: Session,
    event: EventId,
    last: int | None,
    jsonl: bool,
    only_verify: bool,
    kept: tuple[str, ...],
) -> None:
    """Show who did what to EVENT and when; always verify the chain of hashes.

    Exit code 1 when an entry was changed, is missing, or a kept hash is not there. The log
    outlives a reset and a deletion. That its newest entries were cut off together with the event's
    state, only a hash that was kept elsewhere shows: every gateway writes it into its own log.
    """
    if jsonl and (session.json or only_verify):
        raise click.UsageError("--jsonl stands alone: without --json and --verify.")
    held = ask_ledger(session, lambda ledger: ledger.operator_log(event))
    verdict = verify(event, held, kept=kept)
    shown = held.entries if last is None else held.entries[-last:]
    if jsonl:
        for logged in shown:
            click.echo(_line(logged))
    else:
        document = log_document(event, held, [] if only_verify else shown, verdict)
        parts = [] if only_verify else [_entries_text(document["entries"])]
        if verdict.is_whole:
            parts.append(_verdict_text(held))
        answer(session, document, "\n\n".join(part for part in parts if part))
    for notice in verdict.notices:
        note(session, f"Note: {notice}.")
    if not verdict.is_whole:
        raise LogBroken(event, verdict.faults)


def _line(logged: Logged) -> str:
    # Word for word where it is an entry: its hash is over these bytes.
    if read_entry(logged.text) is None:
        return to_json(entry_document(logged), one_line=True)
    return f'{{"entry":{logged.text},"hash":{json.dumps(logged.hash)}}}'


def _entries_text(entries: list[dict[str, Any]]) -> str:
    if not entries:
        return ""
    head = ("seq", "when", "who", "what", "change", "reason")
    return table(head, [_row(entry) for entry in entries])


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    if "unreadable" in entry:
        return ("?", "", "", "unreadable", "", "")
    return (
        str(entry["seq"]),
        describe_moment(entry["at"] / 1000),
        one_line(entry["by"]),
        one_line(entry["act"]),
        _change_text(entry["before"], entry["after"]),
        one_line(entry["reason"]),
    )


def _change_text(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    words: list[str] = []
    for name in sorted({*before, *after}, key=lambda name: (name != "state", name)):
        had, has = before.get(name), after.get(name)
        if had == has or isinstance(has, dict):
            continue
        told = _value(has) if had is None else f"{_value(had)} -> {_value(has)}"
        words.append(f"{one_line(name)} {told}")
    text = ", ".join(words)
    return text if len(text) <= _LONGEST_CHANGE else text[: _LONGEST_CHANGE - 1] + "…"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    return one_line(value) or "''" if isinstance(value, str) else one_line(canonical(value))


def _verdict_text(held: OperatorLog) -> str:
    if not held.entries:
        return "The log is empty: nothing was done since events have one."
    count = "1 entry" if len(held.entries) == 1 else f"{len(held.entries)} entries"
    return f"The chain is whole: {count}, head {held.entries[-1].hash}"
