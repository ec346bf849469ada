"""Where a visitor stands, worked out from the token and the newest document alone."""

import time

from gateway.client.documents import Pointer, PointerDocument, Poll
from gateway.client.pace import poll_after
from gateway.client.record import Record
from gateway.domain.claims import QueueClaims
from gateway.domain.shown_wait import Shown, show_next
from gateway.domain.waiting import Wait

_NO_CLAIMS_IN = frozenset({"scheduled", "suspended", "deleted"})


class Standing:
    """What is known of one place, and what follows from it.

    Attributes:
        claims: The token's; None while it could not be checked.
        pointer: The newest genuine document, and when and by whom it was signed.
        turn: None before the draw.
        wait: What is left, as of the document; None where nobody can tell.
        turn_seen_at: When the turn was first seen to have come, by the process's own clock.
        served_before: How far the pointer was in the document before this one.
        refusals: How often the site was full for this turn.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.claims: QueueClaims | None = None
        self.pointer: Pointer | None = None
        self.turn: int | None = None
        self.wait: Wait | None = None
        self.shown: Shown | None = None
        self.turn_seen_at: float | None = None
        self.served_before: int | None = None
        self.refusals = 0

    @property
    def document(self) -> PointerDocument | None:
        return None if self.pointer is None else self.pointer.document

    @property
    def poll(self) -> Poll:
        return Poll() if self.document is None else self.document.poll

    def hold(self, pointer: Pointer, document: PointerDocument) -> None:
        self.pointer = Pointer(pointer.issuer, pointer.issued_at, document)

    def estimate(self, document: PointerDocument) -> None:
        """Say anew how long the turn may take."""
        self.wait = document.wait_of(self.turn)
        self.shown = show_next(self.shown, self.wait, _now_s())

    def has_turn(self) -> bool:
        document = self.document
        if self.turn is None or document is None:
            return False
        return self.turn <= document.served_up_to and document.state not in _NO_CLAIMS_IN

    def ahead(self) -> int | None:
        """Return how many are in front; None where that is not known."""
        document = self.document
        return None if document is None or self.turn is None else document.ahead(self.turn)

    def wait_left(self) -> Wait | None:
        """Return the time left as it is to be shown; None where nobody can tell."""
        return None if self.shown is None else self.shown.left_at(_now_s())

    def earliest_turn_at(self, record: Record) -> float | None:
        """Return when the turn is expected at the earliest: Unix seconds of the device's clock."""
        document = self.document
        if document is None or record.heard_at is None or record.as_of is None:
            return None
        if document.state == "scheduled":
            if document.opens_at is None:
                return None
            return document.opens_at - record.as_of + record.heard_at
        return None if self.wait is None else record.heard_at + self.wait.low_s

    def poll_alone_s(self, chance: float) -> float:
        """Return after how long to ask again where nothing is pushed."""
        return poll_after(self.poll, self.ahead(), self.wait, chance)


def _now_s() -> int:
    return int(time.monotonic())
