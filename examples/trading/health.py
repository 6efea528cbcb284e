"""How a process says it is, for the checks before a release: a status and a small document each."""

from __future__ import annotations

from trading.faults import Fault, Faults

Said = tuple[int, dict[str, str]]
"""HTTP status and JSON document."""

_SLOW = (Fault.SLOW_ANSWERS, Fault.VERY_SLOW_ANSWERS)


def health(faults: Faults) -> Said:
    """Of the API itself, and of its public endpoints, which are served from a cache where answers are slow."""
    failing = Fault.SERVER_ERRORS in faults
    degraded = failing or any(slow in faults for slow in _SLOW)
    said = {"status": "failing" if failing else "ok", "publicEndpoints": "degraded" if degraded else "ok"}
    return 503 if failing else 200, said


def executor_health(faults: Faults) -> Said:
    """Of the executor, whose messages are what clients are streamed."""
    silent = Fault.STREAM_SILENT in faults
    return 503 if silent else 200, {"executor": "silent" if silent else "ok"}
