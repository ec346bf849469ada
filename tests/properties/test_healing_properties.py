"""Whatever is forgotten, restored or told, no two visitors get the same position.

Three gateways deal positions by turns. In between the server is emptied, restarted, or set back to how it
was at an earlier moment; genuine tokens turn up; and each gateway reads only when the example says so, so
that their knowledge differs. Before positions are dealt again, all of them are heard, as after a real loss.

GATEWAY_HYPOTHESIS_LONG=1 makes a long run with new examples each time.
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.domain.positions import Position
from gateway.errors import Conflict, EventHealing, StateLost
from gateway.ledger.redis import RedisLedger
from tests.support.sales import Sale
from tests.support.servers import RealServer, valkey_binary

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

LONG = os.environ.get("GATEWAY_HYPOTHESIS_LONG") == "1"
GATEWAYS = 3
MOST_TRIES = 4 * GATEWAYS

who = st.integers(0, GATEWAYS - 1)
joins = st.tuples(st.just("join"), who, st.sampled_from([1, 3, 60, 200]))
steps = st.one_of(
    *[joins] * 4,
    st.tuples(st.just("release"), who, st.sampled_from([1, 30, 100])),
    st.tuples(st.just("leave"), who, st.integers(1, 20)),
    st.tuples(st.just("read"), who, st.just(0)),
    st.tuples(st.just("back up"), st.just(0), st.just(0)),
    *[st.tuples(st.just("restore"), st.just(0), st.booleans())] * 2,
    st.tuples(st.just("empty"), st.just(0), st.just(0)),
    st.tuples(st.just("lose a key"), st.just(0), st.sampled_from(["state", "issued", "served"])),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
    st.tuples(st.just("a token is shown"), who, st.integers(0, 500)),
)
Step = tuple[str, int, int | str | bool]


@dataclass
class World:
    """The event, what was given out of it, and what must never come back."""

    gateways: list[Sale]
    seen: Counter[str]
    dealt: set[int] = field(default_factory=set[int])
    left: set[int] = field(default_factory=set[int])
    served: int = 0
    backup: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def server(self) -> RealServer:
        return self.gateways[0].server

    async def take(self, step: Step) -> None:
        name, by, much = step
        gateway = self.gateways[by]
        match name:
            case "join":
                await self.in_spite_of_a_loss(lambda: self.join(gateway, int(much)))
            case "release":
                await self.in_spite_of_a_loss(lambda: self.release(gateway, int(much)))
            case "leave":
                await self.in_spite_of_a_loss(lambda: self.leave(gateway, int(much)))
            case "read":
                await read_or_present(gateway)
            case "back up":
                self.backup = {key: self.server.dump(key) for key in gateway.all_keys()}
            case "restore" if self.backup:
                self.restore(is_another_server=bool(much))
            case "empty":
                self.server.command("FLUSHALL")
            case "lose a key":
                self.server.command("DEL", gateway.key(str(much)))
            case "restart":
                self.server.restart()
                for sale in self.gateways:
                    await sale.ledger.redis.connection_pool.disconnect()
            case "a token is shown" if self.dealt:
                position = sorted(self.dealt)[int(much) % len(self.dealt)]
                gateway.ledger.floors.saw_token(
                    gateway.event, gateway.generation, Position(position)
                )
            case _:
                return
        self.seen[name] += 1

    def restore(self, *, is_another_server: bool) -> None:
        """Set the event back to how it was; a server that was restored has another mark, as a rule."""
        self.server.command("FLUSHALL")
        for key, value in self.backup.items():
            self.server.command("RESTORE", key, 0, value)  # type: ignore[arg-type]
        if is_another_server:
            self.gateways[0].set_field("mark", "another:server")
            return
        # All have read since the backup was made, as they do each second.
        issued = max(s.ledger.floors.get(s.event).issued for s in self.gateways)
        for sale in self.gateways:
            sale.ledger.floors.saw_token(sale.event, sale.generation, Position(issued))
            sale.ledger.floors.saw_pass(sale.event, sale.generation, self.served)

    async def in_spite_of_a_loss(self, act: Callable[[], Awaitable[object]]) -> None:
        for _ in range(MOST_TRIES):
            try:
                await act()
            except (EventHealing, StateLost):
                self.seen["not yet"] += 1
                for gateway in self.gateways:
                    await read_or_present(gateway)
            else:
                return
        pytest.fail("the event did not come back")

    async def join(self, gateway: Sale, count: int) -> None:
        answers = await asyncio.gather(
            *(gateway.join() for _ in range(count)), return_exceptions=True
        )
        places = [int(a.position) for a in answers if not isinstance(a, BaseException)]
        assert len(set(places)) == len(places)
        assert not self.dealt & set(places), "a position was dealt twice"
        self.dealt |= set(places)
        await settled()
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def release(self, gateway: Sale, count: int) -> None:
        released = await gateway.release(count)
        assert released.after >= self.served, "the pointer went back"
        self.served = released.after

    async def leave(self, gateway: Sale, position: int) -> None:
        with contextlib.suppress(Conflict):
            await gateway.claim(position)
            if await gateway.leave(position, 4_000_000_000):
                self.left.add(position)

    async def check(self) -> None:
        for gateway in self.gateways:
            await self.in_spite_of_a_loss(gateway.read)
        snapshot = await self.gateways[0].read()
        assert snapshot.served_up_to >= self.served
        assert snapshot.issued >= max(self.dealt, default=0)
        empty = {p for p in self.dealt if snapshot.holes.contain(p)}
        assert not empty, "someone stands in a hole though everybody was heard"
        await self.join(self.gateways[0], 5)


async def settled() -> None:
    """Wait for raises ahead of need."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(
        *(t for t in others if "raise" in repr(t.get_coro())), return_exceptions=True
    )


