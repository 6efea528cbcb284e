"""A run's beginning and end."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

from sparkrelease.api.command import Verb
from sparkrelease.api.flags import value_of
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import (
    BaselineStatus,
    EvidenceStatus,
    HistoryEntry,
    OriginalRoute,
    Outcome,
    RefusedVersion,
    Run,
    Settled,
    SparkReleaseStatus,
    WeightStatus,
)
from sparkrelease.decide.approvals import wanted_before
from sparkrelease.decide.checks import record_passed, warned
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.managed import is_managed, template_of
from sparkrelease.decide.resolve import digest
from sparkrelease.decide.stages import enter_stage

_HISTORY = 10
_MOST_BASELINES = 64


def next_run_id(d: Draft, fingerprint: str) -> str:
    """Name of the run that would start now: the version and six hex digits that no other run the status knows has.

    A retry is part of it: a run of which only the status knew nothing any more is not begun a second time by one.
    """
    before = d.status.run.id if d.status.run else ""
    asked = d.status.command
    retry = (asked.nonce,) if asked is not None and asked.verb == Verb.RETRY.value else ()
    return _named(d, fingerprint, before, *retry)


def run_id(d: Draft, fingerprint: str) -> str:
    """The same; another one when evidence of a run of that name is there already."""
    name, found = next_run_id(d, fingerprint), d.facts.regression
    return _named(d, fingerprint, name) if found is not None and found.run == name else name


def _named(d: Draft, *told: str) -> str:
    text = "\n".join((d.facts.uid, d.spec.version, *told))
    return f"{d.spec.version}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def start_run(d: Draft, stable: str, canary: str) -> None:
    """Starts a run, at its first stage unless people have to sign before it.

    The resolved spec is recorded with it and followed to its end.
    """
    run = Run(
        id=run_id(d, canary),
        version=d.spec.version,
        started_at=d.now,
        spec_digest=digest(d.spec),
        stable_fingerprint=stable,
        canary_fingerprint=canary,
        template=template_of(d),
        capacity_floor=d.facts.stable.ready,
        dry=d.spec.dry_run,
    )
    d.put(
        run=run,
        weight=WeightStatus(observed=d.facts.route.canary_weight),
        verdict=None,
        verdicts=warned(d),
        glances=(),
        gate_text="",
        tests=(),
        baselines=_frozen_baselines(d),
        incident=None,
        mitigations=(),
        contested=None,
        preflight=d.status.preflight if d.facts.checks is not None else None,
        evidence=EvidenceStatus(),
        pending_evidence=(),
        original_route=_original_route(d),
    )
    text = f"run {run.id}: {canary} on trial against {stable}" + (" (dry run)" if run.dry else "")
    d.entry(
        Reason.RUN_STARTED,
        text,
        {
            "spec": d.spec.model_dump(mode="json", by_alias=True),
            "specDigest": run.spec_digest,
            "generation": d.facts.generation,
            "stable": stable,
            "canary": canary,
            "capacityFloor": run.capacity_floor,
            **({"template": run.template} if run.template else {}),
            "baselines": baseline_data(d),
        },
    )
    d.event(Reason.RUN_STARTED, text)
    record_passed(d)
    if wanted_before(d.spec, 0):
        d.put(stage=None, stage_text=f"0/{len(d.spec.stages)}")
    else:
        enter_stage(d, 0)


def look_again(d: Draft) -> None:
    """Takes what a run goes by anew, for one that waited for signatures between its start and its first weight."""
    d.put(baselines=_frozen_baselines(d), original_route=_original_route(d))
    d.put_run(
        stable_fingerprint=d.facts.stable.fingerprint or "",
        capacity_floor=d.facts.stable.ready,
    )


def _original_route(d: Draft) -> OriginalRoute | None:
    """What a referenced route, or a flag, says before the run."""
    original, provider = d.facts.route.original, d.spec.traffic.gateway_api
    referenced = d.spec.traffic.feature_flag is not None or (provider is not None and provider.route is not None)
    if not referenced or original is None:
        return None
    return OriginalRoute(route=route_name(d), state=original)


def _frozen_baselines(d: Draft) -> tuple[BaselineStatus, ...]:
    """What stable was before the run, as the whole run goes by it. A baseline that is no number is none."""
    return tuple(
        BaselineStatus(
            metric=metric,
            at=seen.at,
            value=seen.value if seen.value is not None and math.isfinite(seen.value) else None,
            spread=seen.spread if 0 <= seen.spread < math.inf else 0.0,
        )
        for metric, seen in sorted((d.facts.baselines or {}).items())
    )[:_MOST_BASELINES]


def baseline_data(d: Draft) -> dict[str, object]:
    """The same for evidence, with what was asked and why there is none where there is none."""
    return {
        metric: {
            "query": seen.query,
            "at": seen.at,
            "overSeconds": seen.over.total_seconds(),
            "value": seen.value,
            "spread": seen.spread,
            "events": seen.events,
            "problem": seen.problem.message if seen.problem is not None else None,
        }
        for metric, seen in sorted((d.facts.baselines or {}).items())
    }


def route_name(d: Draft) -> str:
    """Kind and name of what holds the weights, for people."""
    gateway, flag = d.spec.traffic.gateway_api, d.spec.traffic.feature_flag
    if flag is not None:
        return f"ConfigMap/{flag.config_map}"
    if gateway is not None and gateway.route is not None:
        return f"{gateway.route.kind}/{gateway.route.name}"
    if gateway is not None and gateway.owned is not None:
        return f"{gateway.owned.kind}/{gateway.owned.name or d.facts.name}"
    return ""


def one_workload(run: Run | None) -> bool:
    """Whether a run is about a feature of one workload: without a flag, two sides that are the same start no run."""
    return run is not None and bool(run.canary_fingerprint) and run.canary_fingerprint == run.stable_fingerprint


def stable_changed(d: Draft) -> str | None:
    """What stable ran at the start of the run on trial, and what it runs now where that is something else too.

    Pods that nobody can tell are no change, nor is what follows a promotion. The copy of a managed workload is ours.
    """
    run, stable = d.run, d.facts.stable
    if run is None or run.promoted_at is not None or not run.stable_fingerprint or is_managed(d) or one_workload(run):
        return None
    if stable.problem is not None or not stable.fingerprints - {run.stable_fingerprint}:
        return None
    seen = " and ".join(sorted(stable.fingerprints))
    return f"stable ran {run.stable_fingerprint} when the run started, now it runs {seen}"


def stays_on(run: Run | None) -> bool:
    """Whether an ended run leaves its flag as it is: a feature is settled where it serves everybody."""
    return run is not None and run.end is Outcome.SETTLED and one_workload(run)


def state_at_rest(status: SparkReleaseStatus) -> str | None:
    """What a referenced route, or a flag, says at rest: as before the run, and on where a feature is settled."""
    if stays_on(status.run):
        return value_of(status.weight.desired)
    return status.original_route.state if status.original_route is not None else None


def where_settled(run: Run | None) -> str:
    """Where a settled version is, as people read it."""
    return "is on for everybody" if stays_on(run) else "is on stable and serves all traffic"


def end_run(d: Draft, outcome: Outcome, reason: Reason, message: str, data: Mapping[str, object] | None = None) -> None:
    """Ends the run: weight 0, history, evidence of its end. Bringing the route to rest is the idle round's part.

    The route of a run that was never given any weight is left alone, and so is the flag of a feature that is settled.
    """
    run = d.run
    if run is None:
        return
    mark = d.facts.route.mark
    marked = mark is not None and mark.run == run.id
    settled = outcome is Outcome.SETTLED and one_workload(run)
    if not settled and (marked or run.promoted_at is not None or d.status.stage is not None):
        d.aim(0, rollback=mark.rollback if mark is not None and marked else "")
    d.put_run(end=outcome)
    d.entry(reason, message, {"outcome": outcome.value, "weight": d.on_route, **(data or {})})
    d.event(reason, message, warning=outcome in {Outcome.ROLLED_BACK, Outcome.DELETED, Outcome.BLOCKED})
    ended = HistoryEntry(
        run=run.id,
        version=run.version,
        outcome=outcome,
        reason=reason.value,
        started_at=run.started_at,
        ended_at=d.now,
        evidence=d.status.evidence,
    )
    d.put(
        history=(ended, *d.status.history)[:_HISTORY],
        stage=None,
        watch=None,
        next=None,
        gate_text="",
        incident=None,
        contested=None,
    )


def refuse_version(d: Draft) -> None:
    """Remembers that the run's version was rolled back, or got a NO-GO."""
    run = d.status.run
    if run is None:
        return
    refused = RefusedVersion(
        version=run.version,
        run=run.id,
        fingerprint=run.canary_fingerprint,
        template=run.template,
        at=d.now,
    )
    remember_refused(d, refused)


