"""The judge of histories convicts what breaks a guarantee, and nothing that can be explained."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.history import (
    Claim,
    Closing,
    Count,
    Extend,
    History,
    Join,
    Leave,
    Look,
    NewGeneration,
    Operation,
    Pass,
    Place,
    Release,
    Request,
    merged,
)
from tests.support.judging import Bounds, Guarantee, judge, report

GENERATION = 7
SESSION_END = 600.0
LASTS_S = 0.1


def convicted(*operations: Operation, **bounds: Any) -> set[Guarantee]:
    return {violation.guarantee for violation in verdict(History(list(operations)), **bounds)}


def verdict(history: History, **bounds: Any) -> Any:
    return judge(history, Bounds(**bounds))


def place(position: int, generation: int = GENERATION) -> Place:
    return Place(generation, position)


def times(at: float, lasts_s: float = LASTS_S) -> dict[str, Any]:
    return {"began_s": at, "ended_s": at + lasts_s}


def joined(at: float, position: int, lasts_s: float = LASTS_S, **more: Any) -> Join:
    return Join(**times(at, lasts_s), status=201, place=place(position), **more)


def unanswered(at: float, key: str | None = None, lasts_s: float = LASTS_S) -> Join:
    return Join(**times(at, lasts_s), status=None, key=key)


def shown(at: float, served_up_to: int, **more: Any) -> Look:
    """What the pointer document said."""
    said = {"generation": GENERATION, "gateway": "a", **more}
    return Look(**times(at), served_up_to=served_up_to, **said)


def looked(at: float, position: int, **more: Any) -> Look:
    """A look at one's own place."""
    return Look(**times(at), shown=place(position), **more)


def released(at: float, by: int, request_id: str = "r1", **more: Any) -> Release:
    return Release(**times(at), by=by, request_id=request_id, **more)


def claimed(at: float, position: int, ends_at: float = SESSION_END, **more: Any) -> Claim:
    return Claim(**times(at), shown=place(position), given=Pass(place(position), ends_at), **more)


def entered(at: float, position: int, **more: Any) -> Request:
    """A request with a queue token that reached the backend."""
    return Request(**times(at), shown=place(position), **{"reached": position, **more})


def refused(at: float, position: int, status: int, problem: str, **more: Any) -> Request:
    """A request with a pass that did not."""
    held = Pass(place(position), SESSION_END)
    return Request(**times(at), held=held, status=status, problem=problem, gateway="a", **more)


def crowd(people: int) -> list[Join]:
    """Visitors who joined one after the other, before the instant 0."""
    return [joined(n - people - 1, n) for n in range(1, people + 1)]


NOTHING: set[Guarantee] = set()


def test_a_quiet_sale_breaks_nothing() -> None:
    operations = [
        *crowd(4),
        shown(0, 0, issued=4, holes=()),
        released(1, 2, people=2, after=2),
        shown(2, 2, issued=4, holes=()),
        looked(3, 1, place=place(1), generation=GENERATION, served_up_to=2),
        claimed(4, 1),
        claimed(4.5, 1),
        Request(**times(5), held=Pass(place(1), SESSION_END), reached=1),
        entered(6, 2, given=Pass(place(2), SESSION_END)),
        Count(**times(8), generation=GENERATION, claims=2),
        looked(9, 3, place=place(3), generation=GENERATION, served_up_to=2, last=True),
    ]
    assert convicted(*operations, max_sessions=2) == NOTHING


# --- Positions -----------------------------------------------------------------------------------


def test_one_position_for_two_visitors() -> None:
    assert convicted(joined(0, 1, key="a"), joined(1, 1, key="b")) == {Guarantee.ONE_HOLDER}
    assert convicted(joined(0, 1), joined(0, 1)) == {Guarantee.ONE_HOLDER}


