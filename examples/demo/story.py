"""What happens in the demo, and what is measured of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import urllib3

from testbed.audit import AuditEvent
from testbed.cluster import Cluster
from testbed.load import Load
from testbed.shop import ERRORS, GIT, Shop, canary_percent, operator_config

STAGES = [
    {"name": "one-percent", "weight": 1, "duration": "4s"},
    {"name": "five-percent", "weight": 5, "duration": "4s"},
    {"name": "quarter", "weight": 25, "duration": "5s"},
    {"name": "half", "weight": 50, "duration": "5s"},
    {"name": "full", "weight": 100, "duration": "5s"},
]
BREACH = 0.05
"""The demo's trigger: more than this share of errors over five seconds, acted on at once."""

DEFECT_AT = 25.0
"""Canary weight at which the bad version turns bad."""

RATE = 200.0
"""Requests a second of the demo's clients."""


@dataclass
class Result:
    """What one release came to."""

    version: str
    phase: str = ""
    highest: float = 0.0
    requests: int = 0
    failed: int = 0
    failed_elsewhere: int = 0
    """Failed requests that the bad canary did not answer itself; the release machinery would be to blame."""
    decision_seconds: float | None = None
    """From the decision to the route, as the status says it."""
    breach_seconds: float | None = None
    """From the first scrape that shows the breach to the route's weight 0."""
    evidence: str = ""
    entries: int = 0
    sentence: str = ""


@dataclass
class Story:
    """Carries the demo out. `watch` is called often, for whoever draws it."""

    cluster: Cluster
    watch: Callable[[Shop, str], None]
    results: list[Result] = field(default_factory=list)

    def tell(self) -> list[Result]:
        """Runs both releases and returns what they came to."""
        operator = self.cluster.start_operator(operator_config(self.cluster, heartbeat="2s"))
        shop = Shop(self.cluster, self.cluster.namespace("demo"), "shop")
        try:
            shop.open("v1", "v1")
            load = shop.start_load(rps=RATE, duration=240)
            shop.release("v1", stages=STAGES)
            self._until(shop, "all quiet on v1", lambda s: s.get("phase") == "Succeeded")
            self.results = [self._good(shop, load), self._bad(shop, load)]
        finally:
            shop.close()
            operator.stop()
        return self.results

    def _good(self, shop: Shop, load: Load) -> Result:
        begin = _now_ns()
        shop.ship("v2", stages=STAGES)
        self._until(shop, "v2 goes out", lambda s: _condition(s, "Promoted") == "True", timeout=90)
        shop.deploy("stable", "v2", wait=False)
        self._until(shop, "stable catches up", lambda s: _settled(s) == "v2", timeout=60)
        return self._result(shop, "v2", load, begin)

    def _bad(self, shop: Shop, load: Load) -> Result:
        begin, cursor = _now_ns(), self.cluster.audit_cursor()
        shop.ship("v3", stages=STAGES)
        self._until(shop, "v3 goes out", lambda s: _weight(s) == DEFECT_AT, timeout=90)
        self.cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.3)
        self._until(shop, "v3 turns bad", lambda s: s.get("phase") == "RolledBack", timeout=60)
        result = self._result(shop, "v3", load, begin)
        result.breach_seconds = self._breach_to_zero(shop, cursor)
        return result

    def _until(self, shop: Shop, chapter: str, seen: Callable[[dict[str, Any]], bool], timeout: float = 60.0) -> None:
        def look(status: Any) -> bool:  # noqa: ANN401  a status is JSON
            self.watch(shop, chapter)
            return seen(dict(status))

        shop.until(chapter, look, timeout)

    def _result(self, shop: Shop, version: str, load: Load, begin: int) -> Result:
        status = shop.status
        answers = [a for a in load.answers() if a.unix_ns >= begin]
        failed = [a for a in answers if a.failed]
        rollback = status.get("rollback") or {}
        verified = self.cluster.kubectl("sparkrelease", "evidence", "verify", shop.name, "-n", shop.namespace)
        return Result(
            version=version,
            phase=str(status.get("phase", "")),
            highest=self._highest(shop, version),
            requests=len(answers),
            failed=len(failed),
            failed_elsewhere=sum(1 for a in failed if a.version != version),
            decision_seconds=rollback.get("seconds") if rollback else None,
            evidence="verified" if verified.returncode == 0 else f"BROKEN: {verified.stdout}{verified.stderr}",
            entries=int((status.get("evidence") or {}).get("entries", 0)),
            sentence=str(rollback.get("message", "every gate passed; stable serves it")),
        )

    def _highest(self, shop: Shop, version: str) -> float:
        """Highest canary weight the API server stored while this version was on trial."""
        highest = 0.0
        for event in _route_writes(self.cluster.audit_events(), shop):
            run = event.response.get("metadata", {}).get("annotations", {}).get("sparkrelease.dev/run", "")
            if run.startswith(f"{version}-"):
                highest = max(highest, canary_percent(event.response, f"{shop.name}-canary"))
        return highest

    def _breach_to_zero(self, shop: Shop, cursor: int) -> float | None:
        """Seconds from the first instant at which Prometheus shows the breach to the route's answer with weight 0."""
        zero = next(
            (
                event.completed
                for event in _route_writes(self.cluster.audit_events(cursor), shop)
                if canary_percent(event.response, f"{shop.name}-canary") == 0
                and "sparkrelease.dev/rollback" in event.response.get("metadata", {}).get("annotations", {})
            ),
            None,
        )
        if zero is None:
            return None
        breach = first_breach(self.cluster.prometheus_local_url, shop, zero)
        return (zero - breach).total_seconds() if breach else None


def first_breach(url: str, shop: Shop, until: dt.datetime) -> dt.datetime | None:
    """The first tenth of a second before `until` at which the trigger's ratio is over its limit in Prometheus."""
    canary = f'namespace="{shop.namespace}",service="{shop.name}-canary"'
    total = f"http_requests_total{{{canary}}}"
    bad = f'http_requests_total{{code=~"5..",{canary}}}'
    window = ERRORS["window"]

    def delta(counter: str) -> str:
        return f"sum(({counter} - {counter} offset {window} >= 0) or {counter})"

    query = f"{delta(bad)} / {delta(total)} > {BREACH}"
    span = {"start": until.timestamp() - 30, "end": until.timestamp(), "step": "0.1", "query": query}
    answer = urllib3.request("GET", f"{url}/api/v1/query_range", fields={k: str(v) for k, v in span.items()})
    series = answer.json()["data"]["result"]
    moments = [float(moment) for one in series for moment, _ in one["values"]]
    return dt.datetime.fromtimestamp(min(moments), dt.UTC) if moments else None


def _route_writes(events: Iterable[AuditEvent], shop: Shop) -> Iterable[AuditEvent]:
    for event in events:
        mine = event.namespace == shop.namespace and event.resource == "httproutes" and not event.subresource
        if mine and event.writes and event.code in {200, 201} and event.response.get("spec"):
            yield event


def _condition(status: dict[str, Any], kind: str) -> str:
    return next((str(c["status"]) for c in status.get("conditions", []) if c["type"] == kind), "")


def _settled(status: dict[str, Any]) -> str:
    """Version that a run brought to stable; empty before."""
    settled = status.get("settled") or {}
    return "" if settled.get("observed") else str(settled.get("version", ""))


def _weight(status: dict[str, Any]) -> float:
    return float((status.get("weight") or {}).get("observed") or 0)


def _now_ns() -> int:
    return int(dt.datetime.now(dt.UTC).timestamp() * 1e9)


__all__ = ["GIT", "Result", "Story", "first_breach"]
