"""One gateway for all proxies of this folder; each proxy runs once, and each test takes a fresh event."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import staging
from tests.support.fronted import Door
from tests.support.fronts import KINDS, Before, Front, Kind, running_front
from tests.support.gateways import Gateway, Tables, event_table, write_settings
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.staging import LISTED_ORIGIN, OPEN_HOST, Stage, new_stage

event_numbers = staging.event_numbers
common_tables = staging.common_tables
mint = staging.mint
open_stage = staging.open_stage
operator = staging.operator
short_folder = staging.short_folder
site = staging.site
stage = staging.stage
valkey = staging.valkey

POOL = 260
SHARED_HOST = "shared.example"


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    pool = {
        f"events.sale-{number}": event_table(
            f"sale-{number}.example",
            open=["/assets/", "GET,HEAD /about", "POST /webhooks/payment"],
            origins=[LISTED_ORIGIN],
        )
        for number in range(1, POOL + 1)
    }
    for side in ("north", "south"):
        pool[f"events.{side}"] = event_table(SHARED_HOST, paths=[f"/{side}"])
    server = {"forward_auth_peers": ["127.0.0.1/32"], "trusted_proxies": ["127.0.0.1/32"]}
    return {**common_tables, "server": server, "proxy": {"open_hosts": [OPEN_HOST]}, **pool}


@pytest.fixture(scope="module")
def door() -> Door:
    return Door()


@pytest.fixture(scope="module")
def gateway(
    short_folder: Path, valkey: RealServer, tables: Tables, door: Door
) -> Iterator[Gateway]:
    valkey.reset()
    folder = Path(tempfile.mkdtemp(prefix="module-", dir=short_folder))
    settings = write_settings(folder / "gateway.toml", tables)
    with Gateway(settings, around=door.around).running() as running:
        yield running


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.fixture(scope="module")
def front(kind: Kind, gateway: Gateway, door: Door, short_folder: Path) -> Iterator[Front]:
    folder = Path(tempfile.mkdtemp(prefix="front-", dir=short_folder)) / kind.name
    with running_front(kind, gateway, door, folder) as running:
        yield running


@pytest.fixture
def before(stage: Stage, front: Front) -> Before:
    return Before(stage, front)


@pytest.fixture(scope="module")
def common_stage(
    gateway: Gateway, operator: Operator, mint: Mint, event_numbers: Iterator[int]
) -> Stage:
    """An open event that tests share, and that none of them changes: five joined, three are served.

    A genuine token of a later place, or of a later life, would prove to the gateway that the ledger lost
    something.
    """
    stage = new_stage(gateway, operator, mint, f"sale-{next(event_numbers)}")
    for _ in range(5):
        stage.waiting()
    stage.release(3)
    return stage


@pytest.fixture(scope="module")
def common(common_stage: Stage, front: Front) -> Before:
    """An event that tests share behind a proxy that they share, and none of them changes it."""
    return Before(common_stage, front)
