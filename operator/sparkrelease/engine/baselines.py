"""What stable was in the hour before a run: asked at preflight, once for releases that start together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from sparkrelease.api.config import MetricsServer
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.asks import baselines_of
from sparkrelease.decide.facts import Baseline, Missing, Problem, Reading
from sparkrelease.decide.grouping import Place
from sparkrelease.decide.ranges import (
    Steps,
    Tracks,
    baseline_of_counts,
    baseline_of_values,
    baseline_query,
    baseline_unit,
    sort_series,
    sort_steps,
    tracks_of,
)
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.templates import Scope, Template
from sparkrelease.decide.windows import last_end, window_of, window_template
from sparkrelease.engine.asking import Asking, Question
from sparkrelease.engine.needs import Need, needs_of, own_scope, places
from sparkrelease.engine.pods import PodsBehind
from sparkrelease.ports.cluster import ObjectKey

OVER = timedelta(hours=1)
_MOST_STEPS = 240


class Baselines:
    """Asks for the baselines that the rules of a release need."""

    def __init__(self, asking: Asking, servers: Mapping[str, MetricsServer], pods: PodsBehind) -> None:
        self._asking = asking
        self._servers = servers
        self._pods = pods

    async def of(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> Mapping[str, Baseline]:
        """By metric; a baseline that could not be had says why."""
        server = self._servers.get(spec.prometheus)
        if server is None:
            return {}
        wanted = baselines_of(spec)
        needs = [need for need in needs_of(key, spec, server) if need.metric.name in wanted]
        found = await asyncio.gather(*(self._baseline(key, spec, need, now) for need in needs))
        return {need.metric.name: one for need, one in zip(needs, found, strict=True)}

    async def _baseline(self, key: ObjectKey, spec: ResolvedSpec, need: Need, now: datetime) -> Baseline:
        template = need.template
        if isinstance(template, Problem):
            return Baseline("", now, OVER, None, problem=Missing(template.reason, template.message))
        unit = baseline_unit(need.metric.window, need.metric.every)
        over = min(OVER, _MOST_STEPS * unit)
        at = last_end(now, unit, self._servers[spec.prometheus].lag)
        scope = own_scope(key, spec)
        query = baseline_query(template, scope, unit)
        question = Question(spec.prometheus, template, f"baseline {unit.total_seconds()}", over, at)
        found = await self._asking.together(question, scope, partial(self._send, question, unit))
        read = (
            found
            if isinstance(found, Missing)
            else self._read(found, need.metric, template, unit, places(key, spec)[0])
        )
        if isinstance(read, Missing):
            return Baseline(query, at, over, None, problem=read)
        value, spread, events = read
        return Baseline(query, at, over, value, spread, events)

    async def _send(self, asked: Question, unit: timedelta, everybody: Scope) -> Tracks | Steps | Missing:
        template = asked.template
        text = baseline_query(template, everybody, unit)
        answer = await self._asking.ask_range(asked.server, text, asked.at - asked.over + unit, asked.at, unit)
        if isinstance(answer, Missing):
            return answer
        return sort_series(answer, template) if template.value is not None else sort_steps(answer, template)

    def _read(
        self, found: Tracks | Steps, metric: Metric, template: Template, unit: timedelta, stable: Place
    ) -> tuple[float | None, float, float] | Missing:
        if isinstance(found, Mapping):
            tracks = tracks_of(found, template, stable, self._pods.of(template, stable).keys())
            if isinstance(tracks, Missing):
                return tracks
            value = baseline_of_values(tracks, max(unit, metric.window))
            return _too_short(metric) if value is None else (value, 0.0, 0.0)
        exact = window_template(template, unit)
        windows = [
            window_of(self._pods.fold(answer, template, (stable,)), exact, end, stable, stable) for end, answer in found
        ]
        sides = [window.stable for window in windows]
        return baseline_of_counts(sides, metric.quantile) or _too_short(metric, sides)


def _too_short(metric: Metric, sides: Sequence[Reading] = ()) -> Missing:
    """Why there is no baseline; of windows whose counts cannot be known, what most of them lack."""
    text = f"metric {metric.name}: stable has too little history for a baseline"
    void = Counter(side.message for side in sides if isinstance(side, Missing)).most_common(1)
    for why, count in void:
        text += f"; {count} of {len(sides)} windows are void: {why}"
    return Missing(Reason.NO_BASELINE, text)
