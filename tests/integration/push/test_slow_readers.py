"""A reader that does not read costs nothing and delays nobody; when it reads again it hears the newest."""

import pytest

from gateway.push.stream import DirectStream
from gateway.push.urgency import Pace
from tests.integration.push.conftest import Converse, Watch
from tests.integration.push.gateways import PushingGateway
from tests.integration.push.readers import TIMEOUT_S
from tests.support.eventually import eventually
from tests.support.staging import Stage

FILLED_S = 60.0


@pytest.fixture(scope="module")
def pace() -> Pace:
    """A flood: the document over and over, as fast as the event loop goes."""
    return Pace(least_s=0.0005, leisure_s=3600, heartbeat_s=0.0005)


def skipped(gateway: PushingGateway) -> float:
    return gateway.metric("push_frames_total", kind="sse", outcome="skipped")


def test_who_does_not_read_is_skipped_to_the_newest(
    stage: Stage, gateway: PushingGateway, watch: Watch
) -> None:
    stage.waiting()
    slow = watch(receive_buffer=2048)
    slow.frame()
    before = skipped(gateway)
    eventually(lambda: skipped(gateway) > before + 100, FILLED_S)
    held = [
        stream.connection.transport.get_write_buffer_size()
        for hub in gateway.hubs._hubs.values()
        for stream in hub._streams
        if isinstance(stream, DirectStream)
    ]
    frame_bytes = len(stage.visitor().call("").body) + 200
    assert all(size <= frame_bytes for size in held), held
    # The others are told while it sleeps.
    other = watch()
    stage.release()
    assert other.until(1)
    # What it reads first was sent long ago; what comes last is the newest.
    assert slow.until(1)


def test_a_slow_socket_hears_the_newest_too(
    stage: Stage, gateway: PushingGateway, converse: Converse
) -> None:
    stage.waiting()
    # It reads only a few messages ahead of its program, and the kernel keeps few for it: by itself it
    # takes in as much as is sent in a minute. Nor does it hear an answer to a ping of its own.
    slow = converse(max_queue=4, receive_buffer=2048, ping_interval=None, compression=None)

    def count() -> float:
        return gateway.metric("push_frames_total", kind="websocket", outcome="skipped")

    before = count()
    eventually(lambda: count() > before + 100, FILLED_S)
    stage.release()
    while '"served_up_to":1' not in slow.recv(TIMEOUT_S):
        pass


def test_who_leaves_without_having_read_is_forgotten(
    stage: Stage, gateway: PushingGateway, watch: Watch
) -> None:
    slow = watch(receive_buffer=2048)
    slow.frame()
    before = skipped(gateway)
    eventually(lambda: skipped(gateway) > before + 10, FILLED_S)
    slow.close()
    eventually(lambda: gateway.open_streams == 0)
