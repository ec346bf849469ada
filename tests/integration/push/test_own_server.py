"""What our own server makes sure of, and a plain uvicorn does not."""

import contextlib

import pytest

from tests.integration.push.conftest import Converse, Watch
from tests.integration.push.gateways import PushingGateway, Way
from tests.integration.push.readers import TIMEOUT_S, masked
from tests.support.eventually import eventually
from tests.support.staging import Stage


@pytest.fixture(scope="module", params=["httptools", "h11"])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


def test_a_request_sent_ahead_is_not_answered_into_the_stream(stage: Stage, watch: Watch) -> None:
    stage.waiting()
    stream = watch()
    stream.socket.sendall(
        f"GET /queue/{stage.event} HTTP/1.1\r\nHost: any.example\r\n\r\n".encode()
    )
    stream.frame()
    stage.release()
    # The reader holds every chunk to be one, and every block to be an event.
    assert stream.frame().json()["served_up_to"] == 1
    assert stream.is_silent()


@pytest.mark.parametrize(
    "piece",
    [masked(0x9, b"x" * 100), masked(0x2, b"x" * 3000), masked(0x1, b"x" * 500, fin=False)],
    ids=["pings", "messages", "a message without an end"],
)
def test_a_flood_is_cut_off(
    stage: Stage, gateway: PushingGateway, converse: Converse, piece: bytes
) -> None:
    eventually(lambda: gateway.open_streams == 0)
    healthy, hostile = converse(), converse()
    healthy.recv(TIMEOUT_S)
    with contextlib.suppress(OSError):
        for number in range(100_000 // len(piece)):
            hostile.socket.sendall(piece if number == 0 or piece[0] & 0x80 else b"\0" + piece[1:])
    eventually(lambda: gateway.open_streams == 1)
    assert healthy.ping().wait(TIMEOUT_S)


def test_nothing_is_compressed(stage: Stage, converse: Converse) -> None:
    socket = converse(compression="deflate")
    assert socket.response is not None
    assert "sec-websocket-extensions" not in socket.response.headers
    assert socket.recv(TIMEOUT_S).encode() == stage.visitor().call("").body
