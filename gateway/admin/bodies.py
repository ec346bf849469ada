"""The bodies of calls that change something. Whatever is not named here is refused."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, field

from gateway.domain.operator_log import LONGEST_REASON
from gateway.domain.positions import MAX_POSITION

Amount: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_POSITION)]
Reason: TypeAlias = Annotated[str, Meta(max_length=LONGEST_REASON)]
RequestId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]
Length: TypeAlias = Annotated[int, Meta(ge=1)] | Annotated[str, Meta(max_length=20)]
"""Seconds, or a length of time as a command takes it: `90s`, `10m`."""

LONGEST_MESSAGE = 500
"""The waiting page shows it in one place; a longer text would push everything else away."""

Message: TypeAlias = Annotated[str, Meta(max_length=LONGEST_MESSAGE)]


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    key: Annotated[str, Meta(max_length=200)]

    def __repr__(self) -> str:
        return "SignIn(key=…)"


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No field at all."""


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """As `gateway release`: one of `by` and `to`."""

    by: Amount | None = None
    to: Amount | None = None
    id: RequestId | None = None
    dry_run: bool = False
    confirm: bool = False
    reason: Reason = ""


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """As `gateway event open`, `pause`, …

    `message` and `releases_only` belong to `pause`, `for` to `bypass`.
    """

    change: Literal["open", "pause", "resume", "close", "bypass", "end-bypass"]
    message: Message = ""
    releases_only: bool = False
    for_: Length | None = field(default=None, name="for")
    confirm: bool = False
    reason: Reason = ""


class Create(Struct, frozen=True, forbid_unknown_fields=True):
    """As `gateway event create`; the names in `policy` are those of an event's table in a file."""

    event: str
    open: bool = False
    policy: dict[str, bool | int | str] = {}
    reason: Reason = ""


class SetMessage(Struct, frozen=True, forbid_unknown_fields=True):
    message: Message
    reason: Reason = ""


class Reset(Struct, frozen=True, forbid_unknown_fields=True):
    """As `gateway event reset`; `confirm` is the event's name."""

    confirm: str = ""
    open: bool = False
    id: RequestId | None = None
    reason: Reason = ""


class Delete(Struct, frozen=True, forbid_unknown_fields=True):
    """As `gateway event delete`; `confirm` is the event's name."""

    confirm: str = ""
    id: RequestId | None = None
    reason: Reason = ""


class EndSession(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason = ""


class ExtendSession(Struct, frozen=True, forbid_unknown_fields=True):
    """As `gateway session extend`; `for` is the length from now to the new end."""

    for_: Length = field(name="for")
    reason: Reason = ""


PolicyChange: TypeAlias = dict[str, bool | int | str]
"""The rules to change, as in an event's table in a file, and `reason`."""
