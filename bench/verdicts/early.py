"""The section of the page on scrapes a second apart: how soon a strong defect is found by weight, and what holds it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from scipy.stats import gamma

from bench.page import table
from bench.verdicts.cells import ALPHA_OF_ERRORS, BASE_ERRORS, STAGES
from bench.verdicts.figures import Figures
from bench.verdicts.goals import RPS, STRONGEST, seconds, soonest
from bench.verdicts.tries import FAST, WEIGHTS
from sparkrelease.api.comparison import ComparisonTest
from sparkrelease.decide.comparison import MARGIN
from sparkrelease.decide.stats import eprocess

_BEGIN = f"""\
## Scraped every second

Errors of {100 * STRONGEST:.0f} % at {RPS:g} requests/s, by the weight the release begins at. The bound is the time
until canary has had as many requests as any test needs that knows both error rates, and one scrape.
"""

_MOST_FAILED = 20
_SMALL = 2.0
"""Percent; the smallest weight at which the requests alone would leave time enough."""


def by_weight(section: Figures) -> Iterator[str]:
    """How long it took, and why not less."""
    if not section:
        return
    (cell,) = section
    rows = []
    for rule, one in section[cell].items():
        times = map(seconds, (one.after, one.after_95))
        rows.append((rule, *times, f"{one.lost:.3g}", f"{soonest(float(rule.split()[1])):.0f} s"))
    yield _BEGIN
    yield table(("begins", "median", "95 % of the runs", "failed requests", "bound"), rows)
    yield _what_holds()
    yield table(("begins", *(f"{n} failed" for n in _COUNTS), "needed", "scraped after"), [_row(w) for w in WEIGHTS])


_COUNTS = (1, 2, 3, 4)


def _what_holds() -> str:
    """In figures that follow from the test alone."""
    minutes, limit, second = STAGES[0][1], 1 / ALPHA_OF_ERRORS, awaited(_SMALL, 2)
    blamed = 100 * (1 - math.exp(-RPS * _SMALL / 100 * 60 * minutes * BASE_ERRORS))
    return f"""\
What holds a small weight is how many requests have to fail, not the clock of the stage. The test knows neither
rate: it rejects at an e-value of {limit:.0f}, which is three quarters of an alpha of 1 %, and at three failed requests
at least (`minEvents`). Below are its e-values after so many failed requests, all counts as they are expected then;
how many of them it needs; and when the last of those has been scraped (median). In a run they come closer together or
further apart, so that it needs one more or one fewer. Either limit alone changes little: two failed requests are
rarely evidence enough. Both together would gain some seconds, and not reach 10 from {_SMALL:g} %: the second failed
request has been scraped after {second:.1f} s in half of the runs, and often it is not enough even then. A rule that
goes back at the first one is there, and blames {blamed:.0f} % of the healthy canaries that fail
{100 * BASE_ERRORS:g} % of their requests and have {_SMALL:g} % of all for {minutes} minutes.
"""


def _row(weight: float) -> tuple[str, ...]:
    last = needed(weight)
    values = (f"{evidence(weight, failed):,.0f}" for failed in _COUNTS)
    return f"from {weight:g} %", *values, str(last), f"{awaited(weight, last):.0f} s"


def awaited(weight: float, failed: int) -> float:
    """Seconds until the last of so many failed requests of canary has been scraped, median."""
    return float(gamma.ppf(0.5, failed)) / (RPS * weight / 100 * STRONGEST) + FAST


def evidence(weight: float, failed: int) -> float:
    """The e-value after so many failed requests of canary, all counts as they are expected then."""
    canary = failed / STRONGEST
    stable = canary * (100 - weight) / weight
    known = eprocess.hypotheses(MARGIN)
    window = eprocess.stratum(known, canary, stable, 0.0)
    seen = eprocess.observe(eprocess.channel(known), known, window, failed, stable * BASE_ERRORS)
    return math.exp(eprocess.log_evidence(seen, eprocess.idle_weight(1, len(STAGES))))


def needed(weight: float) -> int:
    """Failed requests after which the test rejects."""
    least = ComparisonTest(metric="http").min_events
    enough = (failed for failed in range(least, _MOST_FAILED) if evidence(weight, failed) >= 1 / ALPHA_OF_ERRORS)
    return next(enough, _MOST_FAILED)
