"""A folder with settings and a real embedded ledger, shared by the tests of the command line."""

import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from gateway.ledger.embedded import embedded_url, socket_path
from tests.support.command_line import CONFIG, Operator, Sale, Typist
from tests.support.servers import RealServer, valkey_binary


@pytest.fixture(scope="session")
def shared_folder() -> Iterator[Path]:
    # Under /tmp itself: a Unix socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="gwc-", dir="/tmp"))
    (folder / "gateway.toml").write_text(CONFIG)
    ledger = folder / "ledger"
    ledger.mkdir()
    # Where the embedded server would listen: every command finds it running.
    server = RealServer(valkey_binary(), ledger, {"unixsocket": str(socket_path(ledger))})
    server.socket = socket_path(ledger)
    server.start()
    yield folder
    server.kill()
    shutil.rmtree(folder)


@pytest.fixture
def operator(shared_folder: Path) -> Operator:
    return Operator(shared_folder)


@pytest.fixture
def typed(shared_folder: Path) -> Operator:
    """Types into the shared ledger's folder, in this process."""
    return Typist(shared_folder)


_numbers = count(1)


@pytest.fixture
def sale(shared_folder: Path, typed: Operator) -> Sale:
    """An open event that no other test uses."""
    sale = Sale(embedded_url(shared_folder / "ledger"), f"sale-{next(_numbers)}")
    assert typed("event", "create", sale.event, "--open", "--max-sessions", 20).code == 0
    return sale


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    """A folder of its own, for who starts an embedded ledger in it."""
    folder = Path(tempfile.mkdtemp(prefix="gwc-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)
