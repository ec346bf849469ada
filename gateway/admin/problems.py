"""How the admin interface says no: a closed list of problem types (RFC 9457), each with its status."""

from enum import Enum
from typing import Any, NoReturn

from gateway.answers import NO_STORE, Answer, RawHeader
from gateway.calls import Refusal
from gateway.domain.problems import MEDIA_TYPE, plain_document
from gateway.errors import (
    BadInput,
    Conflict,
    EventGone,
    EventHealing,
    GatewayError,
    GenerationOver,
    LedgerUnavailable,
    RequestIdReused,
    StateLost,
    UnknownEvent,
)

RETRY_S = 2
"""Soon enough for an operator who waits; a ledger that is away is not helped by more."""


class Problem(Enum):
    """`type`, status and title."""

    BAD_INPUT = ("bad-input", 400, "The request is not acceptable")
    OPERATOR_REQUIRED = ("operator-required", 401, "An operator's key is required")
    KEY_REFUSED = ("key-refused", 401, "The key is not accepted")
    SESSION_OVER = ("session-over", 401, "The session is over")
    ROLE_REQUIRED = ("role-required", 403, "Your role does not allow this")
    CROSS_SITE = ("cross-site", 403, "Not from a page of ours")
    NO_SUCH_EVENT = ("no-such-event", 404, "There is no such event")
    NO_SUCH_SESSION = ("no-such-session", 404, "There is no such session")
    REFUSED = ("refused", 409, "The state does not allow it")
    CONFIRM = ("confirmation-required", 409, "Confirm it first")
    EXISTS = ("exists", 409, "It exists already")
    ID_REUSED = ("id-reused", 409, "The id asked for something else before")
    TOO_LARGE = ("too-large", 413, "The body is too large")
    JSON_ONLY = ("json-only", 415, "Send application/json")
    WRONG_HOST = ("wrong-host", 421, "The interface is not known by this host")
    TOO_MANY = ("too-many-requests", 429, "Too many requests")
    STATE_LOST = ("state-lost", 503, "The event's state is lost")
    LEDGER_AWAY = ("ledger-away", 503, "The ledger cannot be used")

    @property
    def word(self) -> str:
        return self.value[0]

    @property
    def status(self) -> int:
        return self.value[1]


def problem_answer(
    problem: Problem,
    detail: str,
    *,
    retry_after_s: int | None = None,
    headers: tuple[RawHeader, ...] = (),
    **members: Any,
) -> Answer:
    """Return a problem; `members` are added to its document."""
    word, status, title = problem.value
    fields = [(b"content-type", MEDIA_TYPE), NO_STORE, *headers]
    if status == 401:
        # RFC 9110, section 11.6.1: a 401 names a scheme.
        fields.append((b"www-authenticate", b"Bearer"))
    if retry_after_s is not None:
        fields.append((b"retry-after", str(retry_after_s).encode()))
    document = plain_document(status, title, detail, **{"type": word, **members})
    return Answer(status, tuple(fields), document)


class Refused(Refusal):
    """Turns a request back; `problem` is what is logged of it."""

    def __init__(self, problem: Problem, answer: Answer) -> None:
        super().__init__(answer)
        self.problem = problem


def refuse(problem: Problem, detail: str, **members: Any) -> NoReturn:
    """Turn a request back.

    Raises:
        Refused: Always.
    """
    raise Refused(problem, problem_answer(problem, detail, **members))


def on_mistake(exc: GatewayError, **members: Any) -> Refused | None:
    """Return what to answer to an error of the ledger's, or None for a mistake of ours."""
    match exc:
        case UnknownEvent(event=name):
            return _refused(Problem.NO_SUCH_EVENT, f"There is no event named {name!r}.", **members)
        case EventGone():
            detail = (
                "The event was deleted. Create it anew, or read what was done to it in its log."
            )
            return _refused(Problem.NO_SUCH_EVENT, detail, **members)
        case RequestIdReused():
            return _refused(Problem.ID_REUSED, _sentence(exc), **members)
        case Conflict() | GenerationOver():
            return _refused(Problem.REFUSED, _sentence(exc), **members)
        case BadInput():
            return _refused(Problem.BAD_INPUT, _sentence(exc), **members)
        case LedgerUnavailable():
            return _on_ledger(exc, **members)
        case _:
            return None


def _on_ledger(exc: LedgerUnavailable, **members: Any) -> Refused:
    if isinstance(exc, StateLost):
        detail = (
            "The event is suspended: its state is lost. A gateway that knew it brings it back by itself; "
            "where none is left: gateway recover EVENT"
        )
        return _refused(Problem.STATE_LOST, detail, **members)
    if isinstance(exc, EventHealing):
        detail = "The gateways are being asked what they know; it takes seconds. Try again."
    else:
        detail = f"The ledger cannot be used ({exc.cause}). Try again; it is safe with the same id."
    return _refused(Problem.LEDGER_AWAY, detail, retry_after_s=RETRY_S, cause=exc.cause, **members)


def _refused(problem: Problem, detail: str, **members: Any) -> Refused:
    return Refused(problem, problem_answer(problem, detail, **members))


def _sentence(exc: GatewayError) -> str:
    text = str(exc)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
