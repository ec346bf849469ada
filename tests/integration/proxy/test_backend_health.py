"""What a gateway sees of the site behind it: by its visitors' requests, or by a path that it asks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.domain.backoff import LEAST_ANSWERS, Seen
from gateway.run import GatewayApp
from gateway.wiring import OpenedGate, open_gate
from tests.integration.proxy.stub import Conversation, StubBackend, answering
from tests.integration.proxy.wire import ask, request
from tests.support.eventually import eventually
from tests.support.gateways import Server, Tables, write_settings
from tests.support.minting import Mint
from tests.support.servers import free_port

pytestmark = pytest.mark.integration

WELL = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
ILL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"
UNKNOWN = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno"


@contextmanager
def gateway_before(url: str, folder: Path, **proxy: str) -> Iterator[tuple[OpenedGate, int]]:
    """Run a gateway that lets every request through to a backend."""
    keys = Mint(folder / "keys")
    tables: Tables = {
        "keys": {"dir": str(keys.folder)},
        "ledger": {"url": f"unix://{folder}/nobody", "floor_dir": ""},
        "proxy": {"backend": url, "open_hosts": ["*"], **proxy},
    }
    opened = open_gate(write_settings(folder / "gateway.toml", tables))
    server = Server(GatewayApp(opened))
    server.start()
    try:
        yield opened, server.port
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("answer", "seen"), [(WELL, Seen.HEALTHY), (UNKNOWN, Seen.HEALTHY), (ILL, Seen.ILL)]
)
def test_visitors_requests_tell_how_the_site_is(answer: bytes, seen: Seen, tmp_path: Path) -> None:
    with (
        StubBackend(answering(answer)) as backend,
        gateway_before(backend.url, tmp_path) as (opened, port),
    ):
        for _ in range(LEAST_ANSWERS):
            ask(port, request())
        assert opened.health.seen(time.monotonic()) is seen


def test_a_site_that_cannot_be_reached_is_ill(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with gateway_before(nowhere, tmp_path) as (opened, port):
        for _ in range(LEAST_ANSWERS):
            assert ask(port, request()).status == 502
        assert opened.health.seen(time.monotonic()) is Seen.ILL


@pytest.mark.parametrize(("answer", "seen"), [(WELL, Seen.HEALTHY), (ILL, Seen.ILL)])
def test_a_path_is_asked_where_the_site_names_one(
    answer: bytes, seen: Seen, tmp_path: Path
) -> None:
    with (
        StubBackend(answering(answer)) as backend,
        gateway_before(backend.url, tmp_path, health_path="/healthz?deep=1") as (opened, _),
    ):
        eventually(lambda: opened.health.seen(time.monotonic()) is seen, 15)
        assert backend.heads[0].startswith(b"GET /healthz?deep=1 HTTP/1.1\r\n")


def test_where_a_path_is_asked_visitors_requests_say_nothing(tmp_path: Path) -> None:
    async def answer(conversation: Conversation) -> None:
        while head := await conversation.read_head():
            is_probe = head.startswith(b"GET /healthz")
            await conversation.send(WELL if is_probe else ILL)

    with (
        StubBackend(answer) as backend,
        gateway_before(backend.url, tmp_path, health_path="/healthz") as (opened, port),
    ):
        for _ in range(2 * LEAST_ANSWERS):
            assert ask(port, request()).status == 503
        eventually(lambda: opened.health.seen(time.monotonic()) is Seen.HEALTHY, 15)
