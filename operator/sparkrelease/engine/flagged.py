"""What the pods of a release say of its feature flag: one query per gauge and tick, however many releases share it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sparkrelease.api.config import MetricsServer
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Finding, Missing, Problem
from sparkrelease.decide.flagging import FlagSeen, Shown, flag_query
from sparkrelease.decide.grouping import Sorted
from sparkrelease.decide.promql import HIGH, LOW
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.selectors import Selector, read_selector
from sparkrelease.decide.templates import POD_LABELS, Scope
from sparkrelease.engine.asking import Asking
from sparkrelease.engine.batch import Answered
from sparkrelease.engine.needs import places
from sparkrelease.engine.pods import PodSource
from sparkrelease.ports.cluster import ObjectKey

PAUSE = timedelta(seconds=1)
"""Least time between two questions."""

_Gauge = tuple[str, Selector]
"""Server and selector."""


@dataclass(slots=True)
class FlagBatch(Answered):
    """One gauge of a server, for every release whose flag is shown by it."""

    gauge: Selector = field(kw_only=True)

    def _write(self, scope: Scope) -> str:
        return flag_query(self.gauge, scope.namespaces)


class Flagged:
    """Releases with a feature flag whose gauges are asked for."""

    def __init__(self, asking: Asking, servers: Mapping[str, MetricsServer], pods: PodSource | None) -> None:
        self._asking = asking
        self._servers = servers
        self._pods = pods
        self._batches: dict[_Gauge, FlagBatch] = {}
        self._followed: dict[ObjectKey, _Gauge | str] = {}
        """By release its gauge, or why it has none."""

    def follow(self, key: ObjectKey, spec: ResolvedSpec) -> None:
        """Asks for the gauge of the release's flag, if it has one, from the next tick on."""
        flag = spec.traffic.feature_flag
        if flag is None or spec.prometheus not in self._servers:
            return
        gauge = read_selector(flag.metric)
        if isinstance(gauge, str):
            self._followed[key] = gauge
            return
        at = (spec.prometheus, gauge)
        if at not in self._batches:
            self._batches[at] = FlagBatch(spec.prometheus, POD_LABELS, gauge=gauge)
        self._batches[at].join(key, (places(key, spec)[1],))
        self._followed[key] = at

    def drop(self, key: ObjectKey) -> None:
        """Stops asking."""
        at = self._followed.pop(key, None)
        if isinstance(at, tuple) and self._batches[at].leave(key):
            del self._batches[at]

    def due(self, now: datetime, slack: timedelta) -> Iterator[FlagBatch]:
        """The questions to ask now."""
        yield from (batch for batch in self._batches.values() if batch.due(now, PAUSE - slack))

    @property
    def batches(self) -> Collection[FlagBatch]:
        """Every question."""
        return self._batches.values()

    def seen(self, key: ObjectKey, now: datetime | None) -> FlagSeen | None:
        """What the gauge says of the release's namespace; None before the first answer, or without a flag."""
        at = self._followed.get(key)
        if isinstance(at, str):
            return FlagSeen(now, {}, _unreadable(at)) if now is not None else None
        batch = self._batches.get(at) if at is not None else None
        if batch is None or batch.at is None:
            return None
        return _seen(key, batch.at, batch.missing or batch.found)

    async def preflight(self, key: ObjectKey, spec: ResolvedSpec, now: datetime) -> tuple[Finding, ...]:
        """Whether the gauge is there: a flag nobody shows could never be verified."""
        flag = spec.traffic.feature_flag
        if flag is None or spec.prometheus not in self._servers:
            return ()
        where = "spec.traffic.featureFlag.metric"
        gauge = read_selector(flag.metric)
        if isinstance(gauge, str):
            return (Finding(where, True, Problem(Reason.INVALID_QUERY, gauge)),)
        found = await self._asking.ask(spec.prometheus, flag_query(gauge, [key.namespace]), now, POD_LABELS)
        if isinstance(found, Missing):
            return (Finding(where, True, Problem(found.reason, found.message)),)
        shown = _seen(key, now, found).pods
        known = set(self._pods.pods(*places(key, spec)[1])) if self._pods is not None else set()
        silent = sorted(known - shown.keys())
        if shown and not silent:
            return ()
        who = f"pod {silent[0]} of canary does not show it" if silent and shown else "no pod of the namespace shows it"
        text = f"{flag.metric}: {who}, so the flag could not be verified; let each pod export it with labels of its own"
        return (Finding(where, True, Problem(Reason.NO_SERIES, text)),)


def _seen(key: ObjectKey, at: datetime, found: Sorted | Missing) -> FlagSeen:
    if isinstance(found, Missing):
        return FlagSeen(at, {}, found)
    pods = {
        pod: Shown(group.parts[LOW], group.parts[HIGH], group.newest)
        for (namespace, pod), group in found.groups.items()
        if namespace == key.namespace and {LOW, HIGH} <= group.parts.keys()
    }
    return FlagSeen(at, pods)


def _unreadable(why: str) -> Missing:
    return Missing(Reason.INVALID_QUERY, f"spec.traffic.featureFlag.metric: {why}")
