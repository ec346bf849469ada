"""Translates between the ledger's replies and our own types."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from gateway.domain.draw import Draw
from gateway.domain.events import (
    Durability,
    EventPolicy,
    EventSnapshot,
    EventState,
    Healed,
    LetIn,
    Release,
)
from gateway.domain.holes import Holes
from gateway.domain.operator_log import Head
from gateway.domain.pacing import ScheduleState
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo
from gateway.domain.samples import Sample
from gateway.domain.turnout import Turnout
from gateway.domain.waiting import Wait
from gateway.errors import StateLost
from gateway.ports import Evidence, JoinRequest, Place, Recovery

# The scripts reckon in ms; these lengths of the policy are theirs.
_IN_MS = ("window_s", "session_s", "late_for_s", "extend_s", "finish_grace_s", "schedule_every_s")

_ENTRY_WORDS = 6
_EVIDENCE_WORDS = 4
_MOST_DIGITS = 16  # of 2^53 - 1


def policy_to_config(policy: EventPolicy) -> list[str]:
    """Return name, value, name, value … as the `config` hash holds them."""
    config: list[str] = []
    for field in fields(policy):
        value = int(getattr(policy, field.name))
        if field.name in _IN_MS:
            config += [field.name.removesuffix("_s") + "_ms", str(_to_ms(value))]
        else:
            config += [field.name, str(value)]
    return config


def policy_from_config(config: Sequence[str]) -> EventPolicy:
    """Read the `config` hash; a name that it lacks has the policy's default."""
    held = dict(zip(config[::2], config[1::2], strict=True))
    values: dict[str, Any] = {}
    for field in fields(EventPolicy):
        in_ms = field.name in _IN_MS
        text = held.get(field.name.removesuffix("_s") + "_ms" if in_ms else field.name)
        if text is None:
            continue
        number = int(text)
        if field.type is bool:
            values[field.name] = number != 0
        elif field.type is Durability:
            values[field.name] = Durability(number)
        else:
            values[field.name] = number // 1000 if in_ms and number >= 0 else number
    return EventPolicy(**values)


def _to_ms(seconds: int) -> int:
    return seconds * 1000 if seconds >= 0 else seconds


def parse_places(reply: Sequence[str], requests: Sequence[JoinRequest]) -> list[Place]:
    """Read the answer of `deal.lua`: the places of the granted joins, in their order."""
    generation = Generation(int(reply[0]))
    next_position, granted, clk = int(reply[1]), int(reply[2]), int(reply[3])
    entries = _entries(reply[7:])
    places: list[Place] = []
    for index, request in enumerate(requests[:granted], start=1):
        entry = entries.get(index)
        if entry is None:
            place = Place(generation, Position(next_position), request.visitor, clk, 0, False)
        else:
            position, joined, head_start, repeated, visitor = entry
            place = Place(
                generation,
                Position(int(position)),
                visitor,
                int(joined),
                int(head_start),
                repeated == "1",
            )
        if not place.repeated:
            next_position += 1
        places.append(place)
    return places


def _entries(words: Sequence[str]) -> Mapping[int, Sequence[str]]:
    return {
        int(words[i]): words[i + 1 : i + _ENTRY_WORDS] for i in range(0, len(words), _ENTRY_WORDS)
    }


