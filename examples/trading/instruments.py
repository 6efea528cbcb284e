"""Every metric of the contract, as docs/metrics-contract.md has it."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

LATENCY_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.5, 2.5, 5.0, 10.0)
"""Seconds. The limits of the policies (0.2, 0.4, 1, 1.5) are edges: a quantile is only told above or below an edge."""

CONFIDENCE_EDGES = tuple(round(0.05 * step, 2) for step in range(1, 20))

DATABASE = "trading"
"""What the pooler calls its database."""


class Instruments:
    """Counters are there with 0 from the start, gauges of a last message with the start itself.

    A counter that is born with its first event hides it from `rate`; a gauge that begins at 0 is an age of fifty years.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("http_requests_total", "Requests answered.", "code")
        self.latency = Histogram(
            "http_request_duration_seconds", "Time to answer.", buckets=LATENCY_EDGES, registry=self.registry
        )
        self.orders = self._counter("idempotency_requests_total", "Requests with an idempotency key.")
        self.conflicts = self._counter("idempotency_conflicts_total", "Requests whose key was taken.")
        self.keys = self._gauge("idempotency_keys_active", "Keys that have not expired.")
        self.risk_blocks = self._counter("risk_blocks_total", "Orders refused by the risk check.")
        self.decimal_errors = self._counter("decimal_precision_errors_total", "Prices that were rounded wrongly.")
        self.outbox_age = self._gauge("outbox_oldest_unpublished_age_seconds", "Age of the oldest event not published.")
        self.connections = self._gauge("db_pool_connections_in_use", "Connections taken from the pool.")
        self.csp_reports = self._counter("csp_violation_reports_total", "Reports of browsers.")
        self.feed_at = self._gauge("feed_last_message_timestamp_seconds", "When an exchange last sent.", "venue")
        self.stream_at = self._gauge("ws_last_message_timestamp_seconds", "When clients were last sent something.")
        self.streams = self._gauge("ws_connections_open", "Clients connected.")
        self.drops = self._counter("ws_disconnects_total", "Clients that lost their connection.")
        self.scores = self._counter("ml_score_total", "Scores given.", "bucket")
        self.confidence = Histogram(
            "ml_confidence", "Confidence of scores.", buckets=CONFIDENCE_EDGES, registry=self.registry
        )
        self.breaches = self._counter("guardrail_breaches_total", "Times a guardrail had to act.")
        self.dead_letters = self._gauge("dlq_messages", "Messages nobody could handle.")
        self.pool_active = self._gauge("pgbouncer_pools_server_active_connections", "Connections at work.", "database")
        self.pool_size = self._gauge("pgbouncer_databases_pool_size", "Connections at most.", "name")
        self.probes = self._counter("executor_probes_total", "Times the executor was asked how it is.", "answer")
        self.node_clock = self._gauge("node_timex_offset_seconds", "How far the node's clock is off.")
        self.database_clock = self._gauge("db_clock_offset_seconds", "How far the database's clock is from this one.")
        self.gaps = self._counter("feed_sequence_gaps_total", "Numbers missing in a feed's sequence.")
        self._begin()

    def _begin(self) -> None:
        now = time.time()
        self.feed_at.labels("BIST").set(now)
        self.stream_at.set(now)
        for code in ("200", "409", "422", "500"):
            self.requests.labels(code)
        for bucket in ("low", "middle", "high"):
            self.scores.labels(bucket)
        for answer in ("ok", "silent"):
            self.probes.labels(answer)
        self.pool_active.labels(DATABASE)
        self.pool_size.labels(DATABASE)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
