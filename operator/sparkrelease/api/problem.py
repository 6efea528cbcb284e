"""Errors are values: a reason from the one list, and the sentence for a person."""

from __future__ import annotations

from dataclasses import dataclass

from sparkrelease.api.reasons import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a round from knowing what it needs: a reason and the sentence for a person."""

    reason: Reason
    message: str
