"""Files that another program reads at any moment: whole in their old state, or whole in the new one.

What is in place is on the disk, content and name: neither a killed process nor a power cut leaves a half.
"""

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

PRIVATE = 0o600


def write_whole(path: Path, content: bytes, *, mode: int = 0o644) -> bool:
    """Write a file in one step; return whether that changed it.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        pass
    replace_whole(path, content, mode=mode)
    return True


def replace_whole(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write a file in one step, whatever was there.

    Raises:
        OSError: It cannot be written; what was there is there still.
    """
    with _drafted(path, content, mode) as draft:
        draft.replace(path)
    sync_folder(path.parent)


def create_whole(path: Path, content: bytes, *, mode: int = PRIVATE) -> None:
    """Write a file in one step where there is none.

    Raises:
        FileExistsError: There is one; it stays as it is.
        OSError: It cannot be written.
    """
    with _drafted(path, content, mode) as draft:
        # Unlike a rename, a link fails where the name is taken.
        os.link(draft, path, follow_symlinks=False)
    sync_folder(path.parent)


def usual_mode() -> int:
    """Return the mode of a file that is no secret, as this process's umask has it."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on the disk as they are now."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _drafted(path: Path, content: bytes, mode: int) -> Generator[Path]:
    """Write `content` beside `path` and down to the disk; what is left of that afterwards goes."""
    # Made anew under a name that nobody knows before, for its owner alone; no link is followed.
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
