"""Where PromQL of readings and gates is built: one query per metric and window for all releases that share it.

Exact counts (`windows.py`) and a flag's own gauge (`flagging.py`) are built from the parts that are here.

Counters are read as `sum by (..) ((x - x offset W >= 0) or x)`: the difference over the window, and the counter itself
where it was reset or born within it. `increase()` would miss the events a series is born with and extrapolate the rest.
Parts of one metric are combined in one query and told apart by the label `sr_part`, so that they belong to one instant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Attribution, Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.triggers import Leg
from sparkrelease.decide.confine import confined
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.nativequery import grown, native_of, whole
from sparkrelease.decide.selectors import Matcher, Selector, read_expression, read_selector, regex_of

PART = "sr_part"
"""Label that tells the parts of one combined answer apart."""

BAD, TOTAL, NEWEST, EDGE, NATIVE, VALUE, HIGH, LOW, SERIES, LABEL, FIRST, LAST = (
    "bad",
    "total",
    "newest",
    "le",
    "native",
    "value",
    "high",
    "low",
    "series",
    "label",
    "first",
    "last",
)

INFINITE_BUCKET = "+Inf"
POD_LABELS = RoleLabels(namespace="namespace", service="pod")
"""Labels of a pod's series, as kubelet and kube-state-metrics have them."""

UP = "up"
_NOTHING = "vector(0) < 0"
_PER_POD = re.compile(r"\$by\s*,\s*pod\b")
_GATE_POINTS = 60
_FINEST, _COARSEST = timedelta(seconds=1), timedelta(minutes=1)
_MOST_NAMES = 100
_MOST_TIMESTAMPS = 4


@dataclass(frozen=True, slots=True)
class Scope:
    """The Services a query is about: names, or nothing for all there are."""

    namespaces: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


EVERYTHING = Scope()


def scope_of(namespaces: Iterable[str], services: Iterable[str]) -> Scope:
    """The scope of these names; too many of them are no better than all there are."""
    spaces, names = sorted(set(namespaces)), sorted(set(services))
    return Scope(
        tuple(spaces) if len(spaces) <= _MOST_NAMES else (),
        tuple(names) if len(names) <= _MOST_NAMES else (),
    )


@dataclass(frozen=True, slots=True)
class Template:
    """A metric as it is asked of a server. Equal templates are asked once, whoever they came from.

    `namespace` is set for a release's own expression: every selector in it is kept to that namespace.
    """

    labels: RoleLabels
    window: timedelta
    bad: Selector | None = None
    total: Selector | None = None
    buckets: Selector | None = None
    edges: tuple[float, ...] = ()
    value: str | None = None
    namespace: str | None = None
    attribution: Attribution = Attribution.SERVICE

    @property
    def by(self) -> str:
        """What an aggregation groups by, so that there is one row per Service, pod, or namespace."""
        return self.labels.namespace if self.attribution is Attribution.SHARED else by_of(self.labels)

    @property
    def per_pod(self) -> bool:
        """Whether an expression tells pods of a Service apart on purpose, as `by ($by, pod)` does.

        Where series are found by pod anyway, the pod is their place, and naming it again changes nothing.
        """
        by_pod_anyway = self.attribution is Attribution.POD
        return self.value is not None and not by_pod_anyway and _PER_POD.search(self.value) is not None

    @property
    def native(self) -> Selector | None:
        """The native histogram that `buckets` may name; None where there is none of the kind."""
        return native_of(self.buckets) if self.buckets is not None else None

    def within(self, scope: Scope) -> tuple[Matcher, ...]:
        """Matchers that keep a selector to a scope. Who is behind a Service changes too often to name pods."""
        if self.attribution is Attribution.POD:
            return matchers_of(self.labels, Scope(scope.namespaces))
        if self.attribution is Attribution.SERVICE:
            return matchers_of(self.labels, scope)
        if self.namespace is not None:
            return (_among(self.labels.namespace, (self.namespace,)),)
        anywhere = f"{regex_of(scope.namespaces)}|" if scope.namespaces else ".*"
        return ((self.labels.namespace, "=~", anywhere),)


