"""Any interleaving of joins, releases, claims, pauses, restarts and time keeps the queue fair.

The machine drives two gateways on a real Valkey beside a model in plain Python. Time passes in steps of
400 seconds that are added to the event's clocks, so that the seconds which a run really takes change
no outcome: every length below ends half-way between two steps.

GATEWAY_HYPOTHESIS_LONG=1 makes a long run with new examples each time.
"""

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.domain.events import EventPolicy
from gateway.errors import Conflict
from gateway.ledger.redis import RedisLedger
from gateway.ports import ClaimOutcome, Place, StateChange
from tests.support.sales import Sale
from tests.support.servers import RealServer, valkey_binary

pytestmark = [pytest.mark.integration, pytest.mark.timeout(3600)]

LONG = os.environ.get("GATEWAY_HYPOTHESIS_LONG") == "1"

STEP_S = 400
WINDOW_S = 600
SESSION_S = 1000
EXTEND_TIMES = 1
BYPASS_S = 600
# Far more than a run takes, and less than what any length lies away from a step.
DRIFT_S = 90

# Each jump of the clock counts as one largest step, 5 s.
MOST_JUMPS = 8

T = TypeVar("T")


@dataclass
class Model:
    """What the event must look like. Instants are seconds on the clock that they belong to."""

    max_sessions: int
    headroom: int
    late_for_s: int
    state: str = "open"
    claims_frozen: bool = True
    issued: int = 0
    served: int = 0
    empty: set[int] = field(default_factory=set)
    ledger_s: int = 0
    active_s: int = 0
    running: bool = True
    bypass_until_s: int = 0
    bypass_from: str = ""
    places: list[Place] = field(default_factory=list)
    joined_s: dict[int, int] = field(default_factory=dict)
    by_key: dict[str, int] = field(default_factory=dict)
    releases: list[tuple[int, int]] = field(default_factory=list)
    requests: dict[str, tuple[tuple[str, int], tuple[int, int, int, bool]]] = field(
        default_factory=dict
    )
    sessions: dict[int, int] = field(default_factory=dict)
    extended: dict[int, int] = field(default_factory=dict)
    seated_ever: set[int] = field(default_factory=set)
    left: set[int] = field(default_factory=set)
    late: int = 0

    @property
    def serves_claims(self) -> bool:
        return self.state in {"open", "closed", "bypass"} or (
            self.state == "paused" and not self.claims_frozen
        )

    @property
    def is_full(self) -> bool:
        return 0 < self.max_sessions <= len(self.sessions)

    def settle(self) -> None:
        if self.state == "bypass" and self.ledger_s >= self.bypass_until_s:
            self.state = self.bypass_from
        self.sessions = {p: end for p, end in self.sessions.items() if end > self.ledger_s}
        self.running = self.serves_claims and not self.is_full

    def elapse(self) -> None:
        self.ledger_s += STEP_S
        if self.running:
            self.active_s += STEP_S
        self.settle()

    def release(self, mode: str, amount: int) -> tuple[int, int, int, bool]:
        """Walk turn by turn; return before, after, people, capped."""
        cap = self.issued + self.headroom
        turn, people = self.served, 0
        wanted = amount if mode == "by" else None
        if mode == "to" and amount < turn:
            return turn, turn, 0, False
        while True:
            following = turn + 1
            if following in self.empty:
                turn = following
                continue
            done = people == wanted if wanted is not None else following > amount
            if done or turn >= cap:
                break
            turn, people = following, people + 1
        return self.served, turn, people, not done

    def claim(self, position: int, *, only_ask: bool = False) -> tuple[str, bool]:
        """Return the outcome, and whether a session is opened."""
        if position in self.sessions:
            return "seated", False
        if position in self.seated_ever:
            return "ended", False
        if position > self.served:
            return ("closed" if self.state == "closed" else "not-yet"), False
        if not self.serves_claims:
            return "not-yet", False
        released_s = next(at for turn, at in self.releases if turn >= position)
        over_s = self.active_s - max(released_s, self.joined_s[position]) - WINDOW_S
        if over_s > 0 and 0 <= self.late_for_s < over_s:
            return "missed", False
        if over_s > 0 and self.state == "closed":
            return "closed", False
        if self.is_full:
            return "full", False
        if only_ask:
            return "claimable", False
        self.late += over_s > 0
        self.sessions[position] = self.ledger_s + SESSION_S
        self.seated_ever.add(position)
        self.settle()
        return "seated", True