async def read_or_present(gateway: Sale) -> None:
    try:
        await gateway.read()
    except EventHealing:
        pass
    except StateLost:
        with contextlib.suppress(StateLost):
            await gateway.ledger.present(gateway.event)


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    base = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="gw-", dir=base))
    server = RealServer(valkey_binary(), folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


async def live_through(server: RealServer, history: list[Step], seen: Counter[str]) -> None:
    server.reset()
    ledgers = [RedisLedger(server.url, is_gateway=True) for _ in range(GATEWAYS)]
    try:
        sale = await Sale.open(server, ledgers[0])
        world = World([sale.through(ledger) for ledger in ledgers], seen)
        for _ in range(2):
            for gateway in world.gateways:
                await gateway.read()
        await world.take(("back up", 0, 0))
        for step in history:
            await world.take(step)
        await world.check()
    finally:
        for ledger in ledgers:
            await ledger.aclose()


def test_no_position_is_dealt_twice_whatever_is_forgotten(server: RealServer) -> None:
    seen: Counter[str] = Counter()

    @settings(
        max_examples=int(os.environ.get("GATEWAY_HYPOTHESIS_EXAMPLES", "2000")) if LONG else 60,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(history=st.lists(steps, min_size=8, max_size=25))
    @example(
        history=[
            *(("join", 0, 60), ("back up", 0, 0), ("join", 1, 200), ("release", 2, 100)),
            *(("restore", 0, True), ("join", 2, 60), ("join", 1, 60), ("empty", 0, 0)),
            *(("join", 0, 60), ("restore", 0, False), ("join", 2, 200)),
        ]
    )
    @example(
        # Heard in one healing, and lost from sight in the next.
        history=[
            *(("empty", 0, 0), ("join", 2, 1), ("back up", 0, 0), ("join", 0, 200)),
            *(("restore", 0, True), ("join", 2, 1)),
        ]
    )
    @example(
        history=[
            *(("join", 0, 3), ("back up", 0, 0), ("release", 0, 1), ("release", 0, 1)),
            *(("restore", 0, False), ("release", 1, 1)),
        ]
    )
    def lives(history: list[Step]) -> None:
        asyncio.run(live_through(server, history, seen))

    lives()
    print(dict(sorted(seen.items())))
    # Histories in which nothing is ever lost prove nothing.
    assert min(seen[name] for name in ("restore", "empty", "lose a key", "not yet")) > 20
