"""The middleware around real apps of three frameworks, each on uvicorn as its users start it."""

import contextlib
import http.client
import json
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.integration.examples.sites import EXAMPLES, Site
from tests.support.eventually import eventually
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.replies import TIMEOUT_S
from tests.support.servers import RealServer, valkey_binary
from tests.support.visitors import Visitor

EVENT, HOST = "sale", "localhost"

# The framework that each needs beside what the gateway itself needs.
FRAMEWORKS = {"starlette_app": "starlette", "fastapi_app": "fastapi", "django_app": "django"}
WITH_WEBSOCKETS = ["starlette_app", "fastapi_app"]

# What a lifespan, or a task, that was not ended well leaves in the log.
TRACES = ("Traceback", "Task was destroyed", "never awaited", "unsupported")


@pytest.fixture(params=FRAMEWORKS)
def module(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    pytest.importorskip(FRAMEWORKS[name], reason=f"{FRAMEWORKS[name]} is not installed")
    return name


@pytest.fixture
def folder(short_folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix="site-", dir=short_folder))


@pytest.fixture
def environ(folder: Path, valkey: RealServer, mint: Mint) -> dict[str, str]:
    """The shipped settings, with the ledger and the keys of the test run."""
    return {
        "GATEWAY_CONFIG": str(EXAMPLES / "gateway.toml"),
        "GATEWAY_LEDGER__URL": valkey.url,
        "GATEWAY_LEDGER__FLOOR_DIR": str(folder / "floors"),
        "GATEWAY_KEYS__DIR": str(mint.folder),
    }


@pytest.fixture
def site(
    module: str,
    folder: Path,
    environ: Mapping[str, str],
    valkey: RealServer,
    operator: Operator,
) -> Iterator[Site]:
    valkey.reset()
    operator.create(EVENT, opened=True)
    site = Site(module, folder, environ)
    try:
        site.wait_until_up()
        yield site
    finally:
        site.kill()


def visitor_of(site: Site) -> Visitor:
    return Visitor(site.port, HOST, event=EVENT)


def admitted(site: Site, operator: Operator) -> Visitor:
    visitor = visitor_of(site)
    # The server answers before the event is read for the first time.
    eventually(lambda: visitor.call("").status == 200)
    visitor.join()
    operator.release(EVENT, 1)
    eventually(lambda: visitor.get("/book").status == 200)
    return visitor


def test_the_crowd_waits_outside(site: Site) -> None:
    visitor = visitor_of(site)
    assert visitor.get("/").body == b"Welcome. Tickets are at /book.\n"
    assert visitor.get("/book").verdict == (401, "no-token")
    assert visitor.get("/book", {"queue-position": "1"}).verdict == (401, "no-token")
    assert "/queue/sale/room" in visitor.navigate("/book").location
    assert visitor.navigate("/queue/sale/room").status == 200
    visitor.join()
    assert visitor.get("/book").verdict == (429, "not-yet")


def test_who_is_let_in_gets_through_under_the_number_that_we_gave(
    site: Site, operator: Operator
) -> None:
    visitor = admitted(site, operator)
    assert visitor.has("pass")
    forged = visitor.get("/book", {"queue-position": "7"})
    assert forged.body == b"Choose a seat, number 1.\n"
    assert visitor_of(site).get("/book").verdict == (401, "no-token")


def test_a_stream_comes_as_it_is_written(site: Site, operator: Operator) -> None:
    visitor = admitted(site, operator)
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=TIMEOUT_S)
    with contextlib.closing(connection):
        connection.request("GET", "/seats", headers={"host": HOST, "queue-token": visitor.held})
        answer = connection.getresponse()
        assert answer.status == 200
        # The stream has no end: what is held back until then would never come.
        assert [answer.readline() for _ in range(4)] == [b"data: 32\n", b"\n"] * 2


def test_the_site_ends_a_session(site: Site, operator: Operator) -> None:
    visitor = admitted(site, operator)
    reply = visitor.ask("POST", "/done")
    assert (reply.status, reply.body) == (200, b"Thank you.\n")
    assert reply.all("queue-session") == []
    eventually(lambda: visitor.get("/book").status == 410)


def shake(site: Site, token: str | None) -> int:
    """Ask for a seat over a WebSocket; return the status of the handshake."""
    connection = socket.create_connection(("127.0.0.1", site.port), timeout=TIMEOUT_S)
    headers = {} if token is None else {"queue-token": token}
    try:
        with connect(
            f"ws://{HOST}/live", sock=connection, additional_headers=headers, proxy=None
        ) as opened:
            opened.send("A1")
            assert opened.recv(TIMEOUT_S) == "seat A1 is yours"
            assert opened.response is not None
            return opened.response.status_code
    except InvalidStatus as refused:
        return refused.response.status_code
    finally:
        connection.close()


def test_a_websocket_needs_a_pass(site: Site, module: str, operator: Operator) -> None:
    visitor = admitted(site, operator)
    assert shake(site, None) == 401
    if module in WITH_WEBSOCKETS:
        assert shake(site, visitor.held) == 101


def test_the_gate_begins_and_ends_with_the_server(
    site: Site, operator: Operator, folder: Path
) -> None:
    admitted(site, operator)
    assert site.stop() in (0, -signal.SIGTERM)
    assert [trace for trace in TRACES if trace in site.said] == []
    # Its last word: whoever takes the file over knows exactly how far it went.
    (left,) = (folder / "floors").glob("*.floors")
    assert json.loads(left.read_text())["ended_well"] == [left.stem]


def test_a_gate_that_cannot_open_stops_the_server_and_says_why(
    module: str, folder: Path, environ: Mapping[str, str]
) -> None:
    place = folder / "evicts"
    place.mkdir()
    server = RealServer(valkey_binary(), place, {"maxmemory-policy": "allkeys-lru"})
    server.start()
    try:
        site = Site(module, folder, {**environ, "GATEWAY_LEDGER__URL": server.url})
        try:
            assert site.wait() not in (0, -signal.SIGTERM)
        finally:
            site.kill()
        assert "noeviction" in site.said
    finally:
        server.kill()
