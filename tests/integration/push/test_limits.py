"""So many and no more: who comes too late is told to poll, in a way that their client understands."""

import pytest

from tests.integration.push.conftest import Converse, Watch
from tests.integration.push.gateways import PushingGateway
from tests.integration.push.readers import TIMEOUT_S, EventReader, rest_of
from tests.support.contract import CONTRACT
from tests.support.eventually import eventually
from tests.support.gateways import Tables, event_table
from tests.support.staging import Stage

PER_CLIENT = 2
IN_ALL = 5


@pytest.fixture(scope="module")
def tables(common_tables: Tables) -> Tables:
    pool = {f"events.sale-{n}": event_table(f"sale-{n}.example") for n in range(1, 30)}
    limits = {"connections": IN_ALL, "connections_per_client": PER_CLIENT}
    return {**common_tables, "push": limits, **pool}


@pytest.fixture(autouse=True)
def _alone(gateway: PushingGateway) -> None:
    eventually(lambda: gateway.open_streams == 0)


def is_told_to_poll(stream: EventReader, stage: Stage) -> bool:
    """Whether it was refused in good order; and what it was told is good."""
    assert stream.head.status == 200
    assert stream.head.headers["content-type"] == "text/event-stream"
    opening = stream.next()
    assert opening is not None
    assert opening.retry_ms is not None
    if opening.retry_ms < 60_000:
        return False
    refused = stream.next()
    assert refused is not None
    assert refused.name == "refused"
    CONTRACT.check_schema("Refused", refused.json())
    assert refused.json()["reason"] == "too-many-streams"
    assert refused.json()["poll"] == f"/queue/{stage.event}"
    assert stream.next() is None
    return True


def test_one_client_has_so_many(
    stage: Stage, gateway: PushingGateway, watch: Watch, converse: Converse
) -> None:
    before = gateway.metric("push_refused_total", kind="sse")
    watch().frame()
    converse().recv(TIMEOUT_S)
    retries = {refused_retry(watch()) for _ in range(8)}
    assert len(retries) > 4
    socket = converse()
    assert rest_of(socket) == ([], 1013, f"poll /queue/{stage.event}")
    assert gateway.metric("push_refused_total", kind="sse") == before + 8
    # Another address is another client; and polls, joins and checks go on.
    assert watch(source="127.0.0.2").frame()
    assert stage.visitor().call("").status == 200
    assert stage.waiting().call("position").status == 200


def refused_retry(stream: EventReader) -> int:
    opening = stream.next()
    assert opening is not None
    assert opening.retry_ms is not None
    assert opening.retry_ms >= 60_000
    return opening.retry_ms


def test_all_together_have_so_many(stage: Stage, watch: Watch) -> None:
    for number in range(IN_ALL):
        assert not is_told_to_poll(watch(source=f"127.0.0.{number + 2}"), stage)
    assert is_told_to_poll(watch(source="127.0.0.100"), stage)
    assert stage.visitor().call("").status == 200


def test_a_place_that_is_given_back_is_free(
    stage: Stage, gateway: PushingGateway, watch: Watch
) -> None:
    first, _ = watch(), watch().frame()
    first.frame()
    assert is_told_to_poll(watch(), stage)
    first.close()
    eventually(lambda: gateway.open_streams == 1)
    assert watch().frame()
