"""What a release really says: its own spec merged over its policy's, with the references between its parts checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import wraps
from typing import Protocol, TypeVar, cast

from sparkrelease.api.base import Duration, SpecModel
from sparkrelease.api.comparison import Comparison, ComparisonTest
from sparkrelease.api.flags import LADDER, value_of
from sparkrelease.api.metrics import JudgedAt, Metric, Threshold
from sparkrelease.api.preflight import PreflightItems
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import (
    Checklist,
    DeletionPolicy,
    Evidence,
    Metrics,
    ReleasePolicySpec,
    Settle,
    SparkReleaseSpec,
    Stages,
    Thresholds,
    Traffic,
    Triggers,
    Workload,
)
from sparkrelease.api.triggers import LegKind, NoData, Trigger
from sparkrelease.api.watch import ErrorBudget, Watch
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.legfaults import leg_fault
from sparkrelease.decide.same import memory_of

_LIVE_FIELDS = frozenset({"paused", "deletion_policy", "evidence"})
"""Edits of these act at once, also during a run, so the digest of what a run follows leaves them out."""

SHARED_ROLLBACK_AFTER = timedelta(minutes=15)
"""How long an incident that stable has too is borne, where nothing else is said."""

_MOST_ITEMS = 64
"""Limit of a merged list, the same as that of each list by itself: the status has room for this many verdicts."""

_MOST_TESTS = 16
"""Tests that count windows; the status has room for the state of this many."""

_MOST_FAULTS = 5
"""Faults named in one message; the rest is counted."""


class ResolvedSpec(SpecModel):
    """A release with its policy merged in and every default filled. A run follows the one it started with.

    Field names are those of SparkReleaseSpec. It goes through JSON unchanged, because evidence stores it.
    """

    version: str
    prometheus: str
    workload: Workload | None = None
    """None where both sides are the team's own."""
    traffic: Traffic
    stages: Stages
    metrics: Metrics = ()
    policy_metrics: tuple[str, ...] = ()
    """Names of the metrics taken from the policy as they are: only these may read across namespaces."""
    thresholds: Thresholds = ()
    triggers: Triggers = ()
    preflight: PreflightItems = ()
    policy_preflight: tuple[str, ...] = ()
    """Names of the items taken from the policy as they are: only their queries may read across namespaces."""
    comparison: Comparison | None = None
    checklist: Checklist | None = None
    """None when there is nothing to sign: the digest of such a spec is what it was before there were checklists."""
    approval_expires: Duration | None = None
    """As written; None means to the end of the run."""
    no_data: NoData = NoData()
    shared_rollback_after: Duration = SHARED_ROLLBACK_AFTER
    watch: Watch | None = None
    error_budget: ErrorBudget | None = None
    settle: Settle = Settle()
    progress_deadline: Duration | None = None
    """As written; None means twice the stage, at least ten minutes."""
    paused: bool = False
    dry_run: bool = False
    deletion_policy: DeletionPolicy = DeletionPolicy.RESTORE
    evidence: Evidence = Evidence()

    @property
    def gate_thresholds(self) -> Thresholds:
        """What every gate asks for."""
        return tuple(t for t in self.thresholds if t.at not in {JudgedAt.WATCH, JudgedAt.MIRROR})

    @property
    def mirror_thresholds(self) -> Thresholds:
        """What the gate of a stage that mirrors requests asks for: the same, and what counts there alone."""
        return tuple(t for t in self.thresholds if t.at is not JudgedAt.WATCH)

    @property
    def criteria(self) -> Thresholds:
        """What the whole watch must meet to be a success; none without a watch."""
        return (
            tuple(t for t in self.thresholds if t.at not in {JudgedAt.GATES, JudgedAt.MIRROR})
            if self.watch is not None
            else ()
        )

    @property
    def burn_metric(self) -> str | None:
        """The metric whose burn rate the watch looks at."""
        burn = self.watch.burn_rates if self.watch is not None else None
        if burn is None:
            return None
        if self.error_budget is not None:
            return self.error_budget.metric
        return next((metric.name for metric in self.metrics if metric.bad is not None), None)

    def stages_alone(self) -> ResolvedSpec:
        """The same without what comes before and after the stages: for trying rules on traffic that is not live."""
        return self.model_copy(update={"preflight": (), "watch": None, "error_budget": None})

    def metric(self, name: str) -> Metric:
        """The metric of that name; KeyError when there is none, which `resolve` has ruled out for every rule."""
        return metrics_by_name(self)[name]


_Found = TypeVar("_Found")


def per_spec(work: Callable[[ResolvedSpec], _Found]) -> Callable[[ResolvedSpec], _Found]:
    """Remembers what `work` says of a spec for the ticks to come, until nobody holds the spec any more.

    A run follows one spec from its start to its end. An answer must not hold on to its spec.
    """

    @wraps(work)
    def answered(spec: ResolvedSpec) -> _Found:
        answers = memory_of(spec)
        if work not in answers:
            answers[work] = work(spec)
        return cast("_Found", answers[work])

    return answered


