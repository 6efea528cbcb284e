"""The last verdict of each rule as the status keeps it."""

from __future__ import annotations

from datetime import datetime

from sparkrelease.api.status import RuleVerdict
from sparkrelease.decide.burnrates import burn_factors
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.resolve import ResolvedSpec, per_spec
from sparkrelease.decide.rules import Judgement


def remember(d: Draft, verdicts: list[RuleVerdict]) -> None:
    """Puts these verdicts into the status, in place of the ones of the same rules; drops those of no rule any more."""
    known, names = d.status.verdicts, _rules(d.spec)
    if not verdicts and len(known) <= len(names):
        return
    news = {(v.kind, v.rule): v for v in verdicts}
    kept = [news.pop((v.kind, v.rule), v) for v in known]
    d.put(verdicts=tuple([v for v in (*kept, *news.values()) if (v.kind, v.rule) in names]))


@per_spec
def _rules(spec: ResolvedSpec) -> frozenset[tuple[str, str]]:
    """Kind and name of every rule that has a verdict."""
    names = {("trigger", t.name) for t in spec.triggers} | {("threshold", t.name) for t in spec.thresholds}
    names |= {("threshold", rule) for rule in burn_factors(spec)}
    tests = spec.comparison.tests if spec.comparison else ()
    return frozenset(names | {("comparison", f"comparison/{test.metric}") for test in tests})


def said(
    rule: str,
    kind: str,
    judgement: Judgement,
    since: datetime | None,
    before: RuleVerdict | None,
    *,
    acted_at: datetime | None = None,
    shared_since: datetime | None = None,
) -> RuleVerdict:
    """The verdict as the status keeps it; the one before, when nothing in it changed."""
    message = judgement.message[:512]
    if (
        before is not None
        and before.message == message
        and before.verdict is judgement.verdict
        and before.since == since
        and before.acted_at == acted_at
        and before.shared_since == shared_since
    ):
        return before
    changes: dict[str, object] = {
        "verdict": judgement.verdict,
        "reason": judgement.reason.value,
        "value": judgement.value[:64],
        "since": since,
        "acted_at": acted_at,
        "shared_since": shared_since,
        "message": message,
    }
    if before is not None and (before.rule, before.kind) == (rule, kind):
        return before.model_copy(update=changes)
    return RuleVerdict.model_validate({"rule": rule, "kind": kind} | changes)
