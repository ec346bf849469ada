"""A new version, one gateway after the other, behind nginx, while a crowd comes: nobody notices."""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from tests.support.composed import EVENT, HOST, Composed, ComposedGateway, running_composed
from tests.support.eventually import eventually

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

JOINERS, STREAMS = 6, 30
PATIENCE_S = 30.0

_RETRY = re.compile(rb"retry: [0-9]+\n\n\Z")


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    with running_composed() as running:
        yield running


@dataclass
class Seen:
    """What clients saw, and what they must not."""

    joins: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By Idempotency-Key: status and position of the first answer, 0 where there is none."""
    ends: list[list[bytes]] = field(default_factory=list)
    """For each client its streams, as far as they were read to their ends."""
    broken: list[str] = field(default_factory=list)


class Clients:
    """A crowd that asks once and never tries again by itself, so that whatever is lost shows."""

    def __init__(self, http: aiohttp.ClientSession, composed: Composed, name: str) -> None:
        self.seen = Seen()
        self.over = asyncio.Event()
        self._http = http
        self._name = name
        self._queue = f"http://127.0.0.1:{composed.port}/queue/{EVENT}"

    @classmethod
    @contextlib.asynccontextmanager
    async def coming(cls, composed: Composed, name: str) -> AsyncIterator["Clients"]:
        """Have them come, to both gateways, until the block ends; each answer is then there."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"Host": HOST}) as http:
            clients = cls(http, composed, name)
            before = [await asyncio.to_thread(gateway.joins) for gateway in composed.gateways]
            async with asyncio.TaskGroup() as group:
                streams = [
                    group.create_task(clients.watch_one_stream_after_the_other())
                    for _ in range(STREAMS)
                ]
                joiners = [
                    group.create_task(clients.join_one_after_the_other(number))
                    for number in range(JOINERS)
                ]
                for gateway, joins in zip(composed.gateways, before, strict=True):
                    await until_joined(gateway, joins)
                yield clients
                clients.over.set()
                await asyncio.gather(*joiners)
                for stream in streams:
                    stream.cancel()

    async def join(self, key: str) -> tuple[int, int]:
        headers = {"Idempotency-Key": key}
        try:
            async with self._http.post(f"{self._queue}/join", headers=headers) as answer:
                body = await answer.read()
        except aiohttp.ClientPayloadError as exc:
            # Cut off behind its head: no proxy can mend that, the client asks again.
            self.seen.broken.append(repr(exc))
            return await self.join(key)
        if answer.status not in (200, 201):
            return answer.status, 0
        return answer.status, int(json.loads(body)["position"])

    async def join_one_after_the_other(self, number: int) -> None:
        count = 0
        while not self.over.is_set():
            key = f"{self._name}-{number}-{count:020d}"
            self.seen.joins[key] = await self.join(key)
            count += 1

    async def watch_one_stream_after_the_other(self) -> None:
        mine: list[bytes] = []
        self.seen.ends.append(mine)
        while not self.over.is_set():
            try:
                async with self._http.get(f"{self._queue}/events") as stream:
                    if stream.status != 200:
                        self.seen.broken.append(f"a stream was answered with {stream.status}")
                    mine.append(await stream.read())
            except (aiohttp.ClientError, OSError) as exc:
                self.seen.broken.append(repr(exc))
            # A browser waits for what `retry` says; sooner is harder on the gateways that are left.
            await asyncio.sleep(0.1)


async def until_joined(gateway: ComposedGateway, more_than: float = 0) -> None:
    """Return once a gateway has its part of the crowd."""
    await asyncio.to_thread(eventually, lambda: gateway.joins() > more_than, PATIENCE_S)


async def restart(gateway: ComposedGateway, by: signal.Signals) -> int:
    """End it and start it anew; return the exit status once it is back at work."""
    status = await asyncio.to_thread(gateway.end, by)
    await asyncio.to_thread(gateway.start)
    await until_joined(gateway)
    return status


async def test_a_roll_loses_no_join_and_ends_each_stream_with_a_word(composed: Composed) -> None:
    async with Clients.coming(composed, "rolled") as clients:
        statuses = [await restart(gateway, signal.SIGTERM) for gateway in composed.gateways]

    seen = clients.seen
    assert statuses == [0, 0]
    assert {status for status, _ in seen.joins.values()} == {201}
    assert len({position for _, position in seen.joins.values()}) == len(seen.joins)
    assert seen.broken == []
    # Whoever was at the first gateway, or the second, was told to come back, and did.
    assert all(ends for ends in seen.ends)
    assert all(_RETRY.search(end) for ends in seen.ends for end in ends)


async def test_joins_in_the_hands_of_a_gateway_that_is_killed_are_answered_by_the_other(
    composed: Composed,
) -> None:
    """nginx repeats them; an Idempotency-Key whose place was given already finds it again: 200."""
    async with Clients.coming(composed, "killed") as clients:
        for gateway in composed.gateways:
            await restart(gateway, signal.SIGKILL)

    joins = clients.seen.joins.values()
    assert {status for status, _ in joins} - {200, 201} == set()
    assert len({position for _, position in joins}) == len(joins)
