"""Exact counts of disjoint windows: how a metric's are asked for, and when a window is void instead.

A window (T - W, T] is asked for as of T, with W = `Metric.every` and T one of its multiples. What a series counted in
it is the difference of the two samples that are the newest at its ends, so the counts of windows in a row add up to
what the series counted in all that time: no event is in two of them. That holds only while both samples are what they
seem. Whatever makes them something else voids the window: its counts are then unknown, which is not the same as none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Window
from sparkrelease.decide.grouping import Group, Place, Sorted
from sparkrelease.decide.native import Histogram, compared
from sparkrelease.decide.promql import BAD, EDGE, FIRST, INFINITE_BUCKET, LAST, TOTAL, delta, joined, native_parts
from sparkrelease.decide.readings import as_buckets, as_counts, as_histogram
from sparkrelease.decide.selectors import Selector
from sparkrelease.decide.templates import Scope, Template, seconds

MOST_EDGES = 48
"""Edges of a histogram kept per window; of more, every second, third, ... is."""

_MEMORY = timedelta(hours=1)
"""How long ago a series may have been seen last for its return to be known as one."""

_LOST = timedelta(minutes=5)
"""How long a target that cannot be scraped voids windows; after that its pod is taken for gone."""

_SLACK = 0.1
"""Part of a window by which a scrape may be late: scrapes a window apart may fall on either side of its end."""

_TOGETHER = 200
"""Samples a window divided by this apart are of one moment: at 15 s, what happens in 75 ms."""

RESET, VANISHED, RETURNED, UNPLACED, UNSCRAPED, STALE_START, DOWN = (
    "reset",
    "vanished",
    "returned",
    "unplaced",
    "unscraped",
    "stale",
    "down",
)

_WHY = {
    RESET: "a counter was reset in the window",
    VANISHED: "a series vanished in the window",
    RETURNED: "a series came back in the window that was there before",
    UNPLACED: "a series appeared before there was any to tell from that it is new",
    UNSCRAPED: "a series was not scraped in the window",
    STALE_START: "a series was not scraped in the window before",
    DOWN: "a target could not be scraped",
}


# ---------------------------------------------------------------- which windows


def window_template(template: Template, every: timedelta) -> Template:
    """The template of a metric's windows; what only its other readings need is left out, so that more share it."""
    return replace(template, window=every, edges=())


def last_end(now: datetime, every: timedelta, lag: timedelta) -> datetime:
    """End of the newest window that can be asked for: samples of before its end have been stored by now."""
    return floor(now - lag, every)


def floor(moment: datetime, unit: timedelta) -> datetime:
    """The last multiple of `unit` of Unix time that is not after the moment."""
    return moment - (moment - datetime(1970, 1, 1, tzinfo=UTC)) % unit


# ---------------------------------------------------------------- the query


def exact_query(template: Template, scope: Scope) -> str:
    """The counts of the window that ends when the query is evaluated, and a row for each reason that voids it."""
    by, within, window = template.by, template.within(scope), template.window
    native = "" if template.native is None else template.native.text(*within)
    if template.buckets is not None:
        every_edge = template.buckets.text(*within, *([(EDGE, "!=", "")] if native else []))
        all_events = template.buckets.text(*within, (EDGE, "=", INFINITE_BUCKET))
        counted, watched = [(EDGE, delta(every_edge, f"{by}, {EDGE}", window))], [all_events]
    elif template.bad is not None and template.total is not None:
        bad, all_events = template.bad.text(*within), template.total.text(*within)
        counted = [(BAD, delta(bad, by, window)), (TOTAL, delta(all_events, by, window))]
        watched = [all_events] if is_part(template.bad, template.total) else [all_events, bad]
    else:
        raise ValueError("an expression has no counts")
    conditions = [_conditions(series, window) for series in watched]
    placed = [f"{all_events} offset {seconds(3 * window)}"]
    if native:
        counted += native_parts(native, by, window)
        conditions.append(_native_conditions(native, window))
        placed.append(f"histogram_count({native} offset {seconds(3 * window)})")
    up = Selector("up", ()).text(*within)
    voids = _voids(conditions, placed, by)
    seen = [*watched, native] if native else watched
    return joined([*counted, *voids, (DOWN, _down(up, by, window)), *_moments(seen, by, window)])


def is_part(bad: Selector, total: Selector) -> bool:
    """Whether every series of bad is one of total, too: what voids it is seen there."""
    return bad.name == total.name and set(total.matchers) <= set(bad.matchers)


def _voids(conditions: Sequence[Mapping[str, str]], placed: Sequence[str], by: str) -> Iterator[tuple[str, str]]:
    """Per reason, the Services one of whose series has it; `placed` are all events of three windows ago."""
    for reason in (RESET, VANISHED, RETURNED, UNSCRAPED, STALE_START):
        yield reason, " or ".join(f"count by ({by}) ({one[reason]})" for one in conditions)
    # A server that has just begun to scrape sees every series for the first time, one target after the other.
    born = " or ".join(f"count by ({by}) ({one[UNPLACED]})" for one in conditions)
    yield UNPLACED, f"(({born}){''.join(f' unless sum by ({by}) ({before})' for before in placed)})"


