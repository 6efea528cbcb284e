"""Legs that compare one number with a limit: a given one, or one set by stable, the baseline or the value before."""

from __future__ import annotations

from sparkrelease.api.base import format_duration
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Missing, Reading
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rules import Judgement, breaks, number_of, show


def threshold(sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of the limit."""
    leg, metric, reading = sight.leg, sight.metric, sight.reading()
    if isinstance(reading, Missing):
        return sight.nothing(reading)
    value = show(metric, reading, leg.value)
    few = sight.too_few(reading)
    if few is not None:
        return few
    limit = leg.value or 0.0
    breach = breaks(metric, reading, leg.comparator, limit)
    if breach is None:
        text = f"{sight.trigger.name}: {metric.name}: {limit:g} is no bucket edge"
        return Judgement(Verdict.ERROR, Reason.BUCKET_EDGE, value, text)
    told = f"{leg.comparator} {limit:g}{metric.unit or ''}"
    if breach:
        return sight.say(Verdict.FAIL, Reason.OVER_LIMIT, value, f"{value} {told}")
    return sight.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{value}, not {told}")


def vs_stable(sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of factor times the other role's; says nothing without that value."""
    mine = _number(sight, sight.reading())
    if isinstance(mine, Judgement):
        return mine
    reading = sight.reading(sight.other)
    theirs = number_of(reading)
    own = show(sight.metric, sight.reading())
    if theirs is None:
        why = reading.message if isinstance(reading, Missing) else "no event"
        reason = reading.reason if isinstance(reading, Missing) else Reason.INSUFFICIENT_TRAFFIC
        return sight.unsure(reason, own, f"{own}: nothing to compare it with, {sight.other}: {why}")
    factor = sight.leg.factor or 1.0
    words = f"vs {sight.other} {show(sight.metric, reading)}; {sight.leg.comparator} {factor:g}x"
    return sight.against(mine, factor * theirs, own, words + _floor(sight))


def vs_baseline(sight: Sight) -> Judgement:
    """Fail when the value is on the wrong side of factor times what stable was before the run."""
    mine = _number(sight, sight.reading())
    if isinstance(mine, Judgement):
        return mine
    own, before = show(sight.metric, sight.reading()), sight.baseline
    if before is None:
        return sight.unsure(Reason.NO_BASELINE, own, f"{own}: there is no baseline to compare it with")
    factor = sight.leg.factor or 1.0
    words = f"vs baseline {before:.6g}{sight.metric.unit or ''}; {sight.leg.comparator} {factor:g}x"
    return sight.against(mine, factor * before, own, words + _floor(sight))


def growth(sight: Sight) -> Judgement:
    """Fail when the value is more than factor times what it was over ago."""
    mine = _number(sight, sight.reading())
    if isinstance(mine, Judgement):
        return mine
    (ask,) = sight.asks
    was = sight.asked(ask)
    then = _number(sight, was)
    if isinstance(then, Judgement):
        return then
    own, factor = show(sight.metric, sight.reading()), sight.leg.factor or 1.0
    words = f"vs {show(sight.metric, was)} {format_duration(ask.back)} ago; > {factor:g}x"
    return sight.against(mine, factor * then, own, words + _floor(sight))


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


def _floor(sight: Sight) -> str:
    floor = sight.leg.floor
    return "" if floor is None else f", above {floor:g}{sight.metric.unit or ''}"
