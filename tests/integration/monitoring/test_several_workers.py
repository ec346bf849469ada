"""One scrape tells of all workers: what they did adds up, what they all know does not."""

import http.client
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.monitoring.conftest import Promtool
from tests.support.command_line import CONFIG, Operator
from tests.support.eventually import eventually
from tests.support.running import Running, ask

JOINS = 24

# Every gateway reads once a second, also before the test began; a loaded machine is late.
FRESH_S = 10


@pytest.fixture
def workers() -> Iterator[Running]:
    """Two workers behind one port, with an open event."""
    # Under /tmp itself: a Unix socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="gwm-", dir="/tmp"))
    (folder / "gateway.toml").write_text(CONFIG)
    operator = Operator(folder)
    operator("keys", "new")
    words = ("--json", "run", "--port", 0, "--admin-port", 0, "--workers", 2)
    running = Running(words, folder)
    try:
        assert operator("event", "create", "sale", "--open", "--max-sessions", 9).code == 0
        yield running
    finally:
        running.end()
        assert running.process.stdout is not None
        running.process.stdout.close()
        shutil.rmtree(folder)


def join(url: str) -> int:
    """Join over a connection of its own: any worker may get it."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("POST", "/queue/sale/join", headers={"host": "shop.example"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_counts_add_up_and_the_events_numbers_do_not(workers: Running, promtool: Promtool) -> None:
    started_s = time.time()
    url, admin_url = workers.document["url"], workers.document["admin_url"]
    eventually(lambda: join(url) == 201, 20)
    for _ in range(JOINS - 1):
        assert join(url) == 201

    def exposition() -> str:
        return ask(f"{admin_url}/metrics").body.decode()

    def values(name: str) -> list[float]:
        return [
            sample.value
            for family in text_string_to_metric_families(exposition())
            for sample in family.samples
            if sample.name == f"gateway_{name}"
        ]

    eventually(lambda: sum(values("joins_total")) == JOINS, 20)
    eventually(lambda: values("issued") == [JOINS], 20)
    assert values("waiting") == [JOINS]
    assert values("max_sessions") == [9]
    assert sum(values("join_seconds_count")) == JOINS
    (read_at_s,) = values("pointer_read_timestamp_seconds")
    assert started_s - FRESH_S < read_at_s <= time.time()
    assert values("keys") == [0, 1, 0]
    promtool("check", "metrics", stdin=exposition())
