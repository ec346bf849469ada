"""Two apps in one process, each behind a gate of its own: neither hears of the other."""

import json
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.examples.sites import Site
from tests.support.eventually import eventually
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.visitors import Visitor

NAMES = ("tickets", "shop")

SETTINGS = """\
[keys]
dir = "{keys}"
[ledger]
url = "{ledger}"
floor_dir = "floors"
[events.{name}]
hosts = ["{name}.localhost"]
"""


@pytest.fixture
def folder(short_folder: Path, valkey: RealServer, mint: Mint) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="two-", dir=short_folder))
    for name in NAMES:
        text = SETTINGS.format(keys=mint.folder, ledger=valkey.url, name=name)
        (folder / f"{name}.toml").write_text(text)
    return folder


@pytest.fixture
def site(folder: Path, valkey: RealServer, operator: Operator) -> Iterator[Site]:
    valkey.reset()
    for name in NAMES:
        operator.create(name, opened=True)
    site = Site("two_apps", folder, {"SETTINGS_FOLDER": str(folder)})
    try:
        yield site
    finally:
        site.kill()


def test_each_gate_keeps_its_own_queue_and_both_end_well(
    site: Site, operator: Operator, folder: Path
) -> None:
    tickets, shop = (Visitor(site.port, f"{name}.localhost", event=name) for name in NAMES)
    # Each gate reads its event in its own time.
    eventually(lambda: {tickets.call("").status, shop.call("").status} == {200})
    assert [tickets.join()["position"], shop.join()["position"]] == [1, 1]

    operator.release("tickets", 1)
    eventually(lambda: tickets.get("/book").body == b"tickets, number 1.\n")
    assert shop.get("/book").verdict == (429, "not-yet")
    stranger = Visitor(site.port, shop.host, event="shop")
    assert stranger.get("/book", {"queue-token": tickets.held}).verdict == (401, "no-token")

    assert site.stop() in (0, -signal.SIGTERM)
    assert "Traceback" not in site.said
    floors = list((folder / "floors").glob("*.floors"))
    assert len(floors) == len(NAMES)
    assert all(left.stem in json.loads(left.read_text())["ended_well"] for left in floors)
