"""From what a Service got of a batched answer to its reading. Total: what is odd is Missing, never a guess."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sparkrelease.api.metrics import Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Reading, Value
from sparkrelease.decide.grouping import Group, Place, Sorted
from sparkrelease.decide.native import Histogram
from sparkrelease.decide.promql import BAD, HIGH, LOW, NATIVE, TOTAL, VALUE
from sparkrelease.decide.templates import Template

_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Look:
    """How an answer is read: when it was evaluated, how old a sample may be, which way the metric's rules look.

    `oldest` is in Unix time: a newest sample from before it is stale. An infinite value breaks a limit it is on the
    wrong side of; it counts as a value only where no rule of the metric looks the other way, for there it would pass.
    """

    at: datetime
    oldest: float
    above: bool = False
    """Every rule of the metric acts on values above its limit."""
    below: bool = False
    """Every rule of the metric acts on values below its limit."""

    @classmethod
    def of(cls, at: datetime, max_age: timedelta, *, above: bool = False, below: bool = False) -> Look:
        """A look at an answer of an instant."""
        return cls(at, at.timestamp() - max_age.total_seconds(), above, below)


def read(found: Sorted, place: Place, template: Template, look: Look) -> Reading:
    """One Service's reading of a metric over its window."""
    group = _usable(found, place, template, look)
    if isinstance(group, Missing):
        return group
    if template.buckets is not None:
        return as_buckets(group, template.edges)
    if template.bad is not None:
        return as_counts(group)
    return _value(_one(group, VALUE, look), look)


def _one(group: Group, part: str, look: Look) -> float | None:
    """The value of a Service; of several pods the worst, for what is wrong with one is wrong with the Service."""
    values = group.pods.get(part) if group.pods else None
    if not values:
        return group.parts.get(part)
    if any(math.isnan(value) for value in values):
        return math.nan
    return min(values) if look.below and not look.above else max(values)


def read_gate(found: Sorted, place: Place, template: Template, look: Look, threshold: Threshold) -> Reading:
    """One Service's reading over a stage: of an expression's two extremes the one that decides the threshold."""
    if template.value is None:
        return read(found, place, template, look)
    group = _usable(found, place, template, look)
    if isinstance(group, Missing):
        return group
    low = _one(group, LOW, replace(look, above=False, below=True))
    high = _one(group, HIGH, replace(look, above=True))
    return decisive(threshold, _value(low, look), _value(high, look))


def decisive(threshold: Threshold, lowest: Reading, highest: Reading) -> Reading:
    """Of the lowest and the highest value of a stage the one that decides a threshold."""
    if threshold.min is None:
        return highest
    if not threshold.has_upper or not isinstance(lowest, Value):
        return lowest
    return lowest if lowest.value < threshold.min else highest


def read_count(found: Sorted, place: Place, look: Look) -> float | None:
    """Events of one counter: 0 when the Service has none, None when it cannot be said."""
    if place not in found.groups:
        return 0.0
    group = found.groups[place]
    count = group.parts.get(TOTAL, 0.0)
    if group.problem is not None or _stale(group, look) is not None or not math.isfinite(count) or count < 0:
        return None
    return count


def newest(found: Sorted, places: Iterable[Place]) -> datetime | None:
    """When any of these Services was last scraped; None where that is not known of either."""
    seen = [found.groups[place].newest for place in places if place in found.groups]
    last = max((moment for moment in seen if math.isfinite(moment)), default=None)
    return None if last is None else datetime.fromtimestamp(round(last, 3), UTC)


def _usable(found: Sorted, place: Place, template: Template, look: Look) -> Group | Missing:
    group = found.groups.get(place)
    if group is None or not (group.parts or group.edges or group.pods):
        if found.nameless:
            names = f"{template.labels.namespace}, {template.labels.service}"
            return Missing(Reason.INVALID_QUERY, f"the result names no Service; group it by ($by), that is ({names})")
        return Missing(Reason.NO_DATA, f"no series of Service {place[1]}")
    return _stale(group, look) or group.problem or group


