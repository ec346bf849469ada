"""The documents that a visitor gets about their own place."""

from typing import Any

from gateway.domain.waiting import Wait
from gateway.queue import Joined, Passed, Refreshed, Standing


def standing_document(event: str, standing: Standing) -> dict[str, Any]:
    """`ahead`, `turn` and `wait` are null while they are not known: no number is invented."""
    document: dict[str, Any] = {
        "event": event,
        "status": standing.status,
        "generation": standing.generation,
        "position": standing.position,
        "turn": standing.turn,
        "served_up_to": standing.served_up_to,
        "ahead": standing.ahead,
        "wait": _wait_document(standing.wait),
        "retry_after": standing.retry_after_s,
    }
    if standing.head_start is not None:
        document["head_start"] = standing.head_start
    if standing.session_ends_at is not None:
        document["session_ends_at"] = standing.session_ends_at
        document["session_seconds_left"] = standing.session_seconds_left
    return document


def joined_document(joined: Joined) -> dict[str, Any]:
    return {
        "token": joined.token,
        "expires_at": joined.claims.expires_at,
        **standing_document(joined.claims.event, joined.standing),
    }


def passed_document(passed: Passed) -> dict[str, Any]:
    document: dict[str, Any] = {
        "event": passed.claims.event,
        "pass": passed.token,
        "position": passed.claims.position,
        "generation": passed.claims.generation,
        "session_ends_at": passed.claims.expires_at,
        # It was signed just now.
        "session_seconds_left": passed.claims.expires_at - passed.claims.issued_at,
    }
    if passed.extensions_left is not None:
        document["extensions_left"] = passed.extensions_left
    return document


def refreshed_document(refreshed: Refreshed) -> dict[str, Any]:
    claims = refreshed.claims
    return {
        "event": claims.event,
        "token": refreshed.token,
        "position": claims.position,
        "generation": claims.generation,
        "expires_at": claims.expires_at,
    }


def _wait_document(wait: Wait | None) -> dict[str, int] | None:
    """Whole seconds, as a range."""
    return None if wait is None else {"low": wait.low_s, "high": wait.high_s}
