"""What was measured after a rollback: once, when every window lies behind it, for evidence. Nothing waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, Rollback
from sparkrelease.decide.basis import reading_data
from sparkrelease.decide.draft import Draft, same_weight
from sparkrelease.decide.facts import MetricFacts, Missing, Verification
from sparkrelease.decide.plan import Wants
from sparkrelease.decide.resolve import metrics_by_name
from sparkrelease.decide.rules import show

PATIENCE = timedelta(minutes=10)
"""How long, beyond the longest window, the gateway's word and an answer are waited for."""

AGAIN = timedelta(seconds=15)
"""Pause after a look at which no metric said anything of stable."""

_NAMED = 6
"""Metrics named in the sentence; evidence has all of them."""


def mind_aftermath(d: Draft, *, next_run: bool = False) -> bool:
    """Has the metrics measured after a rollback and kept; True while the round is for that alone.

    With `next_run` another run is about to begin, which takes over the evidence: it is measured now, with windows that
    may reach back before the rollback.
    """
    record = _unmeasured(d)
    back_at = record.traffic_at if record is not None else None
    if record is None or back_at is None:
        return False
    window = max(metric.window for metric in d.spec.metrics)
    last = back_at + window + PATIENCE
    if d.now > last + AGAIN:
        return False
    record = _note_verified(d, record)
    since = record.verified_at or (back_at if _nobody_says(d) else None)
    due = min(since + window + d.facts.tick, last) if since is not None else last
    if d.now < due and not next_run:
        d.wake_at = due
        return False
    seen = d.facts.after
    if seen is None:
        d.wants = Wants(after=True)
        d.wake_at = d.now + d.facts.tick
        return True
    blind = all(isinstance(facts.stable, Missing) for facts in seen.values())
    if blind and not next_run and d.now + AGAIN <= last:
        d.wake_at = d.now + AGAIN
        return False
    _keep(d, record)
    d.wake_at = d.now
    return True


def _unmeasured(d: Draft) -> Rollback | None:
    """The rollback of the run that ended last, if it moved traffic and was not measured since."""
    run, record = d.status.run, d.status.rollback
    if run is None or record is None or run.end is not Outcome.ROLLED_BACK or run.dry or record.run != run.id:
        return None
    return record if record.measured_at is None and d.spec.metrics else None


def _note_verified(d: Draft, record: Rollback) -> Rollback:
    """Since when the gateway is known to do what the route says."""
    route = d.facts.route
    there = route.gone or (same_weight(route.canary_weight, 0) and route.verification is Verification.VERIFIED)
    if record.verified_at is None and there:
        record = record.model_copy(update={"verified_at": d.now})
        d.put(rollback=record)
    return record


def _nobody_says(d: Draft) -> bool:
    """Whether nobody will say that the route is in force: of a flag only the pods can, and they are asked no more."""
    return d.facts.route.verification is Verification.UNSUPPORTED


def _keep(d: Draft, record: Rollback) -> None:
    since = record.verified_at or record.traffic_at or d.now
    seen = d.facts.after or {}
    text = f"{_seconds(since, d.now)} after traffic was back, stable: {'; '.join(_said(d))}"
    d.put(rollback=record.model_copy(update={"measured_at": d.now}))
    data = {
        "readings": {name: reading_data(facts) for name, facts in seen.items()},
        "trafficAt": record.traffic_at,
        "verifiedAt": record.verified_at,
    }
    d.entry(Reason.ROLLBACK_MEASURED, text, data)
    d.event(Reason.ROLLBACK_MEASURED, text)


def _said(d: Draft) -> Iterator[str]:
    seen = sorted((d.facts.after or {}).items())
    for name, facts in seen[:_NAMED]:
        yield f"{name} {_stable(d, name, facts)}"
    if len(seen) > _NAMED:
        yield f"and {len(seen) - _NAMED} more"


def _stable(d: Draft, name: str, facts: MetricFacts) -> str:
    metric = metrics_by_name(d.spec).get(name)
    edges = (one.max for one in d.spec.thresholds if one.metric == name and one.max is not None)
    return show(metric, facts.stable, next(edges, None)) if metric is not None else "?"


def _seconds(since: datetime, now: datetime) -> str:
    return f"{(now - since).total_seconds():.0f} s"
