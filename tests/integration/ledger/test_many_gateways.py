"""Several gateway processes deal from one counter, as behind a load balancer on the night."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from tests.support.sales import Sale

pytestmark = [
    pytest.mark.integration,
    pytest.mark.anyio,
    pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True),
]

REPOSITORY = Path(__file__).parents[3]

GATEWAYS = 4
JOINERS = 50
ROUNDS = 5


@dataclass(frozen=True)
class Joined:
    key: str | None
    position: int
    repeated: bool


class Gateway:
    """One process of `tests.support.joiner`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout

    def is_ready(self) -> bool:
        return self._out.readline() == "ready\n"

    def go(self) -> None:
        self._in.write("go\n")
        self._in.flush()

    def answers(self) -> list[Joined]:
        return [Joined(*line) for line in json.loads(self._out.readline())]

    def end(self) -> None:
        self._in.close()
        self._out.close()
        self.process.kill()
        self.process.wait()


@contextmanager
def gateways(sale: Sale, *, shared_keys: int = 0) -> Iterator[list[Gateway]]:
    command = [sys.executable, "-m", "tests.support.joiner", sale.server.url, sale.event]
    command += [str(JOINERS), str(ROUNDS), str(shared_keys)]
    running = [
        Gateway(
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=REPOSITORY,
            )
        )
        for _ in range(GATEWAYS)
    ]
    try:
        assert all(gateway.is_ready() for gateway in running)
        yield running
    finally:
        for gateway in running:
            gateway.end()


def one_round(running: list[Gateway]) -> list[list[Joined]]:
    for gateway in running:
        gateway.go()
    return [gateway.answers() for gateway in running]


async def test_no_position_is_dealt_twice_and_none_is_left_out(sale: Sale) -> None:
    everyone: list[int] = []
    with gateways(sale) as running:
        for _ in range(ROUNDS):
            answers = one_round(running)
            for joined in answers:
                positions = [one.position for one in joined]
                assert positions == sorted(positions), "the order of arrival was not kept"
            now = [one.position for joined in answers for one in joined]
            assert min(now) > max(everyone, default=0), "a later round came before an earlier one"
            everyone += now
    assert sorted(everyone) == list(range(1, GATEWAYS * JOINERS * ROUNDS + 1))


async def test_a_key_shown_at_every_gateway_at_once_has_one_place(sale: Sale) -> None:
    shared = 6
    places: dict[str, set[int]] = {}
    plain: list[int] = []
    fresh: list[int] = []
    with gateways(sale, shared_keys=shared) as running:
        for _ in range(ROUNDS):
            for joined in one_round(running):
                firsts = [one.position for one in joined if not one.repeated]
                assert firsts == sorted(firsts), "the order of arrival was not kept"
                fresh += firsts
                for one in joined:
                    if one.key is None:
                        plain.append(one.position)
                    else:
                        places.setdefault(one.key, set()).add(one.position)
    assert {len(positions) for positions in places.values()} == {1}
    keyed = [position for positions in places.values() for position in positions]
    assert len(set(keyed)) == len(places)
    assert sorted(plain + keyed) == list(range(1, len(plain) + len(places) + 1))
    assert sorted(fresh) == sorted(plain + keyed), "of each key's joins one was the first"


async def test_a_gateway_that_is_killed_in_the_middle_takes_no_position_of_another(
    sale: Sale,
) -> None:
    everyone: list[int] = []
    with gateways(sale) as running:
        for gateway in running:
            gateway.go()
        running[0].process.kill()
        for gateway in running[1:]:
            everyone += [one.position for one in gateway.answers()]
        for _ in range(ROUNDS - 1):
            everyone += [one.position for joined in one_round(running[1:]) for one in joined]
    assert len(set(everyone)) == len(everyone) == (GATEWAYS - 1) * JOINERS * ROUNDS
    # It burned its own joins at most.
    assert max(everyone) <= len(everyone) + JOINERS
    assert (await sale.read()).issued >= max(everyone)
