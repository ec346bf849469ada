"""A ledger that forgot is brought back by what its gateways know, and deals no position twice."""

import asyncio
import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.positions import Generation, Position, ServedUpTo
from gateway.errors import Conflict, EventHealing, LedgerUnavailable, StateLost
from gateway.ledger.redis import RedisLedger
from gateway.ports import Recovery, StateChange
from tests.integration.ledger.conftest import NewLedger, NewServer, OpenSale
from tests.support.sales import Sale
from tests.support.servers import RealServer, free_port
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

BOTH_SERVERS = pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)

# `HEAL_WAIT_MS` of healing.lua: how long gateways that are not heard are waited for.
HEAL_WAIT_MS = 5000

# `CLIMB_PER_S` of prelude.lua: the ceiling rises by no more within a second.
CLIMB_PER_S = 16_384

# Each round, every gateway reads once; nobody needs more to be heard and then to read well.
MOST_ROUNDS = 4


@dataclass
class House:
    """The gateways of one event, and every position that they gave to somebody."""

    gateways: list[Sale]
    dealt: list[int]

    @property
    def server(self) -> RealServer:
        return self.gateways[0].server

    def key(self, name: str) -> str:
        return self.gateways[0].key(name)

    async def join(self, count: int, *, through: int = 0) -> list[int]:
        places = await self.gateways[through].join_many(count)
        new = [int(place.position) for place in places]
        assert not set(new) & set(self.dealt), "a position was dealt twice"
        self.dealt += new
        return new

    async def read(self) -> EventSnapshot:
        """Let every gateway read; return what the last one read."""
        return [await gateway.read() for gateway in self.gateways][-1]

    async def present(self, *who: int) -> list[bool]:
        return [await self.gateways[i].ledger.present(self.gateways[i].event) for i in who]

    async def come_back(self) -> EventSnapshot:
        """Do what the watchers of all gateways do until each has read the event well."""
        for _ in range(MOST_ROUNDS):
            read = [await read_or_present(gateway) for gateway in self.gateways]
            if all(read):
                return await self.gateways[0].read()
        pytest.fail("the event did not come back")

    def let_the_wait_pass(self) -> None:
        self.server.command("HINCRBY", self.key("healing"), "started_at", -HEAL_WAIT_MS)


async def read_or_present(gateway: Sale) -> bool:
    try:
        await gateway.read()
    except EventHealing:
        return False
    except StateLost:
        with contextlib.suppress(StateLost):
            await gateway.ledger.present(gateway.event)
        return False
    return True


async def house_of(sale: Sale, new_ledger: NewLedger, count: int = 1) -> House:
    house = House([sale.through(new_ledger(is_gateway=True)) for _ in range(count)], [])
    await house.read()
    return await known_to_all(house)


async def known_to_all(house: House) -> House:
    """Each has read once after all were there."""
    await house.read()
    return house


async def lived_in(house: House) -> EventSnapshot:
    """Let the event have something of everything; every gateway has read it at the end."""
    gateway = house.gateways[0]
    await house.join(12, through=len(house.gateways) - 1)
    await settled()
    await gateway.release(6, request_id="first")
    await gateway.release(2)
    for position in (1, 2, 3):
        await gateway.claim(position)
    await gateway.leave(3, 4_000_000_000)
    await gateway.change(StateChange.PAUSE, message="back in a minute", releases_only=True)
    return await house.read()


