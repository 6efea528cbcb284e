"""What a metric is asked for: its selectors or expression, for which Services, by which labels, over which window.

A template is a metric as a server is asked for it; what is asked is written in `promql.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Attribution, Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.triggers import Leg
from sparkrelease.decide.confine import confined
from sparkrelease.decide.facts import Problem
from sparkrelease.decide.nativequery import native_of
from sparkrelease.decide.selectors import Matcher, Selector, read_expression, read_selector, regex_of

POD_LABELS = RoleLabels(namespace="namespace", service="pod")
"""Labels of a pod's series, as kubelet and kube-state-metrics have them."""

NOTHING = "vector(0) < 0"
"""An expression that has no value."""

_PER_POD = re.compile(r"\$by\s*,\s*pod\b")
_MOST_NAMES = 100


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


# ---------------------------------------------------------------- what stands in its queries


def by_of(labels: RoleLabels) -> str:
    """What an aggregation groups by, so that there is one row per Service."""
    return f"{labels.namespace}, {labels.service}"


def matchers_of(labels: RoleLabels, scope: Scope) -> tuple[Matcher, Matcher]:
    """Matchers that keep a selector to a scope."""
    return (_among(labels.namespace, scope.namespaces), _among(labels.service, scope.services))


def _among(label: str, names: Sequence[str]) -> Matcher:
    if not names:
        return (label, "!=", "")
    return (label, "=", names[0]) if len(names) == 1 else (label, "=~", regex_of(names))


def seconds(span: timedelta) -> str:
    """A span as a PromQL duration: whole seconds where it is, else milliseconds; at least one."""
    milliseconds = max(1, round(span.total_seconds() * 1000))
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def filled(template: Template, scope: Scope) -> str:
    """An expression with matchers, labels and window put in; a release's own is kept to its namespace."""
    text = _written(template, scope)
    if template.namespace is None:
        return text
    kept = confined(text, *_own(template))
    # What cannot be kept to its namespace has been refused when the template was made; nothing of it is ever sent.
    return NOTHING if isinstance(kept, str) else kept[0]


def _written(template: Template, scope: Scope) -> str:
    sel = Selector("", template.within(scope)).inside()
    text = (template.value or "").replace("$win", seconds(template.window))
    return text.replace("$sel", sel).replace("$by", template.by)


def _own(template: Template) -> tuple[str, str]:
    return template.labels.namespace, template.namespace or ""
