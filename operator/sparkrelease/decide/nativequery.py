"""PromQL of native histograms: what differs from counters, whose samples are numbers.

No comparison keeps a histogram, so the number of its events says whether it was reset. Series of the same name that are
numbers are kept out: a sum of both is nothing, and the server's warning of it would spoil everybody's answer.
"""

from __future__ import annotations

import re

from sparkrelease.decide.selectors import Matcher, Selector

_NO_NUMBER: tuple[Matcher, ...] = (("le", "=", ""), ("quantile", "=", ""))
"""Of a native histogram that is a bucket or a quantile no series is one."""

_CLASSIC = re.compile(r"_bucket(:|$)")
"""In the name of a series: that it holds buckets, or was recorded of such."""


def native_of(buckets: Selector) -> Selector | None:
    """The native histogram that a selector may name; None where its name is that of classic buckets, or is no name."""
    names = (value for label, op, value in buckets.matchers if label == "__name__" and op == "=")
    name = buckets.name or next(names, "")
    return None if not name or _CLASSIC.search(name) else Selector(buckets.name, (*buckets.matchers, *_NO_NUMBER))


def grown(series: str, by: str, past: str) -> tuple[str, str]:
    """What histograms counted since `past` (`offset 15s`), series by series before they are added up; how many events.

    The server leaves out what it cannot subtract or add up (buckets of two kinds): then the two numbers differ.
    """
    since, events = between(series, f"{series} {past}")
    return f"sum by ({by}) ({since})", f"sum by ({by}) ({events})"


def between(end: str, start: str) -> tuple[str, str]:
    """What each histogram counted from one expression to the other, all of it where it was reset or born; how many."""
    count = f"histogram_count({end})"
    grew = f"{count} - histogram_count({start}) >= 0"
    return f"(({end} - {start}) and ({grew})) or (({end} and {count}) unless ({grew}))", f"({grew}) or {count}"


def whole(series: str, by: str) -> tuple[str, str]:
    """All that histograms ever counted, and how many events that is."""
    count = f"histogram_count({series})"
    return f"sum by ({by}) ({series} and {count})", f"sum by ({by}) ({count})"
