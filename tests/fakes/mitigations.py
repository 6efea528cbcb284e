"""ConfigMaps and Deployments that mitigations change, in memory."""

from __future__ import annotations

from fakes.cluster import FakeCluster, ProcessDiedError
from sparkrelease.api.problem import Problem
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Settings, SettingsAsk
from sparkrelease.decide.plan import Change


class FakeMitigations:
    """Mitigations on the settings of a FakeCluster."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def read(self, namespace: str, ask: SettingsAsk) -> Settings:
        if self._cluster.dead:
            raise ProcessDiedError("read")
        there = self._cluster.settings.get((namespace, ask.config_map))
        if there is None:
            return Settings(ask.config_map, problem=Problem(Reason.OBJECT_NOT_FOUND, "404"))
        token = self._cluster.tokens.get((namespace, ask.deployment), "")
        values = {key: there.values[key] for key in ask.keys if key in there.values}
        return Settings(ask.config_map, str(there.version), values, token)

    async def change(self, namespace: str, change: Change) -> Problem | None:
        call = self._cluster.begin("settings", dict(change.values))
        if self._cluster.failed(call):
            return Problem(Reason.FORBIDDEN, "403")
        there = self._cluster.settings[(namespace, change.config_map)]
        if str(there.version) != change.resource_version:
            return Problem(Reason.OBJECT_CHANGED, "409")
        there.set(change.values)
        if change.restart:
            self._cluster.tokens[(namespace, change.restart)] = change.token
        return Problem(Reason.API_SERVER_UNREACHABLE, "no answer") if self._cluster.end(call) else None