async def settled() -> None:
    """Wait for a raise ahead of need, so that the ceiling stands still."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*(t for t in others if "raise" in repr(t.get_coro())))


def people(snapshot: EventSnapshot) -> int:
    return snapshot.holes.occupied_between(0, snapshot.issued)


def is_as_before(before: EventSnapshot, after: EventSnapshot) -> None:
    """Everything that visitors and operators were told still holds."""
    assert after.generation == before.generation
    assert (after.state, after.message) == (before.state, before.message)
    assert after.claims_frozen == before.claims_frozen
    assert after.served_up_to == before.served_up_to
    assert after.policy == before.policy
    assert after.draw == before.draw
    assert after.ended == before.ended
    assert after.active_sessions == before.active_sessions
    assert set(before.releases) <= set(after.releases)
    assert after.active_ms >= before.active_ms
    assert after.issued >= before.issued
    assert after.revision > before.revision
    assert people(after) == people(before)


@pytest.fixture
async def alone(sale: Sale, new_ledger: NewLedger) -> House:
    return await house_of(sale, new_ledger)


@pytest.fixture
async def house(sale: Sale, new_ledger: NewLedger) -> House:
    return await house_of(sale, new_ledger, 3)


# --- Emptied -------------------------------------------------------------------------------------


@BOTH_SERVERS
async def test_an_emptied_server_is_filled_again_by_one_gateway(alone: House) -> None:
    before = await lived_in(alone)
    gateway = alone.gateways[0]
    alone.server.command("FLUSHALL")
    with pytest.raises(StateLost):
        await gateway.join()
    assert await alone.present(0) == [True]
    after = await gateway.read()
    is_as_before(before, after)
    assert after.healed is not None
    assert (after.healed.why, after.healed.known_issued, after.healed.silent) == ("lost", 12, 0)
    # The release is known by its id though its record is gone, and is not carried out twice.
    again = await gateway.release(6, request_id="first")
    assert (again.before, again.after, again.people, again.repeated) == (0, 6, 6, True)
    await gateway.change(StateChange.RESUME)
    assert (await gateway.claim(5)).fresh
    assert await alone.join(3) == [after.ceiling + 1, after.ceiling + 2, after.ceiling + 3]
    assert await gateway.ledger.events() == [gateway.event]


async def test_an_emptied_server_waits_for_every_gateway_and_goes_on_without_a_jump(
    house: House,
) -> None:
    before = await lived_in(house)
    house.server.command("FLUSHALL")
    assert await house.present(0, 1) == [False, False]
    for gateway in house.gateways[:2]:
        with pytest.raises(EventHealing):
            await gateway.join()
    assert await house.present(1, 0) == [False, False], "each counts once"
    assert await house.present(2) == [True]
    after = await house.read()
    is_as_before(before, after)
    assert after.healed is not None
    assert (after.healed.went_on_above, after.healed.silent) == (before.ceiling, 0)
    assert after.holes.ranges == ((13, before.ceiling),)
    for i in range(3):
        await house.join(50, through=i)
    assert min(house.dealt[12:]) == before.ceiling + 1


@pytest.mark.parametrize("knows_most", [0, 1, 2])
async def test_whoever_is_heard_first_the_one_who_knows_most_decides(
    house: House, knows_most: int
) -> None:
    await lived_in(house)
    gateway = house.gateways[knows_most]
    await gateway.change(StateChange.RESUME)
    await house.join(30, through=knows_most)
    await settled()
    await gateway.release(20, request_id="second")
    await gateway.leave(2, 4_000_000_000)
    await gateway.change(StateChange.PAUSE, message="the last word")
    last = await gateway.read()
    house.server.command("FLUSHALL")
    is_as_before(last, await house.come_back())
    assert (await house.gateways[0].release(20, request_id="second")).repeated
    await house.gateways[0].change(StateChange.RESUME)
    for i in range(3):
        await house.join(50, through=i)


async def test_sessions_that_were_lost_still_fill_the_backend_until_they_end(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    house = await house_of(await open_sale(max_sessions=3, session_s=600), new_ledger, 2)
    gateway = house.gateways[0]
    await house.join(10)
    await gateway.release(10)
    for position in (1, 2, 3):
        assert (await gateway.claim(position)).fresh
    await house.read()
    house.server.command("FLUSHALL")
    after = await house.come_back()
    assert after.active_sessions == 3
    assert (await gateway.claim(4)).outcome == "full"
    await gateway.elapse(601)
    assert (await gateway.claim(4)).fresh


async def test_a_draw_is_still_the_same_draw(open_sale: OpenSale, new_ledger: NewLedger) -> None:
    house = await house_of(await open_sale(draw=1, opened=False), new_ledger, 2)
    await house.join(5)
    before = await house.read()
    house.server.command("FLUSHALL")
    unopened = await house.come_back()
    assert unopened.draw == before.draw
    assert unopened.draw is not None
    assert unopened.draw.seed is None
    await house.gateways[0].change(StateChange.OPEN)
    drawn = await house.read()
    assert drawn.draw is not None
    assert drawn.draw.seed is not None
    house.server.command("FLUSHALL")
    assert (await house.come_back()).draw == drawn.draw


async def test_a_bypass_goes_on_and_ends_when_it_would_have(
    open_sale: OpenSale, new_ledger: NewLedger
) -> None:
    house = await house_of(await open_sale(), new_ledger, 2)
    gateway = house.gateways[0]
    await gateway.change(StateChange.PAUSE)
    await gateway.change(StateChange.BYPASS, for_s=60)
    await house.read()
    house.server.command("FLUSHALL")
    after = await house.come_back()
    assert after.state is EventState.BYPASS
    await gateway.elapse(50)
    assert (await gateway.read()).state is EventState.BYPASS
    await gateway.elapse(15)
    assert (await gateway.read()).state is EventState.PAUSED


async def test_an_event_that_was_emptied_again_and_again_deals_no_position_twice(
    house: House,
) -> None:
    for round_ in range(6):
        await house.join(20, through=round_ % 3)
        await settled()
        house.server.command("FLUSHALL")
        await house.come_back()
    snapshot = await house.read()
    assert people(snapshot) == 120
    assert snapshot.generation == house.gateways[0].generation


async def test_an_event_that_is_lost_while_it_is_brought_back_comes_back(house: House) -> None:
    before = await lived_in(house)
    house.server.command("FLUSHALL")
    await house.present(0, 1)
    house.server.command("FLUSHALL")
    await house.present(2)
    is_as_before(before, await house.come_back())


# --- Single keys, and what another hand has set --------------------------------------------------

KEYS = [
    *("state", "issued", "served", "releases", "sessions", "config", "ended", "extends"),
    *("gateways", "healing", "batches", "subs", "evidence", "claimed"),
]


def full_name(house: House, name: str) -> str:
    if name == "claimed":
        name = f"claimed:{house.gateways[0].generation}:0"
    return house.key(name)


async def is_good_for_everybody(house: House, before: EventSnapshot) -> None:
    gateway = house.gateways[0]
    await gateway.change(StateChange.RESUME)
    for i in range(3):
        await house.join(10, through=i)
    assert (await gateway.release(6, request_id="first")).repeated
    assert (await gateway.claim(5)).fresh
    assert not (await gateway.claim(3)).fresh, "a session that was ended is not opened again"
    snapshot = await house.read()
    assert snapshot.ended == before.ended
    assert people(snapshot) == people(before) + 30


@pytest.mark.parametrize("name", KEYS)
async def test_any_key_may_go(house: House, name: str) -> None:
    before = await lived_in(house)
    house.server.command("DEL", full_name(house, name))
    after = await house.come_back()
    if after.healed is not None:
        is_as_before(before, after)
    if name == "claimed":
        # Who has had a session is lost with it, and that is said.
        assert after.healed is not None
        assert after.healed.why == "lost-claimed"
        return
    await is_good_for_everybody(house, before)


async def test_sessions_outlive_the_state_that_they_belong_to(house: House) -> None:
    await lived_in(house)
    seated = await house.gateways[0].claim(1)
    house.server.command("DEL", house.key("state"))
    await house.come_back()
    again = await house.gateways[0].claim(1)
    assert (again.outcome, again.fresh) == ("seated", False)
    assert abs(again.session_ends_at - seated.session_ends_at) <= 1


@pytest.mark.parametrize("name", KEYS)
async def test_any_key_may_get_a_wrong_type(house: House, name: str) -> None:
    before = await lived_in(house)
    house.server.command("DEL", full_name(house, name))
    house.server.command("RPUSH", full_name(house, name), "a", "list")
    if name == "evidence":
        # Of no use to an event that is there.
        house.server.command("DEL", house.key("state"))
    after = await house.come_back()
    if after.healed is not None:
        is_as_before(before, after)
    if name != "claimed":
        await is_good_for_everybody(house, before)


@pytest.mark.parametrize("value", ["0", "3", str(10**12), "text", ""])
@pytest.mark.parametrize("where", ["issued", "served", "state issued", "state served"])
async def test_a_number_set_by_another_hand_lets_nobody_in_and_turns_nobody_away(
    house: House, where: str, value: str
) -> None:
    before = await lived_in(house)
    words = where.split()
    if len(words) == 1:
        house.server.command("SET", house.key(where), value)
    else:
        house.server.command("HSET", house.key("state"), words[1], value)
    after = await house.come_back()
    is_as_before(before, after)
    await is_good_for_everybody(house, before)


@pytest.mark.parametrize("value", ["0", "3", str(10**12), "text"])
@pytest.mark.parametrize("field", ["ceiling", "next", "active", "claims", "revision", "ledger_ms"])
async def test_any_other_number_set_by_another_hand_stops_nobody(
    house: House, field: str, value: str
) -> None:
    before = await lived_in(house)
    house.server.command("HSET", house.key("state"), field, value)
    after = await house.come_back()
    assert after.served_up_to == before.served_up_to
    assert people(after) == people(before)
    gateway = house.gateways[0]
    await gateway.change(StateChange.RESUME)
    for i in range(3):
        await house.join(10, through=i)
    if field != "ledger_ms":
        assert (await gateway.claim(5)).fresh


async def test_both_places_of_the_numbers_set_back_are_found_out_by_who_knows_better(
    house: House,
) -> None:
    before = await lived_in(house)
    house.gateways[0].set_issued(3)
    house.gateways[0].set_served(2)
    after = await house.come_back()
    is_as_before(before, after)
    assert after.healed is not None
    assert after.healed.why == "behind"
    await is_good_for_everybody(house, before)


async def test_what_an_operator_did_since_the_last_read_is_not_undone_by_a_single_key_that_went(
    house: House, new_ledger: NewLedger
) -> None:
    await lived_in(house)
    operator = house.gateways[0].through(new_ledger())
    await operator.change(StateChange.CLOSE, message="sold out")
    await operator.configure(window_s=77)
    house.server.command("DEL", house.key("issued"))
    after = await house.come_back()
    assert (after.state, after.message) == (EventState.CLOSED, "sold out")
    assert after.policy.window_s == 77


# --- Restored from a backup ----------------------------------------------------------------------


def backup(server: RealServer, folder: Path) -> None:
    shutil.copytree(server.folder / "appendonlydir", folder)


def restore(server: RealServer, folder: Path) -> None:
    server.kill()
    shutil.rmtree(server.folder / "appendonlydir")
    shutil.copytree(folder, server.folder / "appendonlydir")
    server.start()


@BOTH_SERVERS
async def test_an_old_backup_is_lifted_to_what_the_gateways_know(
    house: House, tmp_path: Path
) -> None:
    await lived_in(house)
    gateway = house.gateways[1]
    backup(house.server, tmp_path / "old")
    await gateway.change(StateChange.RESUME)
    for i in range(3):
        await house.join(200, through=i)
    await settled()
    await gateway.release(100, request_id="second")
    await gateway.claim(50)
    await gateway.leave(2, 4_000_000_000)
    await gateway.configure(headroom=5)
    await gateway.change(StateChange.PAUSE, message="later than the backup")
    before = await house.read()
    restore(house.server, tmp_path / "old")
    after = await house.come_back()
    is_as_before(before, after)
    assert after.healed is not None
    assert after.healed.why == "server-changed"
    assert after.healed.known_issued == 612
    assert (await gateway.release(100, request_id="second")).repeated
    await gateway.change(StateChange.RESUME)
    for i in range(3):
        await house.join(200, through=i)
    # Those it had forgotten keep their places, and their windows run from when they began.
    assert (await gateway.claim(60)).fresh


async def test_an_old_snapshot_of_a_server_without_a_log_is_lifted_too(
    new_server: NewServer, new_ledger: NewLedger
) -> None:
    server = new_server({"appendonly": "no"})
    ledgers = [new_ledger(server.url, is_gateway=True) for _ in range(2)]
    sale = await Sale.open(server, ledgers[0], EventPolicy(durability=0))  # type: ignore[arg-type]
    house = House([sale.through(ledger) for ledger in ledgers], [])
    await house.read()
    await house.join(10)
    server.command("SAVE")
    await house.join(500, through=1)
    await settled()
    await house.gateways[0].release(300)
    await house.read()
    server.restart()
    after = await house.come_back()
    assert after.served_up_to == 300
    for i in range(2):
        await house.join(100, through=i)


async def test_a_backup_of_an_earlier_generation_is_replaced_by_what_is_known(
    house: House, tmp_path: Path, new_ledger: NewLedger
) -> None:
    # A longer queue than the one that is known now.
    await house.join(300)
    await settled()
    await house.read()
    backup(house.server, tmp_path / "old")
    house.gateways[0].set_field("state", "deleted")
    again = await Sale.open(house.server, new_ledger(), EventPolicy(window_s=60))
    assert again.generation > house.gateways[0].generation
    later = House([again.through(gateway.ledger) for gateway in house.gateways], [])
    await later.read()
    await later.join(30)
    await settled()
    await later.gateways[0].release(20)
    before = await later.read()
    restore(house.server, tmp_path / "old")
    after = await later.come_back()
    is_as_before(before, after)
    assert after.healed is not None
    assert after.healed.why == "older-generation"
    for i in range(3):
        await later.join(30, through=i)


async def test_of_an_earlier_generation_nothing_goes_on_by_a_token_alone(
    alone: House, new_ledger: NewLedger
) -> None:
    await lived_in(alone)
    gateway = alone.gateways[0]
    later = Generation(gateway.generation + 10)
    witness = gateway.through(new_ledger(is_gateway=True))
    witness.ledger.floors.saw_token(gateway.event, later, Position(7))
    with pytest.raises(EventHealing):
        await witness.read()
    alone.let_the_wait_pass()
    with pytest.raises(EventHealing):
        await witness.read()
    assert await alone.present(0) == [False], "what is here belongs to an earlier queue"
    told = await witness.ledger.evidence(gateway.event)
    assert [(e.gateway, e.generation, e.issued) for e in told] == [
        (witness.ledger.floors.gateway, later, 7)
    ]


async def test_a_backup_in_a_server_that_goes_on_running_is_found_out(house: House) -> None:
    # Nothing marks the server as another one: only the floors know.
    await lived_in(house)
    old = {name: house.server.dump(name) for name in house.gateways[0].all_keys()}
    await house.gateways[0].change(StateChange.RESUME)
    await house.join(300, through=1)
    await settled()
    await house.gateways[0].release(100)
    before = await house.read()
    house.server.command("FLUSHALL")
    for name, value in old.items():
        house.server.command("RESTORE", name, 0, value)  # type: ignore[arg-type]
    for i in range(2):
        with pytest.raises(EventHealing):
            await house.gateways[i].join()
    is_as_before(before, await house.come_back())
    for i in range(3):
        await house.join(100, through=i)


# --- Gateways that are silent, late, or gone -----------------------------------------------------


async def test_a_silent_gateway_is_waited_for_and_then_gone_on_without_by_a_jump(
    house: House,
) -> None:
    before = await lived_in(house)
    house.server.command("FLUSHALL")
    assert await house.present(0, 1) == [False, False]
    with pytest.raises(EventHealing):
        await house.gateways[0].join()
    house.let_the_wait_pass()
    assert await house.present(0) == [True]
    after = await house.gateways[0].read()
    assert after.healed is not None
    assert after.healed.silent == 1
    # As far as the silent one can have raised the ceiling in the moment since.
    assert after.healed.went_on_above >= before.ceiling + CLIMB_PER_S
    assert after.served_up_to == before.served_up_to
    await house.join(10)
    # What the silent one may have dealt in a moment counts as people, and not as empty.
    assert after.holes.ranges[-1][0] > 13


async def test_the_jump_grows_with_the_age_of_the_latest_that_is_known(house: House) -> None:
    before = await lived_in(house)
    for gateway in house.gateways[:2]:
        floor = gateway.ledger.floors.get(gateway.event)
        floor.rate = 1000
    house.gateways[0].ledger.floors.get(house.gateways[0].event).as_of_s -= 3600
    house.gateways[1].ledger.floors.get(house.gateways[1].event).as_of_s -= 30
    house.server.command("FLUSHALL")
    await house.present(0, 1)
    house.let_the_wait_pass()
    assert await house.present(1) == [True]
    after = await house.gateways[0].read()
    assert after.healed is not None
    jump = after.healed.went_on_above - before.ceiling
    assert 31 * CLIMB_PER_S <= jump < 60 * CLIMB_PER_S
    # What may belong to somebody does not count as empty: all below the ceiling, and two seconds' worth.
    first_empty = after.holes.ranges[-1][0]
    assert before.ceiling + 2000 <= first_empty - 1 <= before.ceiling + 2001


async def test_a_gateway_that_comes_late_and_knows_more_lifts_the_event_again(
    house: House,
) -> None:
    await lived_in(house)
    await house.gateways[2].change(StateChange.RESUME)
    await house.join(3000, through=2)
    await settled()
    await house.gateways[2].release(2000)
    house.server.command("FLUSHALL")
    await house.present(0, 1)
    house.let_the_wait_pass()
    assert await house.present(0) == [True]
    went_on = await house.gateways[0].read()
    assert went_on.served_up_to < 2008, "nobody could know"
    assert went_on.issued >= 3012, "and yet none of them is dealt again"
    after = await house.come_back()
    assert after.healed is not None
    assert after.healed.why == "behind"
    assert after.served_up_to == 2008
    for i in range(3):
        await house.join(100, through=i)
    assert min(house.dealt[-300:]) > 3012


async def test_decisions_made_since_are_not_undone_by_a_gateway_that_comes_late(
    house: House, new_ledger: NewLedger
) -> None:
    await lived_in(house)
    late = house.gateways[2]
    for _ in range(5):
        await late.change(StateChange.RESUME)
        await late.change(StateChange.PAUSE)
    await late.change(StateChange.RESUME, message="old")
    await late.join_many(500)
    await late.release(100)
    await late.read()
    house.server.command("FLUSHALL")
    await house.present(0, 1)
    house.let_the_wait_pass()
    await house.present(0)
    operator = late.through(new_ledger())
    await operator.change(StateChange.CLOSE, message="new")
    after = await house.come_back()
    assert after.healed is not None
    assert after.healed.known_issued >= 512
    assert (after.state, after.message) == (EventState.CLOSED, "new")


async def test_a_ceiling_whose_commit_was_not_answered_is_known_to_who_raised_it(
    house: House,
) -> None:
    await lived_in(house)
    await house.gateways[0].change(StateChange.RESUME)
    raiser = house.gateways[1].ledger
    commit = raiser._runner._scripts["commit_ceiling"]

    async def unanswered(keys: list[str], args: list[str], client: Redis) -> object:
        await commit(keys=keys, args=args, client=client)
        raise RedisTimeoutError

    raiser._runner._scripts["commit_ceiling"] = unanswered  # type: ignore[assignment]
    with pytest.raises(LedgerUnavailable):
        await raiser.raise_ceiling(house.gateways[1].event, 1000)
    raiser._runner._scripts["commit_ceiling"] = commit
    # Another deals from it, and its answers are lost with the server.
    committed = int(house.gateways[0].field("ceiling"))
    dealer = house.gateways[2].through(RedisLedger(house.server.url))
    house.dealt += [int(place.position) for place in await dealer.join_many(900)]
    await dealer.ledger.aclose()
    house.server.command("FLUSHALL")
    after = await house.come_back()
    assert after.issued >= committed
    for i in range(3):
        await house.join(100, through=i)


async def test_a_gateway_that_said_goodbye_is_not_waited_for(house: House) -> None:
    await lived_in(house)
    await house.gateways.pop().ledger.aclose()
    await house.read()
    house.server.command("FLUSHALL")
    assert await house.present(0, 1) == [False, True]


async def test_a_gateway_that_has_not_read_for_long_is_not_waited_for(house: House) -> None:
    await lived_in(house)
    silent = house.gateways.pop().ledger.floors.gateway
    house.server.command("HINCRBY", house.key("gateways"), silent, -11_000)
    await house.read()
    house.server.command("FLUSHALL")
    assert await house.present(0, 1) == [False, True]


async def test_for_a_gateway_that_has_ended_its_successor_speaks_with_a_jump(
    house: House, new_ledger: NewLedger
) -> None:
    before = await lived_in(house)
    gone = house.gateways.pop().ledger.floors
    heir = house.gateways[0].through(new_ledger(is_gateway=True))
    heir.ledger.floors.take_over(gone.to_file(), age_s=1)
    house.gateways.append(heir)
    house.server.command("FLUSHALL")
    assert await house.present(0, 1, 2) == [False, False, True]
    after = await house.read()
    is_so_far = after.healed
    assert is_so_far is not None
    assert is_so_far.silent == 1, "a file may be older than what its process dealt"
    assert is_so_far.went_on_above >= before.ceiling + CLIMB_PER_S
    await house.join(10)


async def test_a_gateway_that_ended_by_itself_is_as_good_as_heard(
    house: House, new_ledger: NewLedger
) -> None:
    before = await lived_in(house)
    gone = house.gateways.pop().ledger.floors
    heir = house.gateways[0].through(new_ledger(is_gateway=True))
    heir.ledger.floors.take_over(gone.to_file(is_last_word=True), age_s=100_000)
    house.gateways.append(heir)
    house.server.command("FLUSHALL")
    assert await house.present(0, 1, 2) == [False, False, True]
    after = await house.read()
    assert after.healed is not None
    assert (after.healed.silent, after.healed.went_on_above) == (0, before.ceiling)
    await house.join(10)


async def test_a_rush_that_nobody_else_saw_is_never_dealt_again(house: House) -> None:
    await lived_in(house)
    await house.gateways[2].change(StateChange.RESUME)
    await house.read()
    # Many raises of the ceiling between two reads of the others, faster than any pace before.
    for _ in range(4):
        await house.join(700, through=2)
    await settled()
    house.server.command("FLUSHALL")
    house.gateways.pop()
    await house.present(0, 1)
    house.let_the_wait_pass()
    assert await house.present(0) == [True]
    await house.join(100)


async def test_the_wait_ends_by_the_servers_clock_also_where_that_was_set_back(
    house: House,
) -> None:
    await lived_in(house)
    house.server.command("FLUSHALL")
    await house.present(0, 1)
    house.server.command("HINCRBY", house.key("healing"), "started_at", 3_600_000)
    assert await house.present(0) == [False]
    house.let_the_wait_pass()
    assert await house.present(0) == [True]


async def test_an_operator_who_knows_nothing_goes_on_above_more_than_the_ceiling(
    house: House, new_ledger: NewLedger, tmp_path: Path
) -> None:
    await lived_in(house)
    before = await house.read()
    restore_point = tmp_path / "now"
    backup(house.server, restore_point)
    restore(house.server, restore_point)
    operator = house.gateways[0].through(new_ledger())
    with pytest.raises(EventHealing):
        await operator.read()
    house.let_the_wait_pass()
    after = await operator.read()
    assert after.healed is not None
    assert after.healed.silent == 3
    assert after.healed.went_on_above >= before.ceiling + CLIMB_PER_S


async def test_nothing_is_done_while_the_gateways_are_waited_for(
    house: House, new_ledger: NewLedger
) -> None:
    await lived_in(house)
    house.server.restart()
    operator = house.gateways[0].through(new_ledger())
    with pytest.raises(EventHealing):
        await operator.read()
    before = operator.contents(but=("ticked_at",))
    for ask in (
        operator.join,
        lambda: operator.release(1),
        lambda: operator.claim(5),
        lambda: operator.extend(1),
        lambda: operator.leave(1),
        lambda: operator.change(StateChange.CLOSE),
        lambda: operator.configure(window_s=1),
        lambda: operator.ledger.raise_ceiling(operator.event, 10),
    ):
        with pytest.raises(EventHealing):
            await ask()
    after = operator.contents(but=("ticked_at",))
    assert before.keys() == after.keys()
    assert before[house.key("issued")] == after[house.key("issued")]
    assert before[house.key("sessions")] == after[house.key("sessions")]


async def test_who_has_patience_is_answered_once_the_gateways_were_heard(
    house: House, new_ledger: NewLedger
) -> None:
    await lived_in(house)
    house.server.restart()
    patient = house.gateways[0].through(new_ledger(healing_patience_s=20.0))
    asked = asyncio.create_task(patient.change(StateChange.CLOSE))
    await wait_until(lambda: bool(house.server.command("EXISTS", house.key("healing"))))
    assert not asked.done()
    await house.come_back()
    await asked
    assert (await house.read()).state is EventState.CLOSED


# --- Tokens as witnesses -------------------------------------------------------------------------


async def test_a_token_above_all_that_is_known_lifts_the_event(house: House) -> None:
    before = await lived_in(house)
    gateway = house.gateways[1]
    gateway.ledger.floors.saw_token(gateway.event, gateway.generation, Position(500))
    after = await house.come_back()
    assert after.healed is not None
    assert (after.healed.why, after.healed.known_issued) == ("behind", 500)
    assert after.served_up_to == before.served_up_to
    assert min(await house.join(5)) > 500


async def test_a_pass_above_the_pointer_lifts_it_and_its_window_begins(house: House) -> None:
    await lived_in(house)
    gateway = house.gateways[1]
    gateway.ledger.floors.saw_pass(gateway.event, gateway.generation, 11)
    after = await house.come_back()
    assert after.served_up_to == 11
    assert after.releases[-1].turn == 11
    assert (await gateway.claim(10)).fresh


async def test_a_token_from_inside_a_hole_trims_it(house: House) -> None:
    await lived_in(house)
    house.server.restart()
    ((first, last),) = (await house.come_back()).holes.ranges
    gateway = house.gateways[1]
    gateway.ledger.floors.saw_in_hole(gateway.event, gateway.generation, Position(first + 7))
    assert (await gateway.read()).holes.ranges == ((first + 8, last),)
    gateway.ledger.floors.saw_in_hole(gateway.event, gateway.generation, Position(last))
    assert (await gateway.read()).holes.ranges == ()


async def lost_to_all_but_tokens(alone: House, new_ledger: NewLedger) -> Sale:
    """The server is empty, and one new gateway is shown tokens of the event."""
    await lived_in(alone)
    gateway = alone.gateways[0]
    alone.server.command("FLUSHALL")
    witness = gateway.through(new_ledger(is_gateway=True))
    floors = witness.ledger.floors
    floors.saw_token(gateway.event, gateway.generation, Position(40))
    floors.saw_pass(gateway.event, gateway.generation, 7)
    with pytest.raises(StateLost):
        await witness.read()
    with pytest.raises(StateLost):
        await witness.ledger.present(witness.event)
    return witness


async def test_where_only_tokens_are_known_an_operator_brings_the_event_back(
    alone: House, new_ledger: NewLedger
) -> None:
    witness = await lost_to_all_but_tokens(alone, new_ledger)
    operator = new_ledger()
    (told,) = await operator.evidence(witness.event)
    assert told.gateway == witness.ledger.floors.gateway
    assert (told.generation, told.issued, told.served_up_to) == (witness.generation, 40, 7)
    with pytest.raises(StateLost):
        await operator.create(witness.event, EventPolicy(), opened=True)
    recovery = Recovery(
        generation=told.generation,
        issued=40,
        goes_on_above=140,
        served_up_to=ServedUpTo(7),
        state=EventState.OPEN,
        policy=EventPolicy(window_s=60),
    )
    await operator.recover(witness.event, recovery)
    snapshot = await witness.read()
    assert (snapshot.generation, snapshot.served_up_to) == (witness.generation, 7)
    assert (snapshot.state, snapshot.policy.window_s) == (EventState.OPEN, 60)
    assert snapshot.holes.ranges == ((41, 140),)
    assert snapshot.healed is not None
    assert snapshot.healed.why == "recovered"
    assert (await witness.join()).position == 141
    assert (await witness.claim(5)).fresh
    assert await operator.evidence(witness.event) == []
    assert await operator.events() == [witness.event]
    with pytest.raises(Conflict):
        await operator.recover(witness.event, recovery)


async def test_a_gateway_that_knows_more_than_the_operator_lifts_what_was_recovered(
    alone: House, new_ledger: NewLedger
) -> None:
    witness = await lost_to_all_but_tokens(alone, new_ledger)
    recovery = Recovery(
        witness.generation, 2, 3, ServedUpTo(2), EventState.PAUSED, EventPolicy(window_s=60)
    )
    await new_ledger().recover(witness.event, recovery)
    house = House([witness, alone.gateways[0]], alone.dealt)
    after = await house.come_back()
    assert after.healed is not None
    assert after.healed.known_issued == 40
    assert after.served_up_to == 8
    # What the operator decided is later than what anybody knew.
    assert (after.state, after.policy.window_s) == (EventState.PAUSED, 60)
    for i in range(2):
        assert min(await house.join(20, through=i)) > 40


async def test_a_record_that_turns_up_makes_the_operator_superfluous(
    alone: House, new_ledger: NewLedger
) -> None:
    witness = await lost_to_all_but_tokens(alone, new_ledger)
    house = House([witness, alone.gateways[0]], alone.dealt)
    after = await house.come_back()
    assert (after.generation, after.served_up_to) == (witness.generation, 8)
    assert min(await house.join(20)) > 40
    assert await witness.ledger.evidence(witness.event) == []


@pytest.mark.parametrize("lose", ["DEL", "FLUSHALL"])
async def test_a_lost_event_is_not_created_anew(
    alone: House, new_ledger: NewLedger, lose: str
) -> None:
    if lose == "FLUSHALL":
        event = (await lost_to_all_but_tokens(alone, new_ledger)).event
    else:
        event = alone.gateways[0].event
        alone.server.command("DEL", alone.key("state"))
    for opened in (True, False):
        with pytest.raises(StateLost):
            await new_ledger().create(event, EventPolicy(), opened=opened)
    assert not alone.server.command("EXISTS", alone.key("state"))


async def test_an_event_of_which_nobody_knows_anything_stays_lost(
    alone: House, new_ledger: NewLedger
) -> None:
    alone.server.command("DEL", alone.key("state"))
    stranger = new_ledger(is_gateway=True)
    event = alone.gateways[0].event
    for _ in range(2):
        with pytest.raises(StateLost):
            await stranger.present(event)
    assert await stranger.evidence(event) == []


# --- Other servers -------------------------------------------------------------------------------


async def test_back_and_forth_between_two_servers_deals_no_position_twice(
    new_server: NewServer, new_ledger: NewLedger, short_folder: Path
) -> None:
    ports = free_port(), free_port()
    at_once = {"repl-diskless-sync-delay": "0"}
    servers = [new_server({"port": str(port), **at_once}) for port in ports]
    follow(servers[1], ports[0])
    await has_caught_up(servers[0])
    # A name that always leads to the primary.
    primary = short_folder / "primary"
    primary.symlink_to(servers[0].socket)
    ledgers = [new_ledger(f"unix://{primary}", is_gateway=True) for _ in range(2)]
    sale = await Sale.open(servers[0], ledgers[0])
    house = House([sale], [])
    marks: list[str] = []
    for round_ in range(5):
        here, there = servers[round_ % 2], servers[1 - round_ % 2]
        house.gateways = [Sale(here, ledger, sale.event, sale.generation) for ledger in ledgers]
        await house.come_back()
        for i in range(2):
            await house.join(100, through=i)
        await settled()
        await house.gateways[0].release(150)
        marks.append(house.gateways[0].field("mark"))
        await has_caught_up(here)
        there.command("REPLICAOF", "NO", "ONE")
        follow(here, ports[servers.index(there)])
        await has_caught_up(there)
        primary.unlink()
        primary.symlink_to(there.socket)
        for ledger in ledgers:
            await ledger.redis.connection_pool.disconnect()
    assert len(set(marks)) == 5, "A -> B -> A is another server each time"
    assert len(set(house.dealt)) == 1000
    primary.unlink()


def follow(server: RealServer, port: int) -> None:
    server.command("REPLICAOF", "127.0.0.1", port)


async def has_caught_up(primary: RealServer) -> None:
    await wait_until(lambda: "state=online" in primary.raw("INFO", "replication"))
    primary.command("SET", "written-last", "1")
    assert primary.command("WAIT", 1, 5000) == 1


async def test_what_is_put_back_again_and_again_does_not_grow(house: House) -> None:
    # Put back by every gateway after every loss, a list that is not told apart would double each time.
    await lived_in(house)
    event = house.gateways[0].event
    ledgers = [gateway.ledger for gateway in house.gateways]
    known = {ledger: await ledger.read(event) for ledger in ledgers}
    size = house.server.command("XLEN", house.gateways[0].key("ended"))
    assert size > 0
    for _ in range(6):
        house.server.command("FLUSHALL")
        await house.present(0, 1, 2)
        for ledger in ledgers:
            # As a watcher does: only what is new is asked for.
            known[ledger] = await ledger.read(event, known[ledger])
    assert house.server.command("XLEN", house.gateways[0].key("ended")) == size
    for ledger in ledgers:
        record = ledger.floors.get(event).record
        assert record is not None
        assert len(record["ended"]) == 2 * size
