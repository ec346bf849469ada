"""The draw, checked against known answers and against a second implementation."""

import hashlib
import hmac
from collections import Counter

import pytest

from gateway.domain.draw import Draw, commitment_to, permute
from gateway.domain.positions import Position

SEED = bytes(range(32))
KNOWN_TEN = [1, 3, 2, 5, 9, 10, 6, 4, 8, 7]
KNOWN_MILLION = [505502, 829397, 565213, 487244]


def second_opinion(position: int, count: int, seed: bytes) -> int:
    """Do the draw as anyone would who checks it from the pointer document.

    A number is two equal halves of bits, as few as can hold `count` numbers, but one bit each at
    least. Ten rounds: the halves change places, and the new right one is the old left one, each bit
    turned where the round's digest has a one: HMAC-SHA-256 under the seed of one byte with the
    round's number and eight bytes with the old right half, its first eight bytes, big-endian. Who
    falls outside goes round again.
    """
    half = 2
    while half * half < count:
        half *= 2
    number = position - 1
    for _ in range(half * half):
        high, low = divmod(number, half)
        for turn in range(10):
            mac = hmac.new(seed, bytes([turn]) + low.to_bytes(8, "big"), "sha256")
            high, low = low, high ^ int.from_bytes(mac.digest()[:8], "big") % half
        number = high * half + low
        if number < count:
            return number + 1
    raise AssertionError("the walk does not end")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 100])
def test_the_draw_is_what_a_second_implementation_makes_of_it(count: int) -> None:
    for position in range(1, count + 1):
        assert permute(position, count, SEED) == second_opinion(position, count, SEED)


def test_the_draw_of_known_seeds_never_changes() -> None:
    # A visitor who wrote down their turn must find it again after an upgrade.
    assert [permute(p, 10, SEED) for p in range(1, 11)] == KNOWN_TEN
    assert [permute(p, 1_000_000, SEED) for p in (1, 2, 999_999, 1_000_000)] == KNOWN_MILLION


def test_a_draw_of_one_leaves_the_one_first() -> None:
    assert permute(1, 1, SEED) == 1


@pytest.mark.parametrize("position", [0, -1, 11, 2**53])
def test_a_position_outside_the_draw_is_refused(position: int) -> None:
    with pytest.raises(ValueError, match="within the draw"):
        permute(position, 10, SEED)


def test_the_largest_draw_that_the_ledger_can_hold_works() -> None:
    count = 2**53 - 1
    turns = {permute(position, count, SEED) for position in (1, 2, count - 1, count)}
    assert len(turns) == 4
    assert all(1 <= turn <= count for turn in turns)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_every_turn_is_about_as_likely_for_the_first_who_joined(count: int) -> None:
    seeds = 400 * count
    turns = Counter(permute(1, count, hashlib.sha256(b"%d" % i).digest()) for i in range(seeds))
    # Chi-square: the mean is the degrees of freedom; five times as much has a chance below 1e-3.
    chi_square = sum((turns[turn] - 400) ** 2 / 400 for turn in range(1, count + 1))
    assert chi_square < 5 * (count - 1) + 6


def test_joining_earlier_is_no_advantage_in_the_draw() -> None:
    count = 200
    first_half = [permute(position, count, SEED) for position in range(1, count // 2 + 1)]
    # The mean of 100 of the turns 1 to 200 is 100.5 with a deviation of about 4.
    assert 80 < sum(first_half) / len(first_half) < 120


def test_the_commitment_is_the_sha_256_of_the_seed() -> None:
    assert commitment_to(SEED) == hashlib.sha256(SEED).hexdigest()
    assert commitment_to(SEED) != commitment_to(SEED + b"\0")


def test_nobody_has_a_turn_before_the_draw() -> None:
    sealed = Draw(commitment_to(SEED))
    assert sealed.turn_of(Position(1)) is None
    assert Draw(commitment_to(SEED), seed=SEED.hex()).turn_of(Position(1)) is None
    assert Draw("c", count=5).turn_of(Position(1)) is None


def test_who_joined_before_the_opening_is_drawn_and_who_came_later_is_not() -> None:
    held = Draw(commitment_to(SEED), SEED.hex(), 10)
    assert [held.turn_of(Position(p)) for p in range(1, 11)] == KNOWN_TEN
    assert held.turn_of(Position(11)) == 11
    assert held.turn_of(Position(500)) == 500


def test_a_draw_of_nobody_gives_everyone_their_position() -> None:
    assert Draw(commitment_to(SEED), SEED.hex(), 0).turn_of(Position(1)) == 1


@pytest.mark.parametrize("seed", ["zz", "abc", "é"])
def test_a_seed_that_cannot_be_read_is_found_out_when_the_draw_is_read(seed: str) -> None:
    # Not at a visitor's request, where it would be an error of ours.
    with pytest.raises(ValueError, match="hexadecimal"):
        Draw("c", seed, 5)
