"""The breaker opens after failures in a row, lets one probe through at a time, and closes on an answer."""

import asyncio

import pytest

from gateway.errors import LedgerUnavailable
from gateway.ledger.breaker import (
    CIRCUIT_OPEN,
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    TRIPS_AFTER,
    Breaker,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Away(Exception):
    pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock, jitter=lambda: 1.0)


def is_away(exc: BaseException) -> bool:
    return isinstance(exc, Away)


def attempt(breaker: Breaker, end: BaseException | None = None) -> None:
    with breaker.guarding(is_away):
        if end is not None:
            raise end


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Away):
            attempt(breaker, Away())


def is_refused(breaker: Breaker) -> bool:
    try:
        attempt(breaker)
    except LedgerUnavailable as exc:
        return exc.cause == CIRCUIT_OPEN
    return False


def test_it_opens_after_so_many_failures_in_a_row_and_not_before(breaker: Breaker) -> None:
    fail(breaker, TRIPS_AFTER - 1)
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open
    assert is_refused(breaker)


def test_one_answer_in_between_begins_the_count_anew(breaker: Breaker) -> None:
    fail(breaker, TRIPS_AFTER - 1)
    attempt(breaker)
    fail(breaker, TRIPS_AFTER - 1)
    assert not breaker.is_open


def test_a_refusal_by_the_server_is_an_answer(breaker: Breaker) -> None:
    fail(breaker, TRIPS_AFTER - 1)
    with pytest.raises(ValueError, match="no"):
        attempt(breaker, ValueError("no"))
    fail(breaker, TRIPS_AFTER - 1)
    assert not breaker.is_open


def test_a_caller_who_gives_up_is_neither_a_failure_nor_an_answer(breaker: Breaker) -> None:
    fail(breaker, TRIPS_AFTER - 1)
    for _ in range(TRIPS_AFTER):
        with pytest.raises(asyncio.CancelledError):
            attempt(breaker, asyncio.CancelledError())
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open


def test_after_the_pause_one_probe_goes_through_and_its_answer_closes_it(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, TRIPS_AFTER)
    clock.now_s += FIRST_PAUSE_S - 0.01
    assert is_refused(breaker)
    clock.now_s += 0.02
    with breaker.guarding(is_away):
        assert is_refused(breaker), "a second one while the probe is under way"
    assert not breaker.is_open
    attempt(breaker)


def test_each_probe_that_fails_makes_the_next_pause_longer_up_to_a_limit(
    breaker: Breaker, clock: Clock
) -> None:
    fail(breaker, TRIPS_AFTER)
    pause_s = FIRST_PAUSE_S
    for _ in range(8):
        clock.now_s += pause_s - 0.01
        assert is_refused(breaker)
        clock.now_s += 0.02
        fail(breaker)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
    # An answer forgets how long it had become.
    clock.now_s += pause_s + 0.01
    attempt(breaker)
    fail(breaker, TRIPS_AFTER)
    clock.now_s += FIRST_PAUSE_S + 0.01
    assert not is_refused(breaker)


@pytest.mark.parametrize("end", [Away(), asyncio.CancelledError(), KeyboardInterrupt()])
def test_a_probe_leaves_its_slot_however_it_ends(
    breaker: Breaker, clock: Clock, end: BaseException
) -> None:
    fail(breaker, TRIPS_AFTER)
    clock.now_s += FIRST_PAUSE_S + 0.01
    with pytest.raises(type(end)):
        attempt(breaker, end)
    clock.now_s += LONGEST_PAUSE_S
    assert not is_refused(breaker)


def test_calls_from_before_it_opened_do_not_put_off_the_probe(
    breaker: Breaker, clock: Clock
) -> None:
    late = [breaker.guarding(is_away) for _ in range(3)]
    for call in late:
        call.__enter__()
    fail(breaker, TRIPS_AFTER)
    clock.now_s += FIRST_PAUSE_S - 0.01
    for call in late[:2]:
        away = Away()
        assert not call.__exit__(Away, away, None)
    clock.now_s += 0.02
    assert not is_refused(breaker)
    # And one that is answered closes it.
    fail(breaker, TRIPS_AFTER)
    late[2].__exit__(None, None, None)
    assert not breaker.is_open


def test_the_jitter_spreads_the_probes_over_half_the_pause(clock: Clock) -> None:
    early = Breaker(clock, jitter=lambda: 0.0)
    fail(early, TRIPS_AFTER)
    clock.now_s += FIRST_PAUSE_S / 2 - 0.001
    assert is_refused(early)
    clock.now_s += 0.002
    assert not is_refused(early)
