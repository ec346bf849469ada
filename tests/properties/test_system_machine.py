"""Whatever fails, and whenever: two gateways and their ledger keep every promise of the queue.

Visitors and an operator use two real gateways over HTTP while the ledger is killed, emptied, tampered
with, restored and frozen, gateways die and answers are lost. A few numbers in plain Python say what
may be true after each step.

GATEWAY_HYPOTHESIS_LONG=1 makes a long run with new examples each time; GATEWAY_HYPOTHESIS_SECONDS says
how long.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.domain.events import Durability, EventPolicy, EventSnapshot, EventState
from gateway.domain.positions import EventId
from gateway.errors import LedgerUnavailable
from gateway.ledger import keyspace
from gateway.ledger.redis import RedisLedger
from gateway.ports import StateChange
from gateway.tokens.keyring import activate, new_key
from tests.support.eventually import eventually
from tests.support.faulty_link import FaultyLink
from tests.support.gateways import Gateway, event_table, let_through, write_settings
from tests.support.minting import Mint
from tests.support.replies import Reply, ask
from tests.support.servers import RealServer, valkey_binary

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

LONG = os.environ.get("GATEWAY_HYPOTHESIS_LONG") == "1"
LONG_S = float(os.environ.get("GATEWAY_HYPOTHESIS_SECONDS", "360"))

EVENT = EventId("sale")
HOST = "sale.example"
POLL_S = 0.05

# Nobody's window or session ends in a run: time is what the machine of the ledger tries.
HOURS_S = 4 * 3600

SETTLES_WITHIN_S = 15.0
# A gateway that is gone is waited for 5 s; after so long the wait is said to be over.
PATIENCE_S = 0.5

# Enough for the ceiling to be raised twice with nobody else reading it, faster than ever before.
RUSH = 100

# Of those whose tokens are shown after each step, beside the latest; and of so many after a fault.
SHOWN_EACH_STEP = 3
SHOWN_AFTER_A_FAULT = 30

_END_THE_WAIT = """
if redis.call('EXISTS', KEYS[1]) == 1 then
    return redis.call('HINCRBY', KEYS[1], 'started_at', -6000)
end
"""

T = TypeVar("T")


class Links:
    """Runs the links between gateways and ledger, on an event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result(10)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class Site:
    """One place where a gateway runs: its folder, its link to the ledger, and its life at present."""

    def __init__(self, name: str, base: Path, server: RealServer, links: Links, keys: Path) -> None:
        self.folder = base / name
        self.folder.mkdir()
        self._links = links
        self.link = FaultyLink(server.socket, base / f"l-{name}")
        self._serving_link = self.link.running()
        links.run(self._serving_link.__aenter__())
        self.settings = write_settings(
            self.folder / "gateway.toml",
            {
                "keys": {"dir": str(keys)},
                "ledger": {"url": self.link.url, "poll_s": POLL_S},
                "joins": {"burst": 0},
                f"events.{EVENT}": event_table(HOST),
            },
        )
        self._life = ExitStack()
        self.gateway: Gateway | None = None

    @property
    def floors(self) -> Path:
        return Path(self.settings.ledger.floor_dir)

    @property
    def port(self) -> int:
        assert self.gateway is not None
        return self.gateway.port

    @property
    def known(self) -> EventSnapshot | None:
        return None if self.gateway is None else self.gateway.knows(EVENT)

    def start(self) -> None:
        """Start a gateway with an empty memory, on whatever floors the folder holds."""
        self.gateway = self._life.enter_context(Gateway(self.settings).running())

    def stop(self) -> None:
        self._life.close()
        self.gateway = None

    def kill(self) -> None:
        """End it as `kill -9` does: it says no goodbye, and its file is as it was."""
        self.lose_link()
        copy = self.folder / "as-it-was"
        shutil.copytree(self.floors, copy)
        self.stop()
        shutil.rmtree(self.floors)
        copy.rename(self.floors)
        self.heal_link()

    def forget(self) -> None:
        shutil.rmtree(self.floors, ignore_errors=True)

    def lose_replies(self, count: int, after: int) -> None:
        async def lose() -> None:
            self.link.lose_replies(count, after=after)

        self._links.run(lose())

    def lose_link(self) -> None:
        self._links.run(self.link.reject())

    def heal_link(self) -> None:
        self._links.run(self.link.heal())

    def close(self) -> None:
        if self.gateway is not None:
            self.stop()
        self._links.run(self._serving_link.__aexit__(None, None, None))

    def ask(self, method: str, target: str, token: str | None = None, **headers: str) -> Reply:
        pairs = [("host", HOST), *((name.replace("_", "-"), v) for name, v in headers.items())]
        if token is not None:
            pairs.append(("queue-token", token))
        return ask(self.port, method, target, pairs)

    def call(self, verb: str, token: str | None = None, **headers: str) -> Reply:
        method = "GET" if verb in {"", "position"} else "POST"
        return self.ask(method, f"/queue/{EVENT}/{verb}".rstrip("/"), token, **headers)

    def book(self, token: str) -> Reply:
        """Ask for a protected page."""
        return self.ask("GET", "/book", token)


