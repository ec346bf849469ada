"""Counting streams: in all, and by client."""

import pytest

from gateway.push.limits import StreamLimits, TooManyStreams


def test_one_client_has_its_share_and_leaves_it_again() -> None:
    limits = StreamLimits(total=10, per_client=2)
    first = limits.enter("192.0.2.1")
    limits.enter("192.0.2.1")
    with pytest.raises(TooManyStreams):
        limits.enter("192.0.2.1")
    limits.enter("192.0.2.2")
    limits.leave(first)
    assert limits.enter("192.0.2.1") == first
    assert limits.total == 3


def test_all_together_have_so_many_whoever_they_are() -> None:
    limits = StreamLimits(total=2, per_client=2)
    limits.enter(None)
    limits.enter("192.0.2.1")
    for client in (None, "192.0.2.1", "192.0.2.9"):
        with pytest.raises(TooManyStreams):
            limits.enter(client)
    assert limits.total == 2


def test_one_customers_addresses_of_ipv6_are_one_client() -> None:
    limits = StreamLimits(total=10, per_client=1)
    limits.enter("2001:db8:1:2::1")
    with pytest.raises(TooManyStreams):
        limits.enter("2001:db8:1:2:ffff::9")
    limits.enter("2001:db8:1:3::1")


def test_whom_nobody_can_tell_counts_in_all_only() -> None:
    limits = StreamLimits(total=3, per_client=1)
    held = [limits.enter(None) for _ in range(3)]
    for client in held:
        limits.leave(client)
    assert limits.total == 0
