"""Exit codes, and the one place that says which mistake ends in which."""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import click

from gateway.errors import (
    BadInput,
    Conflict,
    EventGone,
    EventHealing,
    GatewayError,
    GenerationOver,
    KeyRingError,
    LedgerUnavailable,
    SettingsInvalid,
    StateLost,
    UnknownEvent,
    UnsafeServer,
)


class ExitCode(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_SUCH_EVENT = 3
    REFUSED = 4
    CONFLICT = 5
    LEDGER_AWAY = 6
    INTERRUPTED = 130
    """128 plus SIGINT, as shells report it."""


EXIT_CODES_HELP = """\
\b
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  no such event
  4  refused: the state does not allow it, or a confirmation is missing
  5  conflict: it exists already, or the same id asked for something else
  6  the ledger cannot be reached or used
"""


class Failed(GatewayError):
    """The command could not do its work."""


class Refused(GatewayError):
    """The command will not do that as things stand. Nothing was changed."""


class AlreadyThere(GatewayError):
    """What was asked for collides with what is there. Nothing was changed."""


class EventFileInvalid(SettingsInvalid):
    """A file of events has mistakes. Nothing was changed."""


class LogBroken(GatewayError):
    """An operator log is not whole; `faults` says where."""

    def __init__(self, event: str, faults: Sequence[str]) -> None:
        super().__init__(f"the operator log of {event!r} is broken: " + "; ".join(faults))
        self.event = event
        self.faults = faults


class DrawWrong(GatewayError):
    """A draw was not held as promised, or gave another turn than was shown; `faults` says how."""

    def __init__(self, event: str, faults: Sequence[str]) -> None:
        super().__init__(f"the draw of {event!r} is not as promised: " + "; ".join(faults))
        self.event = event
        self.faults = faults


class LedgerUnusable(GatewayError):
    """The ledger cannot be used from here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an operator is told of a mistake.

    Attributes:
        code: A stable word for programs.
        message: One sentence that says what to do.
        mistakes: Every single one, where there are several.
    """

    exit_code: ExitCode
    code: str
    message: str
    mistakes: Sequence[str] = ()

    def document(self) -> dict[str, object]:
        error: dict[str, object] = {
            "code": self.code,
            "message": self.message,
            "exit_code": int(self.exit_code),
        }
        if self.mistakes:
            error["mistakes"] = list(self.mistakes)
        return {"error": error}


def report_on(exc: BaseException) -> Report | None:
    """Return what to tell of an exception, or None when it is a mistake of ours."""
    match exc:
        case click.ClickException():
            return Report(ExitCode.USAGE, "usage", _sentence(exc.format_message()))
        case click.Abort():
            return Report(ExitCode.INTERRUPTED, "interrupted", "Interrupted.")
        case LedgerUnavailable():
            return _on_ledger(exc)
        case GatewayError():
            return _on_gateway(exc)
        case OSError(errno=errno.EADDRINUSE):
            advice = "Choose another port with --port or [server] port."
            return Report(ExitCode.FAILED, "failed", f"{exc.strerror or exc}. {advice}")
        case OSError():
            where = f"{exc.filename}: " if exc.filename else ""
            return Report(ExitCode.FAILED, "failed", f"{where}{exc.strerror or exc}.")
        case _:
            return None


def _on_ledger(exc: LedgerUnavailable) -> Report:
    if isinstance(exc, StateLost):
        advice = (
            "The event is suspended: places are kept, passes go on, nobody new is let in. A gateway "
            "that knew the event brings it back by itself. Where none is left: put the ledger's data "
            "back, or recover the event from the tokens that visitors show: gateway recover EVENT"
        )
    elif isinstance(exc, EventHealing):
        advice = "The gateways are being asked what they know; it takes seconds. Try again."
    elif exc.cause in {"unsafe-server", "not-durable"}:
        advice = "What was written may be lost with the server; it is safe to ask again."
    elif exc.cause == "embedded":
        advice = "Look there, or set [ledger] url."
    else:
        advice = "Check [ledger] url in the settings, and that the server runs."
    detail = exc.detail or exc.cause
    return Report(
        ExitCode.LEDGER_AWAY,
        f"ledger-{exc.cause}" if not isinstance(exc, StateLost) else "state-lost",
        f"The ledger cannot be used: {detail}. {advice}",
    )


def _on_gateway(exc: GatewayError) -> Report:
    match exc:
        case UnknownEvent(event=name):
            return Report(
                ExitCode.NO_SUCH_EVENT,
                "no-such-event",
                f"There is no event named {name!r} in the ledger. If it was there before, the ledger has "
                "lost it: do not create it anew, for that ends every place; bring it back: "
                f"gateway recover {name}. Which there are: gateway event list",
            )
        case EventGone():
            return Report(
                ExitCode.NO_SUCH_EVENT,
                "event-deleted",
                "The event was deleted. Create it anew: gateway event create NAME",
            )
        case EventFileInvalid(mistakes=mistakes):
            message = "The file has mistakes; nothing was changed."
            return Report(ExitCode.FAILED, "file-invalid", message, mistakes)
        case LogBroken(event=name, faults=faults):
            message = f"The operator log of {name!r} is broken:"
            return Report(ExitCode.FAILED, "log-broken", message, faults)
        case DrawWrong(event=name, faults=faults):
            message = f"The draw of {name!r} is not as promised or shown:"
            return Report(ExitCode.FAILED, "draw-wrong", message, faults)
        case SettingsInvalid(mistakes=mistakes):
            message = "The settings have mistakes. Correct them:"
            return Report(ExitCode.FAILED, "settings-invalid", message, mistakes)
        case _:
            exit_code, code = _KINDS.get(type(exc), (ExitCode.FAILED, "failed"))
            return Report(exit_code, code, _sentence(str(exc)))


_KINDS: dict[type[GatewayError], tuple[ExitCode, str]] = {
    BadInput: (ExitCode.USAGE, "usage"),
    Conflict: (ExitCode.REFUSED, "refused"),
    GenerationOver: (ExitCode.REFUSED, "refused"),
    Refused: (ExitCode.REFUSED, "refused"),
    KeyRingError: (ExitCode.REFUSED, "key-ring"),
    AlreadyThere: (ExitCode.CONFLICT, "conflict"),
    UnsafeServer: (ExitCode.LEDGER_AWAY, "unsafe-server"),
    LedgerUnusable: (ExitCode.LEDGER_AWAY, "ledger-unusable"),
}


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:] if text[:1].isalpha() else text
    return text if text.endswith((".", "!", "?")) else f"{text}."
