"""What can go wrong, and whose fault it is.

The class says whose fault (so: 4xx, 5xx or an exit code); the enum says which (so: a log field or a
metric label). A token, a key or a payload never enters a message; a `kid` and a fault may.
"""

from enum import StrEnum


class GatewayError(Exception):
    """Everything that this package raises on purpose."""


class TokenFault(StrEnum):
    """Why a token was rejected; the value is the metric label."""

    MALFORMED = "malformed"
    WRONG_TYPE = "wrong-type"
    UNKNOWN_KEY = "unknown-key"
    BAD_SIGNATURE = "bad-signature"
    BAD_CLAIMS = "bad-claims"
    WRONG_ISSUER = "wrong-issuer"
    WRONG_EVENT = "wrong-event"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"


class TokenRejected(GatewayError):
    """The client's fault: the bearer must join the queue again."""

    def __init__(self, fault: TokenFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class LedgerUnavailable(GatewayError):
    """Our fault: the ledger did not answer, or cannot be trusted. Nothing was decided.

    `cause` is a short word for logs and operators (`timeout`, `read-only`, `no-permission`, …).
    """

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause
        self.detail = detail


class StateLost(LedgerUnavailable):
    """The event's state is missing or unreadable. Lost is not zero: the event is suspended."""

    def __init__(self, detail: str) -> None:
        super().__init__("state-lost", detail)


class EventHealing(LedgerUnavailable):
    """The server is another one or behind: the event is suspended until the gateways were heard."""

    def __init__(self, why: str) -> None:
        super().__init__("healing", f"the event is being brought back ({why})")


class UnknownEvent(GatewayError):
    """No event of this name was ever created in the ledger."""

    def __init__(self, event: str) -> None:
        super().__init__(f"no event named {event!r}")
        self.event = event


class EventGone(GatewayError):
    """The event was deleted; its tombstone remains."""


class Conflict(GatewayError):
    """The operator's request does not fit the event's present state. Nothing was changed."""


class RequestIdReused(Conflict):
    """The request id belongs to another request that was carried out before. Nothing was changed."""


class GenerationOver(GatewayError):
    """The token belongs to an earlier generation of the queue: the bearer must join again."""


class BadInput(GatewayError):
    """A value from outside is not acceptable; the message says what would be."""


class SettingsInvalid(GatewayError):
    """The settings have mistakes; `mistakes` names every one of them."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class UnsafeServer(GatewayError):
    """The ledger's server has settings under which places would be lost; `faults` says what to change."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("the ledger's server is not safe: " + "; ".join(faults))
        self.faults = faults


class KeyRingError(GatewayError):
    """The key ring folder cannot be used as asked. Nothing was changed."""


class OperatorFileError(GatewayError):
    """The file of the operators cannot be used as asked. Nothing was changed."""


class AnswerCutShort(GatewayError):
    """The answer cannot be finished after its head went out: the backend's or the network's doing.

    The server must close the connection, so that nobody takes the part for the whole. There is
    nothing to look into, and it was counted.
    """
