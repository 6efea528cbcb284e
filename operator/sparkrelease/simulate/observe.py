"""From a request stream to the facts of a round, as the engine would have gathered them from Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sparkrelease.api.metrics import Metric, Threshold
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import SparkReleaseStatus
from sparkrelease.decide.asks import asks_of, baselines_of, counted_tests, histories_of
from sparkrelease.decide.facts import (
    Ask,
    Baseline,
    Buckets,
    Counts,
    History,
    MetricFacts,
    Missing,
    Reading,
    Role,
    Track,
    Value,
    Window,
)
from sparkrelease.decide.ranges import baseline_of_counts, baseline_of_values
from sparkrelease.decide.readings import decisive
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.simulate.moved import Moved
from sparkrelease.simulate.service import Errors, Gauge, Latencies
from sparkrelease.simulate.stream import MINUTE, Counters, Stream

_QUERY = "simulated"
_AWAY = Missing(Reason.PROMETHEUS_UNREACHABLE, "connection refused", server_wide=True)
_GAP = Missing(Reason.NO_DATA, "the server has no samples from the start of the window", server_wide=True)
_VOID = Missing(Reason.WINDOW_VOID, "no samples within the window")
_LOOKBACK = 300.0
"""Seconds Prometheus takes a series' last sample for its present value."""

_LOOK_AGAIN = 120.0
"""Seconds after which a history is read anew."""


@dataclass(slots=True)
class Seen:
    """The measured part of a round's facts."""

    metrics: Mapping[str, MetricFacts]
    asked: Mapping[Ask, MetricFacts]
    windows: Mapping[str, tuple[Window, ...]]
    history: Mapping[str, History]