def _stale(group: Group, look: Look) -> Missing | None:
    if group.newest >= look.oldest:
        return None
    if group.newest == -math.inf:
        return Missing(Reason.NOT_A_NUMBER, "the time of the newest sample is no number")
    age = look.at.timestamp() - group.newest
    return Missing(Reason.STALE_DATA, f"the newest sample is {age:.0f} s old")


def _value(value: float | None, look: Look) -> Reading:
    if value is None:
        return Missing(Reason.NO_DATA, "the query has no value")
    breaks = (value == math.inf and look.above) or (value == -math.inf and look.below)
    if math.isfinite(value) or breaks:
        return Value(value)
    return Missing(Reason.NOT_A_NUMBER, f"the value is {_text(value)}")


def as_counts(group: Group) -> Counts | Missing:
    """Bad events out of all; no bad series is none bad."""
    total, bad = group.parts.get(TOTAL), group.parts.get(BAD, 0.0)
    if total is None:
        return Missing(Reason.NO_DATA, "no series of all events")
    if 0 <= bad < math.inf and 0 <= total < math.inf:
        return Counts(bad, total)
    return _odd("the count of all events", total) or _odd("the count of bad events", bad) or Counts(bad, total)


def as_buckets(group: Group, limits: Iterable[float] = ()) -> Buckets | Missing:
    """Counts per edge; pods that spell an edge differently (`1`, `1.0`) are counted together.

    Of native histograms, which are read where there are no buckets, those at the limits of rules.
    """
    if not group.edges and not group.parts.keys().isdisjoint((NATIVE, TOTAL)):
        native = as_histogram(group)
        return native if isinstance(native, Missing) else native.at(limits)
    found: dict[float, list[float]] = {}
    for text, count in group.edges.items():
        edge = _edge(text)
        if edge is None:
            return Missing(Reason.AMBIGUOUS_RESULT, "a bucket's le is not a number")
        found.setdefault(edge, []).append(count)
    if math.inf not in found:
        return Missing(Reason.NO_DATA, "no bucket le=+Inf")
    for edge, parts in sorted(found.items()):
        odd = next((odd for count in sorted(parts) if (odd := _odd(f"the bucket le={edge:g}", count))), None)
        if odd is not None:
            return odd
    counts = {edge: math.fsum(parts) for edge, parts in sorted(found.items())}
    total = counts.pop(math.inf)
    for edge, count in counts.items():
        if count > total * (1 + _TOLERANCE):
            text = f"the bucket le={edge:g} counts {count:g} events of {total:g}: a counter was reset in the window"
            return Missing(Reason.INCONSISTENT_COUNTS, text)
    return Buckets(at_or_below=counts, total=total)


def as_histogram(group: Group) -> Histogram | Missing:
    """The native histogram of a Service, if it holds all its events: the server adds up what can be added."""
    found, events = group.native, group.parts.get(TOTAL)
    if isinstance(found, Histogram) and (events is None or math.isclose(found.total, events, abs_tol=_TOLERANCE)):
        return found
    if isinstance(found, Missing):
        return found
    return Missing(
        Reason.INCONSISTENT_COUNTS,
        f"its native histograms cannot be added up: {found.total if found else 0:g} of {events or 0:g} events are left",
    )


def _edge(text: str) -> float | None:
    try:
        edge = float(text)
    except ValueError:
        return None
    return None if math.isnan(edge) else edge


def _odd(what: str, count: float) -> Missing | None:
    if not math.isfinite(count):
        return Missing(Reason.NOT_A_NUMBER, f"{what} is {_text(count)}")
    if count < 0:
        return Missing(Reason.INCONSISTENT_COUNTS, f"{what} is negative ({count:g})")
    return None


def _text(value: float) -> str:
    """As Prometheus writes it."""
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