def test_one_position_in_two_generations_or_two_events_is_none() -> None:
    second = NewGeneration(**times(0.5))
    assert convicted(joined(0, 1), second, replace(joined(1, 1), place=place(1, 8))) == NOTHING
    assert convicted(joined(0, 1), replace(joined(1, 1), event="other")) == NOTHING


def test_a_retry_with_the_same_key_or_the_own_token_is_given_the_same_position() -> None:
    assert convicted(unanswered(0, "a"), joined(1, 1, key="a"), joined(2, 1, key="a")) == NOTHING
    assert convicted(joined(0, 1), joined(1, 1, shown=place(1))) == NOTHING


def test_a_gap_is_no_violation() -> None:
    assert convicted(joined(0, 1), unanswered(0.5), joined(1, 3), joined(2, 900)) == NOTHING


def test_one_key_that_gives_two_positions() -> None:
    again = [joined(0, 1, key="a"), joined(1, 2, key="a")]
    assert convicted(*again) == {Guarantee.ONE_PLACE_PER_KEY}
    assert convicted(*again, forgiven=frozenset({Guarantee.ONE_PLACE_PER_KEY})) == NOTHING


def test_a_key_that_is_forgotten_by_then_or_of_another_generation_gives_a_new_one() -> None:
    assert convicted(joined(0, 1, key="a"), joined(601, 2, key="a")) == NOTHING
    later = replace(joined(2, 1, key="a"), place=place(1, 8))
    assert convicted(joined(0, 5, key="a"), NewGeneration(**times(1)), later) == NOTHING


def test_who_joined_later_and_stands_before() -> None:
    assert convicted(joined(0, 2), joined(1, 1)) == {Guarantee.ORDER}


def test_joins_that_overlap_may_stand_in_any_order() -> None:
    assert convicted(joined(0, 2, lasts_s=1), joined(0.9, 1)) == NOTHING


def test_a_retried_join_counts_from_its_first_attempt() -> None:
    # The lost attempt was dealt 1, before the other joined; its answer came with the retry.
    assert convicted(unanswered(0, "a"), joined(1, 2), joined(2, 1, key="a")) == NOTHING


def test_a_retry_cannot_stand_before_who_had_joined_before_the_first_attempt() -> None:
    late = [joined(0, 2), unanswered(1, "a"), joined(2, 1, key="a")]
    assert convicted(*late) == {Guarantee.ORDER}


def test_an_answered_join_counts_to_its_first_answer() -> None:
    assert convicted(joined(0, 2, key="a"), joined(1, 1), joined(2, 2, key="a")) == {
        Guarantee.ORDER
    }


def test_a_position_below_what_was_shown_as_issued() -> None:
    assert convicted(shown(0, 0, issued=5), joined(1, 5)) == {Guarantee.ORDER}
    assert convicted(shown(0, 0, issued=5), joined(0.05, 5), joined(1, 6)) == NOTHING


def test_an_answer_about_somebody_else() -> None:
    theirs = looked(0, 1, place=place(2), generation=GENERATION)
    assert convicted(theirs) == {Guarantee.OWN_ANSWER}
    assert convicted(replace(theirs, place=None, status=503, problem="ledger-away")) == NOTHING
    crossed = replace(claimed(2, 1), given=Pass(place(2), SESSION_END))
    assert Guarantee.OWN_ANSWER in convicted(*crowd(2), released(0, 2), crossed)
    assert Guarantee.OWN_ANSWER in convicted(*crowd(2), released(0, 2), entered(1, 1, reached=2))


# --- The pointer ---------------------------------------------------------------------------------


def test_a_pointer_that_goes_back_at_one_gateway() -> None:
    back = [*crowd(5), released(0, 5), shown(1, 5), shown(1.5, 4)]
    assert convicted(*back) == {Guarantee.POINTER_ONLY_GROWS}
    back[-1] = replace(shown(1.5, 5), generation=6)
    assert Guarantee.POINTER_ONLY_GROWS in convicted(*back)