@per_spec
def metrics_by_name(spec: ResolvedSpec) -> Mapping[str, Metric]:
    """Every metric of a release."""
    return {metric.name: metric for metric in spec.metrics}


def resolve(spec: SparkReleaseSpec, policy: ReleasePolicySpec | None) -> ResolvedSpec | Problem:
    """Merges the spec over its policy by name, then checks what only the merged spec can show.

    Same name replaces the whole item in its place, new items follow; a non-empty `stages` replaces the list.
    `policy` is None when the release names none, or when the one it names does not exist.
    """
    if spec.policy_ref is None:
        policy = ReleasePolicySpec()
    elif policy is None:
        text = f"spec.policyRef.name: no ReleasePolicy is called {spec.policy_ref.name}; create it or name another one"
        return Problem(Reason.POLICY_NOT_FOUND, text)
    merged = _Merged(spec, policy)
    faults = list(merged.faults())
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        return Problem(Reason.INVALID_SPEC, "; ".join(faults[:_MOST_FAULTS]) + more)
    return ResolvedSpec(
        version=spec.version,
        prometheus=spec.prometheus,
        workload=spec.workload,
        traffic=spec.traffic,
        stages=merged.stages,
        metrics=merged.metrics,
        policy_metrics=merged.policy_metrics,
        thresholds=merged.thresholds,
        triggers=merged.triggers,
        preflight=merged.preflight,
        policy_preflight=merged.policy_preflight,
        comparison=merged.comparison,
        shared_rollback_after=_first(spec.shared_rollback_after, policy.shared_rollback_after) or SHARED_ROLLBACK_AFTER,
        checklist=merged.checklist or None,
        approval_expires=_first(spec.approval_expires, policy.approval_expires),
        no_data=spec.no_data or policy.no_data or NoData(),
        watch=merged.watch,
        error_budget=merged.error_budget,
        settle=merged.settle,
        progress_deadline=_first(spec.progress_deadline, policy.progress_deadline),
        paused=spec.paused,
        dry_run=spec.dry_run,
        deletion_policy=spec.deletion_policy,
        evidence=spec.evidence,
    )


def digest(resolved: ResolvedSpec) -> str:
    """`sha256:<hex>` of what a run follows: canonical JSON without the fields whose edits act at once."""
    body = resolved.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(_LIVE_FIELDS))
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def with_live_fields(frozen: ResolvedSpec, present: SparkReleaseSpec) -> ResolvedSpec:
    """The spec a run follows, with the fields whose edits act at once taken from the object as it is now.

    The same object where they are as they were: of thousands of specs hardly any is there twice.
    """
    now = {name: getattr(present, name) for name in _LIVE_FIELDS}
    edited = {name: value for name, value in now.items() if value != getattr(frozen, name)}
    return frozen.model_copy(update=edited) if edited else frozen


# ---------------------------------------------------------------- merging


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Item = TypeVar("_Item", bound=_Named)


def merge_by_name(base: Sequence[_Item], own: Sequence[_Item]) -> tuple[_Item, ...]:
    """`base` with items of the same name replaced in their places, followed by the items only `own` has."""
    replacing = {item.name: item for item in own}
    known = {item.name for item in base}
    replaced = [replacing.get(item.name, item) for item in base]
    return (*replaced, *(item for item in own if item.name not in known))


def _first(own: timedelta | None, shared: timedelta | None) -> timedelta | None:
    return shared if own is None else own


# ---------------------------------------------------------------- checking


