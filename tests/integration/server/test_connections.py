"""How many connections one client, and all together, may hold."""

import socket
import time
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest
from websockets.sync.client import connect as connect_websocket

from gateway.server.connections import Census, retry_after_s
from gateway.server.protocols import HttpParser
from tests.integration.server.client import Client, get
from tests.integration.server.conftest import Site, Sites, limits_of


def hold(stack: ExitStack, site: Site) -> Client:
    """Open a connection that is certainly counted."""
    client = stack.enter_context(site.connect())
    assert client.ask(get()).status == 200
    return client


def assert_too_many(client: Client) -> None:
    answer = client.read_answer()
    assert answer.status == 503
    assert answer.problem() == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
    }
    assert 5 <= int(answer.headers["retry-after"]) <= 15
    assert answer.headers["connection"] == "close"
    assert client.read_to_end() == b""


def until_admitted(site: Site, together: int = 1) -> None:
    """Wait for the server to have noticed what the clients have closed."""
    deadline = time.monotonic() + 5
    while True:
        with ExitStack() as stack:
            clients = [stack.enter_context(site.connect()) for _ in range(together)]
            for client in clients:
                client.send(get())
            if all(client.read_answer().status == 200 for client in clients):
                return
        assert time.monotonic() < deadline


def test_a_client_over_its_cap_is_told_so_at_once(sites: Sites, http: HttpParser) -> None:
    site = sites.get(http, connections_per_client=3)
    with ExitStack() as stack:
        clients = [hold(stack, site) for _ in range(3)]
        with site.connect() as fourth:
            assert_too_many(fourth)
        with site.connect() as fifth:
            fifth.send(get() * 10)
            assert fifth.read_answer().status == 503
        assert all(client.ask(get()).status == 200 for client in clients)
    until_admitted(site)


def test_all_together_have_a_cap(sites: Sites, http: HttpParser) -> None:
    site = sites.get(http, connections=2)
    with ExitStack() as stack:
        for _ in range(2):
            hold(stack, site)
        with site.connect() as third:
            assert_too_many(third)
    until_admitted(site)


def test_a_trusted_proxy_is_never_refused(sites: Sites, http: HttpParser) -> None:
    site = sites.get(
        http, connections_per_client=2, connections=4, trusted=(ip_network("127.0.0.0/8"),)
    )
    with ExitStack() as stack:
        clients = [hold(stack, site) for _ in range(10)]
        assert all(client.ask(get()).status == 200 for client in clients)


def test_a_thousand_connections_leave_nothing_behind(sites: Sites, http: HttpParser) -> None:
    site = sites.get(http, connections_per_client=8, connections=8)
    endings = [b"", b"GET /he", b"nonsense\r\n\r\n", get(), get("/hello", "Connection: close")]
    for n in range(1000):
        with site.connect() as client:
            client.send(endings[n % len(endings)])
            if n % 2:
                client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if n % 8 == 7:
            until_admitted(site)
    until_admitted(site, together=8)


def test_a_websocket_keeps_its_place_until_it_ends(sites: Sites, http: HttpParser) -> None:
    site = sites.get(http, connections_per_client=2)
    with ExitStack() as stack:
        for n in range(2):
            upgraded = stack.enter_context(connect_websocket(f"ws://127.0.0.1:{site.port}/"))
            upgraded.send(f"message {n}")
            assert upgraded.recv() == f"message {n}"
        with site.connect() as third:
            assert_too_many(third)
    until_admitted(site)


def test_a_unix_socket_has_no_cap_for_each_client(http: HttpParser, tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    site = Site(http, limits_of(connections_per_client=2, connections=4), [listener])
    try:
        with ExitStack() as stack:
            clients = [stack.enter_context(unix_client(tmp_path / "s")) for _ in range(4)]
            assert all(client.ask(get()).status == 200 for client in clients)
            with unix_client(tmp_path / "s") as fifth:
                assert fifth.read_answer().status == 503
    finally:
        site.end()


def unix_client(path: Path) -> Client:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return Client(sock)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("::ffff:203.0.113.7", "::ffff:203.0.113.8", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_a_client_is_an_address_or_a_64(one: str, other: str, same: bool) -> None:
    census = Census(limits_of(connections_per_client=1))
    assert census.admit((one, 4711)) is not None
    assert (census.admit((other, 4712, 0, 0)) is None) == same


@pytest.mark.parametrize("trusted", ["203.0.113.0/24", "2001:db8::/32"])
def test_only_the_trusted_networks_are_trusted(trusted: str) -> None:
    census = Census(limits_of(connections_per_client=1, trusted=(ip_network(trusted),)))
    peers = ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "198.51.100.1", "2001:db9::1"]
    refused = [
        peer for peer in peers if [census.admit((peer, port)) for port in range(3)][-1] is None
    ]
    assert ("203.0.113.7" not in refused) == (trusted == "203.0.113.0/24")
    assert ("::ffff:203.0.113.7" not in refused) == (trusted == "203.0.113.0/24")
    assert ("2001:db8::1" not in refused) == (trusted == "2001:db8::/32")
    assert {"198.51.100.1", "2001:db9::1"} <= set(refused)


def test_a_place_is_given_back_once() -> None:
    census = Census(limits_of(connections_per_client=2))
    places = [census.admit(("203.0.113.7", 1)), census.admit(("203.0.113.7", 2))]
    for place in (*places, *places):
        assert place is not None
        place.give_back()
    assert (census.total, census.by_client) == (0, {})


def test_those_refused_together_do_not_come_back_together() -> None:
    assert {retry_after_s(("203.0.113.7", port)) for port in range(40_000, 40_100)} == set(
        range(5, 16)
    )
    assert retry_after_s("") == 5