def test_answers_that_overlap_may_come_in_any_order() -> None:
    assert convicted(*crowd(5), released(0, 5), shown(1, 5), shown(1.05, 4)) == NOTHING


def test_another_gateway_may_be_behind_for_as_long_as_it_may_be_stale() -> None:
    def behind(by_s: float) -> list[Operation]:
        return [*crowd(5), released(0, 5), shown(1, 5), shown(1.1 + by_s, 4, gateway="b")]

    assert convicted(*behind(0.9)) == NOTHING
    assert convicted(*behind(1.1)) == {Guarantee.POINTER_IS_FRESH}
    assert convicted(*behind(1.1), fresh_s=2.0) == NOTHING


def test_a_released_pointer_must_be_shown_within_the_bound_too() -> None:
    said = released(0, 5, people=5, after=5)
    assert convicted(*crowd(5), said, shown(2, 4)) == {Guarantee.POINTER_IS_FRESH}
    assert convicted(*crowd(5), said, shown(1, 4)) == NOTHING


def test_while_the_ledger_is_away_a_gateway_may_be_stale_for_longer() -> None:
    operations = [*crowd(5), released(0, 5), shown(1, 5), shown(6, 4, gateway="b")]
    assert verdict(History(operations, faults=[(1.5, 5.5)])) == []
    assert verdict(History(operations, faults=[(1.5, 3.0), (2.9, 5.5)])) == []
    # Between the two faults, and after the last, there was time enough to read.
    assert verdict(History(operations, faults=[(1.2, 2.0), (3.5, 5.5)])) != []
    assert verdict(History(operations, faults=[(1.2, 4.5)])) != []


def test_a_pointer_past_what_was_issued() -> None:
    past = [*crowd(5), released(0, 6), shown(1, 6, issued=5)]
    assert convicted(*past) == {Guarantee.POINTER_WITHIN_ISSUED}
    assert convicted(*past, headroom=1) == NOTHING


def test_a_release_carried_out_twice() -> None:
    twice = [*crowd(9), released(0, 3), released(0.5, 3), shown(1, 6)]
    assert convicted(*twice) == {Guarantee.RELEASED_ONCE}


def test_two_answers_that_both_say_to_have_moved_the_pointer() -> None:
    told = [*crowd(9), released(0, 3, people=3, after=3), released(1, 3, people=3, after=6)]
    assert convicted(*told) == {Guarantee.RELEASED_ONCE}
    told[-1] = released(1, 3, people=3, after=3, repeated=True)
    assert convicted(*told) == NOTHING


def test_a_release_without_an_answer_may_have_happened() -> None:
    lost = [*crowd(9), released(0, 3, status=None), shown(1, 3), released(2, 3, status=None)]
    assert convicted(*lost) == NOTHING


def test_a_release_that_was_refused_has_not_happened() -> None:
    assert convicted(*crowd(9), released(0, 3, status=409), shown(1, 3)) == {
        Guarantee.RELEASED_ONCE
    }


def test_releases_of_different_names_add_up() -> None:
    both = [*crowd(9), released(0, 3, "r1"), released(0.5, 3, "r2"), shown(1, 6)]
    assert convicted(*both) == NOTHING
    unnamed = [replace(release, request_id=None) for release in (released(0, 3), released(0, 3))]
    assert convicted(*crowd(9), *unnamed, shown(1, 6)) == NOTHING


def test_a_release_to_a_turn_reaches_it_once() -> None:
    to = Release(**times(0), to=6, request_id="r1")
    assert convicted(*crowd(9), to, to, shown(1, 6)) == NOTHING
    assert convicted(*crowd(9), to, released(0.5, 2, "r2"), shown(1, 8)) == NOTHING
    assert convicted(*crowd(9), to, released(0.5, 2, "r2"), shown(1, 9)) == {
        Guarantee.RELEASED_ONCE
    }


