"""A floor only grows within a generation, and holds what the ledger needs to be brought back."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.positions import EventId, Generation, Position
from gateway.ledger.floors import Floors

SALE = EventId("sale")
FIRST, SECOND = Generation(1000), Generation(2000)


class Clock:
    def __init__(self) -> None:
        self.now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def floors(clock: Clock) -> Floors:
    return Floors(clock)


def note_read(
    floors: Floors, reply: list[Any], *, ended_anew: bool = True, asked_at_s: float = 500.0
) -> None:
    floors.note_read(SALE, reply, ended_anew=ended_anew, asked_at_s=asked_at_s)


def read(
    *,
    generation: int = FIRST,
    issued: int = 10,
    served: int = 4,
    ceiling: int = 64,
    revision: int = 3,
    ended: tuple[str, ...] = (),
    now_ms: int = 1_000_000,
    gateways: str = "one two",
) -> list[Any]:
    """An answer of `read.lua`."""
    more = {
        "draw_seed": "",
        "acts": "",
        "claimed": "0",
        "ledger_ms": "7000",
        "windows_ended_to": "2",
        "bypass_left_ms": "",
        "bypass_from": "",
        "gateways": gateways,
        "clock": "0 0",
        "log_head": "",
    }
    return [
        *(str(now_ms), str(generation), "open", str(issued), str(served), str(ceiling)),
        *("6000", "1", "3", "0", "999", "welcome", "1", "", "", "", ""),
        ["window_ms", "900000"],
        ["5:4:4"],
        list(ended),
        "1-1",
        "",
        str(revision),
        "",
        [word for pair in more.items() for word in pair],
    ]


def document(floors: Floors) -> Any:
    return json.loads(floors.document(SALE))


def test_of_an_event_that_was_never_seen_nothing_is_told(floors: Floors) -> None:
    assert (floors.brief(SALE), floors.document(SALE), floors.refuted(SALE)) == ("", "", "")
    assert not floors.knows(SALE)


def test_everything_that_was_learned_counts_and_the_highest_of_it(floors: Floors) -> None:
    note_read(floors, read())
    assert floors.brief(SALE) == "1000:10:4"
    floors.note_dealt(SALE, FIRST, issued=30, ceiling=128)
    floors.note_released(SALE, 6)
    note_read(floors, read(issued=20, served=5, ceiling=64))
    assert floors.brief(SALE) == "1000:30:6"
    floors.note_ceiling(SALE, 256)
    told = document(floors)
    assert (told["issued"], told["ceiling"], told["served"]) == (30, 256, 6)
    assert (told["stands_for"], told["gateways"]) == ([floors.gateway], ["one", "two"])
    assert told["record"]["state"] == "open"
    assert told["record"]["releases"] == ["5:4:4"]


def test_tokens_and_passes_raise_a_floor_and_never_lower_it(floors: Floors) -> None:
    floors.saw_token(SALE, FIRST, Position(40))
    floors.saw_token(SALE, FIRST, Position(30))
    floors.saw_pass(SALE, FIRST, 12)
    floors.saw_pass(SALE, FIRST, 11)
    assert floors.brief(SALE) == "1000:40:12"
    assert "record" not in document(floors)


def test_a_later_generation_begins_anew_and_an_earlier_one_changes_nothing(floors: Floors) -> None:
    note_read(floors, read())
    floors.saw_in_hole(SALE, FIRST, Position(3))
    floors.saw_token(SALE, SECOND, Position(2))
    assert floors.brief(SALE) == "2000:2:0"
    assert "record" not in document(floors)
    assert floors.refuted(SALE) == ""
    note_read(floors, read())
    floors.saw_token(SALE, FIRST, Position(99))
    floors.saw_pass(SALE, FIRST, 99)
    floors.note_dealt(SALE, FIRST, 99, 99)
    assert floors.brief(SALE) == "2000:2:0"


def test_ended_sessions_that_are_told_piece_by_piece_are_kept_whole_while_they_count(
    floors: Floors,
) -> None:
    note_read(floors, read(ended=("1", "1010", "2", "1020")))
    note_read(floors, read(ended=("3", "1030")), ended_anew=False)
    assert document(floors)["record"]["ended"] == ["1", "1010", "2", "1020", "3", "1030"]
    note_read(floors, read(now_ms=1_015_000), ended_anew=False)
    assert document(floors)["record"]["ended"] == ["2", "1020", "3", "1030"]
    note_read(floors, read(ended=("3", "1030")))
    assert document(floors)["record"]["ended"] == ["3", "1030"]


def test_the_pace_is_the_highest_that_was_seen(floors: Floors, clock: Clock) -> None:
    floors.note_dealt(SALE, FIRST, 100, 1000)
    clock.now_s += 2
    floors.note_dealt(SALE, FIRST, 700, 1000)
    clock.now_s += 10
    floors.note_dealt(SALE, FIRST, 710, 1000)
    # A burst is measured over a second, not over the moment that it took.
    clock.now_s += 0.01
    floors.note_dealt(SALE, FIRST, 900, 1000)
    assert document(floors)["rate"] == 300


def test_its_age_counts_from_asking_for_the_last_good_read(floors: Floors, clock: Clock) -> None:
    asked_at_s = clock.now_s
    clock.now_s += 2
    note_read(floors, read(), asked_at_s=asked_at_s)
    clock.now_s += 0.5
    floors.saw_token(SALE, FIRST, Position(50))
    assert document(floors)["age_ms"] == 2500
    # A batch says nothing of a ceiling that was raised after it was dealt and before it was answered.
    floors.note_dealt(SALE, FIRST, 60, 64)
    assert document(floors)["age_ms"] == 2500


def test_a_hole_is_refuted_once_to_the_ledger(floors: Floors) -> None:
    note_read(floors, read())
    floors.saw_in_hole(SALE, SECOND, Position(5))
    floors.saw_in_hole(SALE, FIRST, Position(9))
    floors.saw_in_hole(SALE, FIRST, Position(7))
    assert floors.refuted(SALE) == "7,9"
    assert floors.refuted(SALE) == ""


# --- Over a restart of the process ---------------------------------------------------------------


def test_what_an_ended_process_left_is_taken_over_with_its_name_and_its_age(clock: Clock) -> None:
    old, new = Floors(clock), Floors(clock)
    note_read(old, read(issued=30, ceiling=128))
    clock.now_s += 1
    left = json.loads(json.dumps(old.to_file()))
    clock.now_s += 5
    version = new.version
    new.take_over(left, age_s=5)
    told = document(new)
    assert told["stands_for"] == sorted([old.gateway, new.gateway])
    assert (new.brief(SALE), told["ceiling"], told["age_ms"]) == ("1000:30:4", 128, 6000)
    assert told["record"] == document(old)["record"]
    assert new.version > version


@pytest.mark.parametrize("mine_first", [True, False])
def test_of_two_floors_of_one_generation_the_highest_numbers_and_the_latest_record_count(
    clock: Clock, mine_first: bool
) -> None:
    mine, other = Floors(clock), Floors(clock)
    note_read(mine, read(issued=30, served=4, revision=5 + mine_first))
    note_read(other, read(issued=20, served=8, ceiling=256, revision=6))
    clock.now_s += 3
    mine.note_dealt(SALE, FIRST, 31, 64)
    mine.take_over(other.to_file(), age_s=2)
    told = document(mine)
    assert (mine.brief(SALE), told["ceiling"]) == ("1000:31:8", 256)
    assert told["record"]["revision"] == 6
    # The older of both: who is spoken for may have dealt on.
    assert told["age_ms"] == 5000


def test_a_floor_of_an_earlier_generation_is_not_taken_over(floors: Floors, clock: Clock) -> None:
    old = Floors(clock)
    note_read(old, read(issued=99))
    floors.saw_token(SALE, SECOND, Position(2))
    floors.take_over(old.to_file(), age_s=1)
    assert floors.brief(SALE) == "2000:2:0"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content.pop("events"),
        lambda content: content.pop("stands_for"),
        lambda content: content.update(stands_for="one"),
        lambda content: content["events"]["sale"].pop("issued"),
        lambda content: content["events"]["sale"].update(issued="many"),
        lambda content: content["events"]["sale"].update(record=[1]),
        lambda content: content["events"].update(sale=None),
    ],
)
def test_of_a_file_that_is_none_nothing_is_adopted(clock: Clock, spoil: Any) -> None:
    old, new = Floors(clock), Floors(clock)
    note_read(old, read())
    content = json.loads(json.dumps(old.to_file()))
    spoil(content)
    with pytest.raises((ValueError, KeyError, TypeError)):
        new.take_over(content, age_s=1)
    assert not new.knows(SALE)
    assert new.to_file()["stands_for"] == [new.gateway]


def test_every_change_grows_the_version_that_the_file_goes_by(floors: Floors) -> None:
    seen = [floors.version]
    changes: tuple[Callable[[], None], ...] = (
        lambda: note_read(floors, read()),
        lambda: floors.note_dealt(SALE, FIRST, 30, 64),
        lambda: floors.note_ceiling(SALE, 128),
        lambda: floors.note_released(SALE, 9),
        lambda: floors.saw_token(SALE, FIRST, Position(90)),
        lambda: floors.saw_pass(SALE, FIRST, 80),
    )
    for change in changes:
        change()
        seen.append(floors.version)
    assert seen == sorted(set(seen))
    floors.saw_token(SALE, FIRST, Position(1))
    assert floors.version == seen[-1]
