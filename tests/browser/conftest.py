"""A real Chromium in front of a whole gateway; each test has browsers of its own, without any history.

The hosts are below `.localhost`: Chromium finds them on loopback by itself, and takes them for secure
contexts, as a site over TLS would be (W3C Secure Contexts, section 3.1).
"""

import asyncio
import contextlib
import shutil
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import pytest

from tests.browser.browsers import FLAGS, Browsers
from tests.support import staging
from tests.support.gateways import Tables, event_table, write_settings
from tests.support.operators import Operator
from tests.support.servers import RealServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

T = TypeVar("T")

POOL = 60

event_numbers = staging.event_numbers
common_tables = staging.common_tables
gateway = staging.gateway
mint = staging.mint
open_stage = staging.open_stage
parser = staging.parser
short_folder = staging.short_folder
site = staging.site
stage = staging.stage
valkey = staging.valkey


class _RunnerBeside:
    """An `asyncio.Runner` in a thread of its own: in the test's, Playwright's loop counts as running."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        return self._thread.submit(self._runner.run, coro).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()


class _OperatorBeside(Operator):
    def __init__(self, server: RealServer) -> None:
        super().__init__(server)
        self._runner = cast("asyncio.Runner", _RunnerBeside())


@contextlib.contextmanager
def operator_of(server: RealServer) -> Iterator[Operator]:
    with _OperatorBeside(server) as operator:
        yield operator


@pytest.fixture(scope="module")
def operator(valkey: RealServer) -> Iterator[Operator]:
    with operator_of(valkey) as operator:
        yield operator


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    events = {
        f"events.sale-{number}": event_table(f"sale-{number}.localhost")
        for number in range(1, POOL + 1)
    }
    twin = event_table("tickets.localhost", "tour.localhost", home_host="tickets.localhost")
    return {**common_tables, **events, "events.twin": twin}


@pytest.fixture(scope="module")
def command_line_settings(short_folder: Path, tables: Tables) -> Path:
    """The settings file that an operator's commands read."""
    path = short_folder / "operator.toml"
    write_settings(path, tables)
    return path


# For a module and no longer: while Playwright runs, its event loop is this thread's, and no other test
# of the run could have one.
@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    playwright = pytest.importorskip("playwright.sync_api")
    binary = shutil.which("chromium")
    if binary is None:
        pytest.skip("there is no chromium on PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=binary, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browsers(chromium: "Browser") -> Iterator[Browsers]:
    """Opens browsers of visitors; at the end, none may have had a broken policy or an uncaught error."""
    opened = Browsers(chromium)
    yield opened
    opened.close()
    assert opened.errors == []
