"""Decisions over any snapshot and any visitor: nobody slips in, nobody let in is sent back."""

import re
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.domain.admission import (
    STALE_AFTER_S,
    STATUS_OF,
    Admitted,
    Bypassed,
    Claimable,
    Decision,
    ProblemType,
    Refused,
    Visitor,
    decide,
)
from gateway.domain.claims import PassClaims, QueueClaims
from gateway.domain.draw import Draw, commitment_to
from gateway.domain.events import (
    EventPolicy,
    EventSnapshot,
    EventState,
    Release,
    turn_of,
)
from gateway.domain.holes import Holes
from gateway.domain.positions import (
    MAX_POSITION,
    EventId,
    Generation,
    Position,
    ServedUpTo,
    Turn,
    ahead_of,
)
from gateway.domain.waiting import (
    FARTHEST_POLL_S,
    NEAREST_POLL_S,
    release_rate_per_s,
    retry_after_s,
)
from gateway.errors import TokenFault

EVENT = EventId("sale")
SEED = b"s" * 32

thorough = settings(deadline=None, max_examples=150)

# Small numbers, so that positions, pointers, ends and generations meet often.
small = st.integers(1, 30)
instants = st.integers(0, 40)
generations = st.integers(1, 3).map(Generation)
positions = small.map(Position)


@st.composite
def holes(draw: st.DrawFn, highest: int = 40) -> Holes:
    edges = sorted(draw(st.sets(st.integers(1, highest), max_size=8)))
    return Holes(tuple(zip(edges[::2], edges[1::2], strict=False)))


draws = st.none() | st.builds(
    lambda count: Draw(commitment_to(SEED), None if count is None else SEED.hex(), count),
    st.none() | st.integers(0, 20),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Release, ...]:
    instants_ms = sorted(draw(st.lists(st.integers(0, 2_000_000), max_size=6)))
    movements: list[Release] = []
    for active_ms in instants_ms:
        people = draw(st.integers(0, 10_000))
        turn = (movements[-1].turn if movements else 0) + people
        movements.append(Release(turn, active_ms, people))
    return tuple(movements)


snapshots = st.builds(
    EventSnapshot,
    event=st.just(EVENT),
    state=st.sampled_from(EventState),
    generation=generations,
    issued=st.integers(0, 40),
    served_up_to=st.integers(0, 40).map(ServedUpTo),
    policy=st.builds(EventPolicy, finish_grace_s=st.integers(0, 20)),
    active_ms=st.integers(0, 2_000_000),
    active_sessions=st.integers(0, 5),
    claims=st.integers(0, 5),
    read_at_s=st.just(0.0),
    updated_at_ms=st.just(0),
    claims_frozen=st.booleans(),
    holes=holes(),
    draw=draws,
    releases=histories(),
    ended=st.dictionaries(positions, instants, max_size=3),
)
passes = st.builds(
    PassClaims,
    issuer=st.just("us"),
    event=st.just(EVENT),
    visitor=st.just("v"),
    position=positions,
    generation=generations,
    issued_at=st.just(0),
    expires_at=instants,
)
places = st.builds(
    QueueClaims,
    issuer=st.just("us"),
    event=st.just(EVENT),
    visitor=st.just("v"),
    position=positions,
    generation=generations,
    issued_at=st.just(0),
    expires_at=st.just(99),
    head_start=st.integers(0, 10),
)
visitors = st.builds(
    Visitor,
    held=st.none() | passes,
    place=st.none() | places,
    fault=st.none() | st.sampled_from(TokenFault),
)
ages = st.sampled_from([0.0, 1.0, STALE_AFTER_S - 1, STALE_AFTER_S, STALE_AFTER_S + 0.1, 1e6])
flags = st.booleans()


def lets_in(decision: Decision) -> bool:
    return not isinstance(decision, Refused)


@given(snapshot=snapshots, visitor=visitors, now=instants, age=ages, finish=flags, by=small)
@thorough
def test_raising_the_pointer_never_takes_a_turn_or_a_pass_away(
    snapshot: EventSnapshot, visitor: Visitor, now: int, age: float, finish: bool, by: int
) -> None:
    further = replace(snapshot, served_up_to=ServedUpTo(snapshot.served_up_to + by))
    before = decide(snapshot, visitor, now_s=now, age_s=age, on_finish_path=finish)
    after = decide(further, visitor, now_s=now, age_s=age, on_finish_path=finish)
    if lets_in(before):
        assert after == before
    if isinstance(after, Admitted | Bypassed):
        # Nor does it admit by itself: it only makes places claimable.
        assert after == before
    if (
        isinstance(before, Refused)
        and isinstance(after, Refused)
        and before.ahead is not None
        and after.ahead is not None
    ):
        assert after.ahead <= before.ahead


