"""The one decision, cell by cell of the table of states, and at its edges."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.admission import (
    LEDGER_RETRY_S,
    STALE_AFTER_S,
    STATUS_OF,
    STRANGER,
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
from gateway.domain.draw import Draw, commitment_to, permute
from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.holes import Holes
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo
from gateway.errors import TokenFault

EVENT = EventId("sale")
NOW_S = 10_000
SESSION_END = 10_600
GRACE_S = 600
SEED = b"s" * 32

SNAPSHOT = EventSnapshot(
    event=EVENT,
    state=EventState.OPEN,
    generation=Generation(3),
    issued=100,
    served_up_to=ServedUpTo(50),
    policy=EventPolicy(finish_grace_s=GRACE_S),
    active_ms=0,
    active_sessions=0,
    claims=0,
    read_at_s=0.0,
    updated_at_ms=0,
)


def place(position: int, **changes: Any) -> QueueClaims:
    claims = QueueClaims(
        issuer="us",
        event=EVENT,
        visitor="v",
        position=Position(position),
        generation=Generation(3),
        issued_at=9_000,
        expires_at=99_000,
    )
    return replace(claims, **changes)


def held(**changes: Any) -> PassClaims:
    claims = PassClaims(
        issuer="us",
        event=EVENT,
        visitor="v",
        position=Position(20),
        generation=Generation(3),
        issued_at=9_000,
        expires_at=SESSION_END,
    )
    return replace(claims, **changes)


SERVED = Visitor(place=place(50))
WAITING = Visitor(place=place(51))
HOLDER = Visitor(held=held())
HOLDER_OF_BOTH = Visitor(held=held(), place=place(20))
EVERYONE = (STRANGER, WAITING, SERVED, HOLDER, HOLDER_OF_BOTH)


def judge(
    visitor: Visitor,
    snapshot: EventSnapshot | None = SNAPSHOT,
    *,
    now_s: float = NOW_S,
    age_s: float = 0.5,
    on_finish_path: bool = False,
    **changes: Any,
) -> Decision:
    if snapshot is not None:
        snapshot = replace(snapshot, **changes)
    return decide(snapshot, visitor, now_s=now_s, age_s=age_s, on_finish_path=on_finish_path)


def problem(decision: Decision) -> ProblemType:
    assert isinstance(decision, Refused), decision
    return decision.problem


def outcome(decision: Decision) -> object:
    return decision.problem if isinstance(decision, Refused) else type(decision)


# DESIGN.md's table of states, a line for each cell that a request can be in: the columns "claim" (a
# place whose turn has come, and one whose turn has not), "held pass" and "no token".
TABLE = [
    ("scheduled", True, SERVED, ProblemType.NOT_YET),
    ("scheduled", True, WAITING, ProblemType.NOT_YET),
    ("scheduled", True, STRANGER, ProblemType.NO_TOKEN),
    ("open", True, SERVED, Claimable),
    ("open", True, WAITING, ProblemType.NOT_YET),
    ("open", True, HOLDER, Admitted),
    ("open", True, HOLDER_OF_BOTH, Admitted),
    ("open", True, STRANGER, ProblemType.NO_TOKEN),
    ("paused", True, SERVED, ProblemType.NOT_YET),
    ("paused", True, WAITING, ProblemType.NOT_YET),
    ("paused", True, HOLDER, Admitted),
    ("paused", True, HOLDER_OF_BOTH, Admitted),
    ("paused", True, STRANGER, ProblemType.NO_TOKEN),
    ("paused", False, SERVED, Claimable),
    ("paused", False, WAITING, ProblemType.NOT_YET),
    ("paused", False, HOLDER, Admitted),
    ("paused", False, STRANGER, ProblemType.NO_TOKEN),
    ("closed", True, SERVED, Claimable),
    ("closed", True, WAITING, ProblemType.EVENT_CLOSED),
    ("closed", True, HOLDER, Admitted),
    ("closed", True, HOLDER_OF_BOTH, Admitted),
    ("closed", True, STRANGER, ProblemType.EVENT_CLOSED),
    ("suspended", True, SERVED, ProblemType.LEDGER_AWAY),
    ("suspended", True, WAITING, ProblemType.LEDGER_AWAY),
    ("suspended", True, HOLDER, Admitted),
    ("suspended", True, HOLDER_OF_BOTH, Admitted),
    ("suspended", True, STRANGER, ProblemType.LEDGER_AWAY),
    ("bypass", True, SERVED, Bypassed),
    ("bypass", True, WAITING, Bypassed),
    ("bypass", True, HOLDER, Bypassed),
    ("bypass", True, STRANGER, Bypassed),
    ("deleted", True, SERVED, ProblemType.EVENT_CLOSED),
    ("deleted", True, WAITING, ProblemType.EVENT_CLOSED),
    ("deleted", True, HOLDER, ProblemType.EVENT_CLOSED),
    ("deleted", True, STRANGER, ProblemType.EVENT_CLOSED),
]
NAMES = {
    id(STRANGER): "stranger",
    id(WAITING): "waiting",
    id(SERVED): "served",
    id(HOLDER): "pass",
    id(HOLDER_OF_BOTH): "pass and place",
}


@pytest.mark.parametrize(
    ("state", "frozen", "visitor", "expected"),
    TABLE,
    ids=[f"{s}{'' if f else ' (releases only)'}: {NAMES[id(v)]}" for s, f, v, _ in TABLE],
)
def test_every_cell_of_the_table_of_states_is_decided_as_written(
    state: str, frozen: bool, visitor: Visitor, expected: object
) -> None:
    decision = judge(visitor, state=EventState(state), claims_frozen=frozen)
    assert outcome(decision) == expected


@pytest.mark.parametrize(("past_end_s", "open_to_all"), [(-1, True), (0, False), (1, False)])
def test_a_bypass_ends_on_time_also_where_the_ledger_cannot_be_read(
    past_end_s: float, open_to_all: bool
) -> None:
    ends_at_ms = (NOW_S - past_end_s) * 1000
    for visitor in (STRANGER, WAITING, SERVED):
        decision = judge(visitor, state=EventState.BYPASS, bypass_ends_at_ms=ends_at_ms, age_s=60)
        expected = Bypassed if open_to_all else ProblemType.LEDGER_AWAY
        assert outcome(decision) == expected
    holder = judge(HOLDER, state=EventState.BYPASS, bypass_ends_at_ms=ends_at_ms, age_s=60)
    assert outcome(holder) == (Bypassed if open_to_all else Admitted)


@pytest.mark.parametrize("visitor", EVERYONE)
def test_an_event_that_was_never_read_lets_nobody_in(visitor: Visitor) -> None:
    decision = judge(visitor, snapshot=None)
    assert problem(decision) is ProblemType.LEDGER_AWAY


def test_admission_names_the_pass_that_it_rests_on() -> None:
    assert judge(HOLDER) == Admitted(held())


def test_a_claimable_place_comes_with_its_turn() -> None:
    visitor = Visitor(place=place(60, head_start=15))
    assert judge(visitor) == Claimable(place(60, head_start=15), turn=45)  # type: ignore[arg-type]


def test_who_waits_learns_position_turn_and_how_many_are_ahead() -> None:
    decision = judge(Visitor(place=place(80, head_start=5)), holes=Holes(((61, 70),)))
    assert isinstance(decision, Refused)
    assert (decision.position, decision.turn, decision.ahead) == (80, 75, 14)
    assert decision.retry_after_s is not None


def test_the_turn_after_a_draw_decides_and_not_the_position() -> None:
    held_draw = Draw(commitment_to(SEED), SEED.hex(), 100)
    by_turn = {permute(position, 100, SEED): position for position in range(1, 101)}
    assert outcome(judge(Visitor(place=place(by_turn[50])), draw=held_draw)) is Claimable
    assert problem(judge(Visitor(place=place(by_turn[51])), draw=held_draw)) is ProblemType.NOT_YET


@pytest.mark.parametrize("state", [EventState.SCHEDULED, EventState.OPEN, EventState.PAUSED])
def test_before_the_draw_nobody_has_a_turn_whatever_the_pointer_says(state: EventState) -> None:
    decision = judge(SERVED, state=state, draw=Draw(commitment_to(SEED)))
    assert isinstance(decision, Refused)
    assert decision.problem is ProblemType.NOT_YET
    assert (decision.position, decision.turn, decision.ahead) == (50, None, None)


def test_an_event_that_closes_before_its_draw_is_closed_for_all() -> None:
    decision = judge(SERVED, state=EventState.CLOSED, draw=Draw(commitment_to(SEED)))
    assert problem(decision) is ProblemType.EVENT_CLOSED


@pytest.mark.parametrize(
    ("past_end_s", "admitted"), [(-1, True), (-0.001, True), (0, False), (1, False)]
)
def test_a_pass_admits_before_its_end_and_not_at_it(past_end_s: float, admitted: bool) -> None:
    decision = judge(HOLDER, now_s=SESSION_END + past_end_s)
    assert outcome(decision) == (Admitted if admitted else ProblemType.WINDOW_MISSED)


@pytest.mark.parametrize(("past_grace_s", "admitted"), [(-1, True), (0, False), (1, False)])
def test_a_finish_path_admits_until_the_grace_is_over(past_grace_s: int, admitted: bool) -> None:
    now_s = SESSION_END + GRACE_S + past_grace_s
    decision = judge(HOLDER, now_s=now_s, on_finish_path=True)
    assert outcome(decision) == (Admitted if admitted else ProblemType.WINDOW_MISSED)


def test_without_a_grace_a_finish_path_is_like_any_other() -> None:
    no_grace = EventPolicy(finish_grace_s=0)
    at_end = judge(HOLDER, now_s=SESSION_END, on_finish_path=True, policy=no_grace)
    assert problem(at_end) is ProblemType.WINDOW_MISSED


def test_a_finish_path_admits_nobody_without_a_pass() -> None:
    for visitor in (STRANGER, WAITING):
        assert isinstance(judge(visitor, on_finish_path=True), Refused)


@pytest.mark.parametrize("on_finish_path", [False, True])
@pytest.mark.parametrize("visitor", [HOLDER, HOLDER_OF_BOTH, Visitor(place=place(20))])
def test_an_ended_session_admits_nowhere_and_its_place_buys_no_new_one(
    visitor: Visitor, on_finish_path: bool
) -> None:
    decision = judge(visitor, on_finish_path=on_finish_path, ended={Position(20): SESSION_END})
    assert problem(decision) is ProblemType.WINDOW_MISSED


def test_another_visitor_s_ended_session_is_not_mine() -> None:
    assert isinstance(judge(HOLDER, ended={Position(21): SESSION_END}), Admitted)


@pytest.mark.parametrize("generation", [1, 2, 4])
@pytest.mark.parametrize("state", [s for s in EventState if s not in {"bypass", "deleted"}])
def test_a_pass_or_a_place_of_another_generation_never_helps(
    state: EventState, generation: int
) -> None:
    other = Generation(generation)
    for visitor in (
        Visitor(held=held(generation=other)),
        Visitor(place=place(1, generation=other)),
        Visitor(held=held(generation=other), place=place(1, generation=other)),
    ):
        decision = judge(visitor, state=state, on_finish_path=True)
        suspended = state is EventState.SUSPENDED
        expected = ProblemType.LEDGER_AWAY if suspended else ProblemType.GENERATION_OVER
        assert problem(decision) is expected


def test_a_pass_of_an_old_generation_does_not_spoil_a_new_place() -> None:
    old = held(generation=Generation(2))
    assert isinstance(judge(Visitor(held=old, place=place(50))), Claimable)
    assert problem(judge(Visitor(held=old, place=place(51)))) is ProblemType.NOT_YET


def test_a_pass_that_has_run_out_leaves_the_place_to_be_judged() -> None:
    over = held(expires_at=NOW_S)
    assert isinstance(judge(Visitor(held=over, place=place(50))), Claimable)
    assert problem(judge(Visitor(held=over))) is ProblemType.WINDOW_MISSED
    assert problem(judge(Visitor(held=over), state=EventState.CLOSED)) is ProblemType.WINDOW_MISSED


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0.0, Claimable),
        (STALE_AFTER_S - 1, Claimable),
        (STALE_AFTER_S, Claimable),
        (STALE_AFTER_S + 0.001, ProblemType.LEDGER_AWAY),
        (STALE_AFTER_S + 1, ProblemType.LEDGER_AWAY),
        (float("inf"), ProblemType.LEDGER_AWAY),
    ],
)
@pytest.mark.parametrize("state", [EventState.OPEN, EventState.CLOSED])
def test_a_reader_out_of_touch_for_over_30_s_grants_no_new_pass(
    state: EventState, age_s: float, expected: object
) -> None:
    assert outcome(judge(SERVED, age_s=age_s, state=state)) == expected


def test_held_passes_go_on_however_stale_the_reader_is() -> None:
    for state in (EventState.OPEN, EventState.PAUSED, EventState.CLOSED, EventState.SUSPENDED):
        assert isinstance(judge(HOLDER, age_s=10**6, state=state), Admitted)


def test_who_waits_is_told_so_however_stale_the_reader_is() -> None:
    assert problem(judge(WAITING, age_s=10**6)) is ProblemType.NOT_YET


def test_a_stranger_gets_one_answer_for_every_token_that_is_not_genuine() -> None:
    answers = {
        judge(Visitor(fault=fault)) for fault in TokenFault if fault is not TokenFault.EXPIRED
    }
    assert answers == {judge(STRANGER)}


def test_an_honest_bearer_of_an_expired_token_is_told_to_refresh() -> None:
    decision = judge(Visitor(fault=TokenFault.EXPIRED))
    assert isinstance(decision, Refused)
    assert decision.problem is ProblemType.NO_TOKEN
    assert "Refresh" in decision.detail


@pytest.mark.parametrize("fault", list(TokenFault))
def test_a_bad_token_beside_a_good_one_takes_nothing_away(fault: TokenFault) -> None:
    assert isinstance(judge(Visitor(held=held(), fault=fault)), Admitted)
    assert isinstance(judge(Visitor(place=place(50), fault=fault)), Claimable)


def test_every_problem_has_the_status_that_the_design_gives_it() -> None:
    assert {problem.value: status for problem, status in STATUS_OF.items()} == {
        "no-token": 401,
        "not-yet": 429,
        "backend-full": 429,
        "too-many-joins": 429,
        "window-missed": 410,
        "generation-over": 410,
        "event-closed": 410,
        "ledger-away": 503,
        "challenge-required": 403,
        "claim-first": 403,
        "not-canonical": 400,
    }
    assert set(STATUS_OF) == set(ProblemType)
    assert Refused(ProblemType.NOT_YET, "").status == 429


@pytest.mark.parametrize("state", list(EventState))
@pytest.mark.parametrize("visitor", EVERYONE)
def test_a_refusal_says_when_to_come_back_exactly_where_that_helps(
    state: EventState, visitor: Visitor
) -> None:
    decision = judge(visitor, state=state, age_s=100)
    if isinstance(decision, Refused):
        assert (decision.retry_after_s is not None) == (decision.status in {429, 503})


def test_a_silent_ledger_is_asked_again_in_five_seconds() -> None:
    decision = judge(STRANGER, snapshot=None)
    assert isinstance(decision, Refused)
    assert decision.retry_after_s == LEDGER_RETRY_S == 5
