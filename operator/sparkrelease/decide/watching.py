"""The watch at the last weight: checks at a pace, criteria over the whole of it, and only then the promotion.

Triggers and the comparison go on as in any stage. A check judges every threshold of the gates over the time since the
last one, and the burn rates. The criteria are judged over the whole watch at every check; at the last one they decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from sparkrelease.api.base import format_duration
from sparkrelease.api.metrics import JudgedAt, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Next, StageStatus, Verdict, WatchStatus
from sparkrelease.api.watch import Watch
from sparkrelease.decide.basis import reading_data
from sparkrelease.decide.burnrates import burn_asks, judge_burns
from sparkrelease.decide.checkpoints import FAILED, told_rules, told_thresholds
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Missing, SpanAsk
from sparkrelease.decide.gate import baseline_of
from sparkrelease.decide.glance import glance
from sparkrelease.decide.limitwords import limit_of
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.rollback import roll_back
from sparkrelease.decide.rules import WORST_FIRST, Judgement
from sparkrelease.decide.settle import promote
from sparkrelease.decide.stages import past_deadline, run_clock
from sparkrelease.decide.thresholds import judge_facts, judge_threshold
from sparkrelease.decide.verdicts import remember, said

STAGE = "watch"
"""What `stage` is called while the watch has its clock."""

MOST_CHECKS = 200
"""Checks of one watch; each is an entry of evidence, and a run has room for so many."""

INTERVAL, WHOLE = "interval", "watch"
"""What the spans of a check are named after, before the threshold: the time since the last one, and the whole watch."""


def watching(d: Draft) -> bool:
    """Whether the run passed every gate and is watched."""
    return d.run is not None and d.status.watch is not None and d.status.stage is not None


def checks_of(watch: Watch) -> int:
    """Checks of a whole watch: one at every pause, the last one at its end."""
    return math.ceil(watch.duration / pause_of(watch))


def pause_of(watch: Watch) -> timedelta:
    """The pause between two checks: as declared, but long enough for `MOST_CHECKS`."""
    return max(watch.every, watch.duration / MOST_CHECKS)


def start_watch(d: Draft) -> None:
    """Begins the watch at the weight the last stage has, with a clock of its own."""
    watch, stage, run = d.spec.watch, d.status.stage, d.run
    if watch is None or stage is None or run is None:
        return
    checks, criteria = checks_of(watch), len(d.spec.criteria)
    d.put(
        stage=StageStatus(index=stage.count, count=stage.count, name=STAGE, entered_at=d.now),
        stage_text=f"{STAGE} 0/{checks}",
        watch=WatchStatus(of=checks),
        next=Next(what=f"check 1/{checks}"),
        gate_text=f"0/{criteria}" if criteria else "",
    )
    text = f"{run.version} is watched at {d.status.weight.desired:g} % for {format_duration(watch.duration)}"
    d.entry(Reason.WATCH_STARTED, text, {"checks": checks, "weight": d.status.weight.desired})
    d.event(Reason.WATCH_STARTED, text)


def where(d: Draft) -> str:
    """Where the watch stands, for people."""
    run, watch = d.run, d.status.watch
    if run is None or watch is None:
        return ""
    text = f"{run.version}: watched at canary weight {d.status.weight.desired:g}, {watch.check} of {watch.of} checks"
    return f"{text}, {d.status.gate_text} criteria" if d.status.gate_text else text


def watch_on(d: Draft, *, observing: bool, may_promote: Callable[[Draft], bool]) -> None:
    """One round of the watch: its clock, a check when one is due, and what follows from it."""
    watch, status, stage = d.spec.watch, d.status.watch, d.status.stage
    if watch is None or status is None or stage is None:
        return
    glance(d, tuple([t for t in d.spec.thresholds if t.at is not JudgedAt.MIRROR]))
    due = _due(watch, status)
    number = min(status.check + 1, status.of)
    clock = run_clock(d, stage, counting=observing, length=due, what=f"check {number}/{status.of}")
    if past_deadline(d, clock, pause_of(watch)):
        return
    if observing and clock.observed >= due:
        _check(d, watch, clock, may_promote)
    after = d.status.watch
    if after is not None and after.check >= after.of:
        d.hold(Reason.WATCH_INCONCLUSIVE, after.message)


def _due(watch: Watch, status: WatchStatus) -> timedelta:
    """Observed time at which the next check is made; after the last one they go on at the same pace."""
    number = status.check + 1
    if number < status.of:
        return number * pause_of(watch)
    return watch.duration + (number - status.of) * pause_of(watch)


# ---------------------------------------------------------------- what is asked


def asks_of_check(spec: ResolvedSpec, since: timedelta, whole: timedelta) -> tuple[SpanAsk, ...]:
    """Thresholds since the last check, criteria over the whole watch, and both windows of each burn rate."""
    return (
        *(SpanAsk(f"{INTERVAL}/{t.name}", t, since) for t in spec.gate_thresholds),
        *(SpanAsk(f"{WHOLE}/{t.name}", t, whole, whole=True) for t in spec.criteria),
        *burn_asks(spec),
    )


# ---------------------------------------------------------------- a check


@dataclass(frozen=True, slots=True)
class _Found:
    """What a check found: of the time since the last one, and of the whole watch, by threshold."""

    since: dict[str, Judgement]
    whole: dict[str, Judgement]

    @property
    def ticked(self) -> int:
        return sum(one.verdict is Verdict.PASS for one in self.whole.values())

    def sentences(self, part: dict[str, Judgement], *verdicts: Verdict) -> str:
        return "; ".join(one.message for one in part.values() if one.verdict in verdicts)

    def failing(self, *, over: bool) -> tuple[Reason, dict[str, Judgement]]:
        """Why the run goes back, and the rules that say so, if any does: criteria decide when the watch is over."""
        since, whole = (
            {name: one for name, one in part.items() if one.verdict is Verdict.FAIL}
            for part in (self.since, self.whole)
        )
        return (Reason.WATCH_FAILED, since) if since or not over else (Reason.CRITERIA_NOT_MET, whole)

    def worst(self) -> dict[str, Judgement]:
        """Each rule's worse word; that on the time since the last check where both are alike."""
        both = {name: [part[name] for part in (self.since, self.whole) if name in part] for name in self._names()}
        return {name: min(said, key=lambda one: WORST_FIRST.index(one.verdict)) for name, said in both.items()}

    def _names(self) -> Iterable[str]:
        return dict.fromkeys((*self.whole, *self.since))


