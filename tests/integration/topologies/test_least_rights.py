"""The ledger's user: the line of users.acl is enough for everything, and opens nothing else."""

from importlib.resources import files
from pathlib import Path

import pytest
import redis

from gateway.domain.events import Durability, EventPolicy
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from tests.integration.topologies.conftest import NewLedger, NewServer
from tests.support.clusters import RealCluster
from tests.support.everywhere import does_everything
from tests.support.sales import Sale
from tests.support.servers import RealServer, free_port

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

KINDS = pytest.mark.parametrize("kind", ["valkey", "redis"])
USER, PASSWORD = "gateway", "made-up"


def let_in(server: RealServer, *, old: bool = False, more: str = "") -> None:
    """Make the user of the shipped line, as an operator does."""
    _, user, *rights = (files("gateway.ledger") / "users.acl").read_text("utf-8").split()
    assert user == USER
    if old:
        # Redis before 7.2 does not know the command and refuses the line.
        rights.remove("+waitaof")
    server.command("ACL", "SETUSER", user, *rights, *more.split(), "on", f">{PASSWORD}")


def url_of(server: RealServer) -> str:
    return f"unix://{USER}:{PASSWORD}@{server.socket}"


@KINDS
@pytest.mark.parametrize("durability", [Durability.MEMORY, Durability.FSYNC])
async def test_everything_works_with_the_least_rights(
    new_server: NewServer, new_ledger: NewLedger, kind: str, durability: Durability
) -> None:
    server = new_server(kind)
    old = kind == "redis"
    more = "+config|get" if old and durability is Durability.FSYNC else ""
    let_in(server, old=old, more=more)
    ledger, other = new_ledger(url_of(server)), new_ledger(url_of(server))
    policy = EventPolicy(durability=durability)
    sale = await does_everything(ledger, other, server, policy)
    await new_ledger(url_of(server)).read(sale.event)
    assert server.command("ACL", "LOG") == []


async def test_a_server_too_old_for_waitaof_is_refused_for_fsync_by_its_reason(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server("redis")
    let_in(server, old=True)
    with pytest.raises(LedgerUnavailable) as refused:
        await Sale.open(server, new_ledger(url_of(server)))
    assert refused.value.cause == "no-permission"
    assert "+config|get" in refused.value.detail


@KINDS
@pytest.mark.parametrize(
    "words",
    [
        ["FLUSHALL"],
        ["FLUSHDB"],
        ["CONFIG", "GET", "*"],
        ["CONFIG", "SET", "appendonly", "no"],
        ["EVAL", "return 1", "0"],
        ["KEYS", "*"],
        ["SCAN", "0"],
        ["GET", "other"],
        ["SET", "other", "1"],
        ["PUBLISH", "other", "1"],
        ["PSUBSCRIBE", "*"],
        ["SHUTDOWN"],
        ["ACL", "LIST"],
        ["CLIENT", "LIST"],
        ["CLIENT", "KILL", "TYPE", "normal"],
        ["SCRIPT", "FLUSH"],
        ["REPLICAOF", "NO", "ONE"],
        ["DEBUG", "SLEEP", "0"],
    ],
    ids=" ".join,
)
async def test_whoever_has_the_password_can_do_no_more(
    new_server: NewServer, kind: str, words: list[str]
) -> None:
    server = new_server(kind)
    let_in(server, old=kind == "redis")
    with (
        redis.Redis(
            unix_socket_path=str(server.socket), username=USER, password=PASSWORD
        ) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*words)


@KINDS
async def test_nobody_is_let_in_before_the_user_has_a_password(
    new_server: NewServer, new_ledger: NewLedger, tmp_path: Path, kind: str
) -> None:
    line = (files("gateway.ledger") / "users.acl").read_text("utf-8")
    shipped = tmp_path / "users.acl"
    shipped.write_text(line.replace(" +waitaof", "") if kind == "redis" else line)
    server = new_server(kind, aclfile=str(shipped))
    with pytest.raises(LedgerUnavailable) as refused:
        await new_ledger(url_of(server)).events()
    assert refused.value.cause == "no-permission"


async def test_the_same_rights_are_enough_in_a_cluster(
    cluster: RealCluster, new_ledger: NewLedger
) -> None:
    for node in cluster.nodes:
        let_in(node)
    url = cluster.url.replace("://", f"://{USER}:{PASSWORD}@")
    await does_everything(
        new_ledger(url), new_ledger(url), cluster.primaries[0], name="rights-in-a-cluster"
    )
    assert await new_ledger(url).read(EventId("rights-in-a-cluster"))
    assert all(node.command("ACL", "LOG") == [] for node in cluster.nodes)


async def test_a_database_and_a_name_for_the_connections_need_no_more(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server(port=str(free_port()))
    let_in(server)
    address = f"127.0.0.1:{server.settings['port']}"
    ledger = new_ledger(f"redis://{USER}:{PASSWORD}@{address}/1?client_name=gw")
    await ledger.ping()
    assert "name=gw " in server.raw("CLIENT LIST")