# ---------------------------------------------------------------- from a metric to its template


def template_of(
    metric: Metric, labels: RoleLabels, edges: Iterable[float], namespace: str | None
) -> Template | Problem:
    """Reads a metric's selectors and expression; the problem names the field and the remedy.

    Args:
        metric: as declared.
        labels: labels of the server that tell Services apart.
        edges: bucket edges some rule reads.
        namespace: of the release, when the metric is the release's own; None for a policy's.
    """
    selectors: dict[str, Selector] = {}
    for field in ("bad", "total", "buckets"):
        text: str | None = getattr(metric, field)
        if text is None:
            continue
        selector = read_selector(text)
        if isinstance(selector, str):
            return Problem(Reason.INVALID_QUERY, f"metric {metric.name}: {field}: {selector}")
        selectors[field] = selector
    shared = metric.attribution is Attribution.SHARED
    template = Template(
        labels=POD_LABELS if metric.attribution is Attribution.POD else labels,
        window=metric.window,
        bad=selectors.get("bad"),
        total=selectors.get("total"),
        buckets=selectors.get("buckets"),
        edges=tuple(sorted(set(edges))) if "buckets" in selectors else (),
        value=metric.value,
        namespace=namespace if metric.value is not None or shared else None,
        attribution=metric.attribution,
    )
    fault = _value_fault(template)
    return template if fault is None else Problem(Reason.INVALID_QUERY, f"metric {metric.name}: value: {fault}")


def edges_of(metric: Metric, thresholds: Iterable[Threshold], legs: Iterable[Leg]) -> frozenset[float]:
    """The limits that rules set on a metric; for a quantile they have to be bucket edges."""
    limits = {bound for t in thresholds if t.metric == metric.name for bound in (t.max, t.min) if bound is not None}
    return frozenset(limits | {leg.value for leg in legs if leg.metric == metric.name and leg.value is not None})


def _value_fault(template: Template) -> str | None:
    """Why an expression cannot be asked. It is parsed by itself, so it cannot break out of the place it is put into."""
    if template.value is None:
        return None
    text = _written(template, EVERYTHING if template.namespace is None else Scope((template.namespace,)))
    found = read_expression(text) if template.namespace is None else confined(text, *_own(template))
    return found if isinstance(found, str) else None


# ---------------------------------------------------------------- the queries


def window_query(template: Template, scope: Scope, over: timedelta | None = None) -> str:
    """The metric over a window (its own unless told), one row per part, Service and edge."""
    window = template.window if over is None else over
    by, within = template.by, template.within(scope)
    if template.buckets is not None:
        newest = template.buckets.text(*within, (EDGE, "=", INFINITE_BUCKET))
        inside = template.buckets.text(*within, edges_within(template))
        parts = [(EDGE, delta(inside, f"{by}, {EDGE}", window)), (NEWEST, _newest(newest, by))]
        return joined([*parts, *_native_window(template, scope, window)])
    if template.bad is not None and template.total is not None:
        bad, total = template.bad.text(*within), template.total.text(*within)
        parts = [(BAD, delta(bad, by, window)), (TOTAL, delta(total, by, window))]
        return joined([*parts, (NEWEST, _newest(total, by))])
    return joined([(VALUE, f"({filled(template, scope)}\n)"), *_timestamps(template, scope)])


def gate_query(template: Template, scope: Scope, over: timedelta, *, highest: bool, lowest: bool) -> str:
    """The metric over a whole stage: counters as their difference, an expression as the extremes asked for.

    Where an expression looks back (`$win`), its first values still speak of the time before the stage, when canary had
    less traffic or none. They are left out, unless the stage is so short that little else would be there.
    """
    if template.value is None:
        return window_query(template, scope, over)
    looks_back = "$win" in template.value and over >= 2 * template.window
    judged = over - template.window if looks_back else over
    step = min(max(over / _GATE_POINTS, _FINEST), _COARSEST)
    inside = f"({filled(template, scope)}\n)[{seconds(judged)}:{seconds(step)}]"
    parts = [(HIGH, f"max_over_time({inside})")] if highest else []
    parts += [(LOW, f"min_over_time({inside})")] if lowest else []
    return joined([*parts, *_timestamps(template, scope)])


