"""Where measurements come from."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Protocol

from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer, RangeAnswer, Row, Series

__all__ = ["Answer", "MetricSource", "RangeAnswer", "Row", "Series"]


class MetricSource(Protocol):
    """The metrics servers the administrator declared."""

    def servers(self) -> frozenset[str]:
        """Names of the declared servers."""
        ...

    def query(self, server: str, promql: str, at: datetime) -> Coroutine[None, None, Answer | Missing]:
        """An instant query; never raises for what the server does. Bounded in time and size; not retried."""
        ...

    def query_range(
        self, server: str, promql: str, start: datetime, end: datetime, step: timedelta
    ) -> Coroutine[None, None, RangeAnswer | Missing]:
        """A range query: the value at `start` and each step after it, until `end`. Bounded like an instant query."""
        ...
