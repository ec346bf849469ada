"""How many connections a process accepts is what it has descriptors for, and it asks for more first."""

import json
import subprocess
import sys

import pytest

from gateway.server.descriptors import RESERVE

_CHILD = """\
import json, logging, resource, sys
logging.basicConfig(stream=sys.stderr)
from gateway.server.descriptors import fitted
from gateway.server.limits import ServerLimits
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
asked = ServerLimits(
    receive_timeout_s=10, keep_alive_s=30, header_bytes=32768, header_count=100,
    connections_per_client=1000, connections=int(sys.argv[3]), drain_s=20,
)
limits = fitted(asked)
print(json.dumps([limits.connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""


def fit(soft: int, hard: int, connections: int) -> tuple[int, int, str]:
    """Return the connections that are accepted, the soft limit then, and what was logged."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(soft), str(hard), str(connections)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    accepted, raised = json.loads(done.stdout)
    return accepted, raised, done.stderr


def test_the_soft_limit_is_raised_as_far_as_needed() -> None:
    assert fit(256, 4000, 2000) == (2000, 2000 + RESERVE, "")


def test_what_suffices_is_left_alone() -> None:
    assert fit(4000, 4000, 2000) == (2000, 4000, "")


@pytest.mark.parametrize(("hard", "accepted"), [(400, 300), (6000, 5000)])
def test_where_there_are_too_few_less_is_accepted_and_told(hard: int, accepted: int) -> None:
    connections, soft, log = fit(256, hard, 15_000)
    assert (connections, soft) == (accepted, hard)
    assert "too few file descriptors" in log
