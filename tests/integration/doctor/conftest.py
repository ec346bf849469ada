"""The stage of `tests.support.staging`, and chains in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import Settings
from tests.integration.doctor.chains import EVENT, HOST, NGINX_ADDRESS, Echo, Site
from tests.support import staging
from tests.support.certificates import Authority
from tests.support.eventually import eventually
from tests.support.gateways import Gateway, Server, Tables, event_table, write_settings
from tests.support.operators import Operator
from tests.support.servers import RealServer

common_tables = staging.common_tables
mint = staging.mint
operator = staging.operator
short_folder = staging.short_folder
site = staging.site
valkey = staging.valkey


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    return {
        **common_tables,
        "server": {
            "forward_auth_peers": [f"{NGINX_ADDRESS}/32"],
            "trusted_proxies": [f"{NGINX_ADDRESS}/32"],
        },
        f"events.{EVENT}": event_table(HOST, open=["/headers"]),
        "events.watched": event_table("127.0.0.1", mode="observe"),
    }


@pytest.fixture(scope="module")
def settings_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doctor") / "gateway.toml"


@pytest.fixture(scope="module")
def settings(settings_file: Path, tables: Tables) -> Settings:
    return write_settings(settings_file, tables)


@pytest.fixture(scope="module")
def deployed(settings: Settings, operator: Operator, valkey: RealServer) -> Iterator[Site]:
    """A gateway with an open event and a booking site, and whatever is put in front of them."""
    valkey.reset()
    backend = Echo()
    behind = Server(backend)
    behind.start()
    with Gateway(settings, backend=backend).running() as gateway:
        for event in (EVENT, "watched"):
            operator.create(event, opened=True)
        eventually(lambda: all(gateway.knows(event) for event in (EVENT, "watched")))
        yield Site(gateway, backend, behind.port)
    behind.stop()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