@dataclass
class World:
    """What all examples share; `begin` makes it as new."""

    base: Path
    server: RealServer
    sites: list[Site]
    seen: Counter[str]
    ends_at_s: float
    keys: Path

    @property
    def snapshot(self) -> Path:
        return self.base / "snapshot"

    def begin(self) -> None:
        for site in self.sites:
            if site.gateway is not None:
                site.stop()
            site.forget()
            site.heal_link()
        self.server.reset()
        shutil.rmtree(self.snapshot, ignore_errors=True)


@dataclass
class Person:
    """One visitor who was given a place.

    Attributes:
        tokens: Every queue token that was given for it; all stay good.
        held: The pass, once there was one.
    """

    position: int
    tokens: list[str]
    held: str | None = None
    left: bool = False


@dataclass
class Model:
    """What may be true of the queue.

    Attributes:
        highest: The highest pointer that an operator was told of.
        allowed: How many people each release may let in, by its id.
        told: What each release answered: before, after, people.
        unread: Releases that no gateway need know yet: a loss may undo them.
        uncertain: Releases that a loss may have undone.
        keys: The position of each Idempotency-Key whose row was not lost.
        sessions_are_exact: Whether no row of a session can have been lost.
        unread_seats: Sessions that no gateway need have counted yet.
        uncounted_seats: As many may be missing in the count after a loss.
        shown: The pointer that each gateway has shown.
    """

    max_sessions: int
    generation: int = 0
    state: str = "open"
    highest: int = 0
    people: list[Person] = field(default_factory=list)
    allowed: dict[str, int] = field(default_factory=dict)
    told: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    keys: dict[str, int] = field(default_factory=dict)
    sessions_are_exact: bool = True
    unread_seats: int = 0
    uncounted_seats: int = 0
    shown: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def last(self) -> int:
        return max((person.position for person in self.people), default=0)

    @property
    def seated(self) -> list[Person]:
        return [person for person in self.people if person.held and not person.left]

    @property
    def due(self) -> list[Person]:
        """Those who may go in and have not."""
        return [p for p in self.people if p.position <= self.highest and p.held is None]

    @property
    def is_surely_not_full(self) -> bool:
        return self.max_sessions == 0 or (
            self.sessions_are_exact and len(self.seated) < self.max_sessions
        )

    def all_was_read(self) -> None:
        """Both gateways know everything by now: no loss of the ledger takes it away."""
        self.unread.clear()
        self.unread_seats = 0

    def something_was_lost(self) -> None:
        self.uncertain |= self.unread
        self.keys.clear()
        self.sessions_are_exact = False
        self.uncounted_seats += self.unread_seats
        self.all_was_read()


