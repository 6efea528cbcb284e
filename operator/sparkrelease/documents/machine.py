"""A run for programs: one JSON document with what the pages tell in words."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sparkrelease.api.base import format_time
from sparkrelease.decide.basis import reading_data
from sparkrelease.decide.evidence import canonical_json
from sparkrelease.documents.burns import Burn
from sparkrelease.documents.people import commands_of
from sparkrelease.documents.results import Result
from sparkrelease.documents.view import View
from sparkrelease.documents.visits import Visit, weights_of

SCHEMA = "sparkrelease.dev/run/v1"


def run_json(view: View) -> str:
    """The document; keys in a fixed order, numbers in base units (seconds, percent of requests for weights)."""
    run, ending = view.run, view.ending
    body: dict[str, object] = {
        "schema": SCHEMA,
        "release": run.release,
        "run": run.id,
        "version": run.version,
        "verdict": view.verdict,
        "outcome": ending.outcome.value if ending is not None else None,
        "reason": ending.reason if ending is not None else None,
        "sentence": view.sentence,
        "startedAt": format_time(run.started_at),
        "promotedAt": _time(run.promoted_at),
        "endedAt": format_time(ending.at) if ending is not None else None,
        "stable": run.stable,
        "canary": run.canary,
        "specDigest": run.spec_digest,
        "weights": [{"at": format_time(at), "canary": weight} for at, weight in weights_of(run)],
        "stages": [_visit(view, visit) for visit in (*view.stages, *view.settling)],
        "stagesPassed": view.passed,
        "stagesDeclared": len(run.spec.stages),
        "rollback": _rollback(view),
        "comparisons": [
            {
                "metric": one.metric,
                "e": one.e,
                "ratio": one.ratio,
                "low": one.low,
                "high": one.high,
                "windows": one.windows,
                "voided": one.voided,
            }
            for one in view.tests
        ],
        "holds": [{"reason": one.reason, "times": one.times, "message": one.message} for one in view.holds],
        "commands": [
            {
                "at": format_time(one.at),
                "user": one.user,
                "verb": one.verb,
                "reason": one.reason,
                "taken": one.taken,
                "entry": one.entry,
            }
            for one in commands_of(run)
        ],
        "signatures": [
            {
                "by": one.by,
                "decision": one.decision,
                "at": one.at,
                "stage": one.stage or None,
                "groups": one.groups,
                "items": one.items,
                "comment": one.comment,
                "entry": one.entry,
            }
            for one in view.signatures
        ],
        "checks": [
            {
                "name": one.name,
                "kind": one.kind or None,
                "optional": one.optional,
                "verdict": one.verdict,
                "message": one.message,
                "details": dict(one.details),
                "entry": one.entry,
            }
            for one in view.checks
        ],
        "risks": [
            {
                "description": one.description,
                "mitigation": one.mitigation,
                "status": one.status,
                "entry": one.entry or None,
            }
            for one in view.risks
        ],
        "partOfRun": {
            "approvals": bool(view.signatures),
            "sbom": bool(view.files("sbom")),
            "provenance": bool(view.files("provenance")),
            "declaredChecks": bool(view.checks),
        },
        "baselines": [{"metric": one.metric, "value": one.value, "query": one.query} for one in run.baselines],
        "evidence": {
            "entries": run.chain.entries,
            "head": run.chain.head,
            "intact": not run.chain.fault,
            "fault": run.chain.fault or None,
            "headKnownToStatus": run.chain.anchored,
        },
        "spec": run.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    # Through the canonical form, which has words for the numbers that JSON lacks.
    plain = json.loads(canonical_json(body))
    return json.dumps({key: plain[key] for key in body}, indent=1, ensure_ascii=False) + "\n"


def _visit(view: View, visit: Visit) -> dict[str, object]:
    return {
        "name": visit.name,
        "weight": visit.weight,
        "mirror": visit.mirror,
        "walkBack": visit.settling,
        "status": visit.left.value,
        "enteredAt": format_time(visit.entered_at),
        "verifiedAt": _time(visit.verified_at),
        "leftAt": _time(visit.left_at),
        "observedSeconds": _seconds(visit.observed),
        "passing": visit.passing,
        "objectives": len(visit.results),
        "judgedOverStage": visit.judged,
        "results": [_result(view, one) for one in visit.results],
        "burnRates": [_burn(view, one) for one in visit.burns],
        "entry": visit.entry,
    }


def _result(view: View, one: Result) -> dict[str, object]:
    return {
        "objective": one.threshold,
        "metric": one.metric,
        "verdict": one.verdict.value,
        "canary": one.number,
        "stable": one.stable,
        "events": one.events,
        "limit": view.limit(one.threshold),
        "over": one.over.value,
        "said": one.said,
    }


def _burn(view: View, one: Burn) -> dict[str, object]:
    return {
        "rule": one.rule,
        "metric": one.metric,
        "verdict": one.verdict.value,
        "value": one.value,
        "limit": view.burn_limits[one.rule],
        "said": one.said,
    }


def _rollback(view: View) -> dict[str, object] | None:
    one = view.rollback
    if one is None:
        return None
    return {
        "rule": one.rule,
        "reason": one.reason,
        "message": one.message,
        "failed": [
            {"rule": said.rule, "value": said.value, "limit": said.limit, "message": said.message}
            for said in one.failed
        ],
        "stage": one.stage,
        "fromWeight": one.from_weight,
        "fromMirror": one.from_mirror,
        "trueSince": _time(one.true_since),
        "decidedAt": format_time(one.decided_at),
        "trafficAt": _time(one.traffic_at),
        "seconds": one.seconds,
        "askedBy": one.asked.user if one.asked is not None else None,
        "restorePoint": (one.asked.restore_point or None) if one.asked is not None else None,
        "after": {name: reading_data(facts) for name, facts in one.after.items()},
        "verifiedAt": _time(one.verified_at),
        "entry": one.entry,
        "digest": one.digest,
    }


def _time(at: datetime | None) -> str | None:
    return format_time(at) if at is not None else None


def _seconds(span: timedelta | None) -> float | None:
    return span.total_seconds() if span is not None else None
