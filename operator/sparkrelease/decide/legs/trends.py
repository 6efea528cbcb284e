"""Leaks: the values of some pod rise by more than a slope, and not by chance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Verdict
from sparkrelease.api.triggers import Leg, Reset
from sparkrelease.decide.facts import History, Missing, Track
from sparkrelease.decide.legs.lens import Lens
from sparkrelease.decide.legs.sight import Sight
from sparkrelease.decide.rules import Judgement
from sparkrelease.decide.same import memory_of
from sparkrelease.decide.stats.trend import mann_kendall, theil_sen

P_BELOW = 0.01
"""How likely chance may be, where nothing is said."""

_LEAST_PART = 2
"""A history is judged once it covers half of the time looked back."""


@dataclass(frozen=True, slots=True)
class Rise:
    """How one track moves: its slope a minute in the metric's unit, and how likely chance alone would rise so."""

    name: str
    slope: float
    p: float


def trend(lens: Lens, sight: Sight) -> Judgement:
    """Fail when one pod's values rise by more than the slope, beyond chance, and enough faster than stable's.

    The pod that rises fastest decides. A value that falls is no restart: gauges fall.
    """
    leg = lens.leg
    found = sight.history(lens.name)
    if isinstance(found, Missing):
        return lens.nothing(found)
    history = sight.d.facts.history[lens.name]
    rises = _rises(leg, found, history)
    if not rises:
        return lens.unsure(
            Reason.TOO_FEW_POINTS, "", f"has less than half of {lens.told_over} of history after warming up"
        )
    limit = leg.slope_per_minute or 0.0
    reference = _stable_slope(lens, sight, history)
    if isinstance(reference, Judgement):
        return reference
    if reference is not None:
        limit = max(limit, (leg.vs_stable_factor or 0.0) * reference)
    chance = leg.p_below or P_BELOW
    guilty = [rise for rise in rises if rise.slope > limit and rise.p < chance]
    worst = max(guilty or rises, key=lambda rise: (rise.slope, rise.name))
    unit = f"{lens.metric.unit or ''}/min"
    value = f"{worst.slope:+.4g}{unit}"
    of = f" of {worst.name}" if worst.name else ""
    told = f"{value}{of} over {lens.told_over} (p={worst.p:.2g}), {len(rises)} of {len(found)} series long enough"
    if guilty:
        return lens.say(Verdict.FAIL, Reason.OVER_LIMIT, value, f"{told}; > {limit:.4g}{unit}")
    return lens.say(Verdict.PASS, Reason.WITHIN_LIMIT, value, f"{told}; not > {limit:.4g}{unit} beyond chance")


def _stable_slope(lens: Lens, sight: Sight, history: History) -> float | Judgement | None:
    """The fastest rise of the other role where the leg compares with it; None where it does not."""
    if lens.leg.vs_stable_factor is None:
        return None
    found = sight.history_of_other(lens.name)
    if isinstance(found, Missing):
        return lens.unsure(found.reason, "", f"has nothing to compare with, {sight.other}: {found.message}")
    rises = _rises(lens.leg, found, history)
    if not rises:
        return lens.unsure(Reason.TOO_FEW_POINTS, "", f"has nothing to compare with: {sight.other}'s history is short")
    return max(0.0, *(rise.slope for rise in rises))


def _rises(leg: Leg, tracks: tuple[Track, ...], history: History) -> tuple[Rise, ...]:
    """The tracks of one role that are long enough, in the order of their names.

    Remembered, because a history stays the same for many rounds and every pair of its points is looked at.
    """
    memory = memory_of(history)
    key = (_rises, tracks is history.stable, leg.over, leg.warmup, leg.reset_on)
    known = memory.get(key)
    if known is None:
        rises = [_rise(leg, track, history.at) for track in sorted(tracks, key=lambda track: track.name)]
        known = memory[key] = tuple([rise for rise in rises if rise is not None])
    return cast("tuple[Rise, ...]", known)


def _rise(leg: Leg, track: Track, at: datetime) -> Rise | None:
    if not track.points:
        return None
    over, warmup = leg.over or timedelta(0), leg.warmup or timedelta(0)
    end = at.timestamp()
    back = end - over.total_seconds()
    born = track.born.timestamp() if track.born is not None and leg.reset_on is Reset.POD_RESTART else None
    first = max(track.points[0][0], born) if born is not None else track.points[0][0]
    begin = max(back, first + warmup.total_seconds())
    newest = track.points[-1][0]
    if newest - begin < over.total_seconds() / _LEAST_PART:
        return None
    kept = [point for point in track.points if begin <= point[0] <= end]
    slope, p = theil_sen(kept), mann_kendall([value for _, value in kept])
    return None if slope is None or p is None else Rise(track.name, 60 * slope, p)
