"""The error budget: how many times faster than the objective allows it burns, over a long and a short window.

Source: The Site Reliability Workbook, chapter 5, multiwindow, multi-burn-rate alerts.
"""

from __future__ import annotations

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Counts, Missing, Reading
from sparkrelease.decide.legs.lens import Burn, Lens
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rules import WORST_FIRST, Judgement, show


def burn_rate(lens: Lens, sight: Sight) -> Judgement:
    """Fail when both windows of one pair burn faster than its factor; one pair is enough."""
    pairs = [_pair(lens, sight, burn) for burn in lens.burns]
    return min(pairs, key=_badness)


def _badness(judgement: Judgement) -> int:
    return WORST_FIRST.index(judgement.verdict)


def _pair(lens: Lens, sight: Sight, burn: Burn) -> Judgement:
    """Both windows must burn, so one that surely does not settles it; the long one must hold enough bad events."""
    long, short = sight.asked(burn.long), sight.asked(burn.short)
    slow, fast = _rate(lens, long), _rate(lens, short)
    value = f"{_times(slow)} and {_times(fast)}"
    told = f"burns {value} over {burn.spans}"
    factor = burn.factor
    if (slow is not None and slow <= factor) or (fast is not None and fast <= factor):
        return lens.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{told}, not both > {factor:g}x")
    for reading in (long, short):
        if isinstance(reading, Missing):
            return lens.nothing(reading)
    if slow is None or fast is None:
        return lens.unsure(Reason.INSUFFICIENT_TRAFFIC, value, f"{told}: no request in one of them")
    shown = show(lens.metric, long)
    if isinstance(long, Counts) and long.bad < lens.least:
        text = f"{told} {shown}: fewer than {lens.least} bad events"
        return lens.unsure(Reason.INSUFFICIENT_TRAFFIC, value, text)
    return lens.say(Verdict.FAIL, Reason.OVER_LIMIT, value, f"{told}, > {factor:g}x; {shown}")


def _rate(lens: Lens, reading: Reading) -> float | None:
    """How many times faster than allowed; None without a request."""
    if not isinstance(reading, Counts) or reading.total <= 0:
        return None
    return reading.bad / reading.total / lens.allowed


def _times(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:.3g}x"
