"""Series of a process that serves both with a feature and without it: the same metrics, told apart by a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

SIDE = "side"
"""Label with the name of a side's Service. A server of the operator's names it in `labels.service`."""


class BothSides(Collector):
    """Everything the sides' registries have, each sample with the name of its side."""

    def __init__(self, sides: Mapping[str, CollectorRegistry]) -> None:
        self._sides = sides

    def collect(self) -> Iterator[Metric]:
        """One family per name, with the samples of both sides."""
        families: dict[str, Metric] = {}
        for side, registry in self._sides.items():
            for family in registry.collect():
                into = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                into.samples += [sample._replace(labels={**sample.labels, SIDE: side}) for sample in family.samples]
        yield from families.values()
