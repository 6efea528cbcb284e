"""What came of trying one thing that may keep a run from starting."""

from __future__ import annotations

from collections.abc import Sequence
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
    """One line: what was tried, and what came of it. `required`: no run starts before it is well."""

    name: str
    kind: str
    result: Result
    message: str
    required: bool = True


def untried(lines: Sequence[Tried]) -> list[Tried]:
    """What is required and was skipped: nobody can say that a run would start."""
    return [line for line in lines if line.required and line.result is Result.SKIP]
