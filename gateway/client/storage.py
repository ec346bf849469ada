"""Where a client keeps its record: one text, replaced whole."""

import asyncio
import contextlib
from pathlib import Path
from typing import Protocol

from gateway.whole_files import replace_whole


class Storage(Protocol):
    """Keeps one text. Once `save` has returned, the text outlives the process."""

    async def load(self) -> str | None: ...

    async def save(self, text: str) -> None: ...

    async def remove(self) -> None: ...


class MemoryStorage:
    """For who holds a place no longer than the process lives."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text

    async def load(self) -> str | None:
        return self.text

    async def save(self, text: str) -> None:
        self.text = text

    async def remove(self) -> None:
        self.text = None


class FileStorage:
    """One file that its owner alone may read: a token is worth a place to whoever holds it.

    Whoever is killed while it is written leaves the former text or the new one, and never a half.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> str | None:
        return await asyncio.to_thread(self._load)

    async def save(self, text: str) -> None:
        await asyncio.to_thread(replace_whole, self._path, text.encode())

    async def remove(self) -> None:
        await asyncio.to_thread(self._path.unlink, missing_ok=True)

    def _load(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return self._path.read_text("utf-8")
        return None
