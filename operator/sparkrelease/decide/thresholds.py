"""What a gate says of one objective over a stage. Nothing measured is never a Pass, and chance alone never a Fail."""

from __future__ import annotations

import math

from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Buckets, Counts, MetricFacts, Missing, Reading, Value
from sparkrelease.decide.rules import WORST_FIRST, Judgement, breaks, events, nothing, share_at_or_below, show, sound

_RULE_OF_THREE = 3
"""None of n events bad shows, at 95 %, that fewer than 3/n are: Hanley and Lippman-Hand, JAMA 249 (1983)."""


BY_CHANCE = 0.05
"""How likely chance alone may be, at the limit itself, for a breach that fails a gate."""


def least_events(threshold: Threshold, metric: Metric, baseline: float | None) -> int:
    """Events a stage must have had before this threshold may pass: as declared, else by the rule of three.

    A limit of nothing (max 0) can be broken by one event and shown by no number of them; one event is asked for then.
    """
    if threshold.min_requests is not None:
        return threshold.min_requests
    if metric.quantile is not None:
        share = 1 - metric.quantile
    else:
        limits = [bound for op, _, bound in _bounds(threshold, baseline) if op == ">" and bound > 0]
        share = min(limits, default=0.0) if metric.bad is not None else 0.0
    return max(1, math.ceil(_RULE_OF_THREE / share - _ROUNDING)) if share > 0 else 1


_ROUNDING = 1e-6
"""3 / (1 - 0.9) is thirty and a trifle in binary."""


def judge_threshold(
    threshold: Threshold, metric: Metric, reading: Reading, baseline: float | None = None, *, least: int | None = None
) -> Judgement:
    """The verdict of one threshold on one reading; `baseline` is what the metric was before the run, if known.

    `least` is for a glance between gates: it replaces the number of events the gate asks for.
    """
    reading = sound(reading)
    if isinstance(reading, Missing):
        return nothing(threshold.name, metric, reading)
    value = show(metric, reading, threshold.max if threshold.max is not None else threshold.min)
    said = f"{threshold.name}: {metric.name} {value}"
    seen = events(reading)
    least = least or least_events(threshold, metric, baseline)
    if seen is not None and seen < least:
        text = f"{said}: fewer than {least} requests"
        return Judgement(Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC, value, text)
    doubt: Judgement | None = None
    for op, word, bound in _bounds(threshold, baseline):
        breach = breaks(metric, reading, op, bound)
        if breach is None:
            text = f"{threshold.name}: {metric.name}: {bound:g} is no bucket edge"
            return Judgement(Verdict.ERROR, Reason.BUCKET_EDGE, value, text)
        if breach:
            told = f"{said}, {word} {bound:g}{metric.unit or ''}"
            chance = chance_of(metric, reading, bound)
            if chance > BY_CHANCE:
                text = f"{told}, which may be chance (p <= {chance:.2g}): more requests are needed"
                doubt = doubt or Judgement(Verdict.INCONCLUSIVE, Reason.INSUFFICIENT_TRAFFIC, value, text)
            else:
                return Judgement(Verdict.FAIL, Reason.OVER_LIMIT, value, told)
    if doubt is not None:
        return doubt
    if threshold.max_vs_baseline is not None and baseline is None:
        text = f"{said}: there is no baseline to compare it with"
        return Judgement(Verdict.INCONCLUSIVE, Reason.NO_BASELINE, value, text)
    return Judgement(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{said}, within its limit")


def judge_facts(
    threshold: Threshold, metric: Metric, facts: MetricFacts, baseline: float | None = None, *, least: int | None = None
) -> Judgement:
    """The verdict of one threshold on what was measured of canary; of two countings the worse, as it is `judged_of`."""
    reading, other = judged_of(threshold, metric, facts, baseline)
    judged = judge_threshold(threshold, metric, reading, baseline, least=least)
    if other is None or facts.canary_again is None:
        return judged
    limit = threshold.max if threshold.max is not None else threshold.min
    alone = reading is facts.canary
    text = "this is the difference alone, with what that lost it is" if alone else "the difference alone is"
    return judged._replace(message=f"{judged.message}; {facts.canary_again.why}: {text} {show(metric, other, limit)}")


def judged_of(
    threshold: Threshold, metric: Metric, facts: MetricFacts, baseline: float | None = None
) -> tuple[Reading, Reading | None]:
    """The reading of canary that is judged, and the other one where it was counted twice.

    Neither is known to be all there was, so the worse decides; where they are alike it is the one that lost less.
    """
    again = facts.canary_again
    if again is None:
        return facts.canary, None
    alone, beyond = (
        WORST_FIRST.index(judge_threshold(threshold, metric, reading, baseline).verdict)
        for reading in (facts.canary, again.reading)
    )
    return (facts.canary, again.reading) if alone < beyond else (again.reading, facts.canary)


def chance_of(metric: Metric, reading: Value | Counts | Buckets, limit: float) -> float:
    """How likely events whose true share is the limit break it as far as these do, at most; 0 for a plain value.

    Chernoff's bound exp(-n * D(share, limit)), D being the divergence of two coins (Hoeffding, JASA 58, 1963, theorem
    1): it holds for every number of events, and lies above the exact tail of the binomial.
    """
    if isinstance(reading, Value):
        return 0.0
    if isinstance(reading, Counts):
        share, allowed = reading.bad / reading.total, limit
    else:
        share, allowed = 1 - (share_at_or_below(reading, limit) or 0.0), 1 - (metric.quantile or 0.0)
    if not 0 < allowed < 1:
        return 0.0
    return math.exp(-reading.total * _divergence(min(share, 1.0), allowed))


def _divergence(share: float, allowed: float) -> float:
    """Kullback-Leibler divergence of a coin of one share from one of another."""
    parts = ((share, allowed), (1 - share, 1 - allowed))
    return sum(seen * math.log(seen / true) for seen, true in parts if seen > 0)


def _bounds(threshold: Threshold, baseline: float | None) -> list[tuple[str, str, float]]:
    """The limits as (comparison that breaks it, its name, its number)."""
    factor = threshold.max_vs_baseline
    relative = factor * baseline if factor is not None and baseline is not None else None
    bounds = [
        (">", "max", threshold.max),
        ("<", "min", threshold.min),
        (">", f"max {factor or 0:g}x the baseline:", relative),
    ]
    return [(op, word, bound) for op, word, bound in bounds if bound is not None]