def _conditions(series: str, window: timedelta) -> Mapping[str, str]:
    """Per reason, the series it is true of; for `UNPLACED` those that were born in the window."""
    span, two, three = seconds(window), seconds(2 * window), seconds(3 * window)
    late = _SLACK * window
    before = f"(resets({series}[{two}] offset {span}) or 0 * resets({series}[{three}]))"
    born = f"({series} unless {series} offset {span})"
    return {
        RESET: f"resets({series}[{three}]) > {before}",
        VANISHED: f"{series} offset {span} unless {series}",
        RETURNED: f"{born} and present_over_time({series}[{seconds(_MEMORY)}] offset {span})",
        UNPLACED: born,
        UNSCRAPED: f"timestamp({series}) <= time() - {_number(window + late)}",
        STALE_START: f"timestamp({series} offset {span}) <= time() - {_number(2 * window + late)}",
    }


def _native_conditions(series: str, window: timedelta) -> Mapping[str, str]:
    """The same of native histograms alone: series of that name that are numbers are none.

    Asked for the number of events, a server need not keep the buckets of a whole hour; `resets` does need them.
    """
    plain, past = _conditions(series, window), f"{series} offset {seconds(window)}"
    return {
        RESET: f"({plain[RESET]}) and histogram_count({series})",
        VANISHED: f"histogram_count({plain[VANISHED]})",
        RETURNED: f"histogram_count({plain[RETURNED]})",
        UNPLACED: f"histogram_count({plain[UNPLACED]})",
        UNSCRAPED: f"histogram_count({series} and ({plain[UNSCRAPED]}))",
        STALE_START: f"histogram_count({past} and ({plain[STALE_START]}))",
    }


def _down(up: str, by: str, window: timedelta) -> str:
    """Services with a target that has been lost, or found again. Only where `up` has the labels of a Service."""
    lost = f"(({up} == 0) and max_over_time({up}[{seconds(_LOST)}]) == 1)"
    found = f"(({up} == 1) and ({up} offset {seconds(window)} == 0))"
    return f"count by ({by}) ({lost} or {found})"


def _moments(watched: Sequence[str], by: str, window: timedelta) -> Iterator[tuple[str, str]]:
    """When the first and the last of a Service's samples were taken; no row where that is when the newest of all was.

    So a server that sees all through one target answers no row more than it would without.
    """
    taken = " or ".join(f"timestamp({series})" for series in watched)
    newest = f"scalar(max({taken})) - {_number(window / _TOGETHER)}"
    yield FIRST, f"(min by ({by}) ({taken}) < {newest})"
    yield LAST, f"(max by ({by}) ({taken}) < {newest})"


def _number(span: timedelta) -> str:
    return f"{span.total_seconds():.3f}"


# ---------------------------------------------------------------- the answer


def window_of(found: Sorted | Missing, template: Template, end: datetime, stable: Place, canary: Place) -> Window:
    """The window that ends there, of two Services."""
    both = _bounded(_side(found, template, stable), _side(found, template, canary))
    return Window(
        end=end,
        length=template.window,
        canary=both[1],
        stable=both[0],
        apart=_apart(found, template.window, stable, canary),
    )


_Side = Counts | Buckets | Missing


def _bounded(*sides: _Side | Histogram) -> list[_Side]:
    """Native histograms as their counts at the same bounds; the first that is one is that by which edges are chosen."""
    native = [side for side in sides if isinstance(side, Histogram)]
    counts = iter(compared(native, MOST_EDGES) if native else ())
    return [Buckets(next(counts), side.total) if isinstance(side, Histogram) else side for side in sides]


def _apart(found: Sorted | Missing, window: timedelta, stable: Place, canary: Place) -> bool:
    """Whether the roles were seen at different moments. Several targets are none where both are seen through them."""
    if isinstance(found, Missing):
        return False
    one, other = found.groups.get(stable), found.groups.get(canary)
    if one is None or other is None:
        return False
    slack = (window / _TOGETHER).total_seconds()
    pairs = ((one.first, other.first), (one.last, other.last))
    return any(mine != theirs and abs(mine - theirs) > slack for mine, theirs in pairs)


def _side(found: Sorted | Missing, template: Template, place: Place) -> _Side | Histogram:
    if isinstance(found, Missing):
        return _void(found.message)
    group = found.groups.get(place)
    if group is None:
        return _void(f"no series of Service {place[1]}")
    if group.problem is not None:
        return _void(group.problem.message)
    why = [text for part, text in _WHY.items() if part in group.parts]
    if why:
        return _void(why[0])
    read = as_counts(group) if template.buckets is None else _histogram(group)
    if isinstance(read, Counts) and read.bad > read.total:
        return _void(f"there are more bad events ({read.bad:g}) than events ({read.total:g})")
    return _void(read.message) if isinstance(read, Missing) else read


def _histogram(group: Group) -> Buckets | Histogram | Missing:
    if not group.edges and group.native is not None:
        return as_histogram(group)
    read = as_buckets(group)
    if isinstance(read, Missing):
        return read
    before = 0.0
    for edge, count in read.at_or_below.items():
        if count < before:
            return Missing(Reason.WINDOW_VOID, f"the bucket le={edge:g} is not in every series")
        before = count
    edges = list(read.at_or_below)
    kept = edges[:: math.ceil(len(edges) / MOST_EDGES)] if edges else edges
    return Buckets({edge: read.at_or_below[edge] for edge in kept}, read.total)


def _void(why: str) -> Missing:
    return Missing(Reason.WINDOW_VOID, why)
