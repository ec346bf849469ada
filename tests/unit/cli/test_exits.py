import click
import pytest

from gateway.cli.exits import (
    AlreadyThere,
    EventFileInvalid,
    ExitCode,
    Failed,
    LedgerUnusable,
    Refused,
    report_on,
)
from gateway.errors import (
    BadInput,
    Conflict,
    EventGone,
    GatewayError,
    GenerationOver,
    KeyRingError,
    LedgerUnavailable,
    SettingsInvalid,
    StateLost,
    UnknownEvent,
)


@pytest.mark.parametrize(
    ("mistake", "exit_code", "code"),
    [
        (click.UsageError("no"), ExitCode.USAGE, "usage"),
        (click.BadParameter("no"), ExitCode.USAGE, "usage"),
        (click.Abort(), ExitCode.INTERRUPTED, "interrupted"),
        (BadInput("no"), ExitCode.USAGE, "usage"),
        (UnknownEvent("sale"), ExitCode.NO_SUCH_EVENT, "no-such-event"),
        (EventGone("gone"), ExitCode.NO_SUCH_EVENT, "event-deleted"),
        (Conflict("paused"), ExitCode.REFUSED, "refused"),
        (GenerationOver("over"), ExitCode.REFUSED, "refused"),
        (Refused("no"), ExitCode.REFUSED, "refused"),
        (KeyRingError("no"), ExitCode.REFUSED, "key-ring"),
        (AlreadyThere("twice"), ExitCode.CONFLICT, "conflict"),
        (LedgerUnavailable("timeout", "no answer"), ExitCode.LEDGER_AWAY, "ledger-timeout"),
        (LedgerUnavailable("embedded", "no start"), ExitCode.LEDGER_AWAY, "ledger-embedded"),
        (StateLost("issued"), ExitCode.LEDGER_AWAY, "state-lost"),
        (LedgerUnusable("url"), ExitCode.LEDGER_AWAY, "ledger-unusable"),
        (SettingsInvalid(["a", "b"]), ExitCode.FAILED, "settings-invalid"),
        (EventFileInvalid(["a", "b"]), ExitCode.FAILED, "file-invalid"),
        (Failed("no"), ExitCode.FAILED, "failed"),
        (GatewayError("no"), ExitCode.FAILED, "failed"),
        (PermissionError(13, "Permission denied", "/x"), ExitCode.FAILED, "failed"),
    ],
)
def test_every_mistake_has_an_exit_code_and_a_sentence(
    mistake: BaseException, exit_code: ExitCode, code: str
) -> None:
    report = report_on(mistake)

    assert report is not None
    assert (report.exit_code, report.code) == (exit_code, code)
    assert report.message[0].isupper() or report.message[0] in "/'"
    error = report.document()["error"]
    assert isinstance(error, dict)
    assert error["exit_code"] == int(exit_code)
    assert error.get("mistakes", []) == list(report.mistakes)


def test_a_mistake_of_ours_is_not_dressed_up() -> None:
    assert report_on(ZeroDivisionError()) is None
