"""The one door to what a trigger's mitigation changes: keys of a ConfigMap, and a Deployment's restart."""

from __future__ import annotations

from typing import Protocol

from sparkrelease.decide.facts import Problem, Settings, SettingsAsk
from sparkrelease.decide.plan import Change


class Mitigations(Protocol):
    """Reads and changes what a release names, in its own namespace. ConfigMaps that hold evidence are refused."""

    async def read(self, namespace: str, ask: SettingsAsk) -> Settings:
        """The keys that are there; `problem` says why they cannot be read, or may not be changed."""
        ...

    async def change(self, namespace: str, change: Change) -> Problem | None:
        """Sets the keys if nobody wrote the ConfigMap since it was read, then restarts. Repeating it does nothing."""
        ...