def parse_snapshot(
    event: EventId, reply: Sequence[Any], read_at_s: float, known: EventSnapshot | None
) -> EventSnapshot:
    """Read the answer of `read.lua`.

    Raises:
        StateLost: A value is not what it must be.
    """
    try:
        generation = Generation(int(reply[1]))
        return EventSnapshot(
            event=event,
            state=EventState(reply[2]),
            generation=generation,
            issued=int(reply[3]),
            served_up_to=ServedUpTo(int(reply[4])),
            ceiling=int(reply[5]),
            active_ms=int(reply[6]),
            active_sessions=int(reply[7]),
            claims=int(reply[8]),
            late=int(reply[9]),
            updated_at_ms=int(reply[10]),
            message=reply[11],
            claims_frozen=reply[12] == "1",
            bypass_ends_at_ms=int(reply[21]) if reply[21] else None,
            holes=Holes.parse(reply[13]),
            draw=_draw(reply[14], reply[15], reply[16]),
            policy=policy_from_config(reply[17]),
            releases=tuple(_release(text) for text in reply[18]),
            ended=_ended(reply[19], int(reply[0]) // 1000, known, generation),
            read_at_s=read_at_s,
            revision=int(reply[22]),
            healed=_healed(reply[23]),
            open_ms=int(reply[25]),
            history=_history(reply[26]),
            schedule=ScheduleState.parse(reply[27][0] or ""),
            turnout=_turnout(reply[27][1] or "", int(reply[4]), int(reply[6])),
            sessions_held=int(reply[28]),
        )
    except (ValueError, TypeError, IndexError) as exc:
        raise StateLost("the event's state cannot be read") from exc


def parse_evidence(held: Mapping[str, str]) -> list[Evidence]:
    """Read what gateways told of a lost event; what cannot be read is left out."""
    told: list[Evidence] = []
    for gateway, text in held.items():
        words = text.split(" ")
        if len(words) != _EVIDENCE_WORDS or not all(map(_is_whole, words)):
            continue
        generation, issued, served, at_ms = map(int, words)
        told.append(Evidence(gateway, Generation(generation), issued, ServedUpTo(served), at_ms))
    return told


def parse_log_head(text: str | None) -> Head | None:
    """Read the head of an operator log: its number, its hash, and maybe its id in the stream."""
    seq, _, rest = (text or "").partition(" ")
    return Head(int(seq), rest.partition(" ")[0]) if _is_whole(seq) and rest else None


def parse_sample(entry_id: str, words: str) -> Sample | None:
    """Read one entry of the samples; None where it is not one."""
    try:
        generation, state, *numbers, low, high, open_ms = words.split(" ")
        issued, served, let_in, waiting, active, claims, late, at_the_door, limit = numbers
        return Sample(
            at_s=int(entry_id.partition("-")[0]) // 1000,
            generation=Generation(int(generation)),
            state=EventState(state),
            issued=int(issued),
            served_up_to=int(served),
            let_in=int(let_in),
            waiting=int(waiting),
            active_sessions=int(active),
            claims=int(claims),
            late=int(late),
            at_the_door=int(at_the_door),
            max_sessions=int(limit),
            promised=None if low == "-" else Wait(int(low), int(high)),
            open_ms=int(open_ms),
        )
    except ValueError:
        return None


def _is_whole(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS


def recovery_words(recovery: Recovery) -> list[str]:
    """Return the first arguments of `recover.lua`."""
    draw = recovery.draw
    return [
        str(recovery.generation),
        str(recovery.issued),
        str(recovery.goes_on_above),
        str(recovery.served_up_to),
        recovery.state.value,
        "" if draw is None else draw.commitment,
        "" if draw is None or draw.seed is None else draw.seed,
        "" if draw is None or draw.count is None else str(draw.count),
        str(recovery.room_held),
    ]


def _draw(commitment: str, seed: str, count: str) -> Draw | None:
    if not commitment:
        return None
    return Draw(commitment, seed or None, int(count) if count else None)


def _healed(text: str) -> Healed | None:
    if not text:
        return None
    at_ms, why, known_issued, went_on_above, silent = text.split(" ")
    return Healed(int(at_ms), why, int(known_issued), int(went_on_above), int(silent))


def _release(text: str) -> Release:
    active_ms, people, turn = text.split(":")
    return Release(turn=int(turn), active_ms=int(active_ms), people=int(people))


def _history(text: str) -> tuple[LetIn, ...]:
    # Waiting times come of it and nothing else: where it cannot be read, there is none.
    try:
        return tuple(LetIn(*map(int, entry.split(":", 2))) for entry in text.split(",") if entry)
    except (ValueError, TypeError):
        return ()


def _turnout(text: str, served: int, active_ms: int) -> Turnout | None:
    turnout = Turnout.parse(text)
    if turnout is None or turnout.served != served:
        # The pointer was moved by who does not count; it is made up for with the next movement.
        return None
    turnout.catch_up(active_ms)
    return turnout


def _ended(
    words: Sequence[str], now_s: int, known: EventSnapshot | None, generation: Generation
) -> dict[Position, int]:
    held = known.ended if known is not None and known.generation == generation else {}
    if not words and all(until >= now_s for until in held.values()):
        return held
    ended = {position: until for position, until in held.items() if until >= now_s}
    ended |= {
        Position(int(words[i])): int(words[i + 1])
        for i in range(0, len(words), 2)
        if int(words[i + 1]) >= now_s
    }
    return ended
