"""Counters over a stage in which pods restart or go: how that is found, and how the stage is counted again.

A difference over the stage (`promql.delta`) is exact for series that are there at both ends and were never reset. Of a
series that was reset it has what came after, of one that is gone nothing: a canary whose pods die one after the other
would hide what they did before. So a gate's query also tells what spoils a difference, as that of a test's window does
(`windows.py`). Where something may have, the stage is counted once more, as of the same instant: series by series
exactly where that can be known, else by `increase`, which sees every reset and extrapolates by a scrape or two.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing, Reading
from sparkrelease.decide.grouping import Place, Sorted
from sparkrelease.decide.nativequery import between
from sparkrelease.decide.promql import BAD, EDGE, INFINITE_BUCKET, NATIVE, PART, TOTAL, edges_within, gate_query, joined
from sparkrelease.decide.templates import Scope, Template, seconds
from sparkrelease.decide.windows import is_part

_MEMORY = timedelta(minutes=5)
"""How long before the stage a series' last sample is its value at the start; one seen longer ago is as good as new."""

_BEFORE_START = timedelta(minutes=1)
"""By how much earlier than the stage resets are looked for: one may be between the scrapes around its start."""

_SEEN, _NOW, _RETURNED, _RESETS = "seen ", "now", "back", "sr_resets"
"""Parts: series seen in the stage by how often they were reset, those there now, and those that came back."""

_ALL, _BAD, _NATIVE = "all ", "bad ", "native "
"""What the parts are about."""


# ---------------------------------------------------------------- the first query


def stage_query(template: Template, scope: Scope, over: timedelta, *, highest: bool, lowest: bool) -> str:
    """What a gate asks over a stage (`gate_query`), and of counters whether something spoils their difference."""
    asked = gate_query(template, scope, over, highest=highest, lowest=lowest)
    if template.value is not None:
        return asked
    marks = [_marks(name, series, template.by, over) for name, series in _watched(template, scope)]
    return " or ".join([asked, *marks])


def lost(found: Sorted, place: Place, reading: Reading) -> str:
    """What may have spoiled the difference of a Service, given its reading; empty where nothing has.

    Nor is anything said of a Service that has no series now: it has no data.
    """
    group = found.groups.get(place)
    absent = isinstance(reading, Missing) and reading.reason is not Reason.INCONSISTENT_COUNTS
    if group is None or absent:
        return ""
    for name in (_ALL, _BAD, _NATIVE):
        seen = {part: count for part, count in group.parts.items() if part.startswith(f"{name}{_SEEN}")}
        if seen.keys() - {f"{name}{_SEEN}0"}:
            return "a counter was reset in this time"
        if sum(seen.values()) > group.parts.get(f"{name}{_NOW}", 0.0):
            return "a series vanished in this time"
        if f"{name}{_RETURNED}" in group.parts:
            return "a series came back in this time that was there before"
    return ""


def _watched(template: Template, scope: Scope) -> Iterator[tuple[str, str]]:
    """The series of all events, whose fate is that of the others, and of bad ones where they are no part of them."""
    within = template.within(scope)
    if template.buckets is not None:
        yield _ALL, template.buckets.text(*within, (EDGE, "=", INFINITE_BUCKET))
    if template.native is not None:
        yield _NATIVE, template.native.text(*within)
    if template.bad is not None and template.total is not None:
        yield _ALL, template.total.text(*within)
        if not is_part(template.bad, template.total):
            yield _BAD, template.bad.text(*within)


def _marks(name: str, series: str, by: str, over: timedelta) -> str:
    """What is to be known of some series; the samples of the stage are gone through once."""
    resets = f"resets({series}[{seconds(over + _BEFORE_START)}])"
    seen = f'count_values by ({by}) ("{_RESETS}", {resets})'
    told = f'label_replace({seen}, "{PART}", "{name}{_SEEN}$1", "{_RESETS}", "(.*)")'
    back = f"({series} unless {series} offset {seconds(over)}) and {_before(series, over)}"
    counted = [(f"{name}{_NOW}", f"count by ({by}) ({series})"), (f"{name}{_RETURNED}", f"count by ({by}) ({back})")]
    return f"{told} or {joined(counted)}"


# ---------------------------------------------------------------- the second


def again_query(template: Template, scope: Scope, over: timedelta) -> str:
    """Counters over a stage with what was before a reset, and with the series that are gone; parts as ever."""
    by, within = template.by, template.within(scope)
    if template.buckets is not None:
        inside = template.buckets.text(*within, edges_within(template))
        parts = [(EDGE, _counted(inside, f"{by}, {EDGE}", over))]
        if template.native is not None:
            native = _native_counted(template.native.text(*within), by, over)
            parts += zip((NATIVE, TOTAL), native, strict=True)
        return joined(parts)
    if template.bad is None or template.total is None:
        raise ValueError("an expression has no counts")
    bad, total = template.bad.text(*within), template.total.text(*within)
    return joined([(BAD, _counted(bad, by, over)), (TOTAL, _counted(total, by, over))])


def _counted(series: str, by: str, over: timedelta) -> str:
    """What series counted, each by the first of these that can be had.

    Never reset: its last sample less that at the start. Reset once, and below its highest value since: what it had up
    to the reset, and its last sample; both are exact. Else by `increase`, or as far as its highest value if that is
    more: of a single sample, and of what was before the first in the stage, `increase` sees nothing. Of a series that
    was born in the stage it does not see what it was born with, which was its lowest value at least.
    """
    span, resets, before = seconds(over), _resets(series, over), _before(series, over)
    last, most = f"last_over_time({series}[{span}])", f"max_over_time({series}[{span}])"
    to_last, to_most = (f"(({end} - {before} >= 0) or {end})" for end in (last, most))
    grew = f"increase({series}[{span}])"
    grew = f"(({grew} + (min_over_time({series}[{span}]) unless {before})) or {grew})"
    exact = f"({to_last} unless ({resets} > 0)) or (({to_most} + ({last} < {most})) and ({resets} == 1))"
    return f"sum by ({by}) ({exact} or ({grew} >= {to_most}) or {to_most})"


def _native_counted(series: str, by: str, over: timedelta) -> tuple[str, str]:
    """The same of native histograms, and how many events that is; they have no highest value."""
    span, broken = seconds(over), f"({_resets(series, over)} > 0)"
    last = f"last_over_time({series}[{span}])"
    grew, count = between(last, _before(series, over))
    more = f"increase({series}[{span}]) and {broken}"
    buckets = f"sum by ({by}) ((({grew}) unless {broken}) or (({more}) and histogram_count({last})))"
    return buckets, f"sum by ({by}) ((({count}) unless {broken}) or histogram_count({more}))"


def _resets(series: str, over: timedelta) -> str:
    """How often each series was reset since its last sample before the stage."""
    all_of_it = f"resets({series}[{seconds(over + _MEMORY)}])"
    return f"({all_of_it} - (resets({series}[{seconds(_MEMORY)}] offset {seconds(over)}) or 0 * {all_of_it}))"


def _before(series: str, over: timedelta) -> str:
    """The value at the start, also where the scrape just before it failed."""
    return f"last_over_time({series}[{seconds(_MEMORY)}] offset {seconds(over)})"
