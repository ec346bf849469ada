"""How single words of the command line are read."""

import re
from typing import Any

import click

from gateway.domain.positions import MAX_POSITION, EventId, Position, parse_event_id
from gateway.errors import BadInput
from gateway.operating.durations import describe_duration, parse_duration

# Not what int() takes: "+5", "1_000", " 5" and Arabic digits are no amounts that anybody types.
_WHOLE = re.compile(r"[0-9]{1,16}", re.ASCII)


class EventName(click.ParamType[EventId]):
    name = "event"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> EventId:
        try:
            return parse_event_id(value)
        except BadInput as exc:
            self.fail(f"{value!r}: {exc}.", param, ctx)


class Amount(click.ParamType[int]):
    """A number of people, or a turn: 1 to 2^53 - 1."""

    name = "amount"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,
    ) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value) and 1 <= int(value) <= MAX_POSITION:
            return int(value)
        raise click.UsageError(f"{value!r} is not a whole number from 1 to {MAX_POSITION}.", ctx)


class PositionNumber(click.ParamType[Position]):
    name = "position"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Position:
        if isinstance(value, str) and _WHOLE.fullmatch(value) and 1 <= int(value) <= MAX_POSITION:
            return Position(int(value))
        self.fail(f"{value!r} is not a position: a whole number from 1.", param, ctx)


class Length(click.ParamType[int]):
    """A length of time in whole seconds."""

    name = "length"

    def __init__(self, least_s: int, most_s: int) -> None:
        self._least_s = least_s
        self._most_s = most_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            seconds = parse_duration(value)
        except ValueError as exc:
            self.fail(f"{exc}.", param, ctx)
        if not self._least_s <= seconds <= self._most_s:
            least, most = describe_duration(self._least_s), describe_duration(self._most_s)
            self.fail(f"must lie between {least} and {most}.", param, ctx)
        return seconds


EVENT = EventName()
POSITION = PositionNumber()
AMOUNT = Amount()
PORT = click.IntRange(0, 65_535)