class SystemMachine(RuleBasedStateMachine):
    """Visitors, an operator and accidents do what they like."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.server = world.server
        self.sites = world.sites
        self.seen = world.seen
        self.numbers = itertools.count(1)
        self.rotations = 0
        self.has_rushed = False
        self.turns = 0

    # --- The beginning ---------------------------------------------------------------------------

    @initialize(
        max_sessions=st.sampled_from([0, 0, 1, 3]),
        durability=st.sampled_from([Durability.MEMORY, Durability.FSYNC]),
        crowd=st.integers(0, 6),
        let_in=st.integers(0, 4),
    )
    def open_event(
        self, max_sessions: int, durability: Durability, crowd: int, let_in: int
    ) -> None:
        self.world.begin()
        self.model = Model(max_sessions)
        policy = EventPolicy(
            window_s=HOURS_S, session_s=HOURS_S, max_sessions=max_sessions, durability=durability
        )
        assert self.operate(lambda ledger: ledger.create(EVENT, policy, opened=True))
        for site in self.sites:
            site.start()
        self.settle()
        known = self.sites[0].known
        assert known is not None
        self.model.generation = known.generation
        self.seen["example"] += 1
        # Begin in the thick of it: some wait, some have been let in.
        for number in range(crowd):
            self.join(at=number % 2, key=None)
        if let_in:
            self.release(amount=let_in, hurried=False)

    def operate(self, act: Callable[[RedisLedger], Awaitable[T]], over: str | None = None) -> T:
        """Do one thing as the operator's tool does: a process that knows nothing from before."""

        async def connected() -> T:
            ledger = RedisLedger(over or self.server.url)
            try:
                return await act(ledger)
            finally:
                await ledger.aclose()

        return asyncio.run(connected())

    # --- Waiting ---------------------------------------------------------------------------------

    @property
    def up(self) -> list[Site]:
        return [site for site in self.sites if site.gateway is not None]

    def all_have_read(self, *, reads: int = 2) -> None:
        """Wait until every gateway has read the event, found it sound, and all is as of now."""
        # The second read began after the first had ended: nothing of before is left.
        for _ in range(reads):
            since_s = time.monotonic()
            eventually(partial(self._has_been_read, since_s), SETTLES_WITHIN_S)
        if len(self.up) == len(self.sites):
            self.model.all_was_read()

    def _has_been_read(self, since_s: float) -> bool:
        return all(
            (known := site.known) is not None
            and known.state is not EventState.SUSPENDED
            and known.read_at_s > since_s
            for site in self.up
        )

    def settle(self) -> None:
        """Wait until the event has been brought back, on both gateways."""
        begun_s = time.monotonic()
        while not self._has_been_read(begun_s):
            waited_s = time.monotonic() - begun_s
            assert waited_s < SETTLES_WITHIN_S, "the event is not brought back"
            if waited_s > PATIENCE_S and len(self.up) < len(self.sites):
                self.server.command("EVAL", _END_THE_WAIT, 1, keyspace.key(EVENT, "healing"))
            time.sleep(0.002)
        self.all_have_read(reads=1)

    # --- Visitors --------------------------------------------------------------------------------

    @rule(at=st.integers(0, 1), key=st.none() | st.integers(0, 4))
    def join(self, at: int, key: int | None) -> None:
        name = None if key is None else f"{key:032d}"
        self._note_join(name, self._ask_to_join(self.sites[at], name), self.model.last)

    @rule(count=st.integers(2, 6))
    def several_join_at_once(self, count: int) -> None:
        last = self.model.last
        with ThreadPoolExecutor(count) as pool:
            sites = itertools.islice(itertools.cycle(self.sites), count)
            for reply in list(pool.map(partial(self._ask_to_join, name=None), sites)):
                self._note_join(None, reply, last)

    def _ask_to_join(self, site: Site, name: str | None) -> Reply:
        return site.call("join") if name is None else site.call("join", idempotency_key=name)

    def _note_join(
        self, name: str | None, reply: Reply, last: int, *, may_fail: bool = False
    ) -> None:
        """Check what a join was told, against everybody whose join was answered before it began."""
        if self.model.state == "closed" and reply.status != 201:
            assert reply.status in {410, 200, 503}, reply
            return
        if may_fail and reply.status == 503:
            self.seen["join refused"] += 1
            return
        assert reply.status in {200, 201}, reply
        told = reply.json()
        position = int(told["position"])
        before = self.model.keys.get(name) if name else None
        taken = [person for person in self.model.people if person.position == position]
        if taken:
            assert name is not None, f"{position} was dealt twice"
            assert before in {None, position}
            taken[0].tokens.append(told["token"])
            self.seen["join repeated"] += 1
        else:
            assert before is None, f"a repeated join got {position} in place of {before}"
            assert position > last, f"{position} was dealt after {last}"
            self.model.people.append(Person(position, [told["token"]]))
            self.seen["join"] += 1
        if name:
            self.model.keys[name] = position

    def someone(self, who: int) -> Person:
        return self.model.people[who % len(self.model.people)]

    @precondition(lambda self: self.model.people)
    @rule(who=st.integers(0, 60), at=st.integers(0, 1))
    def join_again_with_the_token(self, who: int, at: int) -> None:
        """Who waits gains nothing by it."""
        person = self.someone(who)
        if person.position <= self.model.highest or self.model.state == "closed":
            return
        reply = self.sites[at].call("join", person.tokens[-1])
        assert (reply.status, reply.json()["position"]) == (200, person.position), reply
        person.tokens.append(reply.json()["token"])

    @precondition(lambda self: self.model.people)
    @rule(who=st.integers(0, 60), at=st.integers(0, 1))
    def refresh(self, who: int, at: int) -> None:
        person = self.someone(who)
        reply = self.sites[at].call("refresh", person.tokens[-1])
        assert (reply.status, reply.json()["position"]) == (200, person.position), reply
        person.tokens.append(reply.json()["token"])
        self.seen["refresh"] += 1

    @precondition(lambda self: self.model.due)
    @rule(who=st.integers(0, 9), at=st.integers(0, 1), way=st.sampled_from(["claim", "book"]))
    def someone_whose_turn_has_come_goes_in(self, who: int, at: int, way: str) -> None:
        due = self.model.due
        self.go_in(self.model.people.index(due[who % len(due)]), at, way)

    @precondition(lambda self: self.model.due)
    @rule(at=st.integers(0, 1))
    def all_whose_turn_has_come_go_in(self, at: int) -> None:
        for number, person in enumerate(self.model.due):
            self.go_in(self.model.people.index(person), (at + number) % 2, "claim")

    @precondition(lambda self: self.model.people)
    @rule(who=st.integers(0, 60), at=st.integers(0, 1), way=st.sampled_from(["claim", "book"]))
    def go_in(self, who: int, at: int, way: str) -> None:
        """Claim, or ask for a protected page with nothing but the queue token."""
        person, site, model = self.someone(who), self.sites[at], self.model
        known = site.known
        assert known is not None
        reply = self._try_to_go_in(person, site, way)
        is_in = reply.status == 200
        assert reply.status != 503, reply
        if person.left:
            assert not is_in or not model.sessions_are_exact, "who left was let in again"
        elif person.held is not None:
            assert is_in or not model.sessions_are_exact, reply
        elif person.position <= known.served_up_to and model.is_surely_not_full:
            assert is_in is (model.state != "paused"), (model.state, reply)
        if model.state == "paused" and person.held is None:
            assert not is_in, "someone was let in during a pause"
        self.seen[f"{way} {reply.status}"] += 1

    def _try_to_go_in(self, person: Person, site: Site, way: str) -> Reply:
        model = self.model
        token = person.tokens[-1]
        reply = site.call("claim", token) if way == "claim" else site.book(token)
        if reply.status != 200:
            return reply
        assert person.position <= model.highest, f"{person.position} was let in too early"
        if person.left:
            # Whatever said so is lost: the place is used a second time, under the limit as any.
            return reply
        if person.held is None:
            model.unread_seats += 1
        if way == "claim":
            person.held = str(reply.json()["pass"])
        else:
            assert let_through(reply)
            person.held = reply.cookies[f"pass-{EVENT}"].value
        assert (
            model.max_sessions == 0
            or len(model.seated) <= model.max_sessions + model.uncounted_seats
        ), "too many are in"
        return reply

    @precondition(lambda self: self.model.seated)
    @rule(who=st.integers(0, 60), at=st.integers(0, 1))
    def leave(self, who: int, at: int) -> None:
        person = self.model.seated[who % len(self.model.seated)]
        assert person.held is not None
        reply = self.sites[at].call("leave", person.held)
        # Whatever became of the row: the pass is shown, and it is good until now.
        assert (reply.status, reply.json()["left"]) == (200, "session"), reply
        person.left = True
        for site in self.sites:
            eventually(partial(self._is_refused, site, person.held))
        self.seen["leave"] += 1

    def _is_refused(self, site: Site, held: str) -> bool:
        return not let_through(site.book(held))

    # --- The operator ----------------------------------------------------------------------------

    @precondition(lambda self: self.model.state == "open")
    @rule(amount=st.integers(1, 4), hurried=st.booleans())
    def release(self, amount: int, hurried: bool) -> None:
        self._release(f"release-{next(self.numbers)}", amount)
        if not hurried:
            self.all_have_read()

    @precondition(lambda self: self.model.state == "open" and self.model.allowed)
    @rule(which=st.integers(0, 9), times=st.integers(1, 2))
    def a_release_is_asked_for_again(self, which: int, times: int) -> None:
        names = list(self.model.allowed)[-10:]
        name = names[which % len(names)]
        for _ in range(times):
            self._release(name, self.model.allowed[name])

    def _release(self, name: str, amount: int, *, over: str | None = None) -> None:
        model = self.model
        released = self.operate(
            lambda ledger: ledger.release(EVENT, by=amount, request_id=name), over
        )
        told = (released.before, released.after, released.people)
        if name in model.told and name not in model.uncertain:
            assert released.repeated, f"{name} was carried out twice"
            assert told == model.told[name]
            self.seen["release repeated"] += 1
            return
        if not released.repeated:
            assert released.people <= amount
            model.unread.add(name)
        elif name in model.told:
            assert told == model.told[name]
        model.uncertain.discard(name)
        model.allowed[name], model.told[name] = amount, told
        model.highest = max(model.highest, released.after)
        self.seen["release"] += 1

    @rule(change=st.sampled_from([StateChange.PAUSE, StateChange.CLOSE]))
    def shut(self, change: StateChange) -> None:
        if self.model.state == "open":
            self._change(change, "paused" if change is StateChange.PAUSE else "closed")

    # A queue that is shut most of the time tries little.
    @precondition(lambda self: self.model.state != "open")
    @rule()
    def open_again(self) -> None:
        was_paused = self.model.state == "paused"
        self._change(StateChange.RESUME if was_paused else StateChange.OPEN, "open")

    def _change(self, change: StateChange, state: str) -> None:
        self.operate(lambda ledger: ledger.change_state(EVENT, change))
        self.model.state = state
        self.all_have_read()
        self.seen[change.value] += 1

    @precondition(lambda self: self.rotations < (3 if LONG else 1))
    @rule()
    def the_keys_are_rotated(self) -> None:
        self.rotations += 1
        entry = new_key(self.world.keys, now_s=time.time())
        for site in self.sites:
            # As an operator does: no key signs before everybody knows it.
            eventually(partial(self._knows_key, site, entry.kid))
        activate(self.world.keys, entry.kid, now_s=time.time())
        self.seen["rotation"] += 1

    def _knows_key(self, site: Site, kid: str) -> bool:
        return kid in site.ask("GET", "/.well-known/jwks.json").body.decode()

    # --- Accidents -------------------------------------------------------------------------------

    @rule(at=st.integers(0, 1), then=st.booleans())
    def the_ledger_is_killed(self, at: int, then: bool) -> None:
        self.server.kill()
        self._those_inside_stay_inside()
        self.server.start()
        self._after("kill", at, used_at_once=then)

    @rule(at=st.integers(0, 1), then=st.booleans(), hurried=st.booleans())
    def the_ledger_is_emptied(self, at: int, then: bool, hurried: bool) -> None:
        self._before_a_loss(hurried)
        self.server.command("FLUSHALL")
        self._after("empty", at, used_at_once=then, lost=True)

    @rule(which=st.integers(0, 30), at=st.integers(0, 1), then=st.booleans())
    def a_key_is_deleted(self, which: int, at: int, then: bool) -> None:
        self._before_a_loss(hurried=False)
        names = sorted(self.server.command("KEYS", keyspace.key(EVENT, "*")))
        name = names[which % len(names)]
        self.server.command("DEL", name)
        kind = name.split(":")[2]
        self.seen[f"deleted {kind}"] += 1
        self._after("delete", at, used_at_once=then, lost=True)

    @rule(
        name=st.sampled_from(["issued", "served"]),
        by=st.sampled_from([-1000, -2, -1, 1, 2, 1000, 10**9]),
        at=st.integers(0, 1),
        then=st.booleans(),
    )
    def a_counter_is_set_by_hand(self, name: str, by: int, at: int, then: bool) -> None:
        key = keyspace.key(EVENT, name)
        self.server.command("SET", key, max(int(self.server.command("GET", key)) + by, 0))
        self._after("counter", at, used_at_once=then)

    @rule(at=st.integers(0, 1))
    def the_scripts_are_forgotten(self, at: int) -> None:
        self.server.command("SCRIPT", "FLUSH")
        self._after("scripts", at, used_at_once=True)

    @rule()
    def a_copy_of_the_data_is_taken(self) -> None:
        # Still for a moment: a copy of files that are being written may end in the middle.
        self.server.freeze()
        shutil.rmtree(self.world.snapshot, ignore_errors=True)
        shutil.copytree(self.server.folder / "appendonlydir", self.world.snapshot)
        self.server.thaw()
        self.seen["copy"] += 1

    @precondition(lambda self: self.world.snapshot.is_dir())
    @rule(at=st.integers(0, 1), then=st.booleans(), hurried=st.booleans())
    def the_copy_is_restored(self, at: int, then: bool, hurried: bool) -> None:
        self._before_a_loss(hurried)
        self._restore()
        self._after("restore", at, used_at_once=then, lost=True)

    def _restore(self) -> None:
        self.server.kill()
        shutil.rmtree(self.server.folder / "appendonlydir")
        shutil.copytree(self.world.snapshot, self.server.folder / "appendonlydir")
        self.server.start()

    @rule(at=st.integers(0, 1))
    def the_ledger_is_silent(self, at: int) -> None:
        self.server.freeze()
        self._those_inside_stay_inside()
        self._everybody_has_a_place(self.model.people[-3:])
        self.server.thaw()
        self._after("freeze", at, used_at_once=True)

    @rule(
        which=st.integers(0, 1),
        gently=st.booleans(),
        loss=st.sampled_from([None, "kill", "empty", "restore"]),
        joins=st.integers(0, 3),
        is_noticed=st.booleans(),
        hurried=st.booleans(),
    )
    def a_gateway_ends(
        self,
        which: int,
        gently: bool,
        loss: str | None,
        joins: int,
        is_noticed: bool,
        hurried: bool,
    ) -> None:
        """It comes back with nothing but its file, maybe after the other had to do without it."""
        if loss in {"empty", "restore"}:
            self._before_a_loss(hurried)
        site, other = self.sites[which], 1 - which
        if gently:
            site.stop()
        else:
            site.kill()
        if loss == "kill":
            self.server.restart()
        elif loss == "restore" and self.world.snapshot.is_dir():
            self._restore()
        elif loss in {"empty", "restore"}:
            self.server.command("FLUSHALL")
        if loss in {"empty", "restore"}:
            self.model.something_was_lost()
            # What it had shown last may stand in no file yet, and is lost with it.
            self.model.shown[which] = 0
        if is_noticed:
            self.settle()
            for _ in range(joins):
                self._note_join(None, self.sites[other].call("join"), self.model.last)
        site.start()
        self._after(f"gateway {'stop' if gently else 'kill'} {loss}", which, used_at_once=False)

    @precondition(lambda self: not self.has_rushed)
    @rule(which=st.integers(0, 1), joins=st.sampled_from([2, RUSH]))
    def a_gateway_ends_that_nobody_has_heard(self, which: int, joins: int) -> None:
        """It gave places that only its visitors know of, and ends together with the ledger's data."""
        if self.model.state == "closed":
            return
        self.has_rushed = joins == RUSH
        self.all_have_read()
        site, other = self.sites[which], self.sites[1 - which]
        other.lose_link()
        last = self.model.last
        with ThreadPoolExecutor(10) as pool:
            for reply in pool.map(partial(self._ask_to_join, name=None), [site] * joins):
                self._note_join(None, reply, last)
        site.kill()
        self.server.command("FLUSHALL")
        self.model.something_was_lost()
        other.heal_link()
        self.settle()
        for _ in range(2):
            self._note_join(None, other.call("join"), self.model.last)
        site.start()
        self._after("gateway unheard", which, used_at_once=False)

    @rule(
        at=st.integers(0, 1),
        count=st.integers(1, 2),
        after=st.integers(0, 2),
        what=st.sampled_from(["join", "join", "go in"]),
        key=st.integers(5, 9),
    )
    def an_answer_is_lost(self, at: int, count: int, after: int, what: str, key: int) -> None:
        site = self.sites[at]
        site.lose_replies(count, after)
        if what == "join":
            name = f"{key:032d}"
            self._note_join(name, self._ask_to_join(site, name), self.model.last, may_fail=True)
            site.heal_link()
            self.settle()
            # Asked again at the other: it is the same place.
            self.join(1 - at, key)
        elif self.model.people:
            self._try_to_go_in(self.someone(key), site, "claim")
        site.heal_link()
        self._after("reply", at, used_at_once=False)

    @precondition(lambda self: self.model.state == "open")
    @rule(amount=st.integers(1, 3), at=st.integers(0, 1), after=st.integers(0, 2))
    def the_answer_of_a_release_is_lost(self, amount: int, at: int, after: int) -> None:
        """The operator's tool asks again, and so does the operator."""
        name, site = f"release-{next(self.numbers)}", self.sites[at]
        site.lose_replies(1, after)
        with contextlib.suppress(LedgerUnavailable):
            self._release(name, amount, over=site.link.url)
        site.heal_link()
        self._release(name, amount)
        self._after("reply to a release", at, used_at_once=False)

    def _before_a_loss(self, hurried: bool) -> None:
        if not hurried:
            self.all_have_read()

    def _after(self, kind: str, at: int, *, used_at_once: bool, lost: bool = False) -> None:
        """Use the system in the middle of it, wait until it is well again, and look at everything."""
        self.seen[f"fault: {kind}"] += 1
        if lost:
            self.model.something_was_lost()
        if used_at_once:
            self._those_inside_stay_inside()
            reply = self.sites[at].call("join")
            self._note_join(None, reply, self.model.last, may_fail=True)
            if self.model.people and self.model.state != "paused":
                self._try_to_go_in(self.model.people[-1], self.sites[at], "claim")
        self.settle()
        # After a rush all would be too many; they are taken in turn.
        people = self.model.people
        step = 1 + len(people) // SHOWN_AFTER_A_FAULT
        self._everybody_has_a_place([*people[self.turns % step :: step], *people[-1:]])
        self._those_inside_stay_inside()

    # --- What always holds -----------------------------------------------------------------------

    def _everybody_has_a_place(self, people: list[Person]) -> None:
        for person in people:
            if person.left:
                continue
            for site, token in itertools.product(self.sites, {person.tokens[0], person.tokens[-1]}):
                reply = site.call("position", token)
                assert reply.status == 200, (person.position, reply)
                assert reply.json()["position"] == person.position

    def _those_inside_stay_inside(self) -> None:
        for person, site in itertools.product(self.model.people, self.sites):
            if person.held is not None:
                assert let_through(site.book(person.held)) is not person.left, person.position

    @invariant()
    def the_promises_are_kept(self) -> None:
        if not hasattr(self, "model"):
            return
        self.seen["step"] += 1
        model = self.model
        positions = [person.position for person in model.people]
        assert len(set(positions)) == len(positions), "a position was dealt twice"
        for number, site in enumerate(self.sites):
            told = site.call("").json()
            assert told["generation"] == model.generation
            assert told["state"] == model.state
            served = int(told["served_up_to"])
            assert model.shown[number] <= served <= model.highest, "the pointer is nobody's"
            model.shown[number] = served
        served = int(self.server.command("GET", keyspace.key(EVENT, "served")))
        issued = int(self.server.command("GET", keyspace.key(EVENT, "issued")))
        assert max(model.shown) <= served <= model.highest, "the pointer went back, or too far"
        assert model.last <= issued, "the counter went back"
        assert served <= issued
        let_in = sum(position <= served for position in positions)
        assert let_in <= sum(model.allowed.values()), "more were let in than were released"
        self.turns += 1
        around = [self.turns * SHOWN_EACH_STEP + i for i in range(SHOWN_EACH_STEP)]
        if model.people:
            self._everybody_has_a_place([*model.people[-1:], *map(self.someone, around)])


