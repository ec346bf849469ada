"""The documented answers of `/queue/{event}/events` and `/ws`; what is pushed is tested in `../push`."""

import http.client
import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from gateway.ports import StateChange
from tests.support.contract import CONTRACT
from tests.support.replies import TIMEOUT_S, Reply
from tests.support.staging import LISTED_ORIGIN, Stage

ALL = 2**31


def first_bytes(stage: Stage, headers: dict[str, str] | None = None) -> Reply:
    """Read the head of a stream and what comes with it, then leave."""
    target = f"/queue/{stage.event}/events"
    connection = http.client.HTTPConnection("127.0.0.1", stage.gateway.port, timeout=TIMEOUT_S)
    connection.request("GET", target, headers={"Host": stage.host, **(headers or {})})
    response = connection.getresponse()
    said = tuple((name.lower(), value) for name, value in response.getheaders())
    reply = Reply(response.status, said, response.read1(ALL))
    response.close()
    connection.close()
    CONTRACT.check("GET", target, reply)
    return reply


def test_a_stream_begins_with_the_pointer(stage: Stage) -> None:
    reply = first_bytes(stage)
    assert reply.status == 200
    assert b"\nevent: pointer\n" in reply.body
    assert stage.visitor().call("").body in reply.body


def test_who_knows_that_the_event_is_gone_is_told_to_stay_away(stage: Stage) -> None:
    stage.delete()
    told = stage.visitor().get(f"/queue/{stage.event}/events")
    (known,) = [line[4:] for line in told.body.decode().splitlines() if line.startswith("id: ")]
    again = stage.visitor().get(f"/queue/{stage.event}/events", {"last-event-id": known})
    assert (again.status, again.body) == (204, b"")


def test_a_socket_is_opened_to_every_origin(stage: Stage) -> None:
    stage.change(StateChange.PAUSE, message="soon")
    for origin in (stage.host, LISTED_ORIGIN, "https://elsewhere.example"):
        sock = socket.create_connection(("127.0.0.1", stage.gateway.port), timeout=TIMEOUT_S)
        target = f"/queue/{stage.event}/ws"
        with connect(
            f"ws://{stage.host}{target}",
            sock=sock,
            proxy=None,
            compression=None,
            origin=Origin(origin),
        ) as opened:
            assert str(opened.recv(TIMEOUT_S)).encode() == stage.visitor().call("").body
            assert opened.response is not None
            said = tuple(
                (name.lower(), value) for name, value in opened.response.headers.raw_items()
            )
        CONTRACT.check("GET", target, Reply(101, said, b""))


def test_without_a_handshake_there_is_no_socket(stage: Stage) -> None:
    reply = stage.visitor().get(f"/queue/{stage.event}/ws")
    assert reply.verdict == (426, "about:blank")
    assert reply.header("upgrade") == "websocket"


@pytest.mark.parametrize("verb", ["events", "ws"])
def test_what_cannot_be_read_or_is_not_there(stage: Stage, verb: str) -> None:
    visitor = stage.visitor()
    assert visitor.get(f"/queue/nobody-made-this/{verb}").verdict == (404, "about:blank")
    assert visitor.get(f"/queue/{stage.event}/{verb}", {"host": "two hosts"}).status == 400
    assert visitor.ask("POST", f"/queue/{stage.event}/{verb}").verdict == (405, "about:blank")


def test_an_id_that_came_twice_is_refused(stage: Stage) -> None:
    ids = [("last-event-id", "1"), ("last-event-id", "2")]
    assert stage.visitor().get(f"/queue/{stage.event}/events", ids).status == 400


def test_there_is_no_socket_elsewhere(stage: Stage) -> None:
    for target in ("/queue/nobody-made-this/ws", f"/queue/{stage.event}/position"):
        sock = socket.create_connection(("127.0.0.1", stage.gateway.port), timeout=TIMEOUT_S)
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://{stage.host}{target}", sock=sock, proxy=None)
        assert refused.value.response.status_code == 404


@pytest.mark.parametrize("verb", ["events", "ws"])
def test_a_preflight_is_answered(stage: Stage, verb: str) -> None:
    asked = {"origin": LISTED_ORIGIN, "access-control-request-method": "GET"}
    visitor, target = stage.visitor(), f"/queue/{stage.event}/{verb}"
    reply = visitor.ask("OPTIONS", target, asked)
    assert reply.status == 204
    assert reply.header("access-control-allow-methods") == "GET"
    assert visitor.ask("OPTIONS", target).verdict == (405, "about:blank")
    assert visitor.ask("OPTIONS", target, {**asked, "host": "two hosts"}).status == 400
    assert visitor.ask("OPTIONS", f"/queue/No_Name/{verb}", asked).status == 404
