"""The draw is a permutation for every seed and size, and nobody's turn is anybody else's."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.draw import SEED_BYTES, Draw, commitment_to, permute
from gateway.domain.events import turn_of
from gateway.domain.positions import Position

seeds = st.binary(min_size=SEED_BYTES, max_size=SEED_BYTES)


@pytest.mark.parametrize("first", range(1, 301, 50))
def test_the_draw_is_a_bijection_for_every_size_up_to_300(first: int) -> None:
    for count in range(first, first + 50):
        seed = hashlib.sha256(count.to_bytes(4, "big")).digest()
        turns = sorted(permute(position, count, seed) for position in range(1, count + 1))
        assert turns == list(range(1, count + 1))


@given(seed=seeds, count=st.integers(1, 300))
@settings(deadline=None, max_examples=40)
def test_the_draw_is_a_bijection_for_every_seed(seed: bytes, count: int) -> None:
    turns = {permute(position, count, seed) for position in range(1, count + 1)}
    assert turns == set(range(1, count + 1))


@given(seed=seeds, count=st.integers(1, 2**53 - 1), data=st.data())
@settings(deadline=None, max_examples=100)
def test_a_draw_of_any_size_keeps_everyone_inside_and_apart(
    seed: bytes, count: int, data: st.DataObject
) -> None:
    positions = data.draw(st.sets(st.integers(1, count), min_size=1, max_size=20))
    turns = {permute(position, count, seed) for position in positions}
    assert len(turns) == len(positions)
    assert all(1 <= turn <= count for turn in turns)


@given(seed=seeds, other=seeds)
@settings(deadline=None, max_examples=50)
def test_another_seed_is_another_draw_and_another_commitment(seed: bytes, other: bytes) -> None:
    if seed == other:
        return
    assert commitment_to(seed) != commitment_to(other)
    drawn, drawn_again = ([permute(p, 10_000, s) for p in range(1, 31)] for s in (seed, other))
    assert drawn != drawn_again


@given(seed=seeds, count=st.integers(0, 60), late=st.integers(1, 40))
@settings(deadline=None, max_examples=50)
def test_no_two_visitors_share_a_turn_whenever_they_joined(
    seed: bytes, count: int, late: int
) -> None:
    draw = Draw(commitment_to(seed), seed.hex(), count)
    turns = {draw.turn_of(Position(position)) for position in range(1, count + late + 1)}
    assert turns == set(range(1, count + late + 1))


@given(seed=seeds, count=st.integers(0, 60), position=st.integers(1, 100), ahead=st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_a_head_start_never_makes_a_turn_later(
    seed: bytes, count: int, position: int, ahead: int
) -> None:
    draw = Draw(commitment_to(seed), seed.hex(), count)
    plain = turn_of(Position(position), 0, draw)
    ahead_of_that = turn_of(Position(position), ahead, draw)
    assert plain is not None
    assert ahead_of_that == max(1, plain - ahead)
