"""The public pointer document: the same bytes for everyone, so a CDN can answer a million pollers."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from gateway.answers import Answer, RawHeader, etag_matches, problem
from gateway.domain.events import NO_LIMIT, EventSnapshot
from gateway.domain.positions import EventId
from gateway.domain.waiting import (
    COVERAGE,
    FARTHEST_POLL_S,
    NEAREST_POLL_S,
    UNKNOWN_POLL_S,
    release_rate_per_s,
    wait_curve,
)
from gateway.errors import KeyRingError

CACHE_CONTROL = b"public, max-age=1"


# A pushed document is repeated after this long without a change. A stream that was silent for two of these
# has failed, whatever the connection looks like.
HEARTBEAT_S = 15


def is_full(snapshot: EventSnapshot) -> bool:
    """Whether as many sessions run as the backend is said to carry."""
    limit = snapshot.policy.max_sessions
    return limit != NO_LIMIT and snapshot.active_sessions >= limit


def pointer_document(snapshot: EventSnapshot) -> dict[str, Any]:
    """Say what everyone may know of an event; an offline client computes its own place from it."""
    rate = release_rate_per_s(snapshot)
    draw = snapshot.draw
    curve = wait_curve(snapshot)
    return {
        "event": snapshot.event,
        "state": snapshot.state.value,
        "issued": snapshot.issued,
        "served_up_to": snapshot.served_up_to,
        "generation": snapshot.generation,
        # People let in per minute, lately; null while there is no history to tell from.
        "rate": None if rate is None else round(rate * 60, 1),
        # How long anyone waits: `[ahead, low_s, high_s]`, lines between; null while nobody can tell.
        "wait": None
        if curve is None
        else {"coverage": COVERAGE, "curve": [list(point) for point in curve.points]},
        "draw": None
        if draw is None
        else {"commitment": draw.commitment, "seed": draw.seed, "count": draw.count},
        "holes": [list(hole) for hole in snapshot.holes.ranges],
        "window": snapshot.policy.window_s,
        "message": snapshot.message,
        "opens_at": snapshot.policy.opens_at or None,
        "full": is_full(snapshot),
        "poll": {
            "nearest": NEAREST_POLL_S,
            "farthest": FARTHEST_POLL_S,
            "unknown": UNKNOWN_POLL_S,
            "heartbeat": HEARTBEAT_S,
        },
        "updated_at": snapshot.updated_at_ms // 1000,
    }


@dataclass(frozen=True, slots=True)
class Prepared:
    """One event's document, encoded once for all who ask and all who are told.

    Attributes:
        name: Changes with every byte of the document, and with nothing else.
    """

    snapshot: EventSnapshot
    document: Mapping[str, Any]
    name: str
    full: Answer
    unchanged: Answer

    @property
    def body(self) -> bytes:
        return self.full.body


class PointerDocuments:
    """Prepares each document once for every read of the ledger that changed it."""

    def __init__(self) -> None:
        self._prepared: dict[EventId, Prepared] = {}

    def prepare(self, snapshot: EventSnapshot) -> Prepared:
        prepared = self._prepared.get(snapshot.event)
        if prepared is None or prepared.snapshot is not snapshot:
            prepared = _prepare(snapshot, prepared)
            self._prepared[snapshot.event] = prepared
        return prepared

    def answer(self, snapshot: EventSnapshot, if_none_match: bytes | None) -> Answer:
        prepared = self.prepare(snapshot)
        if if_none_match is not None and etag_matches(if_none_match, _etag(prepared.name)):
            return prepared.unchanged
        return prepared.full


def _prepare(snapshot: EventSnapshot, before: Prepared | None) -> Prepared:
    document = pointer_document(snapshot)
    body = msgspec.json.encode(document)
    if before is not None and before.body == body:
        return replace(before, snapshot=snapshot)
    name = hashlib.sha256(body).hexdigest()[:24]
    shared: tuple[RawHeader, ...] = (
        (b"etag", _etag(name)),
        (b"cache-control", CACHE_CONTROL),
        # Public, without credentials: any page may read it.
        (b"access-control-allow-origin", b"*"),
    )
    return Prepared(
        snapshot,
        document,
        name,
        Answer(200, ((b"content-type", b"application/json"), *shared), body),
        Answer(304, shared),
    )


def _etag(name: str) -> bytes:
    return b'"' + name.encode() + b'"'


# A statement is no older than this when it is given out, though its document be; and two of one event are
# this far apart, however fast its pointer moves.
SIGNED_AGAIN_S = 30.0
LEAST_APART_S = 1.0


class StatementSigner(Protocol):
    """Signs statements with the active key."""

    @property
    def kid(self) -> str:
        """Return the name of that key.

        Raises:
            KeyRingError: No key is active.
        """
        ...

    def sign_pointer(self, payload: Mapping[str, object]) -> str: ...


@dataclass(frozen=True, slots=True)
class _Statement:
    """One event's statement, signed once for all who ask.

    Attributes:
        content: Names the document and the key; what was signed with it is the same.
        signed_at: Unix seconds.
    """

    content: str
    signed_at: float
    full: Answer
    unchanged: Answer

    def is_due(self, content: str, now_s: float) -> bool:
        # The clock is the ledger's, which may be set back.
        age_s = abs(now_s - self.signed_at)
        return age_s >= (LEAST_APART_S if content != self.content else SIGNED_AGAIN_S)


class SignedPointers:
    """The documents as signed statements (`tokens/statements.py`), for clients that keep them.

    Nothing is signed for a request: whoever asks first in a second causes the signature for all others.

    Args:
        signer: None where this process holds public keys only.
        now_s: The ledger's clock, Unix seconds.
    """

    def __init__(
        self,
        documents: PointerDocuments,
        signer: StatementSigner | None,
        issuer: str,
        now_s: Callable[[], float],
    ) -> None:
        self._documents = documents
        self._signer = signer
        self._issuer = issuer
        self._now_s = now_s
        self._held: dict[EventId, _Statement] = {}

    def answer(self, snapshot: EventSnapshot, if_none_match: bytes | None) -> Answer:
        """Return the statement, or 404 where nothing can be signed."""
        if self._signer is None:
            return _unsigned(snapshot.event)
        try:
            held = self._statement(snapshot, self._signer)
        except KeyRingError:
            return _unsigned(snapshot.event)
        if if_none_match is not None and etag_matches(if_none_match, _etag(held.content)):
            return held.unchanged
        return held.full

    def _statement(self, snapshot: EventSnapshot, signer: StatementSigner) -> _Statement:
        prepared = self._documents.prepare(snapshot)
        # Of a key that was taken away, no client may go on holding what it signed.
        content = hashlib.sha256(f"{prepared.name}.{signer.kid}".encode()).hexdigest()[:24]
        now_s = self._now_s()
        held = self._held.get(snapshot.event)
        if held is None or held.is_due(content, now_s):
            held = self._held[snapshot.event] = self._sign(prepared, signer, content, now_s)
        return held

    def _sign(
        self, prepared: Prepared, signer: StatementSigner, content: str, now_s: float
    ) -> _Statement:
        snapshot = prepared.snapshot
        claims = {
            "iss": self._issuer,
            "aud": snapshot.event,
            "gen": snapshot.generation,
            "iat": int(now_s),
        }
        signed = signer.sign_pointer({**prepared.document, **claims})
        shared: tuple[RawHeader, ...] = (
            # Weak: two signatures of one content differ in their bytes (RFC 9110, section 8.8.1).
            (b"etag", b"W/" + _etag(content)),
            (b"cache-control", CACHE_CONTROL),
            (b"access-control-allow-origin", b"*"),
        )
        return _Statement(
            content,
            now_s,
            # RFC 7515, section 9.2.1.
            Answer(200, ((b"content-type", b"application/jose"), *shared), signed.encode()),
            Answer(304, shared),
        )


def _unsigned(event: EventId) -> Answer:
    detail = f"No key signs here: ask the event's own gateway, or take /queue/{event} as it is."
    return problem(404, detail, [(b"access-control-allow-origin", b"*")])
