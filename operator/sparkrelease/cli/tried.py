"""What came of trying one thing that may keep a run from starting."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """How a line ends."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Tried:
    """One line: what was tried, and what came of it."""

    name: str
    kind: str
    result: Result
    message: str
