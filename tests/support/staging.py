"""Fixtures of the tests that put a whole gateway on the stage, for the `conftest.py` of their folders.

A module has one gateway with a pool of alike events; each test takes fresh ones. A module that needs
other settings has a fixture `tables` of its own.
"""

import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.events import EventState
from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.gateways import (
    Backend,
    Gateway,
    Parser,
    Seen,
    Tables,
    event_table,
    write_settings,
)
from tests.support.minting import Mint
from tests.support.operators import Operator
from tests.support.replies import Reply
from tests.support.servers import RealServer, valkey_binary
from tests.support.visitors import Visitor

POOL = 120

LISTED_ORIGIN = "https://shop.example"
OPEN_HOST = "static.example"


# By default; the events below have `finish` paths, so a pass's cookie is kept so much longer than the pass.
FINISH_GRACE_S = 600


class Stage:
    """One event of a running gateway, its operator, and the visitors who come.

    Attributes:
        host: The event's host.
    """

    def __init__(self, gateway: Gateway, operator: Operator, mint: Mint, event: str) -> None:
        self.gateway = gateway
        self.operator = operator
        self.mint = mint
        self.event = event
        self.host = gateway.settings.events[event].hosts[0]

    @property
    def backend(self) -> Backend:
        return self.gateway.backend

    @property
    def reached(self) -> list[Seen]:
        """Return the requests to this event's host that reached the backend."""
        return [seen for seen in self.backend.seen if self.host in seen.all("host")]

    @property
    def generation(self) -> int:
        snapshot = self.gateway.knows(self.event)
        assert snapshot is not None
        return snapshot.generation

    def visitor(self, host: str | None = None) -> Visitor:
        """Return somebody new, with an empty cookie jar."""
        return Visitor(self.gateway.port, host or self.host, event=self.event)

    def waiting(self) -> Visitor:
        """Return somebody who has joined."""
        visitor = self.visitor()
        visitor.join()
        return visitor

    def served(self) -> Visitor:
        """Return somebody whose turn has come, and everybody's before."""
        visitor = self.waiting()
        self.release(1 + int(visitor.call("position").json()["ahead"]))
        return visitor

    def admitted(self) -> Visitor:
        """Return somebody with a pass."""
        visitor = self.served()
        visitor.claim()
        return visitor

    def release(self, by: int = 1) -> None:
        served = self.operator.release(self.event, by)
        eventually(lambda: self._known("served_up_to") >= served)

    def change(self, change: StateChange, **details: Any) -> None:
        self.operator.change(self.event, change, **details)
        self.settle()

    def lose(self) -> None:
        """Let the event's state vanish; the gateway has noticed."""
        self.operator.lose(self.event)
        eventually(lambda: self._known("state") is EventState.SUSPENDED)

    def delete(self) -> None:
        self.operator.delete(self.event)
        eventually(lambda: self._known("state") is EventState.DELETED)

    def begin_new_generation(self) -> None:
        before = self.generation
        self.operator.begin_new_generation(self.event)
        eventually(lambda: self.generation > before)

    def elapse(self, seconds: float) -> None:
        self.operator.elapse(self.event, seconds)

    def settle(self) -> None:
        """Wait until the gateway has read the ledger as it is now."""
        state = self.operator.read(self.event)
        eventually(
            lambda: (
                self._known("state") == state.state
                and self._known("updated_at_ms") == state.updated_at_ms
                and self._known("ended").keys() == state.ended.keys()
            )
        )

    def _known(self, name: str) -> Any:
        return getattr(self.gateway.knows(self.event), name)

    def told_to_wait(self, reply: Reply) -> bool:
        """Whether a browser was sent to this event's waiting page."""
        return reply.status == 303 and f"/queue/{self.event}/room" in reply.location


def new_stage(
    gateway: Gateway,
    operator: Operator,
    mint: Mint,
    event: str,
    *,
    opened: bool = True,
    **policy: Any,
) -> Stage:
    """Create an event of the gateway's settings; keywords are its policy."""
    operator.create(event, opened=opened, **policy)
    eventually(lambda: gateway.knows(event) is not None)
    return Stage(gateway, operator, mint, event)


OpenStage = Callable[..., Stage]


@pytest.fixture(scope="session")
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name (unix(7), sun_path)."""
    # In memory where the system has such a folder: what is tested is the order of things, not the disk.
    base = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="gws-", dir=base))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey(short_folder: Path) -> Iterator[RealServer]:
    folder = short_folder / "valkey"
    folder.mkdir()
    server = RealServer(valkey_binary(), folder)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def mint(short_folder: Path) -> Mint:
    """Our own keys."""
    return Mint(short_folder / "keys")


@pytest.fixture(scope="session")
def site(short_folder: Path) -> Mint:
    """The booking site's keys."""
    return Mint(short_folder / "site-keys")


@pytest.fixture(scope="session")
def common_tables(short_folder: Path, valkey: RealServer, mint: Mint, site: Mint) -> Tables:
    """What all gateways under test are told."""
    secret = short_folder / "sub-secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    return {
        "keys": {
            "dir": str(mint.folder),
            "voucher_jwks": str(site.write_jwks(short_folder / "site.jwks")),
            "sub_secret": str(secret),
        },
        "ledger": {"url": valkey.url},
        "server": {"forward_auth_peers": ["127.0.0.1/32"]},
    }


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    """The settings of a module's gateway; `sale-1`, `sale-2`, … are its pool."""
    pool = {
        f"events.sale-{number}": event_table(
            f"sale-{number}.example",
            open=["/assets/", "GET,HEAD /about", "POST /webhooks/payment"],
            finish=["/pay", "/done/"],
            origins=[LISTED_ORIGIN],
        )
        for number in range(1, POOL + 1)
    }
    return {**common_tables, "proxy": {"open_hosts": [OPEN_HOST]}, **pool}


@pytest.fixture(scope="module")
def operator(valkey: RealServer) -> Iterator[Operator]:
    with Operator(valkey) as operator:
        yield operator


@pytest.fixture(scope="module")
def parser() -> Parser:
    return "httptools"


@pytest.fixture(scope="module")
def gateway(
    short_folder: Path, valkey: RealServer, tables: Tables, parser: Parser
) -> Iterator[Gateway]:
    valkey.reset()
    folder = Path(tempfile.mkdtemp(prefix="module-", dir=short_folder))
    settings = write_settings(folder / "gateway.toml", tables)
    with Gateway(settings, parser=parser).running() as running:
        yield running


@pytest.fixture(scope="module")
def event_numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def open_stage(
    gateway: Gateway, operator: Operator, mint: Mint, event_numbers: Iterator[int]
) -> OpenStage:
    """Create a fresh event; keywords are its policy. A name is that of the module's own settings."""

    def create(name: str | None = None, *, opened: bool = True, **policy: Any) -> Stage:
        event = name or f"sale-{next(event_numbers)}"
        return new_stage(gateway, operator, mint, event, opened=opened, **policy)

    return create


@pytest.fixture
def stage(open_stage: OpenStage) -> Stage:
    """An open event with the default policy."""
    return open_stage()


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[RealServer]:
    """A ledger that a test may break."""
    place = Path(tempfile.mkdtemp(prefix="own-", dir=folder))
    server = RealServer(valkey_binary(), place)
    server.start()
    try:
        yield server
    finally:
        server.thaw()
        server.kill()