def test_a_capped_release_counts_for_what_it_did() -> None:
    capped = [*crowd(3), released(0, 5, people=3, after=3)]
    assert convicted(*capped, joined(0.5, 4), joined(0.7, 5), shown(1.2, 5)) == {
        Guarantee.RELEASED_ONCE
    }


def test_the_pointer_crosses_positions_that_nobody_holds() -> None:
    gap = [joined(-3, 1), joined(-2, 2), joined(-1, 100), released(0, 3)]
    assert convicted(*gap, shown(1, 100)) == NOTHING
    assert convicted(*gap, shown(1, 100, holes=((3, 99),), issued=100)) == NOTHING


def test_positions_outside_the_published_holes_belong_to_somebody() -> None:
    gap = [joined(-3, 1), joined(-2, 2), joined(-1, 100), released(0, 3), shown(1, 100)]
    # 51 to 99 are burned, dealt to joins that never learned of it: they had to be released too.
    published = shown(2, 100, holes=((3, 50),), issued=100)
    assert Guarantee.RELEASED_ONCE in convicted(*gap, published)


def test_entering_before_the_turn_could_have_come() -> None:
    assert convicted(*crowd(5), released(0, 3), claimed(1, 4)) == {Guarantee.NOBODY_EARLY}
    assert convicted(*crowd(5), released(0, 3), entered(1, 4)) == {Guarantee.NOBODY_EARLY}
    assert convicted(*crowd(5), claimed(-0.5, 1), released(0, 3)) == {Guarantee.NOBODY_EARLY}


def test_entering_while_a_release_is_under_way() -> None:
    assert convicted(*crowd(5), claimed(0, 4), released(0.05, 4)) == NOTHING


def test_entering_by_a_release_whose_answer_was_lost() -> None:
    assert convicted(*crowd(5), released(0, 4, status=None), claimed(1, 4)) == NOTHING


def test_being_turned_back_is_not_entering() -> None:
    early = Claim(**times(1), shown=place(4), status=429, problem="not-yet")
    waiting = Request(**times(1), shown=place(4), status=429, problem="not-yet")
    assert convicted(*crowd(5), released(0, 3), early, waiting) == NOTHING


# --- Sessions ------------------------------------------------------------------------------------


@pytest.fixture
def served() -> list[Operation]:
    return [*crowd(5), released(0, 5)]


def test_a_position_that_opens_two_sessions(served: list[Operation]) -> None:
    both = [claimed(1, 1, fresh=True), claimed(2, 1, fresh=True)]
    assert convicted(*served, *both) == {Guarantee.ONE_SESSION}
    assert convicted(*served, both[0], replace(both[1], fresh=False)) == NOTHING


def test_a_session_whose_end_moves(served: list[Operation]) -> None:
    moved = [claimed(1, 1, 600), claimed(20, 1, 619)]
    assert convicted(*served, *moved) == {Guarantee.ONE_SESSION}
    assert convicted(*served, *moved, Extend(**times(10), place=place(1))) == NOTHING
    assert convicted(*served, claimed(1, 1, 600), claimed(20, 1, 601)) == NOTHING


def test_the_clock_of_sessions_stands_still_in_an_outage(served: list[Operation]) -> None:
    moved = [claimed(1, 1, 600), claimed(40, 1, 619)]
    assert verdict(History([*served, *moved], faults=[(5, 30)])) == []


def test_a_session_for_who_had_left(served: list[Operation]) -> None:
    gone = Leave(**times(2), place=place(1))
    assert convicted(*served, claimed(1, 1), gone, claimed(3, 1)) == {Guarantee.ONE_SESSION}
    lost = replace(gone, status=None)
    assert convicted(*served, claimed(1, 1), lost, claimed(3, 1)) == NOTHING
    assert convicted(*served, claimed(1, 1), gone, claimed(2.05, 1)) == NOTHING


def test_a_session_after_the_first_had_ended(served: list[Operation]) -> None:
    again = [claimed(1, 1, 10), claimed(20, 1, 11)]
    assert convicted(*served, *again) == {Guarantee.ONE_SESSION}