@pytest.fixture
def world() -> Iterator[World]:
    shm = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(prefix="gws-", dir=shm if shm.is_dir() else "/tmp"))
    (base / "v").mkdir()
    server = RealServer(valkey_binary(), base / "v")
    server.start()
    links = Links()
    keys = Mint(base / "keys").folder
    sites = [Site(name, base, server, links, keys) for name in ("a", "b")]
    ends_at_s = time.monotonic() + LONG_S
    yield World(base, server, sites, Counter(), ends_at_s, keys)
    server.thaw()
    for site in sites:
        site.close()
    links.close()
    server.kill()
    shutil.rmtree(base, ignore_errors=True)


def test_nothing_that_fails_breaks_a_promise(world: World) -> None:
    profile = settings(
        max_examples=8,
        stateful_step_count=40 if LONG else 14,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        report_multiple_bugs=False,
        # An example takes seconds, and no two take the same time: a smaller one is not worth the wait.
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        while True:
            machine: Any = partial(SystemMachine, world)
            run_state_machine_as_test(machine, settings=profile)
            if not LONG or time.monotonic() > world.ends_at_s:
                break
    finally:
        print(dict(sorted(world.seen.items())))
    # A machine that never gets anywhere proves nothing.
    faults = {name for name in world.seen if name.startswith("fault: ")}
    assert len(faults) >= 8
    wanted = {"join", "release", "release repeated", "claim 200"}
    assert wanted | ({"join repeated", "book 200", "leave"} if LONG else set()) <= set(world.seen)
