"""What can be wrong with a version: each fault is one cause that one rule of the ready-made policies is there for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Fault(StrEnum):
    """Causes by name."""

    SLOW_ANSWERS = "slow-answers"
    VERY_SLOW_ANSWERS = "very-slow-answers"
    LOCK_CONTENTION = "lock-contention"
    SERVER_ERRORS = "server-errors"
    RARE_ERRORS = "rare-errors"
    RISK_AND_ERRORS = "risk-and-errors"
    RISK_BLOCKS = "risk-blocks"
    DUPLICATE_ORDERS = "duplicate-orders"
    FLOAT_PRICES = "float-prices"
    KEYS_NEVER_EXPIRE = "keys-never-expire"
    OUTBOX_STUCK = "outbox-stuck"
    CONNECTION_LEAK = "connection-leak"
    POOL_EXHAUSTED = "pool-exhausted"
    MEMORY_LEAK = "memory-leak"
    FEED_STALLED = "feed-stalled"
    STREAM_SILENT = "stream-silent"
    STREAM_DROPS = "stream-drops"
    CSP_VIOLATIONS = "csp-violations"
    VIOLATING_PAGES = "violating-pages"
    UNSURE_MODEL = "unsure-model"
    GUARDRAILS_HIT = "guardrails-hit"
    LETTERS_DIE = "letters-die"
    ONE_BUCKET = "one-bucket"


class Faults:
    """Which faults are on now."""

    def __init__(self, on: Iterable[Fault] = ()) -> None:
        self._on = frozenset(on)

    def set(self, on: Iterable[Fault]) -> None:
        """From now on these, and no others."""
        self._on = frozenset(on)

    def __contains__(self, fault: Fault) -> bool:
        return fault in self._on

    @property
    def names(self) -> list[str]:
        """Those that are on, by name."""
        return sorted(fault.value for fault in self._on)


def read_faults(text: str) -> frozenset[Fault]:
    """Faults by name, with commas between them.

    Raises:
        ValueError: one of the names is no fault's.
    """
    names = [name.strip() for name in text.split(",")]
    return frozenset(Fault(name) for name in names if name)
