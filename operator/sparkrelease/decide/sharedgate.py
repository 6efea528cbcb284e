"""The softening of gates: a stage whose thresholds stable failed as well, on counts of its own, begins anew.

An incident that ends before a trigger has been true for its time leaves its bad requests in the stage, and they say
nothing of canary. The stage is measured again at the same weight. Where it fails again in the same way, and began
`sharedRollbackAfter` or longer after the first time, the incident has lasted too long, or is canary's own doing: the
run is rolled back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import Attribution, Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import Stage
from sparkrelease.api.status import RuleVerdict, StageStatus, Verdict
from sparkrelease.decide.checkpoints import told_rules
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Buckets, Counts, MetricFacts, Reading
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.rollback import roll_back
from sparkrelease.decide.rules import share_at_or_below, sound

_FEWEST_BAD = 3
"""Bad events of stable from which on its share says something; one or two are chance in a small control group."""


def suffers(spec: ResolvedSpec, threshold: Threshold, facts: MetricFacts | None, baseline: float | None) -> bool:
    """Whether stable was above the same limit over the stage, however it was counted. What is not known is no incident.

    Only upper limits of counts that are told apart by role: gauges and shared series are judged as they are declared. A
    past in which one Service stands for both roles shows nothing of the other.
    """
    metric, one = spec.metric(threshold.metric), spec.traffic.stable.service == spec.traffic.canary.service
    if facts is None or one or not metric.counted or metric.attribution is Attribution.SHARED:
        return False
    factor = threshold.max_vs_baseline
    relative = factor * baseline if factor is not None and baseline is not None else None
    limits = [limit for limit in (threshold.max, relative) if limit is not None and limit > 0]
    counted = [facts.stable] if facts.stable_again is None else [facts.stable, facts.stable_again.reading]
    return bool(limits) and all(_above(metric, reading, max(limits)) for reading in counted)


def _above(metric: Metric, stable: Reading, limit: float) -> bool:
    match sound(stable):
        case Counts(bad, total):
            allowed = limit
        case Buckets(_, total) as reading:
            share = share_at_or_below(reading, limit)
            bad = total * (1 - share) if share is not None else 0.0
            allowed = 1 - (metric.quantile or 0.0)
        case _:
            return False
    return bad >= _FEWEST_BAD and bad > allowed * total


def since_when(old: RuleVerdict | None, verdict: Verdict, now: datetime, *, suffering: bool) -> datetime | None:
    """Since when stable fails what canary fails; kept while the gate is in doubt, forgotten once it passes."""
    was = old.shared_since if old is not None else None
    if verdict is Verdict.PASS:
        return None
    return (was or now) if verdict is Verdict.FAIL and suffering else was


def begin_anew(d: Draft, stage: Stage, status: StageStatus, message: str, data: Mapping[str, object]) -> None:
    """Starts the stage's clock again, or rolls back when that has gone on for too long."""
    shared = [v.shared_since for v in d.status.verdicts if v.kind == "threshold" and v.verdict is Verdict.FAIL]
    first = min((min(since, d.now) for since in shared if since is not None), default=d.now)
    limit = d.spec.shared_rollback_after
    text = f"gate {stage.name}: {message}; stable fails it too"
    if (status.started_at or d.now) - first >= limit:
        lasted = f"{text}, as it did more than {format_duration(limit)} before"
        roll_back(d, f"gate {stage.name}", Reason.SHARED_INCIDENT, lasted, data)
        return
    again = {"started_at": d.now, "counted_until": d.now, "observed": timedelta(0), "checkpoint_at": None}
    d.put(stage=status.model_copy(update=again))
    text += "; the stage begins anew"
    d.entry(Reason.SHARED_INCIDENT, text, {**told_rules(d), **data, "stage": stage.name})
    d.event(Reason.SHARED_INCIDENT, text, warning=True)
