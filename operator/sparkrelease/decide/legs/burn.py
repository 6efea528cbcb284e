"""The error budget: how many times faster than the objective allows it burns, over a long and a short window.

Source: The Site Reliability Workbook, chapter 5, multiwindow, multi-burn-rate alerts.
"""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Counts, Missing
from sparkrelease.decide.legs.lens import Burn, Lens
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rules import WORST_FIRST, Judgement, show


def burn_rate(lens: Lens, sight: Sight) -> Judgement:
    """Fail when both windows of one pair burn faster than its factor; one pair is enough."""
    pairs = [_pair(lens, sight, burn) for burn in lens.burns]
    return min(pairs, key=lambda judgement: WORST_FIRST.index(judgement.verdict))


def _pair(lens: Lens, sight: Sight, burn: Burn) -> Judgement:
    """Both windows must burn, so one that surely does not settles it; the long one must hold enough bad events."""
    readings = [sight.asked(burn.long), sight.asked(burn.short)]
    rates = [_rate(lens, reading) if isinstance(reading, Counts) else None for reading in readings]
    value = " and ".join("?" if rate is None else f"{rate:.3g}x" for rate in rates)
    told = f"burns {value} over {burn.spans}"
    if any(rate is not None and rate <= burn.pair.factor for rate in rates):
        return lens.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{told}, not both > {burn.pair.factor:g}x")
    missing = next((reading for reading in readings if isinstance(reading, Missing)), None)
    if missing is not None:
        return lens.nothing(missing)
    if None in rates:
        return lens.unsure(Reason.INSUFFICIENT_TRAFFIC, value, f"{told}: no request in one of them")
    long, least, shown = readings[0], lens.leg.min_events, show(lens.metric, readings[0])
    if isinstance(long, Counts) and long.bad < least:
        text = f"{told} {shown}: fewer than {least} bad events"
        return lens.unsure(Reason.INSUFFICIENT_TRAFFIC, value, text)
    return lens.say(Verdict.FAIL, Reason.OVER_LIMIT, value, f"{told}, > {burn.pair.factor:g}x; {shown}")


def _rate(lens: Lens, counts: Counts) -> float | None:
    """How many times faster than allowed; None without a request."""
    allowed = 1 - (lens.leg.objective or 0.0)
    return counts.bad / counts.total / allowed if counts.total > 0 else None