@given(snapshot=snapshots, visitor=visitors, now=instants, age=ages, finish=flags)
@thorough
def test_nobody_above_the_pointer_is_claimable(
    snapshot: EventSnapshot, visitor: Visitor, now: int, age: float, finish: bool
) -> None:
    decision = decide(snapshot, visitor, now_s=now, age_s=age, on_finish_path=finish)
    if not isinstance(decision, Claimable):
        return
    place = decision.place
    assert place is visitor.place
    assert decision.turn == turn_of(place.position, place.head_start, snapshot.draw)
    assert decision.turn <= snapshot.served_up_to
    assert place.generation == snapshot.generation
    assert place.position not in snapshot.ended
    assert age <= STALE_AFTER_S
    frozen = snapshot.state is EventState.PAUSED and snapshot.claims_frozen
    assert snapshot.state in {EventState.OPEN, EventState.PAUSED, EventState.CLOSED}
    assert not frozen


@given(snapshot=snapshots, visitor=visitors, now=instants, age=ages, finish=flags)
@thorough
def test_whoever_is_admitted_holds_a_live_pass_of_this_generation(
    snapshot: EventSnapshot, visitor: Visitor, now: int, age: float, finish: bool
) -> None:
    decision = decide(snapshot, visitor, now_s=now, age_s=age, on_finish_path=finish)
    if not isinstance(decision, Admitted):
        return
    assert decision.held is visitor.held
    assert decision.held.generation == snapshot.generation
    assert decision.held.position not in snapshot.ended
    grace = snapshot.policy.finish_grace_s if finish else 0
    assert now < decision.held.expires_at + grace
    assert snapshot.state not in {EventState.DELETED, EventState.BYPASS}


@given(snapshot=snapshots, held=passes, place=st.none() | places, left_s=small, age=ages)
@thorough
def test_a_live_pass_admits_in_every_state_but_deleted_however_stale_the_reader(
    snapshot: EventSnapshot, held: PassClaims, place: QueueClaims | None, left_s: int, age: float
) -> None:
    held = replace(held, generation=snapshot.generation)
    snapshot = replace(snapshot, ended={p: 0 for p in snapshot.ended if p != held.position})
    visitor = Visitor(held=held, place=place)
    decision = decide(snapshot, visitor, now_s=held.expires_at - left_s, age_s=age)
    assert lets_in(decision) == (snapshot.state is not EventState.DELETED)


@given(snapshot=snapshots, visitor=visitors, now=instants, finish=flags)
@thorough
def test_growing_stale_never_lets_anyone_in(
    snapshot: EventSnapshot, visitor: Visitor, now: int, finish: bool
) -> None:
    fresh = decide(snapshot, visitor, now_s=now, age_s=0.0, on_finish_path=finish)
    stale = decide(snapshot, visitor, now_s=now, age_s=1e6, on_finish_path=finish)
    assert not isinstance(stale, Claimable)
    if lets_in(stale):
        assert stale == fresh


@given(snapshot=snapshots, visitor=visitors, now=instants, age=ages, finish=flags, later=instants)
@thorough
def test_time_alone_never_brings_a_pass_back(
    snapshot: EventSnapshot, visitor: Visitor, now: int, age: float, finish: bool, later: int
) -> None:
    first = decide(snapshot, visitor, now_s=now, age_s=age, on_finish_path=finish)
    then = decide(snapshot, visitor, now_s=now + later, age_s=age, on_finish_path=finish)
    if isinstance(then, Admitted):
        assert first == then


@given(snapshot=snapshots, visitor=visitors, now=instants, age=ages)
@thorough
def test_a_finish_path_only_ever_adds_a_pass_s_grace(
    snapshot: EventSnapshot, visitor: Visitor, now: int, age: float
) -> None:
    plain = decide(snapshot, visitor, now_s=now, age_s=age)
    finish = decide(snapshot, visitor, now_s=now, age_s=age, on_finish_path=True)
    if isinstance(plain, Admitted | Bypassed):
        assert finish == plain
    if finish != plain:
        assert isinstance(finish, Admitted)


