"""What a proxy is told of a read of the ledger and of the clock; and how its files are written."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.events import EventPolicy, EventSnapshot, EventState
from gateway.domain.positions import EventId, Generation, Position, ServedUpTo
from gateway.proxyconfig import Knowledge
from gateway.proxyconfig.haproxy.files import ended_entries, event_entries
from gateway.proxyconfig.knowledge import steady_ahead_s
from gateway.whole_files import write_whole


def snapshot(state: EventState) -> EventSnapshot:
    return EventSnapshot(
        event=EventId("sale"),
        state=state,
        generation=Generation(7),
        issued=10,
        served_up_to=ServedUpTo(5),
        policy=EventPolicy(),
        active_ms=0,
        active_sessions=0,
        claims=0,
        read_at_s=0.0,
        updated_at_ms=0,
        ended={Position(3): 1000},
    )


@pytest.mark.parametrize("state", [*EventState])
def test_held_passes_count_in_every_state_but_of_a_deleted_event(state: EventState) -> None:
    known = Knowledge.of(snapshot(state), {}, clock_ahead_s=2)
    assert known.generation == (0 if state is EventState.DELETED else 7)
    assert known.ended == {3: 1000}


def test_entries_name_the_life_of_the_queue() -> None:
    known = Knowledge.of(snapshot(EventState.OPEN), {}, clock_ahead_s=-2)
    assert ended_entries(known) == {"7:3": "1000"}
    assert event_entries(known, good_until_s=50, good_for_s=5) == {
        "generation": "7",
        "clock-ahead": "-2",
        "good-for": "5",
        "good-until": "50",
    }


@given(
    st.floats(-1e6, 1e6),
    st.one_of(st.none(), st.integers(-1_000_000, 1_000_000)),
)
def test_a_pass_never_ends_later_than_by_the_ledgers_clock(
    measured_s: float, before_s: int | None
) -> None:
    ahead_s = steady_ahead_s(measured_s, before_s)
    assert measured_s <= ahead_s < measured_s + 2


def test_a_measurement_that_trembles_changes_nothing() -> None:
    ahead_s = steady_ahead_s(0.001, None)
    assert ahead_s == 1
    for measured_s in (-0.002, 0.3, 0.9, -0.9):
        assert steady_ahead_s(measured_s, ahead_s) == ahead_s
    assert steady_ahead_s(1.5, ahead_s) == 2
    assert steady_ahead_s(-3.5, ahead_s) == -3


def test_a_file_is_written_when_it_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "event.map"
    assert write_whole(path, b"a\n")
    first = path.stat()
    assert not write_whole(path, b"a\n")
    assert path.stat().st_ino == first.st_ino
    assert write_whole(path, b"b\n")
    # Another file under its name: who reads the old one reads it to its end.
    assert path.stat().st_ino != first.st_ino
    assert path.read_bytes() == b"b\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == ["event.map"]


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "event.map"
    path.mkdir()
    with pytest.raises(OSError, match=r"event\.map"):
        write_whole(path, b"a\n")
    assert os.listdir(tmp_path) == ["event.map"]