def whole_query(template: Template, scope: Scope, over: timedelta) -> str:
    """Counters over a time that outlasts pods: by `increase`, which counts what those did that are gone by now.

    It extrapolates to the ends of the window and does not see the events a series was born with; over hours that is
    little, while a difference would lose every pod that was replaced.
    """
    by, within = template.by, template.within(scope)

    def increase(selector: str, labels: str) -> str:
        return f"sum by ({labels}) (increase({selector}[{seconds(over)}]))"

    if template.buckets is not None:
        inside = template.buckets.text(*within, edges_within(template))
        newest = template.buckets.text(*within, (EDGE, "=", INFINITE_BUCKET))
        parts = [(EDGE, increase(inside, f"{by}, {EDGE}")), (NEWEST, _newest(newest, by))]
        if template.native is not None:
            native = template.native.text(*within)
            parts += [(NATIVE, increase(native, by)), (f"{NEWEST}{NATIVE}", _newest(native, by))]
        return joined(parts)
    if template.bad is None or template.total is None:
        return window_query(template, scope, over)
    bad, total = template.bad.text(*within), template.total.text(*within)
    return joined([(BAD, increase(bad, by)), (TOTAL, increase(total, by)), (NEWEST, _newest(total, by))])


def counter_query(counter: Selector, labels: RoleLabels, scope: Scope, window: timedelta) -> str:
    """Events of one counter per Service over a window, and when they were last seen."""
    text, by = counter.text(*matchers_of(labels, scope)), by_of(labels)
    return joined([(TOTAL, delta(text, by, window)), (NEWEST, _newest(text, by))])


def up_query(labels: RoleLabels, scope: Scope) -> str:
    """Targets of each Service whose scrapes succeed; 0 where all fail, no row where `up` does not name Services."""
    return joined([(UP, f"sum by ({by_of(labels)}) ({Selector('up', ()).text(*matchers_of(labels, scope))})")])


def targets_query(labels: RoleLabels, scope: Scope) -> str:
    """Every target of these Services: 1 where its last scrape succeeded, else 0."""
    return Selector("up", ()).text(*matchers_of(labels, scope))


def gauge_query(gauge: Selector, labels: RoleLabels, scope: Scope) -> str:
    """The present value of one gauge per Service, and when it was last seen."""
    text, by = gauge.text(*matchers_of(labels, scope)), by_of(labels)
    return joined([(TOTAL, f"sum by ({by}) ({text})"), (NEWEST, _newest(text, by))])


def presence_query(template: Template, scope: Scope) -> str:
    """Which series the selectors match at all: edges of a histogram, or bad events and the labels they are told by.

    Of an expression it can only be asked whether it has a value.
    """
    by, within = template.by, template.within(scope)
    if template.buckets is not None:
        classic = (EDGE, "!=", "")  # a native histogram has no such label
        edges = (EDGE, f"count by ({by}, {EDGE}) ({template.buckets.text(*within, classic)})")
        if template.native is None:
            return joined([edges])
        native = template.native.text(*within)
        return joined([edges, *zip((NATIVE, TOTAL), whole(native, by), strict=True)])
    if template.bad is None or template.total is None:
        return window_query(template, scope)
    return joined(
        [
            (SERIES, f"count by ({by}) ({template.total.text(*within)})"),
            (BAD, f"count by ({by}) ({template.bad.text(*within)})"),
            (LABEL, f"count by ({by}) ({template.bad.with_labels_only().text(*within)})"),
        ]
    )


def native_query(template: Template, scope: Scope) -> str:
    """Services of which a selector of classic buckets would match native histograms without the name's `_bucket`."""
    if template.buckets is None:
        return _NOTHING
    by, within = template.by, template.within(scope)
    named = template.buckets
    whole = Selector(named.name.removesuffix("_bucket"), named.matchers)
    return joined([(SERIES, f"count by ({by}) (histogram_count({whole.text(*within)}))")])


