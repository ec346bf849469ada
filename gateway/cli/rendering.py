"""Tables and sentences for people. Everything takes the documents that programs get."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from gateway.domain.events import AS_MANY_AGAIN, Durability
from gateway.operating.durations import describe_duration, describe_moment
from gateway.operating.releases import people as people

_STATE_COLOURS = {
    "open": "green",
    "scheduled": "cyan",
    "paused": "yellow",
    "bypass": "red",
    "suspended": "red",
    "lost": "red",
}
_GAP = "  "


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows in columns: the first to the left, numbers to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rendered: list[str] = []
    for line in lines:
        cells = [
            cell.rjust(width) if _is_number(lines, column) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        rendered.append(_GAP.join(cells).rstrip())
    rendered[0] = click.style(rendered[0], bold=True)
    return "\n".join(rendered)


def _is_number(lines: Sequence[Sequence[str]], column: int) -> bool:
    return all(line[column][:1].isdigit() or line[column] in {"-", ""} for line in lines[1:])


def pairs(rows: Iterable[tuple[str, str]], indent: str = "") -> str:
    """Lay out names and values; a row without a value is left out."""
    kept = [(name, value) for name, value in rows if value]
    width = max((len(name) for name, _ in kept), default=0)
    return "\n".join(f"{indent}{name.ljust(width)}{_GAP}{value}" for name, value in kept)


def state_word(state: str) -> str:
    return click.style(state, fg=_STATE_COLOURS.get(state))


def status_text(document: Mapping[str, Any]) -> str:
    """Everything about one event."""
    limit = document["max_sessions"]
    rate = document["rate_per_min"]
    holes = document["holes"]
    head = f"{click.style(document['event'], bold=True)}  {state_word(document['state'])}"
    return (
        head
        + "\n"
        + pairs(
            [
                ("message", document["message"]),
                ("issued", str(document["issued"])),
                ("served up to", str(document["served_up_to"])),
                ("waiting", str(document["waiting"])),
                (
                    "active sessions",
                    f"{document['active_sessions']} of {'no limit' if limit is None else limit}"
                    + _held_text(document["sessions_held"]),
                ),
                ("claims so far", str(document["claims"])),
                ("let in lately", "no history yet" if rate is None else f"{rate:g} a minute"),
                ("schedule", _schedule_text(document["schedule"])),
                ("event clock", describe_duration(document["event_clock_s"])),
                ("holes", ", ".join(f"{first}-{last}" for first, last in holes) or "none"),
                ("ceiling", str(document["ceiling"])),
                ("draw", _draw_text(document["draw"])),
                ("generation", str(document["generation"])),
                ("brought back", _healed_text(document["healed"])),
                ("changed at", describe_moment(document["updated_at"])),
            ],
            indent="  ",
        )
    )


_WHY = {
    "rate": "it keeps to its rate",
    "full": "the places are taken, or those expected will take them",
    "overshoot": "no more turns may be open at one time (--overshoot)",
    "nobody-waits": "nobody waits",
    "ill": "the backend is ill; claim windows stand still",
    None: "it has not run yet",
}


def _schedule_text(document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "none: people are let in by hand"
    why = document["why"]
    words = [_WHY.get(why, f"the event is {why}")]
    if document["pace"] < 1:
        words.append(f"pace {document['pace']:.0%} after an illness of the backend")
    words.append(f"{document['at_the_door']} at the door, {document['expected']} expected")
    if document["show_rate"] is not None:
        words.append(f"{document['show_rate']:.0%} come")
    return "; ".join(words)


def _draw_text(draw: Mapping[str, Any] | None) -> str:
    if draw is None:
        return ""
    if draw["seed"] is None:
        return f"not held yet; commitment {draw['commitment']}"
    return f"held among {draw['count']}; seed {draw['seed']}"


def _held_text(held: int) -> str:
    if held == 0:
        return ""
    return (
        f"; {held} of them only held free, for passes from before a loss that nobody has shown yet"
    )


def _healed_text(healed: Mapping[str, Any] | None) -> str:
    if healed is None:
        return ""
    silent = healed["silent_gateways"]
    heard = f"; {silent} not heard" if silent else ""
    return (
        f"{describe_moment(healed['at'])} ({healed['why']}{heard}): known up to "
        f"{healed['known_issued']}, went on above {healed['went_on_above']}"
    )


def missing_text(events: Sequence[str]) -> str:
    """What to do about events that the settings name and the ledger does not have."""
    return "".join(
        f"\nThe settings name {event!r}, and the ledger does not have it. Was it there before, it is lost: "
        f"do not create it anew, for that ends every place; gateway recover {event}. Is it new: gateway "
        f"event create {event}"
        for event in events
    )


def overview_text(documents: Sequence[Mapping[str, Any]]) -> str:
    """One line for each event. A document with an `error` is one whose state cannot be read."""
    head = ("EVENT", "STATE", "ISSUED", "SERVED", "WAITING", "SESSIONS", "CLAIMS", "PER MIN")
    return table(head, [_overview_row(document) for document in documents])


def _overview_row(document: Mapping[str, Any]) -> tuple[str, ...]:
    if "error" in document:
        return (document["event"], "lost", *("-",) * 6)
    limit, rate = document["max_sessions"], document["rate_per_min"]
    sessions = str(document["active_sessions"])
    return (
        document["event"],
        document["state"],
        str(document["issued"]),
        str(document["served_up_to"]),
        str(document["waiting"]),
        sessions if limit is None else f"{sessions}/{limit}",
        str(document["claims"]),
        "-" if rate is None else f"{rate:g}",
    )


def policy_text(policy: Mapping[str, Any]) -> str:
    """The rules of an event, named as the flags are."""
    late_for = policy["late_for_s"]
    opens_at, closes_at = policy["opens_at"], policy["closes_at"]
    return pairs(
        [
            ("window", describe_duration(policy["window_s"])),
            ("session", describe_duration(policy["session_s"])),
            ("max sessions", str(policy["max_sessions"] or "no limit")),
            ("headroom", str(policy["headroom"])),
            ("late for", "the token's life" if late_for < 0 else describe_duration(late_for)),
            (
                "extensions",
                f"{policy['extend_times']} of {describe_duration(policy['extend_s'])}",
            ),
            ("finish grace", describe_duration(policy["finish_grace_s"])),
            ("token life", describe_duration(policy["token_life_s"])),
            ("opens at", describe_moment(opens_at) if opens_at else "no time set"),
            ("closes at", describe_moment(closes_at) if closes_at else "no time set"),
            ("one place per sub", _yes_no(policy["one_place_per_sub"])),
            ("voucher required", _yes_no(policy["voucher_required"])),
            ("draw", _yes_no(policy["draw"])),
            ("durability", _durability_text(policy)),
            ("releases", _releases_text(policy)),
        ],
        indent="  ",
    )


def _releases_text(policy: Mapping[str, Any]) -> str:
    people_each, limit = policy["schedule_people"], policy["max_sessions"]
    words: list[str] = []
    if people_each:
        every = describe_duration(policy["schedule_every_s"])
        words.append(f"{people_each} every {every}")
    elif not policy["fill"]:
        return "by hand"
    if limit:
        overshoot = policy["overshoot"]
        more = limit if overshoot == AS_MANY_AGAIN else overshoot
        words.append(f"as {limit} sessions have room, {more} more at the door at most")
    return "; ".join(words) or "everybody at once"


def _durability_text(policy: Mapping[str, Any]) -> str:
    level = policy["durability"]
    return f"{level}, {policy['replicas']}" if level == "replicas" else str(level)


def _yes_no(value: bool) -> str:
    return "yes" if value else "no"


def changes_text(changes: Mapping[str, Sequence[Any]]) -> str:
    """What a policy had and has, by field: `window_s 900 -> 600`."""
    return ", ".join(
        f"{field} {_changed(field, before)} -> {_changed(field, after)}"
        for field, (before, after) in changes.items()
    )


def _changed(field: str, value: Any) -> str:
    """Say what no operator reads as a number: instants and levels."""
    if field in {"opens_at", "closes_at"}:
        return describe_moment(value) if value else "never"
    return Durability(value).word if field == "durability" else str(value)


def release_text(document: Mapping[str, Any], *, id_was_named: bool = False) -> str:
    """What a release did. Who named it is told where the name will do nothing more."""
    used_up = (
        f" The id {document['id']!r} is used up by it: asked for again it does nothing, also when more "
        "people wait. For those take another one."
        if id_was_named and not document["dry_run"]
        else ""
    )
    before, after, count = document["before"], document["after"], document["people"]
    if document["repeated"]:
        return (
            f"This id was carried out before: {people(count)} let in, the pointer went from "
            f"{before} to {after}. Nothing moved now. An id stands for one release, whatever came of it: "
            "for another one take another id."
        )
    if after == before:
        why = (
            "nobody else is waiting (release again when people have joined, or set --headroom)"
            if document["capped"]
            else "it is there already"
        )
        return f"The pointer stays at {before}: {why}.{used_up}"
    cap = (
        f" That was everybody who waits; it asked for more.{used_up}" if document["capped"] else ""
    )
    head = (
        f"Would let in {people(count)}: the pointer would go from {before} to {after}.{cap}"
        if document["dry_run"]
        else f"Let in {people(count)}: the pointer went from {before} to {after}.{cap}"
    )
    return "\n".join((head, *_effects_lines(document)))


def _effects_lines(document: Mapping[str, Any]) -> list[str]:
    """Say what a release does to the people let in, to the sessions, and beside what was usual."""
    effects = document["effects"]
    rate, limit = effects["show_rate"], effects["max_sessions"]
    come = (
        "nobody's window is over yet, so all count as coming"
        if rate is None
        else f"{rate:.0%} came so far: {effects['expected']} of them expected"
    )
    rows = [
        ("to claim", f"{describe_duration(effects['claim_window_s'])}; {come}"),
        (
            "sessions",
            f"{effects['sessions']} now and {effects['at_the_door']} at the door; then "
            f"{effects['sessions_expected']} expected, {effects['sessions_at_most']} at most, "
            f"of {'no limit' if limit is None else limit}",
        ),
        ("no place free", _door_text(effects)),
        ("not joined yet", people(effects["not_joined"]) if effects["not_joined"] else ""),
        (
            "in holes",
            f"{effects['holes_crossed']} turns of nobody's" if effects["holes_crossed"] else "",
        ),
        ("usually", _usual_text(effects)),
        ("unusual", "; ".join(reason["text"] for reason in document["unusual"])),
    ]
    if document["dry_run"] and document["unusual"]:
        rows.append(("to do it", "answer yes when asked, or add --yes"))
    return pairs(rows, indent="  ").splitlines()


def _door_text(effects: Mapping[str, Any]) -> str:
    most, expected = effects["wait_at_most"], effects["wait_expected"]
    if not most:
        return ""
    if not expected:
        return f"for {people(most)} if all come at once; nobody is expected to wait at the door"
    return (
        f"for {expected} expected, {most} at most: the last waits at the door for about "
        f"{describe_duration(effects['wait_s'])} ({effects['frees_per_min']:g} places a minute); "
        "claim windows stand still meanwhile"
    )


def _usual_text(effects: Mapping[str, Any]) -> str:
    rate, largest = effects["rate_per_min"], effects["largest"]
    words: list[str] = []
    if rate is not None:
        takes = describe_duration(effects["usual_min"] * 60)
        words.append(f"{rate:g} a minute are let in lately: as many take {takes}")
    if largest is not None:
        words.append(f"the largest release was of {people(largest)}")
    return "; ".join(words)


def observed_text(events: Sequence[str]) -> str:
    """Say loudly which events only observe; nothing where none does."""
    if not events:
        return ""
    names = ", ".join(events)
    warning = click.style("EVERYBODY IS LET THROUGH", fg="red", bold=True)
    return f'\n\n{warning}: {names} by mode = "observe" in these settings.'
