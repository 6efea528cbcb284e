"""The gate at the end of a stage: every threshold, judged over the whole stage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from sparkrelease.api.metrics import Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import Thresholds
from sparkrelease.api.status import RuleVerdict, StageStatus, Verdict
from sparkrelease.api.triggers import TriggerAction
from sparkrelease.decide.answers import pause_over
from sparkrelease.decide.basis import reading_data
from sparkrelease.decide.checkpoints import told_thresholds
from sparkrelease.decide.comparison import without_a_window
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.rules import WORST_FIRST, Judgement
from sparkrelease.decide.sharedgate import since_when, suffers
from sparkrelease.decide.stages import current_stage
from sparkrelease.decide.thresholds import judge_facts, judge_threshold
from sparkrelease.decide.verdicts import remember, said


def worst(verdicts: tuple[RuleVerdict, ...]) -> Verdict | None:
    """The worst verdict; None when no rule has spoken."""
    said_so = {v.verdict for v in verdicts}
    return next((v for v in WORST_FIRST if v in said_so), None)


@dataclass(frozen=True, slots=True)
class GateResult:
    """The gate's verdict, the sentence of the rule that decided it, and what it was based on (for evidence)."""

    verdict: Verdict
    message: str
    data: dict[str, object]
    shared: bool = False
    """Whether stable fails every threshold that canary fails."""


def thresholds_now(d: Draft) -> Thresholds:
    """What the gate of the stage under way asks for."""
    stage = current_stage(d)
    return d.spec.mirror_thresholds if stage is not None and stage.mirror is not None else d.spec.gate_thresholds


def ask_gate(d: Draft, stage: StageStatus, length: timedelta) -> GateResult | None:
    """Judges the gate, or asks for what it needs (None). A release without thresholds passes by its other rules alone.

    A gate that passed and then waited for a signature is judged once more, over the last `length` (the stage's
    duration), and stays passed where that is too little to say.
    """
    unseen = without_a_window(d)
    if unseen is not None:
        return GateResult(Verdict.INCONCLUSIVE, f"comparison/{unseen}: no window could be counted yet", {})
    if not thresholds_now(d):
        return _by_rules_that_act(d)
    if d.facts.gate is None:
        over = d.now - (stage.started_at or d.now)
        d.wants = replace(d.wants, gate_over=over if stage.passed_at is None else min(over, length))
        return None
    result = _judge(d)
    if stage.passed_at is not None and result.verdict is Verdict.INCONCLUSIVE:
        return replace(result, verdict=Verdict.PASS, message=f"it passed before; too little since ({result.message})")
    return result


def _by_rules_that_act(d: Draft) -> GateResult:
    """The gate of a release without thresholds: no rule acted, unless all of them had too few requests to say."""
    acting = {t.name for t in d.spec.triggers if t.action is not TriggerAction.NOTIFY}
    rules = [v for v in d.status.verdicts if v.kind == "comparison" or (v.kind == "trigger" and v.rule in acting)]
    few = [v for v in rules if v.reason == Reason.INSUFFICIENT_TRAFFIC.value]
    if few and not any(v.verdict is Verdict.PASS and v.reason != Reason.NOT_ACTIVE.value for v in rules):
        return GateResult(Verdict.INCONCLUSIVE, f"no rule has seen enough requests: {few[0].message}", {})
    return GateResult(Verdict.PASS, "no thresholds are declared", {})


def doubt(d: Draft) -> str | None:
    """Why the gate could say neither when it was last judged; None when it was not, or said something."""
    names = {threshold.name for threshold in thresholds_now(d)}
    known = [v for v in d.status.verdicts if v.kind == "threshold" and v.rule in names]
    return _told(known, Verdict.INCONCLUSIVE) if worst(tuple(known)) is Verdict.INCONCLUSIVE else None


def due_again(before: timedelta, observed: timedelta, length: timedelta) -> bool:
    """Whether a gate in doubt is asked once more, by the stage's clock `before` this round and now.

    Each release asks over a span of its own, so hundreds with few requests would ask as many questions at every tick.
    At the end of the duration and of its extension it is asked at once.
    """
    if before < length <= observed or before < 2 * length <= observed:
        return True
    pause = pause_over(length)
    return before // pause < observed // pause


def say_gate(d: Draft, passing: int, of: int) -> None:
    """Says how many of so many thresholds pass."""
    text = f"{passing}/{of}" if of else ""
    if d.status.gate_text != text:
        d.put(gate_text=text)


def baseline_of(d: Draft, metric: str) -> float | None:
    """What the metric was before the run, frozen; None when that is not known."""
    return next((b.value for b in d.status.baselines if b.metric == metric), None)


def _judge_one(d: Draft, threshold: Threshold) -> Judgement:
    facts, metric = (d.facts.gate or {}).get(threshold.name), d.spec.metric(threshold.metric)
    if facts is None:
        return judge_threshold(threshold, metric, Missing(Reason.NO_DATA, "not answered"))
    return judge_facts(threshold, metric, facts, baseline_of(d, threshold.metric))


def _kept(d: Draft, threshold: Threshold, judgement: Judgement, old: RuleVerdict | None) -> RuleVerdict:
    """What a threshold says, and since when stable fails it as well."""
    facts, baseline = (d.facts.gate or {}).get(threshold.name), baseline_of(d, threshold.metric)
    suffering = judgement.verdict is Verdict.FAIL and suffers(d.spec, threshold, facts, baseline)
    since = since_when(old, judgement.verdict, d.now, suffering=suffering)
    return said(threshold.name, "threshold", judgement, None, old, shared_since=since)


def _judge(d: Draft) -> GateResult:
    before = {v.rule: v for v in d.status.verdicts if v.kind == "threshold"}
    judged = {threshold.name: _judge_one(d, threshold) for threshold in thresholds_now(d)}
    verdicts = [_kept(d, one, judged[one.name], before.get(one.name)) for one in thresholds_now(d)]
    remember(d, verdicts)
    say_gate(d, sum(v.verdict is Verdict.PASS for v in verdicts), len(verdicts))
    verdict = worst(tuple(verdicts)) or Verdict.INCONCLUSIVE
    passed = f"{len(verdicts)} of {len(verdicts)} thresholds pass"
    message = passed if verdict is Verdict.PASS else _told(verdicts, verdict)
    readings = {name: reading_data(facts) for name, facts in (d.facts.gate or {}).items()}
    words = {v.rule: v.verdict.value for v in verdicts}
    data = {"readings": readings, "verdicts": words, **told_thresholds("thresholds", judged)}
    return GateResult(verdict, message, data, shared=_is_shared(d, verdicts))


def _told(verdicts: list[RuleVerdict], verdict: Verdict) -> str:
    """The sentences of the thresholds that decide."""
    return "; ".join(v.message for v in verdicts if v.verdict is verdict)


def _is_shared(d: Draft, verdicts: list[RuleVerdict]) -> bool:
    facts = d.facts.gate or {}
    failed = {v.rule for v in verdicts if v.verdict is Verdict.FAIL}
    return bool(failed) and all(
        suffers(d.spec, t, facts.get(t.name), baseline_of(d, t.metric)) for t in d.spec.thresholds if t.name in failed
    )
