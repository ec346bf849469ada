"""Says at the end how many inputs each oracle saw."""

import pytest

from tests.support import fuzzing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if fuzzing.LONG and fuzzing.SEEN:
        terminalreporter.section("inputs")
        for line in fuzzing.report():
            terminalreporter.write_line(line)
