"""The pointer document as a client reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec

from gateway.domain.draw import Draw
from gateway.domain.holes import Holes
from gateway.domain.positions import MAX_POSITION, EventId, ServedUpTo, Turn, ahead_of
from gateway.domain.waiting import Wait, WaitCurve
from gateway.errors import TokenFault, TokenRejected
from gateway.tokens.keys import PublicKey
from gateway.tokens.statements import verify_pointer

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_POSITION)]
FromOne = Annotated[int, msgspec.Meta(ge=1, le=MAX_POSITION)]


class Poll(msgspec.Struct, frozen=True):
    """How often to ask, seconds."""

    nearest: Count = 2
    farthest: Count = 60
    unknown: Count = 10
    heartbeat: Count = 15


class DrawDocument(msgspec.Struct, frozen=True):
    commitment: str
    seed: str | None
    count: Count | None


class CurveDocument(msgspec.Struct, frozen=True):
    curve: Annotated[list[tuple[Count, Count, Count]], msgspec.Meta(min_length=2)]


class PointerDocument(msgspec.Struct, frozen=True):
    """What of the document a client needs; a newer gateway may say more."""

    event: str
    state: str
    generation: FromOne
    issued: Count
    served_up_to: Count
    holes: list[tuple[FromOne, FromOne]]
    draw: DrawDocument | None
    wait: CurveDocument | None
    window: Count
    message: str
    opens_at: Count | None
    full: bool
    poll: Poll

    def turn_of(self, position: int, head_start: int) -> int | None:
        """Return the turn of a position; None while its draw has not been held.

        Raises:
            ValueError: The seed is not the one that was promised.
        """
        drawn: int | None = position
        if self.draw is not None:
            held = Draw(self.draw.commitment, self.draw.seed, self.draw.count)
            drawn = held.turn_of(position)  # type: ignore[arg-type]
        return None if drawn is None else max(1, drawn - head_start)

    def ahead(self, turn: int) -> int:
        holes = Holes(tuple(self.holes))
        return ahead_of(Turn(turn), ServedUpTo(self.served_up_to), holes)

    def wait_of(self, turn: int | None) -> Wait | None:
        """Return the range of the wait, as of this document; None where nobody can tell."""
        if turn is None or self.wait is None or turn <= self.served_up_to:
            return None
        return WaitCurve(tuple(self.wait.curve)).at(self.ahead(turn))


@dataclass(frozen=True, slots=True)
class Pointer:
    """A genuine document.

    Attributes:
        issued_at: Unix seconds of the server's clock when it was signed.
    """

    issuer: str
    issued_at: int
    document: PointerDocument


def read_pointer(
    statement: str, keys: Mapping[str, PublicKey], event: EventId, issuer: str | None
) -> Pointer:
    """Check a statement, and read the document.

    Raises:
        TokenRejected: With the fault.
    """
    genuine = verify_pointer(statement, keys, expect_event=event, expect_issuer=issuer)
    try:
        document = msgspec.convert(genuine.document, PointerDocument, strict=True)
    except msgspec.ValidationError as exc:
        raise TokenRejected(TokenFault.BAD_CLAIMS) from exc
    return Pointer(genuine.issuer, genuine.issued_at, document)


def newer_document(known: PointerDocument | None, fresh: PointerDocument) -> PointerDocument:
    """Merge a document into what was known: within one generation the pointer never goes back."""
    if known is None or fresh.generation > known.generation:
        return fresh
    if fresh.generation < known.generation:
        return known
    return with_pointer(fresh, max(fresh.served_up_to, known.served_up_to))


def with_pointer(document: PointerDocument, served_up_to: int) -> PointerDocument:
    return msgspec.structs.replace(document, served_up_to=served_up_to)
