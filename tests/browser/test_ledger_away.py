"""The ledger freezes, dies and comes back; the place stays on the screen, and good."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.domain.events import EventState
from gateway.errors import GatewayError
from tests.browser.browsers import Browsers
from tests.browser.conftest import operator_of
from tests.support.eventually import eventually
from tests.support.gateways import Tables, event_table
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.staging import Stage, own_server


@pytest.fixture(scope="module")
def own(short_folder: Path) -> Iterator[RealServer]:
    """A ledger of this module's own."""
    with own_server(short_folder) as server:
        yield server


@pytest.fixture(scope="module")
def operator(own: RealServer) -> Iterator[Operator]:
    with operator_of(own) as operator:
        yield operator


@pytest.fixture(scope="module")
def tables(common_tables: Tables, own: RealServer) -> Tables:
    events = {
        f"events.sale-{number}": event_table(f"sale-{number}.localhost") for number in (1, 2, 3, 4)
    }
    return {**common_tables, "ledger": {"url": own.url}, **events}


def _is_well(stage: Stage) -> bool:
    """Whether the event was brought back, and releases can be made."""
    try:
        return stage.operator.read(stage.event).state is EventState.OPEN
    except GatewayError:
        return False


def test_while_the_ledger_is_away_the_place_stays_on_the_screen(
    own: RealServer, stage: Stage, browsers: Browsers
) -> None:
    stage.waiting()
    tab = browsers.tab(stage).wait_in("/book").reads("position", "2")
    own.freeze()
    tab.page.reload()
    tab.reads("position", "2").reads("ahead", "1 person")
    own.thaw()
    own.restart()
    eventually(lambda: _is_well(stage), timeout_s=30)
    stage.release(2)
    tab.shows("turn").press("enter").lands_on("/book")


def test_a_join_waits_for_the_ledger_to_come_back(
    own: RealServer, stage: Stage, browsers: Browsers
) -> None:
    own.freeze()
    tab = browsers.tab(stage).look("/").shows("moment")
    own.thaw()
    tab.shows("waiting").reads("position", "1")


def test_an_event_in_doubt_says_that_the_place_is_kept(stage: Stage, browsers: Browsers) -> None:
    tab = browsers.tab(stage).wait_in()
    stage.lose()
    tab.shows("moment").reads("position", "1")
    tab.page.reload()
    tab.shows("moment").reads("position", "1")
