"""An event's policy as operators write it: as flags of a command, a table of a TOML file, or JSON.

One list of rules serves all, so a flag and a key of the same name mean the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.domain.events import (
    AS_MANY_AGAIN,
    FOR_THE_TOKENS_LIFE,
    NO_LIMIT,
    Durability,
    EventPolicy,
)
from gateway.domain.positions import MAX_POSITION
from gateway.operating.durations import LONGEST_S, parse_duration, parse_moment

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that an operator decides.

    Attributes:
        name: As a key of a file; as a flag with `-` for `_`.
        field: The field of `EventPolicy`.
        read: Turns what was written into the field's value, or raises ValueError.
        least, most: Bounds of the value, both allowed.
        at_creation: Whether it can be set only when the event is created.
    """

    name: str
    field: str
    read: Callable[[object], int | bool]
    metavar: str
    help: str
    least: int = 0
    most: int = MAX_POSITION
    at_creation: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def is_switch(self) -> bool:
        return self.read is _switch

    def value_of(self, written: object) -> int | bool:
        """Return the field's value.

        Raises:
            ValueError: What was written is not acceptable; the message says what would be.
        """
        value = self.read(written)
        if value < self.least:
            raise ValueError(f"must be at least {self.least}")
        if value > self.most:
            raise ValueError(f"must be at most {self.most}")
        return value


def _length(written: object) -> int:
    if type(written) is int and written >= 0:
        return written
    if isinstance(written, str):
        return parse_duration(written)
    raise ValueError("must be a length of time: 90, 90s, 15m, 2h or 7d")


def _length_or_forever(written: object) -> int:
    return FOR_THE_TOKENS_LIFE if written == "forever" else _length(written)


def _count(written: object) -> int:
    if type(written) is int and written >= 0:
        return written
    if isinstance(written, str) and written.isascii() and written.isdigit() and len(written) <= 16:
        return int(written)
    raise ValueError("must be a whole number, 0 or more")


def _count_or_none(written: object) -> int:
    return NO_LIMIT if written == "none" else _count(written)


def _count_or_limit(written: object) -> int:
    return AS_MANY_AGAIN if written == "limit" else _count(written)


def _moment_or_never(written: object) -> int:
    if written == "never":
        return 0
    if isinstance(written, datetime):
        return int(written.timestamp())
    if isinstance(written, str):
        return parse_moment(written)
    raise ValueError("must be an instant like 2026-12-31T20:00+01:00, or 'never'")


def _durability(written: object) -> int:
    if isinstance(written, str):
        for level in Durability:
            if written == level.word:
                return level
    raise ValueError("must be one of " + ", ".join(level.word for level in Durability))


def _switch(written: object) -> bool:
    if isinstance(written, bool):
        return written
    raise ValueError("must be true or false")


