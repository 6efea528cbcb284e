"""Figures of each benchmark as one JSON file, with the machine and its load when they were taken."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def this_machine() -> str:
    """One line about where this runs."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


@dataclass(frozen=True)
class Result:
    """What one benchmark found.

    Attributes:
        name: benchmark and its variant, such as `rollback-1000-250ms`.
        figures: by name; times in seconds.
        gateway: `contour` or `stub`, whichever accepted the routes.
        load: load average of the last minute when it began and when it ended.
        at: when it ended, UTC.
        machine: processor, cores, memory, Python.
    """

    name: str
    figures: Mapping[str, Any]
    gateway: str
    load: tuple[float, float]
    at: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M"))
    machine: str = field(default_factory=this_machine)


def save(result: Result) -> None:
    """Keeps it; an earlier one of the same name is replaced."""
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{result.name}.json").write_text(json.dumps(asdict(result), indent=1) + "\n")


def load_all() -> dict[str, Result]:
    """Every result kept, by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        raw = json.loads(path.read_text())
        raw["load"] = tuple(raw["load"])
        found[raw["name"]] = Result(**raw)
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest-rank quantile: one of the values themselves."""
    return sorted(values)[max(ceil(share * len(values)) - 1, 0)]