def test_more_sessions_than_visitors_who_asked(served: list[Operation]) -> None:
    count = Count(**times(5), generation=GENERATION, claims=2)
    assert convicted(*served, claimed(1, 1), count) == {Guarantee.ONE_SESSION}
    lost = Claim(**times(2), shown=place(2), status=None)
    assert convicted(*served, claimed(1, 1), lost, count) == NOTHING


def test_more_sessions_than_the_limit(served: list[Operation]) -> None:
    three = [claimed(n, n) for n in (1, 2, 3)]
    assert convicted(*served, *three, max_sessions=2) == {Guarantee.SESSIONS_WITHIN_LIMIT}
    assert convicted(*served, *three, max_sessions=3) == NOTHING


def test_sessions_that_have_ended_or_were_left_do_not_count(served: list[Operation]) -> None:
    gone = Leave(**times(2.5), place=place(1), status=None)
    in_turn = [claimed(1, 1), claimed(2, 2), gone, claimed(3, 3)]
    assert convicted(*served, *in_turn, max_sessions=2) == NOTHING
    ended = [claimed(1, 1, 10), claimed(2, 2), claimed(11, 3)]
    assert convicted(*served, *ended, max_sessions=2) == NOTHING
    assert convicted(*served, claimed(1, 1), claimed(1.5, 1), max_sessions=1) == NOTHING


# --- Tokens and passes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (401, "no-token"),
        (400, ""),
        (404, ""),
        (410, "generation-over"),
        (410, "event-closed"),
        (410, "window-missed"),
    ],
)
def test_a_token_that_is_refused_while_its_event_lives(status: int, problem: str) -> None:
    for asked in (
        looked(0, 1, status=status, problem=problem),
        Claim(**times(0), shown=place(1), status=status, problem=problem),
        Request(**times(0), shown=place(1), status=status, problem=problem),
    ):
        assert convicted(asked) == {Guarantee.TOKEN_STAYS_GOOD}


@pytest.mark.parametrize(
    ("status", "problem"),
    [(429, "not-yet"), (429, "backend-full"), (503, "ledger-away"), (None, "")],
)
def test_a_token_may_have_to_wait(status: int | None, problem: str) -> None:
    assert convicted(looked(0, 1, status=status, problem=problem)) == NOTHING


def test_a_token_whose_event_is_over_by_an_operators_act() -> None:
    over = looked(1, 1, status=410, problem="generation-over")
    assert convicted(NewGeneration(**times(0)), over) == NOTHING
    assert convicted(over, NewGeneration(**times(2))) == {Guarantee.TOKEN_STAYS_GOOD}
    closed = looked(1, 1, status=410, problem="event-closed")
    assert convicted(Closing(**times(0)), closed) == NOTHING


def test_a_token_that_has_expired() -> None:
    assert convicted(looked(5, 1, status=401, expires_at=5)) == NOTHING
    assert convicted(looked(5, 1, status=401, expires_at=6)) == {Guarantee.TOKEN_STAYS_GOOD}


def test_a_token_whose_session_is_or_may_be_over() -> None:
    missed = looked(20, 1, status=410, problem="window-missed")
    lost = Claim(**times(1), shown=place(1), status=None)
    assert convicted(Leave(**times(2), place=place(1)), missed) == NOTHING
    assert convicted(lost, missed) == {Guarantee.TOKEN_STAYS_GOOD}
    assert convicted(lost, missed, session_s=15) == NOTHING
    assert convicted(*crowd(1), released(0, 1), missed, window_s=15) == NOTHING


def test_joining_again_with_a_good_token_keeps_the_place() -> None:
    again = [joined(0, 1), joined(1, 2, shown=place(1))]
    assert convicted(*again) == {Guarantee.TOKEN_STAYS_GOOD}
    assert convicted(*again, Leave(**times(0.5), place=place(1))) == NOTHING


