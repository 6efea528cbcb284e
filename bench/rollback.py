"""How long after Prometheus can show a breach the route is at 0, by the API server's own audit log."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import urllib3

from bench.fleet import BAD, LIMIT, TOTAL, WEIGHT, WINDOW_SECONDS, Fleet, Member
from bench.results import quantile
from bench.usage import Span, Usage, operator_metrics
from testbed.audit import AuditEvent
from testbed.cluster import Cluster, Exporter
from testbed.shop import ROUTE_API, canary_percent
from testbed.waiting import wait_for

TICKS = {"1s": "1013ms", "250ms": "253ms"}
"""What is configured for a tick. A scrape comes every 1,000 ms: with a tick that divides it, all trials of a run would
meet the same phase between the two, a lucky or an unlucky one. A little longer, they meet every phase."""

PAUSE = (1.5, 3.5)
"""Seconds between two trials, within which chance decides; 24 trials see all phases."""

STEP = 0.005
QUERIES = 3
"""What `first_breach` asks Prometheus in each trial."""

LONGEST = 60.0
"""Seconds a trial may take."""

OBSERVED = WINDOW_SECONDS - 1
"""Seconds a release is left alone on its weight before the pause of its trial."""


@dataclass(frozen=True)
class Trial:
    """One rollback. Times in seconds before the API server's answer to the patch that set 0.

    Attributes:
        scraped: since the scrape that shows the breach began: its samples bear that time.
        queryable: since that scrape was done, by its own duration; before that no query can see it.
        broken: since the exporter began to count errors.
    """

    scraped: float
    queryable: float
    broken: float


def trial(cluster: Cluster, exporter: Exporter, member: Member) -> Trial:
    """Makes one release on trial fail and measures it."""
    cursor = cluster.audit_cursor()
    broken = exporter.set(member.namespace, member.canary, error=1.0) / 1e9

    def back() -> bool:
        route = cluster.get(ROUTE_API, "HTTPRoute", member.name, member.namespace)
        return canary_percent(route, member.canary) == 0

    wait_for(f"{member.name} at 0", back, timeout=LONGEST, every=0.1)
    zero = wait_for("audit event", lambda: _zero(cluster, cursor, member), timeout=5).timestamp()
    scraped, duration = first_breach(cluster.prometheus_local_url, member, broken, zero)
    return Trial(zero - scraped, zero - scraped - duration, zero - broken)


def series(
    cluster: Cluster,
    exporter: Exporter,
    targets: Sequence[Member],
    ready: Callable[[Member], None],
    told: Callable[[int], None],
) -> tuple[list[Trial], Usage]:
    """One trial per target, at moments that have nothing to do with the operator's clock; what it uses meanwhile."""
    chance, span = random.Random(7), Span(cluster)
    trials = []
    for number, member in enumerate(targets, start=1):
        ready(member)
        time.sleep(chance.uniform(*PAUSE))
        trials.append(trial(cluster, exporter, member))
        span.look()
        told(number)
    return trials, span.end(own_queries=QUERIES * len(trials))


def one_at_a_time(fleet: Fleet) -> Callable[[Member], None]:
    """Makes each release just before its trial, so that it is the only active one."""

    def ready(member: Member) -> None:
        fleet.releases([member], lambda _: None)
        fleet.wait_on_trial([member])
        end = time.monotonic() + OBSERVED
        wait_for("data", lambda: time.monotonic() >= end, timeout=60, every=0.1)

    return ready


def figures(trials: Sequence[Trial], used: Usage, active: int, configured: str) -> dict[str, Any]:
    """p50, p95 and max of the measure, and what else can be said of the trials."""
    measured = [one.queryable for one in trials]
    metrics = operator_metrics()
    return {
        "trials": len(trials),
        "active": active,
        "tick": configured,
        "p50": round(quantile(measured, 0.5), 3),
        "p95": round(quantile(measured, 0.95), 3),
        "max": round(max(measured), 3),
        "p50_from_scrape": round(quantile([one.scraped for one in trials], 0.5), 3),
        "p95_from_scrape": round(quantile([one.scraped for one in trials], 0.95), 3),
        "p50_from_defect": round(quantile([one.broken for one in trials], 0.5), 3),
        "ticks_skipped": metrics["sparkrelease_ticks_skipped_total"],
        "mean_tick": round(metrics["sparkrelease_tick_seconds_sum"] / metrics["sparkrelease_tick_seconds_count"], 3),
        "measured": [round(value, 3) for value in measured],
        "usage": asdict(used),
    }


def first_breach(url: str, member: Member, start: float, end: float) -> tuple[float, float]:
    """Time of the first scrape that makes the trigger true, and how long that scrape took.

    Raises:
        LookupError: Prometheus shows no breach; then the rollback had another cause.
    """
    ratio = f"{_delta(_narrow(BAD, member))} / {_delta(_narrow(TOTAL, member))} > {LIMIT}"
    span = {"start": start, "end": end, "step": STEP, "query": ratio}
    found = _ask(url, "query_range", span)
    moments = [float(moment) for one in found for moment, _ in one["values"]]
    if not moments:
        raise LookupError(f"{member.name} went back, but Prometheus shows no breach before that")
    seen = min(moments)
    samples = _ask(url, "query", {"time": seen, "query": f"{_narrow(BAD, member)}[{WINDOW_SECONDS}s]"})
    scrapes = [float(moment) for one in samples for moment, _ in one["values"]]
    durations = _ask(url, "query", {"time": seen, "query": 'scrape_duration_seconds{job="added"}'})
    return max(scrapes, default=seen), float(durations[0]["value"][1])


def _narrow(selector: str, member: Member) -> str:
    head, _, rest = selector.partition("{")
    inner = rest.rstrip("}")
    return f'{head}{{{inner}{"," if inner else ""}namespace="{member.namespace}",service="{member.canary}"}}'


def _delta(counter: str) -> str:
    return f"sum(({counter} - {counter} offset {WINDOW_SECONDS}s >= 0) or {counter})"


def _ask(url: str, what: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
    texts = {name: str(value) for name, value in fields.items()}
    answer = urllib3.request("GET", f"{url}/api/v1/{what}", fields=texts, timeout=20, retries=False).json()
    if answer["status"] != "success":
        raise ValueError(f"{fields['query']}: {answer.get('error')}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def _zero(cluster: Cluster, cursor: int, member: Member) -> dt.datetime | None:
    """When the API server had answered the write that took the canary's weight away."""
    for event in cluster.audit_events(cursor):
        if _is_route(event, member) and canary_percent(event.response, member.canary) == 0:
            return event.completed
    return None


def _is_route(event: AuditEvent, member: Member) -> bool:
    mine = event.resource == "httproutes" and (event.namespace, event.name) == member.key
    return mine and event.writes and not event.subresource and event.code == 200 and "spec" in event.response


__all__ = ["TICKS", "WEIGHT", "Trial", "figures", "first_breach", "one_at_a_time", "series", "trial"]
