"""What must hold of whatever the ledger answers."""

from collections.abc import Sequence
from typing import Any

from gateway.domain.events import EventSnapshot, EventState
from gateway.errors import StateLost
from gateway.ledger.records import parse_evidence, parse_snapshot
from tests.support.fuzzing import counted
from tests.support.oracles.tokens import SALE


@counted
def snapshot(reply: Sequence[Any]) -> bool:
    """An answer is a snapshot, or lost state; nothing in between, and never a guess."""
    try:
        read = parse_snapshot(SALE, reply, 0.0, None)
    except StateLost:
        return False
    assert isinstance(read, EventSnapshot)
    assert isinstance(read.state, EventState)
    for number in (read.issued, read.served_up_to, read.generation, read.active_sessions):
        assert type(number) is int
    return True


@counted
def evidence(held: dict[str, str]) -> bool:
    """What gateways told is read or left out, each by itself."""
    told = parse_evidence(held)
    assert {one.gateway for one in told} <= held.keys()
    assert all(one.issued >= 0 and one.served_up_to >= 0 for one in told)
    return bool(told)