def remember_refused(d: Draft, refused: RefusedVersion) -> None:
    """Adds it. Several templates of one version may be refused: of a managed workload the template is what counts."""
    others = (r for r in d.status.refused if (r.version, r.template) != (refused.version, refused.template))
    d.put(refused=(refused, *others)[:_HISTORY])


def same_pods_as_ended_run(d: Draft) -> bool:
    """Whether canary still runs the pods of a run that ended for another version: the wanted one is not there yet."""
    run = d.status.run
    return (
        run is not None
        and not run.dry
        and run.end in {Outcome.SUPERSEDED, Outcome.CANCELLED, Outcome.ROLLED_BACK, Outcome.BLOCKED}
        and run.version != d.facts.wanted_version
        and run.canary_fingerprint == d.facts.canary.fingerprint
    )


def note_settled(d: Draft, run: Run) -> None:
    """Remembers that stable runs what a run promoted."""
    d.put(settled=Settled(version=run.version, fingerprint=run.canary_fingerprint, template=run.template, at=d.now))


def settle_run(d: Draft, message: str) -> None:
    """Ends a promoted run well: stable serves the promoted version and all traffic."""
    run = d.run
    if run is None:
        return
    note_settled(d, run)
    end_run(d, Outcome.SETTLED, Reason.SETTLED, message)
