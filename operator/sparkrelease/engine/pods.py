"""Whose series a pod's are: that of the Service among whose endpoints it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from sparkrelease.api.metrics import Attribution
from sparkrelease.decide.grouping import Place, Sorted, fold
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.templates import Template
from sparkrelease.engine.needs import places
from sparkrelease.ports.cluster import ObjectKey


class PodSource(Protocol):
    """What the watches showed of the pods behind Services; no request is made."""

    def pods(self, namespace: str, service: str) -> Mapping[str, datetime | None]:
        """Names of the pods among a Service's endpoints, and when each began, where that is known."""
        ...


class PodsBehind:
    """Answers that are sorted by pod, or about something shared, sorted by the two Services of a release."""

    def __init__(self, source: PodSource | None) -> None:
        self._source = source

    def of(self, template: Template, place: Place) -> Mapping[str, datetime | None]:
        """The pods of a Service, where they are what its series are found by."""
        wanted = template.attribution is Attribution.POD or template.per_pod
        return self._source.pods(*place) if wanted and self._source is not None else {}

    def all_of(self, place: Place) -> Mapping[str, datetime | None]:
        """The pods of a Service, however its series are found; empty where nobody knows them."""
        return self._source.pods(*place) if self._source is not None else {}

    def folded(self, found: Sorted, template: Template, key: ObjectKey, spec: ResolvedSpec) -> Sorted:
        """The answer by Service."""
        return self.fold(found, template, places(key, spec))

    def fold(self, found: Sorted, template: Template, sides: Collection[Place]) -> Sorted:
        """The answer by Service, for these."""
        if template.attribution is Attribution.SERVICE:
            return found
        return fold(found, template, {place: self.of(template, place).keys() for place in sides})
