"""Clients that are old, hasty or hostile."""

import secrets
import struct
from collections.abc import Callable

import pytest

from tests.integration.push.conftest import Converse, Watch
from tests.integration.push.gateways import PushingGateway
from tests.integration.push.readers import TIMEOUT_S, EventReader, masked
from tests.support.eventually import eventually
from tests.support.staging import Stage


def test_a_client_of_http_1_0_reads_to_the_end_of_the_connection(
    stage: Stage, gateway: PushingGateway, watch: Watch
) -> None:
    stage.waiting()
    stream = watch(version="1.0")
    stream.frame()
    stage.release()
    assert stream.frame().json()["served_up_to"] == 1


def test_a_head_has_the_fields_and_nothing_else(
    stage: Stage, gateway: PushingGateway, watch: Watch
) -> None:
    head = watch(method="HEAD")
    assert head.head.status == 200
    assert head.head.headers["content-type"] == "text/event-stream"
    assert head.head.headers["cache-control"] == "no-store"
    assert head.is_silent()
    assert gateway.open_streams == 0


def test_a_request_with_a_body_is_answered_without_it(stage: Stage, watch: Watch) -> None:
    stage.waiting()
    stream = watch(body=b"nobody asked for this")
    stream.frame()
    stage.release()
    assert stream.frame().json()["served_up_to"] == 1


def test_an_unknown_event_has_no_stream(stage: Stage) -> None:
    with EventReader(stage.gateway.port, "nobody-made-this") as stream:
        assert stream.head.status == 404
        assert stream.head.headers["content-type"] == "application/problem+json"


HOSTILE: dict[str, Callable[[], bytes]] = {
    "garbage": lambda: secrets.token_bytes(64) + b"\xff" * 64,
    "a frame without a mask": lambda: b"\x81\x05hello",
    "a frame of no known kind": lambda: masked(0x3, b"x"),
    "a ping in pieces": lambda: masked(0x9, b"x", fin=False),
    "the end of a message that never began": lambda: masked(0x0, b"x"),
    "text that is none": lambda: masked(0x8, b"\x03\xe8\xff\xfe"),
    "an announced giant": lambda: b"\x82\xff" + struct.pack(">Q", 1 << 40) + bytes(4),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_frame_ends_its_own_connection_alone(
    stage: Stage, gateway: PushingGateway, converse: Converse, name: str
) -> None:
    stage.waiting()
    eventually(lambda: gateway.open_streams == 0)
    healthy, hostile = converse(), converse()
    healthy.recv(TIMEOUT_S)
    hostile.recv(TIMEOUT_S)
    hostile.socket.sendall(HOSTILE[name]())
    eventually(lambda: gateway.open_streams == 1)
    stage.release()
    assert '"served_up_to":1' in healthy.recv(TIMEOUT_S)


def test_what_a_client_says_is_not_listened_to(
    stage: Stage, gateway: PushingGateway, converse: Converse
) -> None:
    stage.waiting()
    socket = converse()
    socket.recv(TIMEOUT_S)
    socket.send("let me in")
    socket.send(b"\x00\x01")
    assert socket.ping().wait(TIMEOUT_S)
    stage.release()
    assert '"served_up_to":1' in socket.recv(TIMEOUT_S)
