"""A server that ends does not wait for its streams: each is told another time to come back at."""

import pytest

from tests.integration.push.conftest import Converse, Watch
from tests.integration.push.gateways import OwnServer, PushingGateway, Way
from tests.integration.push.readers import TIMEOUT_S, rest_of
from tests.support.eventually import eventually
from tests.support.gateways import Tables
from tests.support.staging import Stage

ENDED_S = 15.0


@pytest.fixture(scope="module", params=["httptools", "h11"])
def way(request: pytest.FixtureRequest) -> Way:
    chosen: Way = request.param
    return chosen


@pytest.fixture(scope="module")
def tables(common_tables: Tables, tables: Tables) -> Tables:
    # Longer than the test waits: a stream that waited for its end would be found out.
    return {**tables, "server": {**common_tables["server"], "drain_s": 60.0}}


def test_streams_end_at_once_and_come_back_at_different_times(
    stage: Stage, gateway: PushingGateway, watch: Watch, converse: Converse
) -> None:
    streams = [watch() for _ in range(10)]
    old = watch(version="1.0")
    socket, silent = converse(), converse()
    for stream in (*streams, old):
        stream.frame()
    socket.recv(TIMEOUT_S)
    silent.recv(TIMEOUT_S)
    server = gateway.server
    assert isinstance(server, OwnServer)
    server.begin_to_stop()
    retries = set()
    for stream in (*streams, old):
        (farewell,) = stream.rest()
        assert stream.whole
        assert farewell.retry_ms is not None
        retries.add(farewell.retry_ms)
    assert len(retries) > 5
    assert rest_of(socket)[:2] == ([], 1001)
    eventually(server.has_ended, ENDED_S)
    assert gateway.open_streams == 0
