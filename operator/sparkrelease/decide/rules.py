"""One reading against one limit: the words that triggers' legs and gates' thresholds share."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Buckets, Counts, Missing, Reading, Value

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_EDGE_TOLERANCE = 1e-9

WORST_FIRST = (Verdict.FAIL, Verdict.ERROR, Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.PASS)
"""Which of several verdicts is told, or stands for all."""


class Judgement(NamedTuple):
    """What a rule says of a reading: the verdict, its reason, the value as people read it, and the sentence."""

    verdict: Verdict
    reason: Reason
    value: str
    message: str


def share_at_or_below(reading: Buckets, edge: float) -> float | None:
    """Share of events at or below an edge of the histogram; None when there is no such edge or no event."""
    if reading.total <= 0:
        return None
    exact = reading.at_or_below.get(edge)
    if exact is not None:
        return exact / reading.total
    for known, count in reading.at_or_below.items():
        if abs(known - edge) <= _EDGE_TOLERANCE * max(1.0, abs(edge)):
            return count / reading.total
    return None


def show(metric: Metric, reading: Reading, edge: float | None = None) -> str:
    """The reading in a few characters: `2.1% (11/524)`, `0.182s`, `97.2% <= 0.2s`."""
    if isinstance(reading, Value):
        return f"{reading.value:.6g}{metric.unit or ''}"
    if isinstance(reading, Counts):
        bad, total = reading.bad, reading.total
        return f"{100 * bad / total:.3g}% ({bad:.6g}/{total:.6g})" if total > 0 else "0/0"
    if isinstance(reading, Missing):
        return str(reading.reason)
    share = share_at_or_below(reading, edge) if edge is not None else None
    if share is None:
        return f"{reading.total:.6g} events"
    return f"{100 * share:.4g}% <= {edge:g}{metric.unit or ''}"


def events(reading: Reading) -> float | None:
    """Events behind a reading; None for a plain value."""
    return reading.total if isinstance(reading, (Counts, Buckets)) else None


def number_of(reading: Reading) -> float | None:
    """The number a reading stands for: its value, or its share of bad events; None when there is none (no event)."""
    if isinstance(reading, Value):
        return reading.value if math.isfinite(reading.value) else None
    if isinstance(reading, Counts):
        return reading.bad / reading.total if reading.total > 0 else None
    return None


def sound(reading: Reading) -> Reading:
    """The reading, or Missing when its numbers are none: whatever a source says, NaN is never within a limit."""
    if isinstance(reading, Value):
        return Missing(Reason.NOT_A_NUMBER, "the value is NaN") if math.isnan(reading.value) else reading
    if isinstance(reading, Counts) and not (0 <= reading.bad < math.inf and 0 <= reading.total < math.inf):
        return Missing(Reason.INCONSISTENT_COUNTS, f"{reading.bad:g} bad events of {reading.total:g}")
    if isinstance(reading, Buckets):
        counts = (*reading.at_or_below.values(), reading.total)
        # The sum is NaN or infinite where one of them is, and no comparison with it holds.
        if not (min(counts) >= 0 and sum(counts) < math.inf):
            return Missing(Reason.INCONSISTENT_COUNTS, "a bucket holds no count")
    return reading


def missing_verdict(reading: Missing) -> Verdict:
    """NoData for what is not there, Error for what is wrong in itself, Inconclusive where there is too little of it."""
    if reading.reason in _TOO_LITTLE:
        return Verdict.INCONCLUSIVE
    return Verdict.ERROR if reading.reason in _WRONG else Verdict.NO_DATA


_TOO_LITTLE = frozenset({Reason.INSUFFICIENT_TRAFFIC, Reason.TOO_FEW_POINTS, Reason.NO_BASELINE})
_WRONG = frozenset({Reason.AMBIGUOUS_RESULT, Reason.INVALID_QUERY, Reason.BUCKET_EDGE, Reason.ANSWER_TOO_LARGE})


def nothing(rule: str, metric: Metric, reading: Missing) -> Judgement:
    """What is said of a reading that is not there."""
    text = f"{rule}: {metric.name}: {reading.message}"
    return Judgement(missing_verdict(reading), reading.reason, str(reading.reason), text)


def outside(op: str, value: float, limit: float) -> bool:
    """Whether `value op limit` holds."""
    return _COMPARE[op](value, limit)


def breaks(metric: Metric, reading: Value | Counts | Buckets, op: str, limit: float) -> bool | None:
    """Whether `reading op limit` holds; None when it cannot be said (no events, or no such bucket edge).

    For buckets the quantile is above the limit exactly when less than the quantile's share is at or below it,
    which needs no interpolation.
    """
    if isinstance(reading, Value):
        return outside(op, reading.value, limit)
    if isinstance(reading, Counts):
        return outside(op, reading.bad / reading.total, limit) if reading.total > 0 else None
    share = share_at_or_below(reading, limit)
    if share is None or metric.quantile is None:
        return None
    above = share < metric.quantile
    return above if op in {">", ">="} else not above
