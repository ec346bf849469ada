"""Servers for these tests: in a thread of this process, on a real port, one for each set of limits."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.server.limits import ServerLimits
from gateway.server.protocols import HttpParser
from gateway.server.serve import Bind, Listening, run, serve
from gateway.server.shutdown import Shutdown
from tests.integration.server.behaviours import Behaviours
from tests.integration.server.client import Client

RECEIVE_TIMEOUT_S = 0.4


def limits_of(**changes: Any) -> ServerLimits:
    """Limits small enough to reach; whatever a test is about it names."""
    values: dict[str, Any] = {
        "receive_timeout_s": RECEIVE_TIMEOUT_S,
        "keep_alive_s": 0.8,
        "header_bytes": 8192,
        "header_count": 50,
        "target_bytes": 2048,
        "connections_per_client": 100,
        "connections": 200,
        "drain_s": 5.0,
    }
    return ServerLimits(**values | changes)


class Site:
    """A server in a thread."""

    def __init__(self, http: HttpParser, limits: ServerLimits, bind: Bind) -> None:
        self.app = Behaviours()
        self.shutdown = Shutdown()
        self.port = 0
        self._failure: BaseException | None = None
        self._answers = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(http, limits, bind))
        self._thread.start()
        assert self._answers.wait(10)
        if self._failure is not None:
            raise self._failure

    def _run(self, http: HttpParser, limits: ServerLimits, bind: Bind) -> None:
        try:
            run(
                serve(
                    self.app,
                    bind=bind,
                    limits=limits,
                    shutdown=self.shutdown,
                    http=http,
                    on_ready=self._on_ready,
                    log_level="critical",
                )
            )
        except BaseException as exc:
            self._failure = exc
        self._answers.set()

    def _on_ready(self, listening: Listening) -> None:
        address = listening.main[0]
        self.port = 0 if isinstance(address, str) else address[1]
        self._answers.set()

    def connect(self) -> Client:
        return Client.connect(self.port)

    def end(self) -> None:
        self.app.loop.call_soon_threadsafe(self.shutdown.request)
        self._thread.join(20)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure


class Sites:
    """Starts every kind of site once a run."""

    def __init__(self) -> None:
        self._sites: dict[tuple[HttpParser, ServerLimits], Site] = {}

    def get(self, http: HttpParser, **changes: Any) -> Site:
        key = http, limits_of(**changes)
        if key not in self._sites:
            self._sites[key] = Site(*key, ("127.0.0.1", 0))
        return self._sites[key]

    def end(self) -> None:
        for site in self._sites.values():
            site.end()


@pytest.fixture(scope="session")
def sites() -> Iterator[Sites]:
    sites = Sites()
    yield sites
    sites.end()


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> HttpParser:
    parser: HttpParser = request.param
    return parser


@pytest.fixture
def site(sites: Sites, http: HttpParser) -> Site:
    return sites.get(http)


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    with site.connect() as client:
        yield client


@pytest.fixture
def site_with_room(sites: Sites, http: HttpParser) -> Site:
    return sites.get(http, header_bytes=32_768, header_count=200)
