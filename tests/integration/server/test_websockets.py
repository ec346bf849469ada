"""WebSockets: upgraded once their head has one reading, answered when it has not."""

import pytest
from websockets.sync.client import connect as connect_websocket

from tests.integration.server.client import Client, get
from tests.integration.server.conftest import Site

HANDSHAKE = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]


def test_messages_go_both_ways(site: Site) -> None:
    with connect_websocket(f"ws://127.0.0.1:{site.port}/ws?x=1") as upgraded:
        upgraded.send("x" * 10_000)
        assert upgraded.recv() == "x" * 10_000
        assert upgraded.response is not None
        assert "Sec-WebSocket-Extensions" not in upgraded.response.headers


def test_a_connection_may_be_upgraded_after_other_requests(client: Client) -> None:
    client.send(get() + get("/ws", *HANDSHAKE))
    assert client.read_answer().body == b"hello"
    assert client.read_answer(to_head=True).status == 101


def test_an_upgraded_connection_has_no_deadline_for_a_head(site: Site) -> None:
    with connect_websocket(f"ws://127.0.0.1:{site.port}/ws") as upgraded:
        with pytest.raises(TimeoutError):
            upgraded.recv(timeout=1.5)
        upgraded.send("still there")
        assert upgraded.recv() == "still there"


@pytest.mark.parametrize("data", [b"\x81\x80abcd", get()], ids=["frame", "request"])
def test_data_before_our_answer_is_refused(client: Client, data: bytes) -> None:
    # RFC 9931: it would be the first frame here and perhaps a request for somebody else.
    assert client.ask(get("/ws", *HANDSHAKE) + data).status == 400
    assert client.read_to_end() == b""


def test_a_handshake_without_a_key_is_answered(client: Client) -> None:
    assert client.ask(get("/ws", *HANDSHAKE[:2])).status in {400, 426}
    client.read_to_end()


def test_an_upgrade_that_the_connection_does_not_name_is_ignored(client: Client) -> None:
    assert client.ask(get("/hello", *HANDSHAKE[1:])).body == b"hello"


def test_fields_are_limited_as_in_any_head(client: Client) -> None:
    assert client.ask(get("/ws", *HANDSHAKE, *["X: 1"] * 50)).status == 431


def test_an_upgrade_with_two_meanings_is_refused(client: Client) -> None:
    assert client.ask(get("/ws", *HANDSHAKE, "Upgrade: h2c")).status == 400


@pytest.mark.parametrize("fields", [["X: " + "x" * 9000], ["X: 1"] * 150])
def test_what_the_websocket_reader_cannot_take_is_answered(
    site_with_room: Site, fields: list[str]
) -> None:
    with site_with_room.connect() as client:
        assert client.ask(get("/ws", *HANDSHAKE, *fields)).status == 431
        assert client.read_to_end() == b""
    with site_with_room.connect() as client:
        assert client.ask(get("/hello", *fields)).status == 200


@pytest.mark.parametrize("fields", [["X: " + "x" * 8000], ["X: 1"] * 120])
def test_what_it_can_take_is_upgraded(site_with_room: Site, fields: list[str]) -> None:
    with site_with_room.connect() as client:
        client.send(get("/ws", *HANDSHAKE, *fields))
        assert client.read_answer(to_head=True).status == 101
