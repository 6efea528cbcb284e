"""From the rows of a batched answer to each Service's reading. Total: what is odd is Missing, never a guess."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Attribution, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Reading, Value
from sparkrelease.decide.native import Histogram, together
from sparkrelease.decide.promql import (
    BAD,
    EDGE,
    FIRST,
    HIGH,
    LAST,
    LOW,
    NATIVE,
    NEWEST,
    PART,
    TOTAL,
    VALUE,
    Template,
)
from sparkrelease.decide.series import Answer, Row, partial_answer

Place = tuple[str, str]
"""Namespace and Service."""

_EXPRESSION = frozenset({VALUE, HIGH, LOW})
_MOMENTS = frozenset({FIRST, LAST})
_NEWEST = len(NEWEST)
_NO_LABEL = "sr_none"
POD = "pod"
"""Label of a row that is about one of several pods."""

_TOLERANCE = 1e-6


@dataclass(slots=True)
class Group:
    """What one Service got: a number per part, a count per bucket edge, and the age of what it rests on."""

    parts: dict[str, float] = field(default_factory=dict)
    edges: dict[str, float] = field(default_factory=dict)
    """By the edge as it was spelled."""
    newest: float = math.inf
    """When the selector seen least lately was last seen, in Unix time."""
    first: float = math.inf
    last: float = math.inf
    """When the first and the last sample at a window's end were taken; endless for when the newest of all was."""
    problem: Missing | None = None
    pods: dict[str, list[float]] | None = None
    """Per part of an expression, the values of pods that it tells apart."""
    native: Histogram | Missing | None = None
    """Where buckets are those of native histograms, all of them as one."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """An answer sorted by Service, once for all who read it."""

    groups: Mapping[Place, Group]
    nameless: bool = False
    """There were values, and none of them named a Service."""
    newest: float = -math.inf
    """When any of the series was last seen, in Unix time."""


EMPTY = Sorted({})


def sort_answer(answer: Answer, labels: RoleLabels, template: Template | None = None) -> Sorted:
    """Sorts an answer's rows by the Service (or pod) they name; a part given twice spoils its reading.

    Rows of something shared are sorted by namespace, with no name; those that have none, either, are everybody's.
    """
    shared = template is not None and template.attribution is Attribution.SHARED
    per_pod = template is not None and template.per_pod
    own = template.namespace if template is not None else None
    groups: dict[Place, Group] = {}
    nameless = named = False
    newest = -math.inf
    namespace_label, service_label = labels.namespace, _NO_LABEL if shared else labels.service
    for row in answer.rows:
        labels_of_row, value = row.labels, row.value
        place = (labels_of_row.get(namespace_label, ""), labels_of_row.get(service_label, ""))
        part = labels_of_row.get(PART, "")
        group = groups.get(place)
        if group is None:
            # A release's own expression can name any namespace in its result; only its own is taken from it.
            if own is not None and place[0] not in {own, ""}:
                continue
            if not shared and not (place[0] and place[1]):
                nameless = nameless or part in _EXPRESSION
                continue
            group = groups[place] = Group()
        if part == EDGE:
            _take(group, group.edges, labels_of_row.get(EDGE, ""), value)
        elif part[:_NEWEST] == NEWEST:
            seen = -math.inf if math.isnan(value) else value
            group.newest = min(group.newest, seen)
            newest = max(newest, seen)
        elif part in _MOMENTS:
            _take_moment(group, part, value)
        else:
            named = True
            _take_value(group, part, row, per_pod=per_pod)
    if answer.left_out:
        _doubt(groups.values(), answer.left_out)
    return Sorted(groups, nameless and not named, newest)


def _take_moment(group: Group, part: str, value: float) -> None:
    if part == FIRST:
        group.first = value
    else:
        group.last = value


def _take_value(group: Group, part: str, row: Row, *, per_pod: bool) -> None:
    if row.histogram is not None:
        _take_histogram(group, part, row)
    elif per_pod and part in _EXPRESSION and POD in row.labels:
        group.pods = group.pods or {}
        group.pods.setdefault(part, []).append(row.value)
    else:
        _take(group, group.parts, part, row.value)


def _take_histogram(group: Group, part: str, row: Row) -> None:
    _take(group, group.parts, part, row.value)
    if part == NATIVE:
        group.native = row.histogram
    else:
        group.problem = Missing(Reason.INVALID_QUERY, "the query answers a native histogram, a number is wanted")


def _doubt(groups: Iterable[Group], left_out: str) -> None:
    """What cannot tell whether something of its own was left out may lack it."""
    for group in groups:
        if TOTAL not in group.parts and not group.edges:
            group.problem = group.problem or partial_answer(left_out)


def _take(group: Group, into: dict[str, float], name: str, value: float) -> None:
    if name in into:
        group.problem = Missing(Reason.AMBIGUOUS_RESULT, "several series of the Service where one is meant")
    into[name] = value


def fold(found: Sorted, template: Template, pods: Mapping[Place, Collection[str]]) -> Sorted:
    """The answer by Service, where it is by pod or about something shared; `pods` are those behind each Service."""
    if template.attribution is Attribution.SERVICE:
        return found
    if template.attribution is Attribution.POD:
        groups = {place: _together(found, [(place[0], pod) for pod in sorted(names)]) for place, names in pods.items()}
    else:
        everybody = found.groups.get(("", ""))
        groups = {place: found.groups.get((place[0], ""), everybody) for place in pods}
    return Sorted({place: group for place, group in groups.items() if group is not None}, found.nameless, found.newest)


def _together(found: Sorted, pods: Iterable[Place]) -> Group | None:
    """Pods of one Service as one: counts added up, values kept apart; as old as the pod that was seen least lately."""
    groups = [found.groups[pod] for pod in pods if pod in found.groups]
    if not groups:
        return None
    all_pods = Group(newest=min(group.newest for group in groups))
    all_pods.first, all_pods.last = min(group.first for group in groups), max(group.last for group in groups)
    all_pods.problem = next((group.problem for group in groups if group.problem is not None), None)
    for group in groups:
        for part, value in group.parts.items():
            if part in _EXPRESSION:
                all_pods.pods = all_pods.pods or {}
                all_pods.pods.setdefault(part, []).append(value)
            else:
                all_pods.parts[part] = all_pods.parts.get(part, 0.0) + value
        for edge, count in group.edges.items():
            all_pods.edges[edge] = all_pods.edges.get(edge, 0.0) + count
    all_pods.native = _native_together([group.native for group in groups if group.native is not None])
    return all_pods


def _native_together(histograms: Sequence[Histogram | Missing]) -> Histogram | Missing | None:
    odd = next((one for one in histograms if isinstance(one, Missing)), None)
    sound = [one for one in histograms if isinstance(one, Histogram)]
    return odd or (together(sound) if sound else None)


# ---------------------------------------------------------------- readings


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
