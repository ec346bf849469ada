"""Gateways share nothing but the ledger: what happens at one is in force at the other within a second."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gateway.ports import StateChange
from tests.support.eventually import eventually
from tests.support.gateways import GatewayProcess, Tables, event_table, write_settings
from tests.support.operators import Operator
from tests.support.servers import RealServer
from tests.support.visitors import Visitor

BOUND_S = 1.0
EVENTS = [f"sale-{number}" for number in range(1, 9)]


@pytest.fixture(scope="module")
def processes(
    common_tables: Tables, valkey: RealServer, short_folder: Path
) -> Iterator[list[GatewayProcess]]:
    """Two gateways, each in a process of its own, with the settings that are the default."""
    valkey.reset()
    folder = short_folder / "two-gateways"
    folder.mkdir()
    config = folder / "gateway.toml"
    tables = {f"events.{name}": event_table(f"{name}.example") for name in EVENTS}
    write_settings(config, {**common_tables, **tables})
    started = [GatewayProcess(config) for _ in range(2)]
    try:
        for process in started:
            process.wait_until_up()
        yield started
    finally:
        for process in started:
            process.stop()


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return iter(EVENTS)


def knows(visitor: Visitor) -> bool:
    return visitor.call("").status == 200


@pytest.fixture
def event(operator: Operator, processes: list[GatewayProcess], names: Iterator[str]) -> str:
    """An open event that both gateways have read."""
    event = next(names)
    operator.create(event)
    for process in processes:
        visitor = Visitor(process.port, f"{event}.example", event=event)
        eventually(partial(knows, visitor))
    return event


At = Callable[[int], Visitor]


@pytest.fixture
def at(processes: list[GatewayProcess], event: str) -> At:
    """Make a visitor who comes to the first or the second gateway."""
    return lambda index: Visitor(processes[index].port, f"{event}.example", event=event)


def within_bound(predicate: Callable[[], bool]) -> None:
    eventually(predicate, BOUND_S)


def answers(
    visitor: Visitor, status: int, headers: dict[str, str] | None = None
) -> Callable[[], bool]:
    """Return whether the visitor gets this status at the edge."""
    return lambda: visitor.get("/book", headers).status == status


def moved(visitor: Visitor, at: At, index: int) -> Visitor:
    """Return the same browser at the other gateway."""
    other = at(index)
    other.cookies = visitor.cookies
    return other


def test_both_deal_from_one_counter(at: At) -> None:
    places = [at(index % 2).join()["position"] for index in range(10)]
    assert places == list(range(1, 11))


def test_a_place_of_one_is_known_to_the_other(at: At) -> None:
    visitor = at(0)
    visitor.join()
    assert moved(visitor, at, 1).call("position").json()["position"] == 1
    assert moved(visitor, at, 1).call("join").status == 200


def test_both_let_in_whom_a_release_lets_in(at: At, operator: Operator, event: str) -> None:
    visitors = [at(index % 2) for index in range(4)]
    for visitor in visitors:
        visitor.join()
    operator.release(event, 4)
    for visitor in visitors:
        within_bound(answers(visitor, 200))
    assert operator.read(event).active_sessions == 4


def test_a_pass_of_one_admits_at_the_other_until_the_session_is_left(
    at: At, operator: Operator, event: str
) -> None:
    visitor = at(0)
    visitor.join()
    operator.release(event, 1)
    within_bound(lambda: visitor.call("claim").status == 200)
    other = moved(visitor, at, 1)
    assert other.get("/book").status == 200
    held = {"queue-token": other.held}
    visitor.call("leave")
    for index in (0, 1):
        within_bound(answers(at(index), 410, held))


def test_a_pause_and_a_close_are_in_force_at_both(at: At, operator: Operator, event: str) -> None:
    places = []
    for index in (0, 1):
        visitor = at(index)
        visitor.join()
        places.append(visitor)
    operator.release(event, 2)
    operator.change(event, StateChange.PAUSE)
    for index in (0, 1):
        within_bound(answers(places[index], 429))
    operator.change(event, StateChange.CLOSE)
    for index in (0, 1):
        within_bound(answers(at(index), 410))


def test_a_new_generation_ends_every_pass_at_both(at: At, operator: Operator, event: str) -> None:
    visitor = at(0)
    visitor.join()
    operator.release(event, 1)
    within_bound(answers(visitor, 200))
    operator.begin_new_generation(event)
    for index in (0, 1):
        within_bound(answers(moved(visitor, at, index), 410))


def test_one_visitor_who_claims_at_both_has_one_session(
    at: At, operator: Operator, event: str
) -> None:
    visitor = at(0)
    visitor.join()
    operator.release(event, 1)
    place = {"queue-token": visitor.place}
    for index in (0, 1, 0, 1):
        within_bound(answers(at(index), 200, place))
    read = operator.read(event)
    assert (read.claims, read.active_sessions) == (1, 1)
