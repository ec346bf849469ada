"""What a process knows for certain survives it on its own disk."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.domain.positions import EventId, Generation, Position
from gateway.ledger.floor_file import FloorFile
from gateway.ledger.floors import Floors

EVENT = EventId("sale")


def opened(folder: Path, *, wall_s: float = 1000.0) -> tuple[FloorFile, Floors]:
    floors = Floors()
    file = FloorFile(folder, floors, wall_s=lambda: wall_s)
    file.open()
    return file, floors


def told(floors: Floors) -> dict[str, object]:
    document = json.loads(floors.document(EVENT))
    assert isinstance(document, dict)
    return document


def test_who_starts_takes_over_what_the_ended_knew(tmp_path: Path) -> None:
    first, floors = opened(tmp_path)
    floors.saw_token(EVENT, Generation(7), Position(42))
    asyncio.run(first.flush())
    first.close()

    second, taken = opened(tmp_path, wall_s=1030.0)

    assert (told(taken)["generation"], told(taken)["issued"]) == (7, 42)
    assert floors.gateway in told(taken)["stands_for"]  # type: ignore[operator]
    assert int(told(taken)["age_ms"]) >= 30_000  # type: ignore[call-overload]
    assert [path.stem for path in tmp_path.glob("*.floors")] == [taken.gateway]
    second.close()


def test_the_file_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    first, floors = opened(tmp_path)
    floors.saw_token(EVENT, Generation(7), Position(42))
    asyncio.run(first.flush())
    second, taken = opened(tmp_path)

    assert not taken.knows(EVENT)
    assert len(list(tmp_path.glob("*.floors"))) == 2
    first.close()
    second.close()


def test_nothing_is_written_where_nothing_changed(tmp_path: Path) -> None:
    file, floors = opened(tmp_path)
    floors.saw_token(EVENT, Generation(7), Position(42))
    asyncio.run(file.flush())
    path = tmp_path / f"{floors.gateway}.floors"
    before = path.stat().st_ino
    asyncio.run(file.flush())
    assert path.stat().st_ino == before
    assert path.stat().st_mode & 0o077 == 0
    file.close()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '{"written_at": 1}',
        '{"written_at": "soon", "events": {}, "stands_for": []}',
        '{"written_at": 1, "events": [], "stands_for": []}',
        '{"written_at": 1, "events": {"sale": {}}, "stands_for": []}',
        '{"written_at": 1, "events": {"sale": {"generation": Infinity, "issued": 1, "ceiling": 1,'
        ' "served": 1, "rate": 1, "record": null, "age_ms": 0}}, "stands_for": []}',
        '{"written_at": 1, "events": {}, "stands_for": "me"}',
    ],
)
def test_a_damaged_file_is_left_where_it_is_and_stops_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "0000.floors").write_text(content)
    file, floors = opened(tmp_path)
    assert file.trouble is None
    assert not floors.knows(EVENT)
    assert (tmp_path / "0000.floors").read_text() == content
    file.close()


def test_a_folder_that_cannot_be_made_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "floors").write_text("a file where a folder should be")
    file, _ = opened(tmp_path / "floors")
    assert file.trouble is not None
    asyncio.run(file.flush())
    file.close()
