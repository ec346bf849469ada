"""The demo's operator: made at each start, so that the console can be tried at once."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.admin import AdminPort
from tests.support.running import Running


@pytest.fixture
def folder() -> Iterator[Path]:
    # Under /tmp itself: a Unix socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="gwa-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def demo(folder: Path) -> Iterator[AdminPort]:
    words = ("demo", "--json", "--port", 0, "--admin-port", 0, "--data-dir", "d")
    running = Running(words, folder)
    try:
        said = running.document
        yield AdminPort(said["admin_url"], {"admin": said["operator_key"]})
    finally:
        running.end(signal.SIGTERM)
        assert running.process.stdout is not None
        running.process.stdout.close()


def test_the_demo_can_be_operated_at_once(folder: Path) -> None:
    with demo(folder) as port:
        assert port.ask("POST", "/events/demo/release", {"by": 1}).status == 200
        assert port.ask("GET", "/session").json()["role"] == "admin"
        files = [path for path in (folder / "d").rglob("*") if path.is_file()]
        assert not any(port.keys["admin"] in path.read_text("latin-1") for path in files)
        assert (folder / "d" / "operators.json").stat().st_mode & 0o777 == 0o600
        before = port.keys["admin"]

    # Of that key only the hash was kept: each start makes another, and the one before is worthless.
    with demo(folder) as port:
        assert port.ask("GET", "/session").status == 200
        reply = AdminPort(port.url, {"admin": before}).ask("GET", "/session")
        assert (reply.status, reply.problem) == (401, "key-refused")
