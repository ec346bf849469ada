"""Silence has an end: the document is repeated, and who is old is asked to come back."""

import pytest

from gateway.push.urgency import Pace
from tests.integration.push.conftest import Converse, Watch
from tests.integration.push.gateways import PushingGateway
from tests.integration.push.readers import TIMEOUT_S, rest_of
from tests.support.eventually import eventually
from tests.support.staging import Stage


@pytest.fixture(scope="module")
def pace() -> Pace:
    return Pace(least_s=0.02, leisure_s=0.1, heartbeat_s=0.1)


def test_the_document_is_repeated(stage: Stage, watch: Watch, converse: Converse) -> None:
    stream, socket = watch(), converse()
    frames = [stream.frame() for _ in range(4)]
    assert len({frame.data for frame in frames}) == 1
    assert len({frame.id for frame in frames}) == 1
    heard = [socket.recv(TIMEOUT_S) for _ in range(4)]
    assert {text.encode() for text in heard} == {frames[0].data}


def test_joins_are_told_after_a_while(stage: Stage, watch: Watch) -> None:
    stream = watch()
    assert stream.frame().json()["issued"] == 0
    stage.waiting()
    while stream.frame().json()["issued"] < 1:
        pass


def test_a_stream_that_is_old_ends_and_is_told_when_to_come_back(
    stage: Stage, gateway: PushingGateway, watch: Watch, converse: Converse
) -> None:
    lives = gateway.hubs._age_s
    gateway.hubs._age_s = (0.2, 0.4)
    try:
        stream, socket = watch(), converse()
        events = stream.rest()
        assert events[-1].name == ""
        assert events[-1].retry_ms is not None
        assert stream.whole
        heard, code, _ = rest_of(socket)
        assert heard
        assert code == 1001
    finally:
        gateway.hubs._age_s = lives
    eventually(lambda: gateway.open_streams == 0)
