"""From measurements to ratios, and to the table."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loadtests.materials import SignatureCost
from loadtests.rows import Row


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: answers per second, and the server's processor time for each answer."""

    per_s: float
    cpu_us: float | None


@dataclass(frozen=True, slots=True)
class Round:
    """A row and its base, measured one after the other, and what a signature cost just before."""

    base: Measured
    own: Measured
    signatures: SignatureCost

    @property
    def ratio(self) -> float:
        return self.own.per_s / self.base.per_s

    def of_bound(self, kind: str) -> float:
        """Return the part that is reached of 1 / (1 / base + one signature)."""
        return self.own.per_s * (1 / self.base.per_s + self.signatures.s(kind))


def summary(row: Row, rounds: Sequence[Round]) -> dict[str, Any]:
    """Return what a row comes to.

    By the clock: medians, those of ratios being of the ratios of single rounds. By processor time:
    the least of all rounds, as whatever disturbs a run only adds to it (`timeit` says the same).
    """
    figures: dict[str, Any] = {
        "row": row.name,
        "against": row.base,
        "per_s": round(median(r.own.per_s for r in rounds)),
        "base_per_s": round(median(r.base.per_s for r in rounds)),
        "ratio": round(median(r.ratio for r in rounds), 3),
        "ratios": [round(r.ratio, 3) for r in rounds],
        "bound": row.bound or None,
        "of_bound": None,
        "aim": row.aim,
        **_by_cpu(row, rounds),
    }
    if row.bound:
        figures["of_bound"] = round(median(r.of_bound(row.bound) for r in rounds), 3)
    return figures


def _by_cpu(row: Row, rounds: Sequence[Round]) -> dict[str, float | None]:
    own_us = [r.own.cpu_us for r in rounds if r.own.cpu_us is not None]
    base_us = [r.base.cpu_us for r in rounds if r.base.cpu_us is not None]
    if not own_us or not base_us:
        return dict.fromkeys(("cpu_us", "base_cpu_us", "ratio_by_cpu", "of_bound_by_cpu"))
    own, base = min(own_us), min(base_us)
    bound = min(base + r.signatures.cpu_us(row.bound) for r in rounds) if row.bound else None
    return {
        "cpu_us": round(own, 1),
        "base_cpu_us": round(base, 1),
        "ratio_by_cpu": round(base / own, 3),
        "of_bound_by_cpu": None if bound is None else round(bound / own, 3),
    }


def table(figures: Sequence[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table."""
    head = (
        "row",
        "per s",
        "against",
        "per s",
        "ratio",
        "by CPU",
        "µs CPU",
        "base",
        "of bound",
        "by CPU",
        "aim",
    )
    lines = [head, tuple("---" for _ in head)]
    for row in figures:
        aim = "" if row["aim"] is None else f"{row['aim']:.2f}{' of bound' * bool(row['bound'])}"
        lines.append(
            (
                row["row"],
                f"{row['per_s']:,}",
                row["against"],
                f"{row['base_per_s']:,}",
                _number(row["ratio"]),
                _number(row["ratio_by_cpu"]),
                _number(row["cpu_us"], 1),
                _number(row["base_cpu_us"], 1),
                _number(row["of_bound"]),
                _number(row["of_bound_by_cpu"]),
                aim,
            )
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def machine() -> dict[str, Any]:
    """Say what the figures were measured on."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else ""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }
