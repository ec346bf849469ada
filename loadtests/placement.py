"""Which core a process runs on, and how much processor time it has used."""

import os
from pathlib import Path


def cores() -> tuple[int | None, int | None]:
    """Return the core for servers and the one for everything else; None where that cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Keep this process, and what it starts from now on, on one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def cpu_s(pid: int) -> float | None:
    """Return the seconds of processor time that a process has used; None where no system tells.

    From `schedstat`, in nanoseconds, as the ticks of `stat` are too coarse for a second's run.
    """
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def resident_bytes(pid: int) -> int:
    """Return how much memory of a process is in use; 0 where no system tells."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
