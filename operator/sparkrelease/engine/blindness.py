"""Which metrics servers said nothing at all, and what of a reading is their fault and not a release's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime

from sparkrelease.api.config import MetricsServer
from sparkrelease.decide.facts import Missing, Reading
from sparkrelease.engine.asking import Asking
from sparkrelease.engine.batch import Batch


class Blindness:
    """Remembers per server when it was last blind as a whole."""

    def __init__(self, asking: Asking, servers: Mapping[str, MetricsServer]) -> None:
        self._asking = asking
        self._servers = servers
        self._at: dict[str, datetime] = {}

    def of(self, batch: Batch, at: datetime) -> Missing | None:
        """Why the whole answer says nothing. A server that answered another query of that tick is not blind."""
        missing = batch.missing
        if missing is None:
            return batch.gap(at - batch.template.window)
        return dataclasses.replace(missing, server_wide=missing.server_wide and not self._heard(batch.server, at))

    def note(self, batches: Iterable[Batch]) -> None:
        """Remembers which servers answered nothing at all when they were last asked."""
        for batch in batches:
            missing, at = batch.missing, batch.at
            if missing is not None and at is not None and missing.server_wide and not self._heard(batch.server, at):
                self._at[batch.server] = max(at, self._at.get(batch.server, at))

    def blamed(self, reading: Reading, server: str, at: datetime, taken_over: datetime | None) -> Reading:
        """What a server lacks that has just come back is still the server's fault, until new samples are due.

        It answers before its first scrape: a fleet that outlasted the outage must not go back for that, not even when
        the operator was started anew meanwhile and has seen nothing of the outage. `taken_over` is when a release was
        first answered that this operator took over while its data was missing, else None.
        """
        blind = max((time for time in (self._at.get(server), taken_over) if time is not None), default=None)
        if not isinstance(reading, Missing) or blind is None or at - blind > self._servers[server].max_age:
            return reading
        return dataclasses.replace(reading, server_wide=True)

    def _heard(self, server: str, at: datetime) -> bool:
        """Whether the server answered some query of that instant or of a later one."""
        heard = self._asking.answered_at.get(server)
        return heard is not None and heard >= at
