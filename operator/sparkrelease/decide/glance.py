"""What each threshold says now, between gates and checks: for people alone, nothing is decided by it."""

from __future__ import annotations

import json

from sparkrelease.api.metrics import Threshold
from sparkrelease.api.spec import Thresholds
from sparkrelease.api.status import Verdict
from sparkrelease.decide.answers import reading_or_missing
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Role
from sparkrelease.decide.gate import baseline_of
from sparkrelease.decide.rules import Judgement
from sparkrelease.decide.thresholds import judge_threshold


def glance(d: Draft, thresholds: Thresholds) -> int:
    """Shows what these thresholds say by the readings of this round, for which no query is made; how many pass.

    It does without the least number of requests that a gate asks for, which judges the whole stage.
    """
    judged = {threshold.name: _judge(d, threshold) for threshold in thresholds}
    told = tuple([_text(name, one) for name, one in judged.items()])
    if told != d.status.glances:
        d.put(glances=told)
    return sum(one.verdict is Verdict.PASS for one in judged.values())


def _judge(d: Draft, threshold: Threshold) -> Judgement:
    metric, baseline = d.spec.metric(threshold.metric), baseline_of(d, threshold.metric)
    reading = reading_or_missing(d.facts, threshold.metric, Role.CANARY, d.canary_share, d.now)
    return judge_threshold(threshold, metric, reading, baseline, least=1)


def _text(name: str, said: Judgement) -> str:
    """A verdict as `read_glance` reads it. One string: for a list of objects the definition has no room."""
    body = {
        "rule": name,
        "kind": "threshold",
        "verdict": said.verdict.value,
        "reason": said.reason.value,
        "value": said.value[:64],
        "message": said.message[:512],
    }
    return json.dumps(body, ensure_ascii=False)
