"""Keeps a process's floors on its own disk, so that they survive it: one file for each process.

A process that starts takes over the files of those that have ended, told apart by a lock that ends with
its holder, and speaks for them from then on.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from gateway.ledger.floors import Floors
from gateway.whole_files import replace_whole

logger = logging.getLogger(__name__)

_FILES = "*.floors"


class FloorFile:
    """The file of one process, in a folder that it may share with others.

    Args:
        wall_s: Unix time; what is read from a file is aged by it.
    """

    def __init__(
        self, folder: Path, floors: Floors, *, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._folder = folder
        self._floors = floors
        self._wall_s = wall_s
        self._path = folder / f"{floors.gateway}.floors"
        self._lock: IO[str] | None = None
        self._writing = asyncio.Lock()
        self._written_version = -1
        self.trouble: str | None = None
        """Why the floors are not on the disk; None while they are."""

    def open(self) -> None:
        """Take the lock, and over what ended processes left. Trouble is noted, and stops nothing."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(_lock_of(self._path))
            left = [path for path in self._folder.glob(_FILES) if self._take_over(path)]
            self._put(self._content(), self._floors.version)
        except OSError as exc:
            self._note(exc)
            return
        if self.trouble is None:
            # Only now that they stand in our own file.
            for path in left:
                for gone in (path, _lock_of(path)):
                    gone.unlink(missing_ok=True)

    async def flush(self) -> None:
        """Put the floors on the disk if they have changed; return when they are there."""
        async with self._writing:
            version = self._floors.version
            if self._lock is not None and version != self._written_version:
                # Put into words here, where nobody changes them meanwhile.
                await asyncio.to_thread(self._put, self._content(), version)

    def close(self) -> None:
        """Write for the last time, and leave the file to whoever starts next."""
        if self._lock is not None:
            self._put(self._content(is_last_word=True), self._floors.version)
            self._lock.close()
            self._lock = None

    def _content(self, *, is_last_word: bool = False) -> str:
        floors = self._floors.to_file(is_last_word=is_last_word)
        return json.dumps({"written_at": self._wall_s(), **floors})

    def _put(self, content: str, version: int) -> None:
        try:
            replace_whole(self._path, content.encode())
        except OSError as exc:
            self._note(exc)
            return
        if self.trouble is not None:
            logger.info("the floors are on the disk again")
        self._written_version, self.trouble = version, None

    def _take_over(self, path: Path) -> bool:
        """Adopt one file where its process has ended; return whether it may go."""
        if path == self._path:
            return False
        lock = _lock(_lock_of(path))
        if lock is None:
            return False
        with lock:
            try:
                content = json.loads(path.read_text("utf-8"))
                age_s = max(self._wall_s() - float(content["written_at"]), 0.0)
                self._floors.take_over(content, age_s)
            except (
                OSError,
                ValueError,
                LookupError,
                TypeError,
                AttributeError,
                OverflowError,
            ) as exc:
                # Left where it is, for whoever looks into it.
                logger.warning(
                    "a file of floors cannot be read",
                    extra={"file": path.name, "cause": type(exc).__name__},
                )
                return False
        logger.info("took over the floors of a process that has ended", extra={"file": path.name})
        return True

    def _note(self, exc: OSError) -> None:
        trouble = exc.strerror or type(exc).__name__
        if trouble != self.trouble:
            logger.error(
                "the floors cannot be written; they do not survive this process",
                extra={"folder": str(self._folder), "cause": trouble},
            )
        self.trouble = trouble


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def _lock(path: Path) -> IO[str] | None:
    """Return the lock held, or None where another process holds it."""
    lock = path.open("a")
    with contextlib.suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    lock.close()
    return None