def test_who_was_admitted_is_turned_back() -> None:
    informed = shown(0, 0)
    for status, problem in [(401, "no-token"), (410, "window-missed"), (503, "ledger-away")]:
        back = refused(1, 1, status, problem)
        assert convicted(informed, back) == {Guarantee.PASS_STAYS_GOOD}


def test_a_pass_that_has_ended_or_was_given_back() -> None:
    ended = refused(601, 1, 410, "window-missed")
    assert convicted(shown(0, 0), ended) == NOTHING
    back = refused(1, 1, 410, "window-missed")
    assert convicted(shown(0, 0), back, Leave(**times(0.5), place=place(1))) == NOTHING
    late = Leave(**times(2), place=place(1))
    assert convicted(shown(0, 0), back, late) == {Guarantee.PASS_STAYS_GOOD}
    assert convicted(NewGeneration(**times(0)), refused(1, 1, 410, "generation-over")) == NOTHING


def test_a_gateway_that_has_read_nothing_yet_may_say_so() -> None:
    away = refused(1, 1, 503, "ledger-away")
    assert convicted(away) == NOTHING
    assert convicted(shown(0, 0, gateway="b"), away) == NOTHING
    assert convicted(away, shown(2, 0)) == NOTHING
    assert convicted(refused(1, 1, 410, "window-missed")) == {Guarantee.PASS_STAYS_GOOD}


# --- The event -----------------------------------------------------------------------------------


def test_a_generation_that_nobody_began() -> None:
    other = replace(joined(1, 1), place=place(1, 8))
    assert convicted(joined(0, 1), other) == {Guarantee.ONE_GENERATION}
    assert convicted(joined(0, 1), NewGeneration(**times(0.5), status=None), other) == NOTHING
    assert convicted(joined(0, 1), other, NewGeneration(**times(2))) == {Guarantee.ONE_GENERATION}


def test_what_is_not_answered_after_everything_was_healed() -> None:
    assert convicted(looked(0, 1, status=503, problem="ledger-away", last=True)) == {
        Guarantee.SERVES_AGAIN
    }
    assert convicted(looked(0, 1, status=None, last=True)) == {Guarantee.SERVES_AGAIN}


def test_who_is_served_and_not_let_in_after_everything_was_healed(
    served: list[Operation],
) -> None:
    served.append(shown(1, 5))
    back = Request(**times(3), shown=place(1), status=429, problem="not-yet", last=True)
    assert convicted(*served, back) == {Guarantee.SERVES_AGAIN}
    assert convicted(*served, replace(back, last=False)) == NOTHING
    assert convicted(*served, joined(1.5, 6), replace(back, shown=place(6))) == NOTHING
    full = replace(back, problem="backend-full")
    assert convicted(*served, full, max_sessions=1) == NOTHING


def test_a_failure_in_nobodys_words() -> None:
    for status in (500, 502, 504):
        assert convicted(joined(0, 1), Join(**times(1), status=status)) == {
            Guarantee.NO_BROKEN_ANSWER
        }
    assert convicted(Join(**times(1), status=503)) == {Guarantee.NO_BROKEN_ANSWER}
    assert convicted(Join(**times(1), status=503, problem="ledger-away")) == NOTHING


def test_a_verdict_names_the_guarantee_and_shows_the_evidence() -> None:
    (violation,) = judge(History([joined(0, 1), joined(1, 1)]))
    assert str(violation).startswith("no two visitors of one generation hold the same position: ")
    assert len(violation.evidence) == 2
    assert report([violation, violation]) == f"2 times, {violation}"
    assert report([]) == ""


def test_intervals_are_merged() -> None:
    assert merged([(5, 6), (1, 2), (2, 3), (1, 1.5)]) == [(1, 3), (5, 6)]
    assert History(faults=[(1, 3), (2, 5)]).fault_between(0, 4) == 3


def test_every_guarantee_is_tested_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert all(f"Guarantee.{guarantee.name}" in source for guarantee in Guarantee)
