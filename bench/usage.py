"""What the operator uses over a span of time: requests by verb, queries, processor, memory; and who else is busy."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import urllib3

from testbed import addresses
from testbed.cluster import Cluster
from testbed.waiting import wait_for

METRICS_URL = f"http://{addresses.OPERATORS}1:8080/metrics"
READY_URL = f"http://{addresses.OPERATORS}1:8080/readyz"
OPERATOR_USER = "system:serviceaccount:sparkrelease-system:sparkrelease-operator"
LOOK_EVERY = 10.0
MIB = 1024 * 1024

_RSS = "process_resident_memory_bytes"


@dataclass(frozen=True)
class Usage:
    """Figures of one span; rates are per minute.

    Attributes:
        calls: the operator's requests to the API server, by verb and resource.
        others: everybody else's, by user.
        queries: requests the Prometheus server counted at its query API, without the benchmark's own.
        cpu: percent of one core the operator used.
        rss: highest resident memory seen, MiB.
        busy: percent of all cores in use, whoever used them.
        load: load average of the last minute at the end.
    """

    seconds: float
    calls: dict[str, float]
    others: dict[str, float]
    queries: float
    cpu: float
    rss: float
    busy: float
    load: float
    ticks_skipped: float


class Span:
    """A span under way, and what the operator has used since it began.

    Args:
        cluster: where it runs.
        fresh: it is yet to be started, and all that its process will have used belongs to the span.
    """

    def __init__(self, cluster: Cluster, *, fresh: bool = False) -> None:
        self._cluster = cluster
        self._cursor, self._begin = cluster.audit_cursor(), time.monotonic()
        self._before: Mapping[str, float] = {} if fresh else operator_metrics()
        self._asked, self._busy = prometheus_queries(cluster), _processor()
        self._rss = self._before.get(_RSS, 0.0)

    def look(self) -> None:
        """Sees how much memory it has now."""
        self._rss = max(self._rss, operator_metrics()[_RSS])

    def last(self, seconds: float) -> None:
        """Returns when so many seconds have passed since the begin; memory is looked at meanwhile."""

        def over() -> bool:
            self.look()
            return time.monotonic() >= self._begin + seconds

        wait_for("end of the span", over, timeout=seconds + 60, every=LOOK_EVERY)

    def end(self, *, own_queries: int = 0) -> Usage:
        """The figures; `own_queries` are those the benchmark itself has asked Prometheus since the begin."""
        self.look()
        after, took = operator_metrics(), time.monotonic() - self._begin
        queries = prometheus_queries(self._cluster) - self._asked - own_queries
        minutes = took / 60
        mine, others = calls(self._cluster, self._cursor)

        def more(name: str) -> float:
            return after[name] - self._before.get(name, 0.0)

        return Usage(
            seconds=round(took, 1),
            calls={what: round(n / minutes, 1) for what, n in sorted(mine.items())},
            others={who: round(n / minutes, 1) for who, n in sorted(others.items())},
            queries=round(queries / minutes, 1),
            cpu=round(100 * more("process_cpu_seconds_total") / took, 1),
            rss=round(self._rss / MIB, 1),
            busy=_busy_percent(self._busy, _processor()),
            load=load(),
            ticks_skipped=more("sparkrelease_ticks_skipped_total"),
        )


def measure(cluster: Cluster, seconds: float) -> Usage:
    """Watches for this long and disturbs nothing."""
    span = Span(cluster)
    span.last(seconds)
    return span.end()


def calls(cluster: Cluster, since: int) -> tuple[Counter[str], Counter[str]]:
    """Requests since an audit cursor: the operator's by verb and resource, everybody else's by user."""
    mine: Counter[str] = Counter()
    others: Counter[str] = Counter()
    for event in cluster.audit_events(since):
        if event.verb == "watch" and event.stage != "ResponseStarted":
            continue  # a watch is written down at its begin and at its end
        if event.user == OPERATOR_USER:
            resource = "/".join(filter(None, (event.resource, event.subresource))) or "(discovery)"
            mine[f"{event.verb} {resource}"] += 1
        else:
            others[event.user] += 1
    return mine, others


def operator_metrics() -> Mapping[str, float]:
    """The operator's own metrics; those with labels as they are spelled."""
    return _read(METRICS_URL)


def prometheus_queries(cluster: Cluster) -> float:
    """Requests to Prometheus's query API so far, by its own count."""
    page = _read(f"{cluster.prometheus_local_url}/metrics")
    pattern = re.compile(r'prometheus_http_requests_total\{.*handler="/api/v1/query(_range)?".*\}')
    return sum(value for name, value in page.items() if pattern.fullmatch(name))


def operator_ready() -> bool:
    """Whether the operator says so."""
    return urllib3.request("GET", READY_URL, timeout=2, retries=False).status == 200


def load() -> float:
    """Load average of the last minute."""
    return round(os.getloadavg()[0], 1)


def _read(url: str) -> dict[str, float]:
    answer = urllib3.request("GET", url, timeout=10, retries=False)
    lines = (line for line in answer.data.decode().splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def _processor() -> tuple[int, int]:
    """Idle and total processor time of the machine."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _busy_percent(before: tuple[int, int], after: tuple[int, int]) -> float:
    total = after[1] - before[1]
    return round(100 * (1 - (after[0] - before[0]) / total), 1) if total else 0.0
