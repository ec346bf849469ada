"""The link used in these tests fails as it is told to, and is good again once it is healed."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.faulty_link import Address, Direction, FaultyLink
from tests.support.waiting import wait_until

pytestmark = pytest.mark.anyio

SHORT_S = 0.15
LONG_S = 5.0


class Shouting:
    """A server that answers every line in capitals, and counts them."""

    def __init__(self) -> None:
        self.heard = 0
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self.heard += 1
                writer.write(line.upper())
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        self.connections -= 1


class Client:
    """One connection through the link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, line: bytes, patience_s: float = LONG_S) -> bytes | None:
        """Return what came back before the end of the connection, or None when nothing came."""
        self.writer.write(line)
        try:
            async with asyncio.timeout(patience_s):
                return await self.reader.readline()
        except TimeoutError:
            return None
        except ConnectionError:
            return b""


@pytest.fixture
def shouting() -> Shouting:
    return Shouting()


@pytest.fixture(params=["tcp", "unix"])
async def link(
    request: pytest.FixtureRequest, shouting: Shouting, tmp_path: Path
) -> AsyncIterator[FaultyLink]:
    if request.param == "unix":
        server = await asyncio.start_unix_server(shouting, str(tmp_path / "s"))
        address: Address = tmp_path / "s"
        link = FaultyLink(address, tmp_path / "l")
    else:
        server = await asyncio.start_server(shouting, "127.0.0.1", 0)
        link = FaultyLink(("127.0.0.1", server.sockets[0].getsockname()[1]))
    async with link.running():
        yield link
    server.close()
    await wait_until(lambda: shouting.connections == 0)


@contextlib.asynccontextmanager
async def connected(link: FaultyLink) -> AsyncIterator[Client]:
    scheme, _, place = link.url.partition("://")
    if scheme == "unix":
        reader, writer = await asyncio.open_unix_connection(place)
    else:
        host, _, port = place.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def is_good(link: FaultyLink) -> bool:
    async with connected(link) as client:
        return await client.say(b"hello\n") == b"HELLO\n"


async def test_it_passes_bytes_both_ways(link: FaultyLink) -> None:
    async with connected(link) as client:
        assert await client.say(b"hello\n") == b"HELLO\n"
        assert await client.say(b"again\n") == b"AGAIN\n"
    assert link.passed == dict.fromkeys(Direction, 12)


async def test_a_black_hole_keeps_connections_and_tells_nothing(
    link: FaultyLink, shouting: Shouting
) -> None:
    async with connected(link) as client:
        assert await client.say(b"one\n") == b"ONE\n"
        link.black_hole()
        assert await client.say(b"two\n", SHORT_S) is None
        assert shouting.heard == 1
        await link.heal()
        assert await client.say(b"three\n") == b"", "its stream had a gap"
    assert await is_good(link)


async def test_a_half_open_link_carries_out_what_nobody_is_told_of(
    link: FaultyLink, shouting: Shouting
) -> None:
    async with connected(link) as client:
        link.black_hole(Direction.TO_CLIENT)
        assert await client.say(b"one\n", SHORT_S) is None
        assert shouting.heard == 1
        await link.heal()
    assert await is_good(link)


async def test_a_rejecting_link_cuts_and_refuses(link: FaultyLink) -> None:
    async with connected(link) as client:
        assert await client.say(b"one\n") == b"ONE\n"
        await link.reject()
        assert await client.say(b"two\n") == b""
    with pytest.raises(ConnectionError):
        async with connected(link):
            pass
    await link.heal()
    assert await is_good(link)


async def test_a_lost_reply_is_carried_out_and_ends_its_connection(
    link: FaultyLink, shouting: Shouting
) -> None:
    link.lose_replies(1, after=1)
    async with connected(link) as client:
        assert await client.say(b"one\n") == b"ONE\n"
        assert await client.say(b"two\n") == b""
    assert (shouting.heard, link.lost) == (2, 1)
    assert await is_good(link)


async def test_replies_are_lost_by_chance(link: FaultyLink) -> None:
    link.lost_replies = 1.0
    async with connected(link) as client:
        assert await client.say(b"one\n") == b""
    await link.heal()
    assert await is_good(link)


async def test_a_reply_cut_in_the_middle(link: FaultyLink) -> None:
    link.cut_replies = 1.0
    async with connected(link) as client:
        assert await client.say(b"hello\n") == b"HEL"


async def test_a_slow_link_delays_each_way_and_not_one_after_the_other(link: FaultyLink) -> None:
    link.delay_s = SHORT_S
    async with connected(link) as client:
        before_s = time.monotonic()
        for _ in range(10):
            client.writer.write(b"hello\n")
            await asyncio.sleep(0)
        for _ in range(10):
            assert await client.reader.readline() == b"HELLO\n"
        lasted_s = time.monotonic() - before_s
    assert 2 * SHORT_S <= lasted_s < 20 * SHORT_S


async def test_a_link_of_few_bytes_a_second(link: FaultyLink) -> None:
    link.bytes_per_s = 100
    async with connected(link) as client:
        before_s = time.monotonic()
        assert await client.say(b"hello\n") == b"HELLO\n"
    assert time.monotonic() - before_s >= 10 / 100


async def test_a_server_that_is_down_ends_the_connection(tmp_path: Path) -> None:
    link = FaultyLink(tmp_path / "nobody", tmp_path / "l")
    async with link.running(), connected(link) as client:
        assert await client.say(b"hello\n") == b""
