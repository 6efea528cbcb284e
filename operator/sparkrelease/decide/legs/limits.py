"""Legs that compare one number with a limit: a given one, or one set by stable, the baseline or the value before."""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Missing, Reading
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rules import Judgement, breaks, number_of, show


def threshold(sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of the limit."""
    lens, reading = sight.lens, sight.reading()
    if isinstance(reading, Missing):
        return sight.nothing(reading)
    metric = lens.metric
    few = sight.too_few(reading)
    if few is not None:
        return few
    value = show(metric, reading, lens.leg.value)
    breach = breaks(metric, reading, lens.op, lens.limit)
    if breach is None:
        text = f"{lens.trigger.name}: {metric.name}: {lens.limit:g} is no bucket edge"
        return Judgement(Verdict.ERROR, Reason.BUCKET_EDGE, value, text)
    if breach:
        return sight.say(Verdict.FAIL, Reason.OVER_LIMIT, value, f"{value} {lens.told_limit}")
    return sight.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{value}, not {lens.told_limit}")


def vs_stable(sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of factor times the other role's; says nothing without that value."""
    lens, ours = sight.lens, sight.reading()
    mine = _number(sight, ours)
    if isinstance(mine, Judgement):
        return mine
    reading = sight.reading(sight.other)
    theirs = number_of(reading)
    own = show(lens.metric, ours)
    if theirs is None:
        why = reading.message if isinstance(reading, Missing) else "no event"
        reason = reading.reason if isinstance(reading, Missing) else Reason.INSUFFICIENT_TRAFFIC
        return sight.unsure(reason, own, f"{own}: nothing to compare it with, {sight.other}: {why}")
    words = f"vs {sight.other} {show(lens.metric, reading)}; {lens.told_factor}"
    return sight.against(mine, lens.factor * theirs, own, words)


def vs_baseline(sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of factor times what stable was before the run."""
    lens, ours = sight.lens, sight.reading()
    mine = _number(sight, ours)
    if isinstance(mine, Judgement):
        return mine
    own, before = show(lens.metric, ours), sight.baseline
    if before is None:
        return sight.unsure(Reason.NO_BASELINE, own, f"{own}: there is no baseline to compare it with")
    words = f"vs baseline {before:.6g}{lens.metric.unit or ''}; {lens.told_factor}"
    return sight.against(mine, lens.factor * before, own, words)


def growth(sight: Sight) -> Judgement:
    """Fail when the value is more than factor times what it was over ago."""
    lens, ours = sight.lens, sight.reading()
    mine = _number(sight, ours)
    if isinstance(mine, Judgement):
        return mine
    (ask,) = lens.asks
    was = sight.asked(ask)
    then = _number(sight, was)
    if isinstance(then, Judgement):
        return then
    words = f"vs {show(lens.metric, was)} {lens.told_over} ago; {lens.told_factor}"
    return sight.against(mine, lens.factor * then, show(lens.metric, ours), words)


def _number(sight: Sight, reading: Reading) -> float | Judgement:
    """The number of a reading, or why there is none to compare."""
    if isinstance(reading, Missing):
        return sight.nothing(reading)
    few = sight.too_few(reading)
    if few is not None:
        return few
    number = number_of(reading)
    if number is None:
        return sight.nothing(Missing(Reason.NOT_A_NUMBER, "it is no finite number to compare"))
    return number
