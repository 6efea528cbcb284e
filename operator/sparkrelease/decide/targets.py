"""What preflight says of a metrics server's targets: every pod behind both Services is one, and its scrapes succeed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sparkrelease.api.config import RoleLabels
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Finding, Problem
from sparkrelease.decide.grouping import POD, Place
from sparkrelease.decide.promql import UP
from sparkrelease.decide.series import Row

Pods = Mapping[str, datetime | None]
"""Pods behind a Service, each with when it began, where that is known."""

_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Target:
    """One target of a Service. `name` is its pod, else its address without the port."""

    name: str
    pod: bool
    up: bool


def target_findings(
    rows: Sequence[Row], labels: RoleLabels, sides: Mapping[Place, Pods], before: datetime
) -> Iterator[Finding]:
    """What is wrong with the targets of both Services; nothing where `up` names neither, for then nobody can say.

    Args:
        rows: the series of `up`, at least those of both Services.
        labels: which of their labels name the Service.
        sides: pods by Service; empty where they are not known, and then only what is a target can be told of.
        before: a pod that began later may not be scraped yet, and is not expected to be.
    """
    targets = {place: [_target(row) for row in rows if _is_of(row, labels, place)] for place in sides}
    if not any(targets.values()):
        return
    for place, pods in sides.items():
        settled = {name for name, began in pods.items() if began is None or began <= before}
        yield from _missing(place, settled, targets[place])
        yield from _down(place, pods, settled, targets[place])


def _is_of(row: Row, labels: RoleLabels, place: Place) -> bool:
    told = row.labels
    return told.get("__name__") == UP and (told.get(labels.namespace), told.get(labels.service)) == place


def _target(row: Row) -> _Target:
    pod, instance = row.labels.get(POD, ""), row.labels.get("instance", "")
    return _Target(pod or instance.rpartition(":")[0] or instance, bool(pod), row.value == 1)


def _missing(place: Place, settled: Collection[str], targets: Sequence[_Target]) -> Iterator[Finding]:
    """Pods that are no target. Where targets do not name pods, they are counted."""
    known = {target.name for target in targets}
    if all(target.pod for target in targets):
        lacking = sorted(set(settled) - known)
        count, which = len(lacking), f": {_listed(lacking)}" if lacking else ""
    else:
        count, which = max(len(settled) - len(known), 0), ""
    if count:
        text = f"{count} of {len(settled)} pods behind Service {place[1]} are not scraped{which}"
        yield Finding(f"targets/{place[1]}", True, Problem(Reason.TARGET_MISSING, text))


def _down(place: Place, pods: Pods, settled: Collection[str], targets: Sequence[_Target]) -> Iterator[Finding]:
    """Targets whose scrapes fail. One of a pod that is gone, or that has just begun, is no fault."""
    down = {target.name for target in targets if not target.up and (not target.pod or not pods or target.name in pods)}
    failing = sorted(name for name in down if name in settled or name not in pods)
    if failing:
        text = f"scrapes of {len(failing)} of {len(targets)} targets of Service {place[1]} fail: {_listed(failing)}"
        yield Finding(f"targets/{place[1]}", True, Problem(Reason.TARGET_DOWN, text))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
