"""A running gateway notes how its events stand, without anybody asking."""

from gateway.domain.samples import EVERY_S
from tests.support.eventually import eventually
from tests.support.staging import Stage


def test_a_gateway_takes_samples(stage: Stage) -> None:
    stage.waiting()
    server, name = stage.operator.server, f"q:{{{stage.event}}}:samples"
    eventually(lambda: server.command("EXISTS", name) == 1, timeout_s=6 * EVERY_S)
