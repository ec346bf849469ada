"""The record and where it is kept."""

from pathlib import Path

import msgspec
import pytest

from gateway.client.record import Record, read_record
from gateway.client.storage import FileStorage, MemoryStorage

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def held_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_a_file_holds_one_record_which_its_owner_alone_reads(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "record")
    assert await storage.load() is None
    await storage.save("one")
    await storage.save("two")
    assert await storage.load() == "two"
    assert held_in(tmp_path) == {"record": 0o600}
    await storage.remove()
    await storage.remove()
    assert await storage.load() is None


async def test_a_storage_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no-such-folder"):
        await FileStorage(tmp_path / "no-such-folder" / "record").save("one")


async def test_memory_forgets_with_the_process() -> None:
    storage = MemoryStorage()
    await storage.save("one")
    assert await storage.load() == "one"
    await storage.remove()
    assert await storage.load() is None


async def test_a_record_is_read_as_it_was_written() -> None:
    record = Record(stage="admitted", token="t", pass_="p", session_ends_at=7)
    text = msgspec.json.encode(record).decode()
    # The name that the JavaScript client has for it.
    assert '"pass":"p"' in text
    assert read_record(text) == record


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"version":2}', '{"stage":"lost"}'])
async def test_what_cannot_be_read_is_an_empty_record(text: str | None) -> None:
    assert read_record(text) == Record()
