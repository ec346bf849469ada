"""A ledger on one server: over a Unix socket, over TCP, over TLS with a client's certificate."""

from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.domain.events import Durability, EventPolicy
from gateway.errors import LedgerUnavailable
from tests.integration.topologies.conftest import NewLedger, NewServer, binary_of
from tests.support.certificates import Authority
from tests.support.everywhere import does_everything
from tests.support.servers import RealServer, free_port

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

# Redis 7.0 cannot say when it has synced.
MEMORY = EventPolicy(durability=Durability.MEMORY)


async def test_a_ledger_over_a_unix_socket(new_server: NewServer, new_ledger: NewLedger) -> None:
    server = new_server()
    await does_everything(new_ledger(server.url), new_ledger(server.url), server)


async def test_a_ledger_over_tcp_with_a_password_and_a_database(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server(port=str(free_port()), requirepass="p@ss/word")
    url = f"redis://:{quote('p@ss/word', safe='')}@127.0.0.1:{server.settings['port']}/3"
    await does_everything(new_ledger(url), new_ledger(url), server)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def tls_server(new_server: NewServer, authority: Authority) -> RealServer:
    binary_of("redis")
    certificate, key = authority.sign("server")
    return new_server(
        "redis",
        tls_port=str(free_port()),
        tls_cert_file=str(certificate),
        tls_key_file=str(key),
        tls_ca_cert_file=str(authority.certificate),
    )


async def test_a_ledger_over_tls_shows_its_certificate(
    tls_server: RealServer, authority: Authority, new_ledger: NewLedger
) -> None:
    certificate, key = authority.sign("gateway")
    url = (
        f"rediss://localhost:{tls_server.settings['tls-port']}?ssl_ca_certs={authority.certificate}"
        f"&ssl_certfile={certificate}&ssl_keyfile={key}"
    )
    await does_everything(new_ledger(url), new_ledger(url), tls_server, MEMORY)


@pytest.mark.parametrize(
    "options", ["", "?ssl_ca_certs={ca}"], ids=["an unknown authority", "no client certificate"]
)
async def test_who_is_not_trusted_over_tls_is_told_that_the_ledger_is_away(
    tls_server: RealServer, authority: Authority, new_ledger: NewLedger, options: str
) -> None:
    port = tls_server.settings["tls-port"]
    url = f"rediss://localhost:{port}" + options.format(ca=authority.certificate)
    with pytest.raises(LedgerUnavailable):
        await new_ledger(url).ping()