class Observer:
    """Reads a stream the way the engine reads Prometheus."""

    def __init__(self, spec: ResolvedSpec, stream: Stream) -> None:
        self._spec = spec
        self._stream = stream
        self._metrics = {metric.name: metric for metric in spec.metrics}
        self._asks = sorted(asks_of(spec), key=lambda ask: (ask.metric, ask.window, ask.back))
        self._histories = histories_of(spec)
        self._tests = counted_tests(spec)
        self._history: dict[str, History] = {}

    # ------------------------------------------------------------ a round

    def look(self, status: SparkReleaseStatus, now: datetime) -> Seen:
        """Everything that is asked at a tick."""
        metrics = {name: self._facts(metric, now, metric.window) for name, metric in self._metrics.items()}
        asked = {ask: self._asked(ask, now) for ask in self._asks}
        return Seen(metrics, asked, self._windows(status, now), self._looked_back(now))

    def gate(self, over: timedelta, now: datetime) -> Mapping[str, MetricFacts]:
        """Each threshold's metric over the stage so far."""
        found = {}
        for threshold in self._spec.thresholds:
            metric = self._metrics[threshold.metric]
            found[threshold.name] = self._facts(metric, now, over, threshold)
        return found

    def _asked(self, ask: Ask, now: datetime) -> MetricFacts:
        return self._facts(self._metrics[ask.metric], now - ask.back, ask.window)

    def _facts(self, metric: Metric, at: datetime, over: timedelta, gate: Threshold | None = None) -> MetricFacts:
        canary, stable = (self._reading(metric.name, role, at, over, gate) for role in (Role.CANARY, Role.STABLE))
        return MetricFacts(_QUERY, at, over, canary, stable)

    def shown(self, moved: Moved, now: datetime) -> tuple[float | None, float | None]:
        """Canary's and stable's number for a chart, over the metric's own window, as its rules read it."""
        metric = self._metrics[moved.metric]
        facts = self._facts(metric, now, metric.window)
        return moved.number(facts.canary), moved.number(facts.stable)

    # ------------------------------------------------------------ readings

    def _reading(self, name: str, role: Role, at: datetime, over: timedelta, gate: Threshold | None) -> Reading:
        if self._stream.away(self._stream.now):
            return _AWAY
        until = at.timestamp()
        start = until - over.total_seconds()
        model, counters = self._stream.service.every[name], self._stream.scraped[role]
        last = counters.place(until)
        if isinstance(model, Gauge):
            if last < 0:
                return Missing(Reason.NO_DATA, f"no series of Service {role}")
            if gate is None:
                return Value(max(counters.gauges[name][last]))
            values = [max(pods) for pods in counters.gauges[name][max(0, counters.place(start)) : last + 1]]
            return decisive(gate, Value(min(values)), Value(max(values)))
        if last < 0 or counters.total[last] == 0:
            return Missing(Reason.NO_DATA, f"no series of Service {role}")
        if self._lost(start):
            return _GAP
        return _difference(model, counters, counters.place(start), last)

    def _lost(self, start: float) -> bool:
        """Whether a window that starts then would count what happened before: the server was away for too long."""
        stream = self._stream
        return stream.scenario.blind and stream.bad_from + _LOOKBACK < start < stream.bad_until

    # ------------------------------------------------------------ windows

    def _windows(self, status: SparkReleaseStatus, now: datetime) -> dict[str, tuple[Window, ...]]:
        run = status.run
        if run is None or run.end is not None or self._stream.away(now.timestamp()):
            return {}
        counted = {test.metric: test.counted_until for test in status.tests}
        found: dict[str, tuple[Window, ...]] = {}
        for metric in dict.fromkeys(self._tests.values()):
            since = [counted.get(test) or run.started_at for test, of in self._tests.items() if of == metric]
            found[metric] = tuple(self._window(metric, end) for end in self._ends(metric, min(since), now))
        return found

    def _ends(self, metric: str, since: datetime, now: datetime) -> list[float]:
        every = self._metrics[metric].every.total_seconds()
        first = int(since.timestamp() // every) + 1
        return [k * every for k in range(first, int(now.timestamp() // every) + 1)]

    def _window(self, metric: str, end: float) -> Window:
        length, roles = self._metrics[metric].every, (Role.CANARY, Role.STABLE)
        canary, stable = (self._counted(metric, role, end, length.total_seconds()) for role in roles)
        return Window(datetime.fromtimestamp(end, UTC), length, canary, stable)

    def _counted(self, metric: str, role: Role, end: float, length: float) -> Counts | Buckets | Missing:
        if self._stream.away(end) or self._stream.away(end - length):
            return _VOID
        counters, model = self._stream.scraped[role], self._stream.service.every[metric]
        if isinstance(model, Gauge):
            return _VOID
        return _difference(model, counters, counters.place(end - length), counters.place(end))

    # ------------------------------------------------------------ history and baselines

    def _looked_back(self, now: datetime) -> Mapping[str, History]:
        for name, over in self._histories.items():
            known = self._history.get(name)
            if known is None or (now - known.at).total_seconds() >= _LOOK_AGAIN:
                canary, stable = (self._tracks(name, role, now, over) for role in (Role.CANARY, Role.STABLE))
                self._history[name] = History(_QUERY, now, over, canary, stable)
        return self._history

    def _tracks(self, name: str, role: Role, now: datetime, over: timedelta) -> tuple[Track, ...] | Missing:
        if self._stream.away(now.timestamp()):
            return _AWAY
        counters = self._stream.scraped[role]
        values = counters.gauges.get(name)
        if values is None:
            return Missing(Reason.NO_DATA, "only values have a history in a simulation")
        first, last = counters.place((now - over).timestamp()) + 1, counters.place(now.timestamp())
        step = max(1, round(self._metrics[name].every.total_seconds() / max(self._scrape(counters), 1e-3)))
        places = range(first, last + 1, step)
        born = datetime.fromtimestamp(counters.times[0], UTC)
        return tuple(
            Track(f"{role}-{pod}", tuple((counters.times[at], values[at][pod]) for at in places), born)
            for pod in range(len(values[0]))
        )

    def _scrape(self, counters: Counters) -> float:
        return counters.times[-1] - counters.times[-2] if len(counters.times) > 1 else 1.0

    def baselines(self, now: datetime) -> dict[str, Baseline]:
        """What stable was since the stream began: looked at before the run."""
        return {name: self._baseline(name, now) for name in sorted(baselines_of(self._spec))}

    def _baseline(self, name: str, now: datetime) -> Baseline:
        counters, metric = self._stream.scraped[Role.STABLE], self._metrics[name]
        over = now - datetime.fromtimestamp(counters.times[0], UTC)
        if isinstance(self._stream.service.every[name], Gauge):
            tracks = self._tracks(name, Role.STABLE, now, over)
            value = None if isinstance(tracks, Missing) else baseline_of_values(tracks, metric.window)
            return Baseline(_QUERY, now, over, value)
        read = baseline_of_counts(self._minutes(name), metric.quantile)
        if read is None:
            return Baseline(_QUERY, now, over, None, problem=Missing(Reason.NO_BASELINE, "too few minutes"))
        return Baseline(_QUERY, now, over, *read)

    def _minutes(self, name: str) -> list[Counts | Buckets]:
        """Stable's counts in each whole minute since the stream began."""
        counters, model = self._stream.scraped[Role.STABLE], self._stream.service.every[name]
        found: list[Counts | Buckets] = []
        at = counters.times[0]
        while not isinstance(model, Gauge) and at + MINUTE <= counters.times[-1] + 1e-6:
            found.append(_difference(model, counters, counters.place(at), counters.place(at + MINUTE)))
            at += MINUTE
        return found


def _difference(model: Errors | Latencies, counters: Counters, first: int, last: int) -> Counts | Buckets:
    """Events between two scrapes; all that was counted where there is no first one."""
    total = counters.total[last] - (counters.total[first] if first >= 0 else 0)
    if isinstance(model, Errors):
        bad = counters.bad[model.name]
        return Counts(float(bad[last] - (bad[first] if first >= 0 else 0)), float(total))
    up_to = counters.up_to[model.name]
    before = up_to[first] if first >= 0 else (0,) * len(model.edges)
    seen = {edge: float(b - a) for edge, a, b in zip(model.edges, before, up_to[last], strict=True)}
    return Buckets(seen, float(total))
