"""The protocol's two triggers alone, as Prometheus alerts: true at every evaluation for their time, then they fire."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """`value > limit` for so many seconds."""

    name: str
    limit: float
    hold: float = 300.0


class Alert:
    """One alerting rule. A missing value or NaN makes it inactive at once, as Prometheus does."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.since: float | None = None

    def evaluate(self, at: float, value: float) -> bool:
        """Whether it fires at this evaluation."""
        if math.isnan(value) or value <= self.rule.limit:
            self.since = None
            return False
        self.since = at if self.since is None else self.since
        return at - self.since >= self.rule.hold


PROTOCOL = (Rule("http-5xx", 0.03), Rule("api-p95", 0.4))
"""3 % errors and 400 ms over a minute, for five."""
