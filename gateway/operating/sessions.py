"""One visitor's session, as operators are told of it."""

from typing import Any

from gateway.operating.durations import describe_duration, describe_moment
from gateway.ports import SessionSeen, SessionState

LONGEST_EXTENSION_S = 86_400
"""PASS_LIFE_MS of prelude.lua: no pass lives longer from now on."""

SESSION_HELP = """\
\b
Fields of --json:
  event, generation, position
  session             running; over: it was opened once and has ended; none: the turn was not claimed
  session_ends_at     Unix seconds; null unless it runs
  session_seconds_left, extensions_used, extensions_left
                      null unless it runs; the last two count what the visitor asked for
"""


def session_document(
    event: str, generation: int, position: int, seen: SessionSeen
) -> dict[str, Any]:
    runs = seen.state is SessionState.RUNNING
    return {
        "event": event,
        "generation": generation,
        "position": position,
        "session": seen.state.value,
        "session_ends_at": seen.ends_at if runs else None,
        "session_seconds_left": seen.seconds_left if runs else None,
        "extensions_used": seen.extensions_used if runs else None,
        "extensions_left": seen.extensions_left if runs else None,
    }


def why_not_running(position: int, seen: SessionSeen) -> str | None:
    """Say why nothing can be done to a session, and what can be; None while it runs."""
    match seen.state:
        case SessionState.RUNNING:
            return None
        case SessionState.OVER:
            return (
                f"the session of position {position} is over, and a position has only one; "
                "the visitor can join again"
            )
        case SessionState.NONE:
            return (
                f"position {position} has no session: its turn was not claimed, or it was never "
                "dealt; check the number"
            )


def session_text(document: dict[str, Any]) -> str:
    """Say a `session_document` in a sentence."""
    position = document["position"]
    match document["session"]:
        case "running":
            ends = describe_moment(document["session_ends_at"])
            left = describe_duration(document["session_seconds_left"])
            used, may = document["extensions_used"], document["extensions_left"]
            return (
                f"The session of position {position} ends in {left}, at {ends}. "
                f"Extensions by its visitor: {used} used, {may} left."
            )
        case "over":
            return f"The session of position {position} is over."
        case _:
            return f"Position {position} has no session: its turn was not claimed, or never dealt."
