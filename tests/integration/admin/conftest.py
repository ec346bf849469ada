"""One gateway for the tests of its admin interface; who would spoil it for others starts another."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.support.admin import AdminPort, House, open_house


@pytest.fixture(scope="session")
def house() -> Iterator[House]:
    with open_house() as opened:
        yield opened


@pytest.fixture
def port(house: House) -> AdminPort:
    return house.port


_numbers = count(1)


@pytest.fixture
def event(port: AdminPort) -> str:
    """An open event that no other test uses."""
    return port.create(f"show-{next(_numbers)}", max_sessions=20)
