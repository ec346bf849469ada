"""The stage of `tests.support.staging`, with a gateway that pushes in each of the ways."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from gateway.push.urgency import Pace
from tests.integration.push.gateways import QUIET, WAYS, PushingGateway, Way
from tests.integration.push.readers import EventReader, open_socket
from tests.support import staging
from tests.support.gateways import Tables, write_settings
from tests.support.servers import RealServer
from tests.support.staging import Stage

event_numbers = staging.event_numbers
common_tables = staging.common_tables
mint = staging.mint
open_stage = staging.open_stage
operator = staging.operator
short_folder = staging.short_folder
site = staging.site
stage = staging.stage
tables = staging.tables
valkey = staging.valkey


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture(scope="module")
def pace() -> Pace:
    return QUIET


@pytest.fixture(scope="module")
def gateway(
    short_folder: Path, valkey: RealServer, tables: Tables, way: Way, pace: Pace
) -> Iterator[PushingGateway]:
    valkey.reset()
    folder = Path(tempfile.mkdtemp(prefix="push-", dir=short_folder))
    settings = write_settings(folder / "gateway.toml", tables)
    with PushingGateway(settings, way, pace).running() as running:
        yield running


Watch: TypeAlias = Callable[..., EventReader]
Converse: TypeAlias = Callable[..., Any]


@pytest.fixture
def watch(stage: Stage) -> Iterator[Watch]:
    """Open event streams of the stage's event; they are closed with the test."""
    with ExitStack() as stack:

        def opened(of: Stage = stage, **options: Any) -> EventReader:
            return stack.enter_context(EventReader(of.gateway.port, of.event, **options))

        yield opened


@pytest.fixture
def converse(stage: Stage) -> Iterator[Converse]:
    """Open WebSockets of the stage's event; they are closed with the test."""
    with ExitStack() as stack:

        def opened(of: Stage = stage, **options: Any) -> Any:
            return stack.enter_context(open_socket(of.gateway.port, of.event, **options))

        yield opened
