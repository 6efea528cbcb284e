"""What each threshold says now, between gates and checks: for people alone, nothing is decided by it."""

from __future__ import annotations

from sparkrelease.api.metrics import Threshold
from sparkrelease.api.spec import Thresholds
from sparkrelease.api.status import GLANCE, Verdict
from sparkrelease.decide.answers import reading_or_missing
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Role
from sparkrelease.decide.gate import baseline_of, say_gate, thresholds_now
from sparkrelease.decide.rules import Judgement
from sparkrelease.decide.thresholds import judge_threshold
from sparkrelease.decide.verdicts import remember, said


def glance_at_stage(d: Draft) -> None:
    """Shows what the thresholds of the stage's gate say now, and how many pass."""
    thresholds = thresholds_now(d)
    say_gate(d, _glance(d, thresholds), len(thresholds))


def glance_at_watch(d: Draft) -> None:
    """Shows what the thresholds of the watch's checks say now."""
    _glance(d, tuple({t.name: t for t in (*d.spec.gate_thresholds, *d.spec.criteria)}.values()))


def _glance(d: Draft, thresholds: Thresholds) -> int:
    """How many pass by the readings of this round alone: no query is made for it.

    It does without the least number of requests that a gate asks for, which judges the whole stage.
    """
    before = {v.rule: v for v in d.status.verdicts if v.kind == GLANCE}
    judged = {threshold.name: _judge(d, threshold) for threshold in thresholds}
    if judged:
        remember(d, [said(name, GLANCE, one, None, before.get(name)) for name, one in judged.items()])
    return sum(one.verdict is Verdict.PASS for one in judged.values())


def _judge(d: Draft, threshold: Threshold) -> Judgement:
    metric, baseline = d.spec.metric(threshold.metric), baseline_of(d, threshold.metric)
    reading = reading_or_missing(d.facts, threshold.metric, Role.CANARY, d.on_route, d.now)
    return judge_threshold(threshold, metric, reading, baseline, least=1)
