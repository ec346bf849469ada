"""The public pointer document: the same bytes for everyone, so a CDN can answer a million pollers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gateway.answers import Answer, RawHeader, etag_matches
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
