"""What a watch remembers: the values of each rule over its looks, and which Events it has shown."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from sparkrelease.api.status import SparkReleaseStatus, Verdict
from sparkrelease.cli.cluster import Object

MOST_SAMPLES = 60
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
_TIME = TypeAdapter(datetime)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one rule; `value` is None where the rule told no number."""

    value: float | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Happening:
    """A Kubernetes Event about the release."""

    at: datetime
    reason: str
    message: str
    warning: bool


@dataclass(slots=True)
class Samples:
    """The last values of every rule of one run; another run begins anew."""

    run: str = ""
    by_rule: dict[tuple[str, str], deque[Sample]] = field(default_factory=dict)
    """By kind and name of the rule."""

    def add(self, status: SparkReleaseStatus) -> None:
        """Takes what every rule says now."""
        run = status.run.id if status.run is not None else ""
        if run != self.run:
            self.run = run
            self.by_rule.clear()
        for verdict in status.verdicts:
            line = self.by_rule.setdefault((verdict.kind, verdict.rule), deque(maxlen=MOST_SAMPLES))
            line.append(Sample(number_in(verdict.value), verdict.verdict))


def number_in(text: str) -> float | None:
    """The first number of a value or a limit as rules tell them: `2.61% (19/728)` is 2.61, `> 3%` is 3.

    A bare count of events, told where a quantile has no value, is none.
    """
    found = None if text.endswith(" events") else _NUMBER.search(text)
    return float(found[0]) if found else None


def happenings(events: Sequence[Object], since: datetime | None) -> list[Happening]:
    """The Events said since then, oldest first; what is no Event is passed over."""
    found = [happening for happening in map(_happening, events) if happening is not None]
    return sorted((one for one in found if since is None or one.at >= since), key=lambda one: one.at)


def _happening(event: Mapping[str, object]) -> Happening | None:
    try:
        at = _TIME.validate_python(event.get("lastTimestamp") or event.get("eventTime"))
    except ValidationError:
        return None
    return Happening(at, str(event.get("reason", "")), str(event.get("message", "")), event.get("type") == "Warning")
