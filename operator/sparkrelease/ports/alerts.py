"""Alerting rules and silences, as the servers know them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sparkrelease.decide.alerts import Silence
from sparkrelease.decide.facts import Missing


class AlertSource(Protocol):
    """Asks the servers the administrator declared. Never raises for what they do; bounded in time and size."""

    async def rules(self, server: str) -> Mapping[str, str] | Missing:
        """By name the health (ok, err, unknown) of every alerting rule; the worst where several have one name."""
        ...

    async def silences(self, server: str) -> Sequence[Silence] | Missing:
        """Silences in force; none where the server's declaration names no Alertmanager."""
        ...
