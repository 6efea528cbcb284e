"""Whether a process is still the one it was."""

from __future__ import annotations

from pathlib import Path


def stopped(pid: int) -> bool:
    """Whether no thread of the process can run until it is told to go on: a signal to stop arrives in its own time."""
    try:
        states = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:
        return False
    return set(states) <= {"T", "t", "Z", "X"}


def start_time(pid: int) -> int | None:
    """Clock tick at which the process started (a pid alone may be another process by now); None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