class _Merged:
    """The merged lists and what is wrong between them."""

    def __init__(self, spec: SparkReleaseSpec, policy: ReleasePolicySpec) -> None:
        self.stages = spec.stages or policy.stages
        self.metrics = merge_by_name(policy.metrics, spec.metrics)
        own = {metric.name for metric in spec.metrics}
        self.policy_metrics = tuple(metric.name for metric in policy.metrics if metric.name not in own)
        self.thresholds = merge_by_name(policy.thresholds, spec.thresholds)
        self.triggers = merge_by_name(policy.triggers, spec.triggers)
        self.preflight = merge_by_name(policy.preflight, spec.preflight)
        own = {item.name for item in spec.preflight}
        self.policy_preflight = tuple(item.name for item in policy.preflight if item.name not in own)
        self.checklist = merge_by_name(policy.checklist, spec.checklist)
        self.comparison = spec.comparison or policy.comparison
        self.watch = spec.watch or policy.watch
        self.error_budget = spec.error_budget or policy.error_budget
        self.settle = spec.settle or policy.settle or Settle()
        self._flag = spec.traffic.feature_flag
        self._where = f"the release or in policy {spec.policy_ref.name}" if spec.policy_ref else "the release"
        self._by_name = {metric.name: metric for metric in self.metrics}

    def faults(self) -> Iterator[str]:
        """Each with the path of the field, its value and the remedy."""
        if not self.stages:
            yield f"spec.stages: there are none; give at least one in {self._where}"
        for field in ("metrics", "thresholds", "triggers", "preflight", "checklist"):
            count = len(getattr(self, field))
            if count > _MOST_ITEMS:
                yield f"spec.{field}: {count} after merging the policy's in; at most {_MOST_ITEMS} are allowed"
        sequential = sum(leg.kind is LegKind.SEQUENTIAL for trigger in self.triggers for leg in trigger.all)
        if sequential + len(self.comparison.tests if self.comparison else ()) > _MOST_TESTS:
            yield f"spec.triggers: {sequential} legs of kind sequential; with comparison.tests at most {_MOST_TESTS}"
        for threshold in self.thresholds:
            yield from self._threshold_faults(threshold)
        for trigger in self.triggers:
            yield from self._trigger_faults(trigger)
        for test in self.comparison.tests if self.comparison else ():
            yield from self._test_faults(test)
        yield from self._budget_faults()
        yield from self._rung_faults()

    def _threshold_faults(self, threshold: Threshold) -> Iterator[str]:
        path = f"spec.thresholds[{threshold.name}]"
        nowhere = self._nowhere(threshold.at)
        if nowhere is not None:
            yield f"{path}.at: {nowhere}"
        metric = self._by_name.get(threshold.metric)
        if metric is None:
            yield f"{path}.metric: {self._no_metric(threshold.metric)}"
        elif metric.buckets is not None:
            limits = {"min": threshold.min, "maxVsBaseline": threshold.max_vs_baseline}
            for field in (name for name, limit in limits.items() if limit is not None):
                yield (
                    f"{path}.{field}: metric {metric.name} is a quantile of buckets, which only has an upper limit, at "
                    "a bucket edge; use max"
                )

    def _nowhere(self, at: JudgedAt | None) -> str | None:
        """Why a threshold that counts in one place alone would never be judged; None when there is that place."""
        if at is JudgedAt.WATCH and self.watch is None:
            return f"watch, and there is none in {self._where}, so it is never judged; add spec.watch or remove at"
        if at is JudgedAt.MIRROR and all(stage.mirror is None for stage in self.stages):
            return "mirror, and no stage mirrors, so it is never judged; give a stage mirror, or remove at"
        return None

    def _trigger_faults(self, trigger: Trigger) -> Iterator[str]:
        for place, leg in enumerate(trigger.all):
            path = f"spec.triggers[{trigger.name}].all[{place}]"
            metric = self._by_name.get(leg.metric)
            fault = f".metric: {self._no_metric(leg.metric)}" if metric is None else leg_fault(leg, metric)
            if fault is not None:
                yield path + fault
        flag, changed = self._flag, trigger.mitigation
        same = flag is not None and changed is not None and changed.config_map == flag.config_map
        if flag is not None and changed is not None and same and flag.key in changed.wanted:
            yield (
                f"spec.triggers[{trigger.name}].mitigation.set.{flag.key}: it is the flag that the stages of this "
                "release set; use the action stepBack"
            )
        stages = {stage.name for stage in self.stages}
        if trigger.stage is not None and trigger.stage not in stages:
            known = ", ".join(stage.name for stage in self.stages)
            yield f"spec.triggers[{trigger.name}].stage: no stage is called {trigger.stage} (there are: {known})"

    def _budget_faults(self) -> Iterator[str]:
        """What the burn rates of the watch and the error budget are read from."""
        burns = self.watch is not None and self.watch.burn_rates is not None
        if burns and all(metric.bad is None for metric in self.metrics):
            yield "spec.watch.burnRates: there is no metric with bad and total; add one"
        if self.error_budget is None:
            return
        name, path = self.error_budget.metric, "spec.errorBudget.metric"
        metric = self._by_name.get(name)
        if metric is None:
            yield f"{path}: {self._no_metric(name)}"
        elif metric.bad is None:
            yield f"{path}: {name} does not say which events are bad; use a metric with bad and total"

    def _test_faults(self, test: ComparisonTest) -> Iterator[str]:
        path = f"spec.comparison.tests[{test.metric}].metric"
        metric = self._by_name.get(test.metric)
        if metric is None:
            yield f"{path}: {self._no_metric(test.metric)}"
        elif not metric.counted:
            yield f"{path}: {metric.name} is a value; a test counts events, so use a metric with bad and total"

    def _rung_faults(self) -> Iterator[str]:
        """Weights that a feature flag has no value for."""
        if self._flag is None:
            return
        rungs = ", ".join(f"{weight:g} ({value})" for weight, value in LADDER.items())
        weights = {f"spec.stages[{stage.name}].weight": stage.weight for stage in self.stages}
        weights |= {f"spec.settle.steps[{place}]": weight for place, weight in enumerate(self.settle.steps)}
        for path, weight in weights.items():
            if value_of(weight) is None:
                yield f"{path}: {weight:g} is no rung of a feature flag; use one of {rungs}"

    def _no_metric(self, name: str) -> str:
        known = ", ".join(sorted(self._by_name)) or "none"
        return f"no metric is called {name} in {self._where} (there are: {known}); correct the name or add the metric"
