"""How soon a started operator has taken everything over, and how soon many new releases get their first weight."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import urllib3

from bench.fleet import Fleet, Member
from bench.results import quantile
from bench.usage import OPERATOR_USER, Span, calls, operator_metrics, operator_ready
from testbed.audit import AuditEvent
from testbed.cluster import Cluster, Operator
from testbed.shop import canary_percent
from testbed.waiting import wait_for

EPOCH = "sparkrelease.dev/epoch"
LONGEST = 300.0


def started(cluster: Cluster, config: Mapping[str, Any]) -> tuple[Operator, dict[str, float]]:
    """Starts an operator; seconds until it is ready and until it leads with every list read."""
    begin = time.monotonic()
    operator = cluster.start_operator(config)
    moments: dict[str, float] = {}

    def looked() -> bool:
        if "ready" not in moments and _ready():
            moments["ready"] = round(time.monotonic() - begin, 2)
        if "leads" not in moments and "leading with epoch" in operator.log():
            moments["leads"] = round(time.monotonic() - begin, 2)
        if not operator.running:
            raise RuntimeError(operator.log()[-2000:])
        return len(moments) == 2

    wait_for("operator leads", looked, timeout=LONGEST, every=0.02)
    return operator, moments


def adoption_of_active(
    cluster: Cluster, config: Mapping[str, Any], fleet: Sequence[Member], seconds: float
) -> tuple[Operator, dict[str, Any]]:
    """Starts an operator on releases under way: until the route of each bears its epoch.

    What it uses is counted for so many seconds from its start, or until then where that takes longer.
    """
    span, cursor, begin = Span(cluster, fresh=True), cluster.audit_cursor(), time.time()
    operator, moments = started(cluster, config)
    wanted = {member.key for member in fleet}
    epoch = str(int(operator_metrics()["sparkrelease_leader_epoch"]))
    seen: dict[tuple[str, str], float] = {}

    def all_stamped() -> bool:
        span.look()
        for event in route_writes(cluster.audit_events(cursor)):
            if event.response.get("metadata", {}).get("annotations", {}).get(EPOCH) == epoch:
                seen.setdefault((event.namespace, event.name), event.completed.timestamp() - begin)
        return wanted <= seen.keys()

    wait_for("all routes stamped", all_stamped, timeout=LONGEST, every=2.0)
    moments["all_adopted"] = round(max(seen[key] for key in wanted), 2)
    return operator, {"objects": len(fleet), **moments, **_used(cluster, cursor, span, seconds)}


def adoption_of_finished(
    cluster: Cluster, config: Mapping[str, Any], fleet: Fleet, fresh: Member, seconds: float
) -> tuple[Operator, dict[str, Any]]:
    """Starts an operator on releases at rest, and one new among them: until that one is answered.

    What it uses is counted for so many seconds from its start, or until then where that takes longer.
    """
    fleet.releases([fresh], lambda _: None)
    span, cursor, begin = Span(cluster, fresh=True), cluster.audit_cursor(), time.time()
    operator, moments = started(cluster, config)

    def answered() -> float | None:
        span.look()
        for event in cluster.audit_events(cursor):
            mine = event.resource == "sparkreleases" and (event.namespace, event.name) == fresh.key
            if mine and event.subresource == "status" and event.writes and event.code == 200:
                return event.completed.timestamp() - begin
        return None

    moments["new_one_answered"] = round(wait_for("new release answered", answered, timeout=LONGEST, every=1.0), 2)
    return operator, moments | _used(cluster, cursor, span, seconds)


def together(cluster: Cluster, fleet: Fleet, members: Sequence[Member]) -> dict[str, Any]:
    """Makes all releases at once; for each the time from the answer to its creation to that of its first weight."""
    span, cursor = Span(cluster), cluster.audit_cursor()
    fleet.releases(members, lambda _: None)
    fleet.wait_on_trial(members)
    used = span.end()
    made: dict[tuple[str, str], float] = {}
    weighted: dict[tuple[str, str], float] = {}
    for event in cluster.audit_events(cursor):
        key, at = (event.namespace, event.name), event.completed.timestamp()
        if event.resource == "sparkreleases" and event.verb == "create" and event.code == 201:
            made[key] = at
    for event in route_writes(cluster.audit_events(cursor)):
        key = (event.namespace, event.name)
        if canary_percent(event.response, f"{event.name}-canary") > 0:
            weighted.setdefault(key, event.completed.timestamp())
    waits = [weighted[member.key] - made[member.key] for member in members]
    return {
        "releases": len(members),
        "median": round(quantile(waits, 0.5), 2),
        "p95": round(quantile(waits, 0.95), 2),
        "max": round(max(waits), 2),
        "first_made_to_last_weight": round(max(weighted.values()) - min(made.values()), 2),
        "making_them": round(max(made.values()) - min(made.values()), 2),
        "usage": asdict(used),
    }


def route_writes(events: Iterable[AuditEvent]) -> Iterable[AuditEvent]:
    """The operator's writes of routes that the API server took."""
    for event in events:
        route = event.resource == "httproutes" and not event.subresource and event.user == OPERATOR_USER
        if route and event.writes and event.code in {200, 201} and "spec" in event.response:
            yield event


def _used(cluster: Cluster, cursor: int, span: Span, seconds: float) -> dict[str, Any]:
    """Requests until now, and then what is used from the start on."""
    mine, _ = calls(cluster, cursor)
    span.last(seconds)
    return {"calls": dict(sorted(mine.items())), "usage": asdict(span.end())}


def _ready() -> bool:
    try:
        return operator_ready()
    except urllib3.exceptions.HTTPError:
        return False
