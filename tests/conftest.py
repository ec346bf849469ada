"""What every test shares."""

import gc
import os
from collections.abc import Generator

import pytest

FAIL_ON_SKIP_ENV = "GATEWAY_FAIL_ON_SKIP"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def pytest_collection_finish() -> None:
    """Spare the garbage collector what is there before the first test: it stays until the last.

    Who ends a server collects garbage (tests/support/closed_loops.py), which took as long as the test.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything is installed, a test that skips has not been run, and that is a failure."""
    report = yield
    expected = hasattr(report, "wasxfail")
    if report.skipped and not expected and os.environ.get(FAIL_ON_SKIP_ENV):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    return report
