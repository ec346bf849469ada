"""What a client knows for good. The same names as in the JavaScript client."""

from typing import Any, Final, Literal

import msgspec

VERSION: Final = 1

Stage = Literal["none", "joining", "waiting", "admitted", "over"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record, written before every step that it tells of.

    Attributes:
        join_key: The Idempotency-Key of a join under way, and what the join's body says.
        why: Why it is over: a problem's type, or `session-ended`.
        statement: The newest signed pointer document, and how far the pointer has been seen.
        as_of: When that was signed, by the server's clock; Unix seconds.
        heard_at: The same moment by the device's clock.
        keys: The public keys as a JWK set's members.
    """

    version: int = VERSION
    stage: Stage = "none"
    join_key: str | None = None
    join_fields: dict[str, str] | None = None
    token: str | None = None
    pass_: str | None = msgspec.field(default=None, name="pass")
    session_ends_at: int | None = None
    why: str | None = None
    statement: str | None = None
    served_up_to: int = 0
    as_of: int | None = None
    heard_at: float | None = None
    keys: list[dict[str, Any]] | None = None


def read_record(text: str | None) -> Record:
    """Return what was kept; an empty record where there is nothing that this version can read."""
    if text is None:
        return Record()
    try:
        record = msgspec.json.decode(text, type=Record)
    except msgspec.DecodeError:
        return Record()
    return record if record.version == VERSION else Record()
