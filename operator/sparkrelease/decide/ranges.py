"""From a range answer to each role's tracks, and to what stable was before a run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import fmean, pvariance

from sparkrelease.api.metrics import Attribution
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Reading, Track
from sparkrelease.decide.grouping import POD, Place, Sorted, sort_answer
from sparkrelease.decide.series import Answer, RangeAnswer, Row
from sparkrelease.decide.templates import Scope, Template, filled
from sparkrelease.decide.windows import exact_query, window_template

Tracks = Mapping[Place, tuple[Track, ...]]
"""By Service, by pod, or by namespace, as the template's attribution has it."""

Steps = Sequence[tuple[datetime, Sorted]]
"""The answers of one range query, step by step."""

FEWEST = 5
"""A baseline of fewer windows than this is none."""

_SAME_TIME = 0.001


# ---------------------------------------------------------------- histories


def history_query(template: Template, scope: Scope) -> str:
    """An expression over time: its values alone."""
    return f"({filled(template, scope)}\n)"


def sort_series(answer: RangeAnswer, template: Template) -> Tracks:
    """Each series under the name it goes by; what is no finite number was not measured."""
    found: dict[Place, list[Track]] = {}
    for series in answer.series:
        place, name = _name(series.labels, template)
        if template.namespace is not None and place[0] not in {template.namespace, ""}:
            continue
        points = tuple(point for point in series.points if math.isfinite(point[1]))
        if points:
            found.setdefault(place, []).append(Track(name, points))
    return {place: tuple(sorted(tracks, key=lambda track: track.name)) for place, tracks in found.items()}


def _name(labels: Mapping[str, str], template: Template) -> tuple[Place, str]:
    namespace, pod = labels.get(template.labels.namespace, ""), labels.get(POD, "")
    if template.attribution is Attribution.SHARED:
        return (namespace, ""), ""
    name = labels.get(template.labels.service, "")
    return (namespace, name), pod if template.per_pod or template.attribution is Attribution.POD else ""


def tracks_of(found: Tracks, template: Template, place: Place, pods: Collection[str]) -> tuple[Track, ...] | Missing:
    """The tracks of one Service; several that have no name of their own are not told apart by guessing."""
    if template.attribution is Attribution.POD:
        tracks = tuple(track for pod in sorted(pods) for track in found.get((place[0], pod), ()))
    elif template.attribution is Attribution.SHARED:
        tracks = found.get((place[0], ""), found.get(("", ""), ()))
    else:
        tracks = found.get(place, ())
    if not tracks:
        return Missing(Reason.NO_DATA, f"no series of Service {place[1]}")
    if len({track.name for track in tracks}) < len(tracks):
        return Missing(Reason.AMBIGUOUS_RESULT, "several series of the Service where one is meant")
    return tracks


# ---------------------------------------------------------------- baselines


def baseline_unit(window: timedelta, every: timedelta) -> timedelta:
    """Length of the windows a baseline is made of: the metric's own, at most a minute and at least `every`."""
    return max(every, min(window, timedelta(minutes=1)))


def baseline_query(template: Template, scope: Scope, unit: timedelta) -> str:
    """What is asked at the end of each unit: the expression's mean over it, or its exact counts."""
    if template.value is None:
        return exact_query(window_template(template, unit), scope)
    return history_query(template, scope)


def baseline_of_values(tracks: Sequence[Track], window: timedelta) -> float | None:
    """The highest of the means of all windows, of the pod that was highest; None for too few points."""
    means = [mean for track in tracks for mean in _means(track.points, window.total_seconds())]
    return max(means) if len(means) >= FEWEST else None


def _means(points: Sequence[tuple[float, float]], length: float) -> list[float]:
    windows: dict[int, list[float]] = {}
    for at, value in points:
        windows.setdefault(math.ceil(at / length - _SAME_TIME), []).append(value)
    return [fmean(values) for values in windows.values()]


def sort_steps(answer: RangeAnswer, template: Template) -> Steps:
    """An answer that has the same parts at every step, taken apart into one answer per step."""
    rows: dict[float, list[Row]] = {}
    for series in answer.series:
        for at, row in series.rows:
            rows.setdefault(at, []).append(row)
    return tuple(
        (datetime.fromtimestamp(at, tz=UTC), sort_answer(Answer(rows[at]), template.labels, template))
        for at in sorted(rows)
    )


def baseline_of_counts(sides: Sequence[Reading], quantile: float | None) -> tuple[float | None, float, float] | None:
    """Highest share of bad events of a window (None for buckets), spread, and bad events; None for too few windows.

    The spread is the variance of bad events from window to window beyond a Poisson's, over the square of their mean.
    """
    counts = [side for side in sides if isinstance(side, Counts)]
    histograms = [side for side in sides if isinstance(side, Buckets)]
    if len(counts) + len(histograms) < FEWEST:
        return None
    if counts:
        bad = [side.bad for side in counts]
        shares = [side.bad / side.total for side in counts if side.total > 0]
        return (max(shares) if shares else None), spread_of(bad), math.fsum(bad)
    slow = _slow(histograms, quantile or 0.5)
    return None, spread_of(slow), math.fsum(slow)


def _slow(histograms: Sequence[Buckets], quantile: float) -> list[float]:
    """Events above the highest edge that at least 1 - quantile of all is above; above the lowest if there is none."""
    total = math.fsum(one.total for one in histograms)
    chosen: list[float] = []
    for edge in sorted({edge for one in histograms for edge in one.at_or_below}):
        counts = [one.count_at(edge) for one in histograms]
        slow = [one.total - count for one, count in zip(histograms, counts, strict=True) if count is not None]
        if len(slow) == len(counts) and (not chosen or math.fsum(slow) >= (1 - quantile) * total > 0):
            chosen = slow
    return chosen or [0.0] * len(histograms)


def spread_of(counts: Sequence[float]) -> float:
    """(variance - mean) / mean squared, at least 0; 0 where there is none to speak of."""
    mean = fmean(counts) if counts else 0.0
    return max(0.0, (pvariance(counts) - mean) / mean**2) if mean > 0 else 0.0
