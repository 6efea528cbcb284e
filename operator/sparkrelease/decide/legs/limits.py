"""Legs that compare one number with a limit: a given one, or one set by stable, the baseline or the value before."""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Missing, Reading, Value
from sparkrelease.decide.legs.lens import Lens
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rules import Judgement, breaks, number_of, show


def threshold(lens: Lens, sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of the limit."""
    reading = sight.reading(lens.name)
    if isinstance(reading, Missing):
        return lens.nothing(reading)
    if lens.least and not isinstance(reading, Value):
        few = lens.too_few(reading)
        if few is not None:
            return few
    metric = lens.metric
    value = show(metric, reading, lens.leg.value)
    breach = breaks(metric, reading, lens.op, lens.limit)
    if breach is None:
        text = f"{lens.trigger.name}: {lens.name}: {lens.limit:g} is no bucket edge"
        return Judgement(Verdict.ERROR, Reason.BUCKET_EDGE, value, text)
    if breach:
        return Judgement(Verdict.FAIL, Reason.OVER_LIMIT, value, f"{lens.begin}{value} {lens.told_limit}")
    return Judgement(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{lens.begin}{value}, not {lens.told_limit}")


def vs_stable(lens: Lens, sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of factor times the other role's; says nothing without that value."""
    ours = sight.reading(lens.name)
    mine = _number(lens, ours)
    if isinstance(mine, Judgement):
        return mine
    reading = sight.reading_of_other(lens.name)
    theirs = number_of(reading)
    own = show(lens.metric, ours)
    if theirs is None:
        why = reading.message if isinstance(reading, Missing) else "no event"
        reason = reading.reason if isinstance(reading, Missing) else Reason.INSUFFICIENT_TRAFFIC
        return lens.unsure(reason, own, f"{own}: nothing to compare it with, {sight.other}: {why}")
    words = f"vs {sight.other} {show(lens.metric, reading)}; {lens.told_factor}"
    return lens.against(mine, lens.factor * theirs, own, words)


def vs_baseline(lens: Lens, sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of factor times what stable was before the run."""
    ours = sight.reading(lens.name)
    mine = _number(lens, ours)
    if isinstance(mine, Judgement):
        return mine
    own, before = show(lens.metric, ours), sight.baseline(lens.name)
    if before is None:
        return lens.unsure(Reason.NO_BASELINE, own, f"{own}: there is no baseline to compare it with")
    words = f"vs baseline {before:.6g}{lens.metric.unit or ''}; {lens.told_factor}"
    return lens.against(mine, lens.factor * before, own, words)


def growth(lens: Lens, sight: Sight) -> Judgement:
    """Fail when the value is more than factor times what it was over ago."""
    ours = sight.reading(lens.name)
    mine = _number(lens, ours)
    if isinstance(mine, Judgement):
        return mine
    (ask,) = lens.asks
    was = sight.asked(ask)
    then = _number(lens, was)
    if isinstance(then, Judgement):
        return then
    words = f"vs {show(lens.metric, was)} {lens.told_over} ago; {lens.told_factor}"
    return lens.against(mine, lens.factor * then, show(lens.metric, ours), words)


def _number(lens: Lens, reading: Reading) -> float | Judgement:
    """The number of a reading, or why there is none to compare."""
    if isinstance(reading, Missing):
        return lens.nothing(reading)
    if lens.least and not isinstance(reading, Value):
        few = lens.too_few(reading)
        if few is not None:
            return few
    number = number_of(reading)
    if number is None:
        return lens.nothing(Missing(Reason.NOT_A_NUMBER, "it is no finite number to compare"))
    return number
