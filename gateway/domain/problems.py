"""Problem documents (RFC 9457) for everything that is turned back."""

import json

from gateway.domain.admission import ProblemType, Refused

MEDIA_TYPE = b"application/problem+json"

_TITLES = {
    ProblemType.NO_TOKEN: "No genuine token",
    ProblemType.NOT_YET: "Not your turn yet",
    ProblemType.BACKEND_FULL: "The site is full",
    ProblemType.TOO_MANY_JOINS: "Too many joins",
    ProblemType.WINDOW_MISSED: "Your turn has passed",
    ProblemType.GENERATION_OVER: "The queue was started anew",
    ProblemType.EVENT_CLOSED: "The event is closed",
    ProblemType.LEDGER_AWAY: "The queue is unavailable for a moment",
    ProblemType.CHALLENGE_REQUIRED: "A challenge is required",
    ProblemType.CLAIM_FIRST: "Claim your turn first",
    ProblemType.NOT_CANONICAL: "The request is not in canonical form",
}


def refusal_document(refused: Refused) -> bytes:
    members: dict[str, object] = {
        "type": refused.problem.value,
        "title": _TITLES[refused.problem],
        "status": refused.status,
        "detail": refused.detail,
    }
    for name, value in (
        ("retry_after", refused.retry_after_s),
        ("position", refused.position),
        ("turn", refused.turn),
        ("ahead", refused.ahead),
    ):
        if value is not None:
            members[name] = value
    return json.dumps(members, separators=(",", ":")).encode()


def plain_document(status: int, title: str, detail: str = "", **members: object) -> bytes:
    """Return a problem without a type of its own: its status says all (RFC 9457, section 4.2.1)."""
    document: dict[str, object] = {"type": "about:blank", "title": title, "status": status}
    if detail:
        document["detail"] = detail
    return json.dumps(document | members, separators=(",", ":")).encode()
