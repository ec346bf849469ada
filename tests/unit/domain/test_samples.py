"""What samples say of a sale: no-shows, who has waited longest, and promises against what came."""

import pytest

from gateway.domain.draw import SEED_BYTES, Draw, commitment_to
from gateway.domain.holes import Holes
from gateway.domain.samples import (
    at_the_door,
    front_joined_between,
    let_in,
    no_shows,
    waits_had,
)
from gateway.domain.turnout import Turnout
from gateway.domain.waiting import Wait
from tests.support.reads import event
from tests.support.samples import sample


def test_nobody_is_let_in_by_a_pointer_in_a_hole_or_ahead_of_everybody() -> None:
    assert let_in(event(100, 60)) == 60
    assert let_in(event(100, 120)) == 100
    assert let_in(event(100, 60, holes=Holes(((11, 30),)))) == 40


def test_who_has_time_left_is_at_the_door() -> None:
    turnout = Turnout.for_window(160)
    turnout.note_released(10, 10)
    turnout.cohorts[-1].came = 4
    assert at_the_door(event(20, 10)) == 0
    assert at_the_door(event(20, 10, turnout=turnout)) == 6


@pytest.mark.parametrize(
    ("people", "claims", "late", "door", "missed"),
    [
        (10, 0, 0, 10, 0),
        (10, 6, 0, 4, 0),
        (10, 6, 0, 1, 3),
        # Who comes late has let the window pass all the same.
        (10, 8, 2, 1, 3),
        # More sessions than turns let in: claims of a bypass.
        (10, 14, 0, 0, 0),
    ],
)
def test_no_shows_are_who_came_neither_in_time_nor_may_still(
    people: int, claims: int, late: int, door: int, missed: int
) -> None:
    assert no_shows(people, claims, late, door) == missed
    held = sample(0, people, people, claims=claims, late=late, at_the_door=door)
    assert held.no_shows == missed


def test_a_wait_ends_with_the_sample_that_has_the_place_served() -> None:
    course = [
        sample(0, 5, 0, promised=Wait(5, 15)),
        sample(10, 8, 3),
        sample(20, 9, 7),
        sample(30, 9, 9),
    ]

    waited = waits_had(course)

    # 5 was served between 10 s and 20 s, 8 between 20 s and 30 s; 9, dealt by 20 s, by 30 s.
    assert [(w.joined_at_s, w.least_s, w.seconds, w.is_over) for w in waited] == [
        (0, 10.0, 20.0, True),
        (10, 10.0, 20.0, True),
        (20, 0.0, 10.0, True),
    ]


def test_who_waits_still_has_waited_until_the_last_sample() -> None:
    (waited,) = waits_had([sample(0, 5, 5), sample(10, 9, 5), sample(40, 9, 5)])[:1]
    assert (waited.joined_at_s, waited.seconds, waited.is_over) == (10, 30.0, False)
    assert not waited.is_as_promised


def test_a_pause_is_no_part_of_a_wait() -> None:
    first, last = sample(0, 5, 0), sample(600, 5, 5, open_ms=20_000)
    assert [waited.seconds for waited in waits_had([first, last])] == [20.0]


@pytest.mark.parametrize(
    ("promised", "held"),
    [
        (Wait(12, 18), True),
        (Wait(20, 30), True),
        (Wait(1, 10), True),
        (Wait(21, 30), False),
        (Wait(1, 9), False),
        (None, False),
    ],
)
def test_a_promise_holds_as_far_as_two_samples_can_tell(promised: Wait | None, held: bool) -> None:
    course = [sample(0, 5, 0, promised=promised), sample(10, 5, 2), sample(20, 5, 5)]
    assert waits_had(course)[0].is_as_promised is held


MOMENTS = [(100.0, 3), (110.0, 3), (120.0, 8), (130.0, 9)]


@pytest.mark.parametrize(
    ("served", "between"),
    [
        (0, (None, 100.0)),
        (2, (None, 100.0)),
        (3, (110.0, 120.0)),
        (7, (110.0, 120.0)),
        (8, (120.0, 130.0)),
    ],
)
def test_the_first_who_waits_joined_when_the_count_reached_them(
    served: int, between: tuple[float | None, float]
) -> None:
    assert front_joined_between(MOMENTS, event(9, served)) == between


def test_nobody_waits_for_what_nobody_holds() -> None:
    assert front_joined_between(MOMENTS, event(9, 9)) is None
    assert front_joined_between(MOMENTS, event(9, 3, holes=Holes(((4, 8),)))) == (120.0, 130.0)


def test_of_the_drawn_nobody_knows_who_is_first() -> None:
    seed = bytes(SEED_BYTES)
    drawn = Draw(commitment_to(seed), seed.hex(), 5)
    assert front_joined_between(MOMENTS, event(9, 4, draw=drawn)) is None
    assert front_joined_between(MOMENTS, event(9, 5, draw=drawn)) == (110.0, 120.0)
    assert (
        front_joined_between(MOMENTS, event(9, 0, draw=Draw(drawn.commitment, None, None))) is None
    )


def test_a_place_that_no_look_has_seen_cannot_be_told() -> None:
    assert front_joined_between(MOMENTS[:1], event(9, 4)) is None
