"""From the rows of a batched answer to what each Service got of it, by Service, by pod, or shared by a namespace."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Attribution
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.native import Histogram, together
from sparkrelease.decide.promql import EDGE, FIRST, HIGH, LAST, LOW, NATIVE, NEWEST, PART, TOTAL, VALUE
from sparkrelease.decide.series import Answer, Row, partial_answer
from sparkrelease.decide.templates import Template

Place = tuple[str, str]
"""Namespace and Service."""

_EXPRESSION = frozenset({VALUE, HIGH, LOW})
_MOMENTS = frozenset({FIRST, LAST})
_NEWEST = len(NEWEST)
_NO_LABEL = "sr_none"
POD = "pod"
"""Label of a row that is about one of several pods."""


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
