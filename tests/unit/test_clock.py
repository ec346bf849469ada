"""The ledger's time in a gateway: what is a jump of the ledger's clock, and what is not."""

import time

import pytest

from gateway.clock import JUMP_COUNTS_S, LedgerClock

# The clock goes by the machine's monotonic time; readings are made up around the present.
QUICK_S = 0.001


class Reading:
    def __init__(self) -> None:
        self.jumps: list[float] = []
        self.clock = LedgerClock(lambda by_s: self.jumps.append(round(by_s)))

    def observe(self, off_s: float, *, takes_s: float = QUICK_S) -> None:
        """Read a ledger whose clock is off by this from the time of day."""
        now_s = time.monotonic()
        self.clock.observe(int((time.time() + off_s) * 1000), now_s, now_s + takes_s)

    @property
    def ahead_s(self) -> int:
        return round(self.clock.ahead_s())


@pytest.fixture
def reading() -> Reading:
    return Reading()


def test_the_first_reading_is_no_jump_however_wrong_this_machines_clock_is(
    reading: Reading,
) -> None:
    reading.observe(7200)
    assert (reading.jumps, reading.ahead_s) == ([], 0)
    assert round(reading.clock.now_s() - time.time()) == 7200


def test_a_clock_that_is_slewed_has_not_jumped(reading: Reading) -> None:
    for off_s in range(0, 60, 3):
        reading.observe(off_s)
    assert (reading.jumps, reading.ahead_s) == ([], 0)


def test_a_jump_ahead_is_told_and_counts_until_it_is_taken_back(reading: Reading) -> None:
    reading.observe(0)
    reading.observe(600)
    reading.observe(600)
    assert (reading.jumps, reading.ahead_s) == ([600], 600)
    reading.observe(900)
    assert (reading.jumps, reading.ahead_s) == ([600, 300], 900)
    reading.observe(0)
    assert (reading.jumps, reading.ahead_s) == ([600, 300, -900], 0)


def test_a_jump_back_makes_no_pass_live_longer(reading: Reading) -> None:
    reading.observe(0)
    reading.observe(-600)
    assert (reading.jumps, reading.ahead_s) == ([-600], 0)
    # Set right again: it has jumped ahead from where it was.
    reading.observe(0)
    assert reading.ahead_s == 600


def test_a_jump_is_forgotten_when_the_last_pass_from_before_has_ended(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.observe(0)
    reading.observe(600)
    later_s = time.monotonic() + JUMP_COUNTS_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    assert reading.ahead_s == 0


def test_a_slow_reading_is_no_jump(reading: Reading) -> None:
    reading.observe(0, takes_s=20)
    reading.observe(0)
    assert reading.jumps == []