def _check(d: Draft, watch: Watch, stage: StageStatus, may_promote: Callable[[Draft], bool]) -> None:
    status, run = d.status.watch, d.run
    if status is None or run is None:
        return
    if d.facts.spans is None:
        started = stage.started_at or d.now
        since = min(d.now - (status.checked_at or started), pause_of(watch))
        d.wants = replace(d.wants, spans=asks_of_check(d.spec, since, d.now - started))
        return
    found = _judged(d)
    over = status.check + 1 >= status.of
    reason, failing = found.failing(over=over)
    success = over and not failing and found.ticked == len(found.whole)
    if success and not may_promote(d):
        return
    text = _record(d, found, stage)
    if failing:
        message = "; ".join(one.message for one in failing.values())
        roll_back(d, STAGE, reason, message, {FAILED: [_told(d, name, one) for name, one in failing.items()]})
    elif success:
        promote(d, f"{run.version} passed every stage and its watch: {text}")


def _record(d: Draft, found: _Found, stage: StageStatus) -> str:
    """Puts the check into status and evidence; answers its sentence."""
    before = d.status.watch
    if before is None:
        return ""
    number, criteria = before.check + 1, len(found.whole)
    text = f"check {min(number, before.of)} of {before.of}" + (" again" if number > before.of else "")
    text += f": {_sum(found.since)}" + (f", {found.ticked} of {criteria} criteria" if criteria else "")
    unsure = (Verdict.NO_DATA, Verdict.ERROR, Verdict.INCONCLUSIVE)
    least = found.sentences(found.whole, Verdict.FAIL, *unsure) or found.sentences(found.since, Verdict.FAIL, *unsure)
    message = f"{text}; {least}" if least else text
    d.put(
        watch=before.model_copy(
            update={
                "check": number,
                "checked_at": d.now,
                "message": message[:512],
            }
        ),
        stage=stage.model_copy(update={"checkpoint_at": d.now}),
        stage_text=f"{STAGE} {min(number, before.of)}/{before.of}",
        gate_text=f"{found.ticked}/{criteria}" if criteria else "",
    )
    data = {
        **told_rules(d),
        "check": number,
        "of": before.of,
        "observed": stage.observed / timedelta(seconds=1),
        "verdicts": {name: one.verdict.value for name, one in found.since.items()},
        "criteria": {name: one.verdict.value for name, one in found.whole.items()},
        **told_thresholds("thresholds", found.since),
        **told_thresholds("wholeWatch", found.whole),
        "readings": {name: reading_data(facts) for name, facts in (d.facts.spans or {}).items()},
    }
    d.entry(Reason.WATCH_CHECKED, message, data)
    d.event(Reason.WATCH_CHECKED, message, warning=any(j.verdict is not Verdict.PASS for j in found.since.values()))
    return text


def _sum(since: dict[str, Judgement]) -> str:
    """How many of the checks since the last one pass."""
    passing = sum(one.verdict is Verdict.PASS for one in since.values())
    return f"{passing} of {len(since)} within their limits" if since else "triggers are quiet"


def _told(d: Draft, rule: str, said: Judgement) -> dict[str, str]:
    """A rule that failed, as the entry of the rollback names it."""
    return {"rule": rule, "value": said.value, "limit": limit_of("threshold", rule, d.spec), "message": said.message}


def _judged(d: Draft) -> _Found:
    """Judges everything that was answered, and keeps each rule's worse verdict in the status."""
    spans = d.facts.spans or {}
    since = {t.name: _judge(d, t, INTERVAL) for t in d.spec.gate_thresholds} | judge_burns(d.spec, spans)
    found = _Found(since, {t.name: _judge(d, t, WHOLE) for t in d.spec.criteria})
    before = {v.rule: v for v in d.status.verdicts if v.kind == "threshold"}
    remember(d, [said(name, "threshold", one, None, before.get(name)) for name, one in found.worst().items()])
    return found


def _judge(d: Draft, threshold: Threshold, span: str) -> Judgement:
    facts, metric = (d.facts.spans or {}).get(f"{span}/{threshold.name}"), d.spec.metric(threshold.metric)
    if facts is None:
        return judge_threshold(threshold, metric, Missing(Reason.NO_DATA, "not answered"))
    return judge_facts(threshold, metric, facts, baseline_of(d, threshold.metric))