def seconds(span: timedelta) -> str:
    """A span as a PromQL duration: whole seconds where it is, else milliseconds; at least one."""
    milliseconds = max(1, round(span.total_seconds() * 1000))
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


# ---------------------------------------------------------------- parts of queries


def by_of(labels: RoleLabels) -> str:
    """What an aggregation groups by, so that there is one row per Service."""
    return f"{labels.namespace}, {labels.service}"


def matchers_of(labels: RoleLabels, scope: Scope) -> tuple[Matcher, Matcher]:
    """Matchers that keep a selector to a scope."""
    return (_among(labels.namespace, scope.namespaces), _among(labels.service, scope.services))


def edges_within(template: Template) -> Matcher:
    """Keeps classic buckets to the edges that rules read, however they are spelled, and to the one of all events."""
    return (EDGE, "=~", regex_of(_spellings(template.edges)))


def _among(label: str, names: Sequence[str]) -> Matcher:
    if not names:
        return (label, "!=", "")
    return (label, "=", names[0]) if len(names) == 1 else (label, "=~", regex_of(names))


def joined(parts: Sequence[tuple[str, str]]) -> str:
    """One query of several, each under the name of its part."""
    return " or ".join(f'label_replace({query}, "{PART}", "{name}", "", "")' for name, query in parts)


def delta(selector: str, by: str, window: timedelta) -> str:
    """How much counters grew over a window, series by series, before they are added up."""
    return f"sum by ({by}) (({selector} - {selector} offset {seconds(window)} >= 0) or {selector})"


def native_parts(native: str, by: str, window: timedelta) -> list[tuple[str, str]]:
    """What native histograms counted over a window, and how many events that has to be."""
    return [*zip((NATIVE, TOTAL), grown(native, by, f"offset {seconds(window)}"), strict=True)]


def _native_window(template: Template, scope: Scope, window: timedelta) -> list[tuple[str, str]]:
    """The parts of a reading that tell of native histograms, where the name may be that of one."""
    if template.native is None:
        return []
    native, by = template.native.text(*template.within(scope)), template.by
    return [*native_parts(native, by, window), (f"{NEWEST}{NATIVE}", _newest(native, by))]


def _newest(selector: str, by: str) -> str:
    return f"max by ({by}) (timestamp({selector}))"


def filled(template: Template, scope: Scope) -> str:
    """An expression with matchers, labels and window put in; a release's own is kept to its namespace."""
    text = _written(template, scope)
    if template.namespace is None:
        return text
    kept = confined(text, *_own(template))
    # What cannot be kept to its namespace has been refused when the template was made; nothing of it is ever sent.
    return _NOTHING if isinstance(kept, str) else kept[0]


def _own(template: Template) -> tuple[str, str]:
    return template.labels.namespace, template.namespace or ""


def _written(template: Template, scope: Scope) -> str:
    sel = Selector("", template.within(scope)).inside()
    text = (template.value or "").replace("$win", seconds(template.window))
    return text.replace("$sel", sel).replace("$by", template.by)


def _timestamps(template: Template, scope: Scope) -> list[tuple[str, str]]:
    """When each selector of an expression was last seen."""
    selectors = read_expression(filled(template, scope))
    texts = [] if isinstance(selectors, str) else list(dict.fromkeys(s.text() for s in selectors))
    by = template.by
    return [(f"{NEWEST}{place}", _newest(text, by)) for place, text in enumerate(texts[:_MOST_TIMESTAMPS])]


def _spellings(edges: Iterable[float]) -> list[str]:
    """How servers and client libraries write edges: `1`, `1.0`, `1e+06`, `1000000.0`."""
    found = {INFINITE_BUCKET}
    for edge in edges:
        found.add(repr(edge))
        if not math.isfinite(edge):
            continue
        digits = len(Decimal(repr(edge)).normalize().as_tuple().digits)
        found.add(f"{edge:.{digits - 1}e}")
        if edge == int(edge):
            found |= {str(int(edge)), f"{int(edge)}.0"}
    return sorted(found)
