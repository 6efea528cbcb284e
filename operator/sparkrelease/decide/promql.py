"""Where PromQL of readings and gates is built: one query per metric and window for all releases that share it.

Exact counts (`windows.py`) and a flag's own gauge (`flagging.py`) are built from the parts that are here.

Counters are read as `sum by (..) ((x - x offset W >= 0) or x)`: the difference over the window, and the counter itself
where it was reset or born within it. `increase()` would miss the events a series is born with and extrapolate the rest.
Parts of one metric are combined in one query and told apart by the label `sr_part`, so that they belong to one instant.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

from sparkrelease.api.config import RoleLabels
from sparkrelease.decide.nativequery import grown, whole
from sparkrelease.decide.selectors import Matcher, Selector, read_expression, regex_of
from sparkrelease.decide.templates import NOTHING, Scope, Template, by_of, filled, matchers_of, seconds

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

UP = "up"
_GATE_POINTS = 60
_FINEST, _COARSEST = timedelta(seconds=1), timedelta(minutes=1)
_MOST_TIMESTAMPS = 4


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
        return NOTHING
    by, within = template.by, template.within(scope)
    named = template.buckets
    whole = Selector(named.name.removesuffix("_bucket"), named.matchers)
    return joined([(SERIES, f"count by ({by}) (histogram_count({whole.text(*within)}))")])


# ---------------------------------------------------------------- parts of queries


def edges_within(template: Template) -> Matcher:
    """Keeps classic buckets to the edges that rules read, however they are spelled, and to the one of all events."""
    return (EDGE, "=~", regex_of(_spellings(template.edges)))


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
