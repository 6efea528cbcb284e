"""What a canary still holds after its rollback: weights do not move open streams. Shown, and waited for by nobody."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.config import MetricsServer
from sparkrelease.decide.grouping import Place
from sparkrelease.decide.readings import Look, read_count
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.engine.batch import GaugeBatch
from sparkrelease.engine.needs import places
from sparkrelease.ports.cluster import ObjectKey

LASTS = timedelta(minutes=10)
"""How long a rollback is looked after; a finished release is not asked for for ever."""

PAUSE = timedelta(seconds=5)
"""Pause between two questions."""


@dataclass(frozen=True, slots=True)
class _Drained:
    server: str
    canary: Place
    since: datetime


class Draining:
    """Releases rolled back lately, on servers that declare a gauge of open connections."""

    def __init__(self, servers: Mapping[str, MetricsServer]) -> None:
        self._servers = servers
        self._batches: dict[str, GaugeBatch] = {}
        self._followed: dict[ObjectKey, _Drained] = {}
        self._empty: set[ObjectKey] = set()
        """Found empty; dropped a tick later, when that was told."""

    @property
    def keys(self) -> Collection[ObjectKey]:
        """The releases looked after now."""
        return self._followed.keys()

    def follow(self, key: ObjectKey, spec: ResolvedSpec, since: datetime) -> None:
        """Asks for what is open on the canary, from this instant, until nothing is or ten minutes are over."""
        self.drop(key)
        server = self._servers.get(spec.prometheus)
        if server is None or server.connections is None:
            return
        _, canary = places(key, spec)
        batch = self._batches.get(spec.prometheus)
        if batch is None:
            gauge = server.connections
            batch = self._batches[spec.prometheus] = GaugeBatch(spec.prometheus, gauge.labels, gauge=gauge)
        batch.join(key, (canary,))
        self._followed[key] = _Drained(spec.prometheus, canary, since)

    def drop(self, key: ObjectKey) -> None:
        """Stops asking."""
        known = self._followed.pop(key, None)
        self._empty.discard(key)
        if known is not None and self._batches[known.server].leave(key):
            del self._batches[known.server]

    def due(self, now: datetime, slack: timedelta) -> Iterator[GaugeBatch]:
        """The questions to ask now; what is told to be empty, or was asked for long enough, is dropped first."""
        for key, known in [*self._followed.items()]:
            if key in self._empty or not timedelta(0) <= now - known.since < LASTS:
                self.drop(key)
            elif self.seen(key) == 0:
                self._empty.add(key)
        yield from (batch for batch in self._batches.values() if batch.due(now, PAUSE - slack))

    def seen(self, key: ObjectKey) -> int | None:
        """What is open on the canary; None where no sample since the rollback says so."""
        known = self._followed.get(key)
        batch = self._batches.get(known.server) if known is not None else None
        if known is None or batch is None or batch.at is None or known.canary not in batch.found.groups:
            return None
        open_now = read_count(batch.found, known.canary, Look(batch.at, known.since.timestamp()))
        return None if open_now is None else round(open_now)
