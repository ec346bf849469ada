"""Limits for each client address: generous to a carrier's NAT, and firm with one machine."""

import pytest

from gateway.domain.join_limits import JoinLimit, JoinLimits, source_of


def limits(burst: int = 3, per_minute: float = 60.0, most: int = 100) -> JoinLimits:
    return JoinLimits(JoinLimit(burst, per_minute), most)


def test_an_address_takes_its_burst_and_no_more() -> None:
    counted = limits()
    assert [counted.take("192.0.2.1", 0.0) for _ in range(4)] == [0, 0, 0, 2]


def test_a_refused_join_takes_nothing() -> None:
    counted = limits()
    for _ in range(50):
        counted.take("192.0.2.1", 0.0)
    assert counted.take("192.0.2.1", 1.0) == 0


@pytest.mark.parametrize(("after_s", "free"), [(0.5, 0), (1.0, 1), (2.0, 2), (3.0, 3), (999.0, 3)])
def test_places_come_back_at_the_given_pace_up_to_the_burst(after_s: float, free: int) -> None:
    counted = limits()
    for _ in range(3):
        counted.take("192.0.2.1", 0.0)
    taken = [counted.take("192.0.2.1", after_s) for _ in range(5)]
    assert taken.count(0) == free


def test_who_waits_as_told_gets_in() -> None:
    counted = limits(burst=1, per_minute=7.0)
    assert counted.take("192.0.2.1", 0.0) == 0
    told_s = counted.take("192.0.2.1", 0.0)
    assert counted.take("192.0.2.1", float(told_s)) == 0


def test_addresses_do_not_share_a_limit() -> None:
    counted = limits(burst=1)
    assert counted.take("192.0.2.1", 0.0) == 0
    assert counted.take("192.0.2.2", 0.0) == 0


def test_a_clock_that_steps_back_gives_nothing() -> None:
    counted = limits(burst=1)
    counted.take("192.0.2.1", 100.0)
    assert counted.take("192.0.2.1", 0.0) > 0


def test_no_more_addresses_are_remembered_than_allowed() -> None:
    counted = limits(burst=1, most=2)
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert counted.take(address, 0.0) == 0
    assert counted.take("192.0.2.3", 0.0) > 0
    assert counted.take("192.0.2.1", 0.0) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("testclient", "testclient", True),
    ],
)
def test_one_client_is_an_ipv4_address_or_an_ipv6_network_of_64_bits(
    one: str, other: str, same: bool
) -> None:
    assert (source_of(one) == source_of(other)) is same
