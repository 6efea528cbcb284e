"""The error budget: how many times faster than the objective allows it burns, over a long and a short window.

Source: The Site Reliability Workbook, chapter 5, multiwindow, multi-burn-rate alerts.
"""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.api.triggers import BurnWindow
from sparkrelease.decide.facts import Ask, Counts, Missing
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rules import Judgement, show

_WORST_FIRST = (Verdict.FAIL, Verdict.ERROR, Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.PASS)
"""One pair is enough."""


def burn_rate(sight: Sight) -> Judgement:
    """Fail when both windows of one pair burn faster than its factor."""
    pairs = [_pair(sight, *pair) for pair in sight.lens.burns]
    return min(pairs, key=lambda judgement: _WORST_FIRST.index(judgement.verdict))


def _pair(sight: Sight, pair: BurnWindow, long_ask: Ask, short_ask: Ask, spans: str) -> Judgement:
    """Both windows must burn, so one that surely does not settles it; the long one must hold enough bad events."""
    readings = [sight.asked(long_ask), sight.asked(short_ask)]
    rates = [_rate(sight, reading) if isinstance(reading, Counts) else None for reading in readings]
    value = " and ".join("?" if rate is None else f"{rate:.3g}x" for rate in rates)
    told = f"burns {value} over {spans}"
    if any(rate is not None and rate <= pair.factor for rate in rates):
        return sight.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{told}, not both > {pair.factor:g}x")
    missing = next((reading for reading in readings if isinstance(reading, Missing)), None)
    if missing is not None:
        return sight.nothing(missing)
    if None in rates:
        return sight.unsure(Reason.INSUFFICIENT_TRAFFIC, value, f"{told}: no request in one of them")
    long, least, shown = readings[0], sight.lens.leg.min_events, show(sight.lens.metric, readings[0])
    if isinstance(long, Counts) and long.bad < least:
        text = f"{told} {shown}: fewer than {least} bad events"
        return sight.unsure(Reason.INSUFFICIENT_TRAFFIC, value, text)
    return sight.say(Verdict.FAIL, Reason.OVER_LIMIT, value, f"{told}, > {pair.factor:g}x; {shown}")


def _rate(sight: Sight, counts: Counts) -> float | None:
    """How many times faster than allowed; None without a request."""
    allowed = 1 - (sight.lens.leg.objective or 0.0)
    return counts.bad / counts.total / allowed if counts.total > 0 else None
