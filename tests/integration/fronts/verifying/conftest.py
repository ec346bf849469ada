"""One proxy that verifies passes for each test, set up for an event of its own."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.proxyconfig import Knowledge, ProxyFolder
from gateway.proxyconfig.known_files import KnownFiles
from gateway.tokens.keyring import KeyRing
from tests.support.fronted import Door
from tests.support.fronts import Before, Front
from tests.support.gateways import Gateway, Tables, event_table, write_settings
from tests.support.line_speed import VERIFIERS, Asked, Syncing, Verifier, verifying_front
from tests.support.minting import Mint
from tests.support.staging import LISTED_ORIGIN, OPEN_HOST, Stage

POOL = 220


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    pool = {
        f"events.sale-{number}": event_table(
            f"sale-{number}.example",
            open=["/assets/", "GET,HEAD /about", "POST /webhooks/payment"],
            finish=["/pay"],
            origins=[LISTED_ORIGIN],
        )
        for number in range(1, POOL + 1)
    }
    server = {"forward_auth_peers": ["127.0.0.1/32"], "trusted_proxies": ["127.0.0.1/32"]}
    return {**common_tables, "server": server, "proxy": {"open_hosts": [OPEN_HOST]}, **pool}


@pytest.fixture(scope="module", params=VERIFIERS, ids=lambda verifier: verifier.folder.proxy)
def verifier(request: pytest.FixtureRequest) -> Verifier:
    chosen: Verifier = request.param
    return chosen


@pytest.fixture
def folder(short_folder: Path, verifier: Verifier) -> ProxyFolder:
    return verifier.folder(Path(tempfile.mkdtemp(prefix="line-", dir=short_folder)) / "h")


@pytest.fixture
def lone_front(
    verifier: Verifier, stage: Stage, gateway: Gateway, door: Door, folder: ProxyFolder
) -> Iterator[Front]:
    """A proxy that nobody keeps fresh."""
    with verifying_front(verifier, gateway, door, folder.folder, stage.event) as running:
        yield running


@pytest.fixture
def front(
    stage: Stage, gateway: Gateway, lone_front: Front, folder: ProxyFolder
) -> Iterator[Front]:
    with Syncing(gateway, stage.event, folder).running():
        yield lone_front


@pytest.fixture
def asked(front: Front, stage: Stage) -> Asked:
    return Asked(front, stage)


@pytest.fixture
def held(stage: Stage) -> str:
    return stage.mint.held(stage.event, stage.generation)


@pytest.fixture(scope="module")
def common(
    verifier: Verifier, common_stage: Stage, gateway: Gateway, door: Door, short_folder: Path
) -> Iterator[Before]:
    """An event that tests share, behind a proxy that is kept fresh, and none of them changes it."""
    place = Path(tempfile.mkdtemp(prefix="line-", dir=short_folder)) / "h"
    folder = verifier.folder(place)
    with (
        verifying_front(verifier, gateway, door, place, common_stage.event) as running,
        Syncing(gateway, common_stage.event, folder).running(),
    ):
        yield Before(common_stage, running)


@pytest.fixture
def common_asked(common: Before) -> Asked:
    return Asked(common.front, common.stage)


@pytest.fixture
def common_held(common: Before) -> str:
    return common.stage.mint.held(common.stage.event, common.stage.generation)


@pytest.fixture
def config(gateway: Gateway, tables: Tables, short_folder: Path) -> Path:
    place = Path(tempfile.mkdtemp(prefix="config-", dir=short_folder))
    write_settings(place / "gateway.toml", tables)
    return place / "gateway.toml"


@pytest.fixture(scope="module")
def common_lone(
    verifier: Verifier, gateway: Gateway, common_stage: Stage, door: Door, short_folder: Path
) -> Iterator[tuple[Front, ProxyFolder]]:
    """A proxy that tests share, which nobody keeps fresh."""
    place = Path(tempfile.mkdtemp(prefix="line-", dir=short_folder)) / "h"
    with verifying_front(verifier, gateway, door, place, common_stage.event) as running:
        yield running, verifier.folder(place)


@pytest.fixture
def files(
    common_lone: tuple[Front, ProxyFolder], common_stage: Stage, mint: Mint
) -> Iterator[KnownFiles]:
    """The files of the proxy that tests share: it was told all once, and knows it for minutes."""
    _, folder = common_lone
    files = KnownFiles(folder.folder)
    known = Knowledge(common_stage.generation, {}, KeyRing.load(mint.folder).public_keys())
    folder.sync(good_for_s=300).tell(known, read_at_s=time.time())
    yield files
    if files.known.is_dir():
        files.known.rmdir()
    files.known.unlink(missing_ok=True)
    files.ended.mkdir(exist_ok=True)
    files.ended.chmod(0o755)
    for ended in files.ended.iterdir():
        ended.unlink()


@pytest.fixture
def told(common_lone: tuple[Front, ProxyFolder], common_stage: Stage, files: KnownFiles) -> Asked:
    return Asked(common_lone[0], common_stage)


@pytest.fixture
def told_held(common_stage: Stage) -> str:
    return common_stage.mint.held(common_stage.event, common_stage.generation)
