"""Which rules the past can answer, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sparkrelease.api.metrics import Attribution
from sparkrelease.api.triggers import Leg, LegKind, Trigger, TriggerScope
from sparkrelease.decide.resolve import ResolvedSpec

_OF_BOTH = frozenset({LegKind.VS_STABLE, LegKind.SEQUENTIAL})

NO_CONTROL = "compares canary with stable; give both Services of a past release, or --control"
OF_PODS = "reads series of pods, and which pods were behind a Service is not known of the past"


@dataclass(frozen=True, slots=True)
class Judged:
    """The spec with the rules that can be judged, and why others are not."""

    spec: ResolvedSpec
    left_out: Mapping[str, str]


def judgeable(spec: ResolvedSpec, *, stable: str, canary: str) -> Judged:
    """The spec for these two Services; one and the same stands for a history without any canary in it.

    Then nothing is compared with itself: such rules are left out, and no breach is softened, for the "stable" that
    breaches too would be the canary itself.
    """
    alone = stable == canary
    pods = {metric.name for metric in spec.metrics if metric.attribution is Attribution.POD}
    left_out: dict[str, str] = {}
    triggers: list[Trigger] = []
    for trigger in spec.triggers:
        why = _why_not(trigger.all, pods, alone=alone)
        if why:
            left_out[trigger.name] = why
        else:
            triggers.append(trigger.model_copy(update={"scope": TriggerScope.SHARED}) if alone else trigger)
    thresholds = [one for one in spec.thresholds if one.metric not in pods]
    left_out |= {one.name: OF_PODS for one in spec.thresholds if one.metric in pods}
    comparison = spec.comparison
    if comparison is not None:
        gone = {one.metric: NO_CONTROL if alone else OF_PODS for one in comparison.tests if alone or one.metric in pods}
        left_out |= {f"comparison/{name}": why for name, why in gone.items()}
        tests = tuple(one for one in comparison.tests if one.metric not in gone)
        comparison = comparison.model_copy(update={"tests": tests}) if tests else None
    traffic = spec.traffic.model_copy(
        update={
            "stable": spec.traffic.stable.model_copy(update={"service": stable}),
            "canary": spec.traffic.canary.model_copy(update={"service": canary}),
        }
    )
    changes = {"traffic": traffic, "triggers": tuple(triggers), "thresholds": tuple(thresholds)}
    changes |= {"comparison": comparison, "paused": False, "dry_run": False}
    return Judged(spec.model_copy(update=changes), left_out)


def _why_not(legs: Iterable[Leg], pods: set[str], *, alone: bool) -> str:
    for leg in legs:
        if leg.metric in pods:
            return OF_PODS
        if alone and (leg.kind in _OF_BOTH or leg.vs_stable_factor is not None):
            return NO_CONTROL
    return ""