@given(snapshot=snapshots, visitor=visitors, now=instants, age=ages, finish=flags)
@thorough
def test_ending_a_session_shuts_it_out_and_touches_nobody_else(
    snapshot: EventSnapshot, visitor: Visitor, now: int, age: float, finish: bool
) -> None:
    assume(snapshot.state is not EventState.BYPASS)
    mine = {token.position for token in (visitor.held, visitor.place) if token is not None}
    everyone = replace(snapshot, ended={Position(position): 0 for position in range(1, 31)})
    others = replace(
        snapshot, ended=snapshot.ended | {Position(p): 0 for p in range(1, 31) if p not in mine}
    )

    def judged(by: EventSnapshot) -> Decision:
        return decide(by, visitor, now_s=now, age_s=age, on_finish_path=finish)

    assert not lets_in(judged(everyone))
    assert judged(others) == judged(snapshot)


@given(snapshot=snapshots, visitor=visitors, now=instants, age=ages, finish=flags)
@thorough
def test_a_refusal_has_one_status_and_a_retry_where_waiting_helps(
    snapshot: EventSnapshot, visitor: Visitor, now: int, age: float, finish: bool
) -> None:
    decision = decide(snapshot, visitor, now_s=now, age_s=age, on_finish_path=finish)
    if not isinstance(decision, Refused):
        return
    assert decision.status == STATUS_OF[decision.problem]
    assert (decision.retry_after_s is not None) == (decision.status in {429, 503})
    assert decision.detail
    if decision.problem is ProblemType.NOT_YET:
        assert visitor.place is not None
        assert decision.position == visitor.place.position
        assert (decision.turn is None) == (decision.ahead is None)


@given(visitor=visitors, now=instants, age=ages, finish=flags)
@thorough
def test_an_unread_event_refuses_everyone(
    visitor: Visitor, now: int, age: float, finish: bool
) -> None:
    decision = decide(None, visitor, now_s=now, age_s=age, on_finish_path=finish)
    assert isinstance(decision, Refused)
    assert decision.status == 503


def brute_force(holes: Holes, after: int, through: int) -> int:
    empty = {n for first, last in holes.ranges for n in range(first, last + 1)}
    return len([n for n in range(after + 1, through + 1) if n not in empty])


@given(holes=holes(), after=st.integers(0, 45), through=st.integers(0, 45))
@thorough
def test_occupied_is_what_counting_one_by_one_finds(holes: Holes, after: int, through: int) -> None:
    assert holes.occupied_between(after, through) == brute_force(holes, after, through)


@given(holes=holes(), a=st.integers(0, 45), b=st.integers(0, 45), c=st.integers(0, 45))
@thorough
def test_occupied_adds_up_over_neighbouring_ranges(holes: Holes, a: int, b: int, c: int) -> None:
    low, middle, high = sorted((a, b, c))
    parts = holes.occupied_between(low, middle) + holes.occupied_between(middle, high)
    assert parts == holes.occupied_between(low, high)


@given(holes=holes())
@thorough
def test_holes_are_read_back_as_they_are_written(holes: Holes) -> None:
    text = ",".join(f"{first}-{last}" for first, last in holes.ranges)
    assert Holes.parse(text) == holes


@given(text=st.text(st.sampled_from("0123456789-, +_.ex\u0661")) | st.text())
@thorough
def test_any_text_is_holes_or_a_value_error(text: str) -> None:
    try:
        parsed = Holes.parse(text)
    except ValueError:
        return
    without_leading_zeros = re.sub(r"\b0+(?=\d)", "", text)
    assert ",".join(f"{a}-{b}" for a, b in parsed.ranges) == without_leading_zeros
    bounds = [bound for pair in parsed.ranges for bound in pair]
    assert bounds == sorted(bounds)


@given(holes=holes(), turn=small, served=st.integers(0, 40))
@thorough
def test_ahead_is_the_people_between_the_pointer_and_the_turn(
    holes: Holes, turn: int, served: int
) -> None:
    ahead = ahead_of(Turn(turn), ServedUpTo(served), holes)
    assert ahead == brute_force(holes, served, turn - 1)
    if turn <= served + 1:
        assert ahead == 0


@given(snapshot=snapshots)
@thorough
def test_a_rate_is_positive_or_unknown(snapshot: EventSnapshot) -> None:
    rate = release_rate_per_s(snapshot)
    assert rate is None or 0 < rate <= 1000 * sum(r.people for r in snapshot.releases)


@given(
    snapshot=snapshots,
    ahead=st.none() | st.integers(0, MAX_POSITION),
    position=st.integers(1, MAX_POSITION).map(Position),
)
@thorough
def test_retry_after_stays_within_its_bounds(
    snapshot: EventSnapshot, ahead: int | None, position: Position
) -> None:
    after = retry_after_s(snapshot, ahead, position)
    assert NEAREST_POLL_S <= after <= FARTHEST_POLL_S + FARTHEST_POLL_S // 4
