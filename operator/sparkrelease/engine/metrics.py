"""The operator's own metrics, for its /metrics page. Names start with `sparkrelease_`; times are in seconds."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_FAST = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 15, 60)


class OperatorMetrics:
    """All metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.rounds = self._counter("rounds", "Rounds carried out.", "result")
        self.round_seconds = self._histogram("round_seconds", "Time of a round with effects.")
        self.decisions = self._counter("decisions", "Times a release was looked at.")
        self.decide_seconds = self._counter("decide_seconds", "Time spent in deciding.")
        self.rollback_seconds = self._histogram(
            "rollback_seconds", "From the decision to roll back to the route's answer."
        )
        self.writes = self._counter("writes", "Writes to the cluster.", "kind", "outcome")
        self.evidence_entries = self._counter("evidence_entries", "Evidence entries stored.")
        self.evidence_pending = self._gauge("evidence_pending", "Releases with evidence that is not stored yet.")
        self.reverts = self._counter("reverts", "Weights written by somebody else.")
        self.active = self._gauge("active_releases", "Releases whose metrics are asked at every tick.")
        self.known = self._gauge("releases", "Releases known.")
        self.failing = self._gauge("failing_releases", "Releases whose last round ended in an error.")
        self.rollbacks_stuck = self._gauge("rollbacks_stuck", "Releases whose route cannot be written.")
        self.leading = self._gauge("leader", "1 while this process may write.")
        self.epoch = self._gauge("leader_epoch", "Number of the present leadership; 0 while not leading.")
        self.queue_lag = self._histogram("queue_lag_seconds", "How late a due round starts.")
        self.queries = self._gauge("metrics_queries", "Queries sent to metrics servers so far.")
        self.answers = self._counter("metrics_answers", "Answers of metrics servers.", "server", "outcome")
        self.answer_seconds = self._histogram("metrics_answer_seconds", "Time a metrics server took to answer.")
        self.tick_lag = self._gauge("tick_lag_seconds", "How late the last tick started.")
        self.ticks_skipped = self._counter("ticks_skipped", "Ticks left out because the one before was not done.")
        self.tick_seconds = self._histogram("tick_seconds", "Time of a whole tick.")
        self.last_tick = self._gauge("last_tick_timestamp_seconds", "When the last tick ended, in Unix time.")
        self.loop_lag = self._gauge("event_loop_lag_seconds", "How late the event loop woke last.")
        self.ghosts = self._counter("ghosts_evicted", "Objects that vanished without a watch event.", "kind")
        self.notifications = self._counter("notifications", "Messages to notification targets.", "target", "outcome")
        self.notification_retries = self._counter("notification_retries", "Tries after the first.", "target")
        self.notifications_waiting = self._gauge("notifications_waiting", "Messages not settled yet.", "target")
        self.watch_age = self._gauge("watch_age_seconds", "Time since a kind was last seen or listed.", "kind")

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(name, about, labels, namespace="sparkrelease", registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(name, about, labels, namespace="sparkrelease", registry=self.registry)

    def _histogram(self, name: str, about: str) -> Histogram:
        return Histogram(name, about, namespace="sparkrelease", registry=self.registry, buckets=_FAST)

    def page(self) -> bytes:
        """The page in the Prometheus text format."""
        return generate_latest(self.registry)
