"""A chain that is as it should be: everything is well, and nothing was changed by looking."""

import pytest

from gateway.doctor.examination import Wishes
from tests.integration.doctor.chains import EVENT, NGINX, Front, Site, examine
from tests.support.operators import Operator

pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx on this machine")


@pytest.mark.parametrize("asks", [True, False], ids=["asking", "through"])
def test_a_good_chain_is_well_and_stays_as_it_is(
    deployed: Site, operator: Operator, asks: bool
) -> None:
    before = operator.read(EVENT)
    with deployed.behind(Front(asks=asks)) as port:
        report = examine(
            f"http://localhost:{port}/book/seat?day=2",
            deployed,
            Wishes(heartbeat=False, echo="/headers"),
        )
    assert report.troubles == {}
    assert operator.read(EVENT).issued == before.issued
    assert operator.read(EVENT).claims == before.claims
    assert report.requests < 110
