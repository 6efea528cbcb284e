"""Conditions a person should look at: those that are not as they are in a release that goes well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Condition, SparkReleaseStatus
from sparkrelease.cli.render.words import Tone

_BAD_WHEN_FALSE: Mapping[str, Tone] = {
    ConditionType.METRICS_AVAILABLE: Tone.CAUTION,
    ConditionType.TRAFFIC_IN_SYNC: Tone.CAUTION,
    ConditionType.EVIDENCE_COMPLETE: Tone.BAD,
    ConditionType.SETTLED: Tone.CAUTION,
}
_BAD_WHEN_TRUE: Mapping[str, Tone] = {
    ConditionType.STALLED: Tone.BAD,
    ConditionType.AWAITING_APPROVAL: Tone.CAUTION,
    ConditionType.PAUSED: Tone.CAUTION,
    ConditionType.TRAFFIC_CONTESTED: Tone.BAD,
}

_SAID_BY_READY = frozenset({ConditionType.STALLED, ConditionType.AWAITING_APPROVAL})


def attention(status: SparkReleaseStatus) -> Iterator[tuple[Condition, Tone]]:
    """The conditions that are not fine, with their tone. What Ready says already is not said twice."""
    ready = find(status.conditions, ConditionType.READY)
    for condition in status.conditions:
        tone = _tone(condition)
        if tone is None:
            continue
        if condition.type in _SAID_BY_READY and ready is not None and ready.message == condition.message:
            continue
        yield condition, tone


def _tone(condition: Condition) -> Tone | None:
    if condition.reason == Reason.SETTLING:
        return None
    fine = "False" if condition.type in _BAD_WHEN_TRUE else "True"
    return None if condition.status == fine else {**_BAD_WHEN_TRUE, **_BAD_WHEN_FALSE}.get(condition.type)