class LedgerMachine(RuleBasedStateMachine):
    """Two gateways and an operator do what they like; the model says what must come of it."""

    def __init__(self, server: RealServer, seen: Counter[str]) -> None:
        super().__init__()
        self.server = server
        self.seen = seen
        self.jumps = 0
        self.could_be_dealt = 0
        self.runner = asyncio.Runner()
        self.calls = 0

    def run(self, call: Awaitable[T]) -> T:
        """Run one call and what it left behind, such as a raise ahead of need."""

        async def with_the_rest() -> T:
            answer = await call
            while rest := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(rest)
            return answer

        return self.runner.run(with_the_rest())

    @property
    def sale(self) -> Sale:
        """The event, seen through one gateway and then the other."""
        self.calls += 1
        return self.gateways[self.calls % 2]

    @initialize(
        max_sessions=st.sampled_from([0, 1, 2, 5]),
        headroom=st.sampled_from([0, 0, 3]),
        late_for_s=st.sampled_from([-1, 0, 700]),
        crowd=st.integers(1, 20),
        let_in=st.integers(0, 12),
    )
    def open_event(
        self, max_sessions: int, headroom: int, late_for_s: int, crowd: int, let_in: int
    ) -> None:
        self.server.reset()
        policy = EventPolicy(
            window_s=WINDOW_S,
            session_s=SESSION_S,
            extend_s=SESSION_S,
            extend_times=EXTEND_TIMES,
            max_sessions=max_sessions,
            headroom=headroom,
            late_for_s=late_for_s,
        )
        self.model = Model(max_sessions, headroom, late_for_s)

        async def open_both() -> list[Sale]:
            first, second = (RedisLedger(self.server.url) for _ in range(2))
            sale = await Sale.open(self.server, first, policy)
            await second.read(sale.event)
            return [sale, sale.through(second)]

        self.gateways = self.run(open_both())
        self.last_served = 0
        # Begin in the thick of it: some wait, some have been let in.
        self.join([None] * crowd)
        if let_in:
            self.release(by=True, amount=let_in, request=None, dry_run=False)

    def teardown(self) -> None:
        async def close() -> None:
            for sale in self.gateways:
                await sale.ledger.aclose()

        if hasattr(self, "gateways"):
            self.runner.run(close())
        self.runner.close()

    # --- Visitors --------------------------------------------------------------------------------

    @rule(keys=st.lists(st.none() | st.integers(0, 6), min_size=1, max_size=8))
    def join(self, keys: list[int | None]) -> None:
        hashes = [None if key is None else f"{key:064x}" for key in keys]
        sale = self.sale

        async def join_at_once() -> list[Any]:
            return await asyncio.gather(
                *(sale.join(key=key) for key in hashes), return_exceptions=True
            )

        answers = self.run(join_at_once())
        if self.model.state == "closed":
            assert all(isinstance(answer, Conflict) for answer in answers)
            return
        for key, place in zip(hashes, answers, strict=True):
            assert isinstance(place, Place), place
            self._note_place(key, place)

    def _skip_what_could_have_been_dealt(self) -> None:
        """After a restart the first call leaves a hole: everything up to the ceiling before it."""
        model = self.model
        holes = self.run(self.gateways[0].read()).holes.ranges
        real = {turn for first, last in holes for turn in range(first, last + 1)}
        gap = real - model.empty
        assert real >= model.empty
        assert gap == set(range(model.issued + 1, model.issued + len(gap) + 1))
        self.seen["hole"] += bool(gap)
        # Above everything that the killed server could have dealt, and not a turn further.
        assert model.issued + len(gap) == max(model.issued, self.could_be_dealt)
        model.empty |= gap
        model.issued += len(gap)

    def _note_place(self, key: str | None, place: Place) -> None:
        model = self.model
        if key is not None and key in model.by_key:
            assert (place.position, place.repeated) == (model.by_key[key], True)
            self.seen["join repeated"] += 1
            return
        assert (place.position, place.repeated) == (model.issued + 1, False)
        assert place.position not in model.empty
        self.seen["join"] += 1
        model.issued += 1
        model.places.append(place)
        model.joined_s[place.position] = model.active_s
        if key is not None:
            model.by_key[key] = place.position

    @precondition(lambda self: self.model.places)
    @rule(who=st.integers(0, 200), times=st.integers(1, 3))
    def claim(self, who: int, times: int) -> None:
        place = self.model.places[who % len(self.model.places)]
        for _ in range(times):
            self._claim(place)

    @precondition(lambda self: self.model.places)
    @rule(first=st.integers(0, 9), count=st.integers(1, 4), only_ask=st.booleans())
    def those_near_the_pointer_claim(self, first: int, count: int, only_ask: bool) -> None:
        near = [p for p in self.model.places if abs(p.position - self.model.served) < 12]
        for place in near[first % len(near) :][:count] if near else []:
            self._claim(place, only_ask=only_ask)

    def _claim(self, place: Place, *, only_ask: bool = False) -> None:
        expected = self.model.claim(place.position, only_ask=only_ask)
        claimed = self.run(
            self.sale.claim(place.position, clk=place.joined_active_ms, only_ask=only_ask)
        )
        assert (claimed.outcome, claimed.fresh) == expected
        self.seen[f"claim {claimed.outcome}"] += 1
        if claimed.outcome == "seated":
            left_s = self.model.sessions[place.position] - self.model.ledger_s
            now_s = int(self.server.command("TIME")[0])
            assert abs(claimed.session_ends_at - now_s - left_s) <= DRIFT_S

    @precondition(lambda self: self.model.places)
    @rule(who=st.integers(0, 200))
    def leave(self, who: int) -> None:
        position = self.model.places[who % len(self.model.places)].position
        was_seated = position in self.model.sessions
        assert self.run(self.sale.leave(position)) is was_seated
        if was_seated:
            del self.model.sessions[position]
            self.model.left.add(position)
            self.model.settle()

    @precondition(lambda self: self.model.sessions)
    @rule(who=st.integers(0, 200))
    def someone_seated_leaves(self, who: int) -> None:
        seated = sorted(self.model.sessions)
        position = seated[who % len(seated)]
        index = next(i for i, p in enumerate(self.model.places) if p.position == position)
        self.leave(index)

    @precondition(lambda self: self.model.places)
    @rule(who=st.integers(0, 200), by_visitor=st.booleans())
    def extend(self, who: int, by_visitor: bool) -> None:
        model = self.model
        position = model.places[who % len(model.places)].position
        by_s = None if by_visitor else SESSION_S
        answer = self.run(self.sale.extend(position, by_s=by_s, by_visitor=by_visitor))
        if position not in model.sessions:
            assert answer.outcome == "no-session"
            return
        used = model.extended.get(position, 0)
        if by_visitor and used >= EXTEND_TIMES:
            assert answer.outcome == "not-allowed"
            return
        # Real milliseconds pass here too; a visitor's word counts where it gains a whole second.
        gained_s = model.ledger_s + SESSION_S - model.sessions[position]
        assert answer.longer or gained_s < 2
        counted = by_visitor and answer.longer
        model.extended[position] = used + counted
        model.sessions[position] = max(model.sessions[position], model.ledger_s + SESSION_S)
        assert (answer.outcome, answer.left) == ("extended", EXTEND_TIMES - used - counted)

    # --- The operator ----------------------------------------------------------------------------

    @rule(
        by=st.booleans(),
        amount=st.sampled_from([1, 2, 2, 5, 5, 9, 12]),
        request=st.sampled_from([None, 0, 1, 2]),
        dry_run=st.sampled_from([False, False, False, True]),
    )
    def release(self, by: bool, amount: int, request: int | None, dry_run: bool) -> None:
        model = self.model
        mode, amount = ("by", amount) if by else ("to", max(model.served + amount - 4, 1))
        request_id = None if request is None else f"request-{request}"
        known = model.requests.get(request_id or "")
        call = self.sale.ledger.release(
            self.gateways[0].event,
            by=amount if by else None,
            to=None if by else amount,
            request_id=request_id,
            dry_run=dry_run,
        )
        refused = known is not None and known[0] != (mode, amount)
        if refused or (known is None and model.state != "open"):
            with pytest.raises(Conflict):
                self.run(call)
            return
        released = self.run(call)
        told = (released.before, released.after, released.people, released.capped)
        if known is not None:
            assert (told, released.repeated) == (known[1], True)
            self.seen["release repeated"] += 1
            return
        before, after, people, capped = expected = model.release(mode, amount)
        assert (told, released.repeated) == (expected, False)
        if dry_run:
            return
        if after > before:
            self.seen["release over a hole"] += people < after - before
            self.seen["release"] += 1
            model.releases.append((after, model.active_s))
        model.served = after
        if request_id is not None:
            model.requests[request_id] = ((mode, amount), (before, after, people, capped))

    @precondition(lambda self: self.model.requests)
    @rule(which=st.integers(0, 2))
    def a_release_is_asked_for_again(self, which: int) -> None:
        request_id, (asked, told) = list(self.model.requests.items())[
            which % len(self.model.requests)
        ]
        mode, amount = asked
        again = self.run(
            self.sale.release(
                amount if mode == "by" else None,
                to=amount if mode == "to" else None,
                request_id=request_id,
            )
        )
        assert (again.before, again.after, again.people, again.capped) == told
        assert again.repeated
        self.seen["release repeated"] += 1

    @precondition(lambda self: self.model.state == "open")
    @rule()
    def the_event_is_closed_and_someone_comes(self) -> None:
        self.change_state(StateChange.CLOSE, releases_only=False)
        for place in self.model.places[-1:] + self.model.places[: self.model.served][-1:]:
            self._claim(place)

    @rule(
        change=st.sampled_from(list(StateChange)),
        releases_only=st.booleans(),
    )
    def change_state(self, change: StateChange, releases_only: bool) -> None:
        model = self.model
        leads_to = {
            StateChange.OPEN: ({"open", "bypass", "closed"}, "open"),
            StateChange.PAUSE: ({"open", "paused"}, "paused"),
            StateChange.RESUME: ({"open", "paused"}, "open"),
            StateChange.CLOSE: ({"open", "paused", "bypass", "closed"}, "closed"),
            StateChange.BYPASS: ({"open", "paused", "bypass"}, "bypass"),
            StateChange.MESSAGE: ({"open", "paused", "bypass", "closed"}, model.state),
        }
        allowed, state = leads_to[change]
        call = self.sale.change(change, releases_only=releases_only, for_s=BYPASS_S)
        if model.state not in allowed:
            with pytest.raises(Conflict):
                self.run(call)
            return
        self.run(call)
        if change is StateChange.MESSAGE:
            return
        if change is StateChange.BYPASS:
            if model.state != "bypass":
                model.bypass_from = model.state
            model.bypass_until_s = model.ledger_s + BYPASS_S
        else:
            model.claims_frozen = not (change is StateChange.PAUSE and releases_only)
        model.state = state
        model.settle()

    # A queue that is shut most of the time tries little: open it again more often than not.
    @precondition(lambda self: self.model.state != "open")
    @rule()
    def open_again(self) -> None:
        state = self.model.state
        self.change_state(
            StateChange.RESUME if state == "paused" else StateChange.OPEN, releases_only=False
        )

    # --- The world -------------------------------------------------------------------------------

    @rule(steps=st.integers(1, 3))
    def time_passes(self, steps: int) -> None:
        key, ms = self.gateways[0].key("state"), STEP_S * 1000
        for _ in range(steps):
            self.server.command("HINCRBY", key, "ledger_ms", ms)
            if self.model.running:
                self.server.command("HINCRBY", key, "active_ms", ms)
            self.run(self.sale.read())
            self.model.elapse()

    @precondition(lambda self: self.jumps < MOST_JUMPS)
    @rule()
    def the_clock_jumps(self) -> None:
        """An outage or a wrong clock: hours that must count as seconds."""
        self.jumps += 1
        self.server.command("HINCRBY", self.gateways[0].key("state"), "ticked_at", -8 * 3_600_000)
        self.run(self.sale.read())

    @rule(joins=st.integers(0, 3), let_in=st.sampled_from([0, 0, 12]))
    def the_server_is_killed(self, joins: int, let_in: int) -> None:
        state = self.gateways[0]
        self.could_be_dealt = max(int(state.field("ceiling")), int(state.field("next")))
        self.server.restart()
        # A release without an id is not sent again, so it would find its old connection dead.
        for sale in self.gateways:
            self.run(sale.ledger.redis.connection_pool.disconnect())
        self.seen["restart"] += 1
        self._skip_what_could_have_been_dealt()
        if joins:
            self.join([None] * joins)
        if let_in:
            self.release(by=True, amount=let_in, request=None, dry_run=False)

    @rule()
    def the_scripts_are_forgotten(self) -> None:
        self.server.command("SCRIPT", "FLUSH")

    # --- What always holds -----------------------------------------------------------------------

    @invariant()
    def the_ledger_is_as_the_model_says(self) -> None:
        if not hasattr(self, "gateways"):
            return
        self.seen["step"] += 1
        model, sale = self.model, self.gateways[0]
        snapshot = self.run(sale.read())
        empty = {t for first, last in snapshot.holes.ranges for t in range(first, last + 1)}
        seated = {int(p) for p in self.server.command("ZRANGE", sale.key("sessions"), 0, -1)}
        assert (snapshot.state, snapshot.issued) == (model.state, model.issued)
        assert (snapshot.served_up_to, empty) == (model.served, model.empty)
        assert seated == set(model.sessions)
        assert snapshot.active_sessions == len(model.sessions)
        assert snapshot.claims == len(model.seated_ever)
        assert set(snapshot.ended) == model.left
        assert int(sale.field("late")) == model.late
        assert sale.field("running") == str(int(model.running))

    @invariant()
    def the_promises_are_kept(self) -> None:
        if not hasattr(self, "gateways"):
            return
        model = self.model
        positions = [place.position for place in model.places]
        assert positions == sorted(set(positions)), "a position was dealt twice, or out of order"
        assert not model.empty & set(positions), "someone stands in a hole"
        assert model.served >= self.last_served, "the pointer went back"
        self.last_served = model.served
        assert model.served <= model.issued + model.headroom
        assert model.max_sessions == 0 or len(model.sessions) <= model.max_sessions
        assert not (model.left & set(model.sessions)), "who left is seated again"


@pytest.fixture
def server() -> Iterator[RealServer]:
    base = "/dev/shm" if Path("/dev/shm").is_dir() else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="gw-", dir=base))
    server = RealServer(valkey_binary(), folder)
    server.start()
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


def test_any_interleaving_keeps_the_queue_fair(server: RealServer) -> None:
    profile = settings(
        max_examples=int(os.environ.get("GATEWAY_HYPOTHESIS_EXAMPLES", "400")) if LONG else 45,
        stateful_step_count=60 if LONG else 30,
        derandomize=not LONG,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    seen: Counter[str] = Counter()
    machine: Any = partial(LedgerMachine, server, seen)
    run_state_machine_as_test(machine, settings=profile)
    print(dict(sorted(seen.items())))
    # A machine that never gets anywhere proves nothing.
    outcomes = {f"claim {o.value}" for o in ClaimOutcome if LONG or o is not ClaimOutcome.CLAIMABLE}
    assert outcomes | {"hole", "release over a hole", "release repeated"} <= set(+seen)