RULES: tuple[Rule, ...] = (
    Rule(
        "window",
        "window_s",
        _length,
        "LENGTH",
        "How long a turn that has come may be claimed.",
        least=1,
        most=LONGEST_S,
    ),
    Rule(
        "session",
        "session_s",
        _length,
        "LENGTH",
        "How long one pass lasts.",
        least=1,
        most=_DAY_S,
    ),
    Rule(
        "max_sessions",
        "max_sessions",
        _count_or_none,
        "N|none",
        "The most sessions at one time; 'none' (or 0) for no limit.",
    ),
    Rule(
        "headroom",
        "headroom",
        _count,
        "N",
        "How far the pointer may run ahead of the positions handed out.",
    ),
    Rule(
        "late_for",
        "late_for_s",
        _length_or_forever,
        "LENGTH|forever",
        "How long after its window a token is still seated; 'forever' is the token's life.",
        least=FOR_THE_TOKENS_LIFE,
        most=LONGEST_S,
    ),
    Rule(
        "extend_times",
        "extend_times",
        _count,
        "N",
        "How often a visitor may lengthen a session.",
        most=1000,
    ),
    Rule(
        "extend_by",
        "extend_s",
        _length,
        "LENGTH",
        "By how much, counted from the moment of asking.",
        most=_DAY_S,
    ),
    Rule(
        "finish_grace",
        "finish_grace_s",
        _length,
        "LENGTH",
        "How long `finish` paths admit a pass after its end.",
        most=_DAY_S,
    ),
    Rule(
        "token_life",
        "token_life_s",
        _length,
        "LENGTH",
        "How long a queue token lives where no closing time is set.",
        least=60,
        most=LONGEST_S,
    ),
    Rule(
        "opens_at",
        "opens_at",
        _moment_or_never,
        "TIME|never",
        "When the event opens by itself, by the ledger's clock: visitors see a countdown. Once for each "
        "time that is set; what you do before or after stays done. A time that has passed does nothing.",
    ),
    Rule(
        "closes_at",
        "closes_at",
        _moment_or_never,
        "TIME|never",
        "When the event closes by itself: tokens live 24 h longer. As with --opens-at, once for each "
        "time that is set.",
    ),
    Rule(
        "one_place_per_sub",
        "one_place_per_sub",
        _switch,
        "",
        "One position for each visitor that a voucher names.",
    ),
    Rule(
        "voucher_required",
        "voucher_required",
        _switch,
        "",
        "A join must carry a voucher of the site.",
    ),
    Rule(
        "draw",
        "draw",
        _switch,
        "",
        "Who joins before the opening is drawn.",
        at_creation=True,
    ),
    Rule(
        "durability",
        "durability",
        _durability,
        "memory|fsync|replicas",
        "What a promise must have survived before it is made: nothing, a sync of the server's disk, "
        "or the answer of its replicas.",
    ),
    Rule(
        "replicas",
        "replicas",
        _count,
        "N",
        "How many replicas to wait for; every one that could be promoted must be among them.",
        least=1,
        most=16,
    ),
    Rule(
        "release_people",
        "schedule_people",
        _count_or_none,
        "N|none",
        "The schedule lets in so many people each --release-every, smoothly, and no more than "
        "--max-sessions has room for; 'none' for no rate.",
        most=1_000_000,
    ),
    Rule(
        "release_every",
        "schedule_every_s",
        _length,
        "LENGTH",
        "The interval of --release-people.",
        least=1,
        most=_DAY_S,
    ),
    Rule(
        "fill",
        "fill",
        _switch,
        "",
        "Without a rate, the schedule lets in as many as --max-sessions has room for. Without "
        "either, people are let in by hand only.",
    ),
    Rule(
        "overshoot",
        "overshoot",
        _count_or_limit,
        "N|limit",
        "By how many those with a session, or with a turn that they may still claim, may exceed "
        "--max-sessions for the sake of those who do not come: so many may have to wait at the door, "
        "should all come. Sessions never exceed it. 'limit' is --max-sessions again.",
        least=AS_MANY_AGAIN,
    ),
)

BY_NAME = {rule.name: rule for rule in RULES}


def with_flags(policy: EventPolicy, given: Mapping[str, int | bool | None]) -> EventPolicy:
    """Return `policy` with the flags that were given; what was not stays."""
    changes = {BY_NAME[name].field: value for name, value in given.items() if value is not None}
    return replace(policy, **changes)  # type: ignore[arg-type]


def read_table(
    table: Mapping[str, object], where: str, mistakes: list[str]
) -> dict[str, int | bool | None]:
    """Read a TOML table of a policy; every mistake is added to `mistakes`."""
    given: dict[str, int | bool | None] = {}
    for name, written in table.items():
        rule = BY_NAME.get(name)
        if rule is None:
            mistakes.append(f"{where} {name}: there is no such rule; see gateway event set --help")
            continue
        try:
            given[name] = rule.value_of(written)
        except ValueError as exc:
            mistakes.append(f"{where} {name}: {exc}")
    return given


def differences(before: EventPolicy, after: EventPolicy) -> dict[str, tuple[int, int]]:
    """Return field, old and new value for what differs."""
    return {
        rule.field: (getattr(before, rule.field), getattr(after, rule.field))
        for rule in RULES
        if getattr(before, rule.field) != getattr(after, rule.field)
    }
