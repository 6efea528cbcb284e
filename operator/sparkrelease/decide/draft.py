"""The plan of one round while it is being made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from sparkrelease.api.conditions import ConditionType, Status, clear_condition, renew_condition, set_condition
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Condition, Phase, Run, SparkReleaseStatus
from sparkrelease.decide.facts import Facts, Problem, Reading, Route, RouteMark
from sparkrelease.decide.plan import (
    Change,
    EntryDraft,
    EventDraft,
    Plan,
    RouteAction,
    SetWeight,
    Severity,
    Wants,
    WorkloadStep,
)
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.rules import Judgement

WEIGHT_STEP = 0.0005
"""Weights closer than this are the same: half of the smallest step a weight can have."""


def same_weight(one: float | None, other: float | None) -> bool:
    """Whether two canary weights are the same; an unknown one equals only an unknown one."""
    if one is None or other is None:
        return one is other
    return abs(one - other) < WEIGHT_STEP


def all_on_stable(route: Route) -> bool:
    """Whether canary gets nothing by the route: no weight, and no request is mirrored to it."""
    return same_weight(route.canary_weight, 0) and same_weight(route.mirror, 0)


def told(weight: float, mirror: float) -> str:
    """What canary gets, as people read it: `25 %`, or `a mirror of 100 %`."""
    return f"a mirror of {mirror:g} %" if mirror >= WEIGHT_STEP else f"{weight:g} %"


class Draft:
    """Collects what a round wants. Lives for one call of `decide`; the rules of this package write into it."""

    def __init__(self, spec: ResolvedSpec, status: SparkReleaseStatus, facts: Facts, now: datetime) -> None:
        self.spec = spec
        self.before = status
        self.status = status
        self._own: SparkReleaseStatus | None = None
        """The copy of the status this draft made; nobody else sees it before the plan is finished."""
        self.facts = facts
        self.now = now
        self.urgent = False
        self.route: RouteAction | None = None
        self.change: Change | None = None
        self.workload: WorkloadStep | None = None
        self.entries: list[EntryDraft] = []
        self.events: list[EventDraft] = []
        self.finalizer: bool | None = None
        self.wants = Wants()
        self.wake_at: datetime | None = None
        self.active = False
        self.holds: list[Problem] = []
        """Why weights stay where they are this round; the first one is what people are told."""
        self.legs: dict[str, tuple[Judgement, ...]] = {}
        """By trigger, true or not: what each of its legs said of the role on trial this round."""
        self.readings: tuple[dict[str, Reading], dict[str, Reading]] = ({}, {})
        """What legs have looked at this round, of canary and of stable, by metric."""

    # ------------------------------------------------------------ reading

    @property
    def run(self) -> Run | None:
        """The run under way, promoted but unsettled ones included; None at rest."""
        run = self.status.run
        return run if run is not None and run.end is None else None

    @property
    def paused(self) -> bool:
        """Whether Git or a command froze the weights."""
        return self.facts.paused_by_spec or self.status.pause is not None

    @property
    def on_route(self) -> float:
        """Canary weight the route shows, or the wanted one while it cannot be read."""
        seen = self.facts.route.canary_weight
        return self.status.weight.desired if seen is None else seen

    @property
    def mirror(self) -> float:
        """Share of requests that is to be mirrored to canary, in percent."""
        return self.status.weight.mirror or 0.0

    @property
    def mirrored(self) -> float:
        """Share of requests mirrored to canary by the route, or the wanted one while it cannot be read."""
        route = self.facts.route
        return self.mirror if route.canary_weight is None or route.mirror is None else route.mirror

    @property
    def on_trial(self) -> bool:
        """Whether canary gets requests: by its weight, or copies."""
        return self.on_route > 0 or self.mirrored > 0

    @property
    def canary_share(self) -> float:
        """Canary's part of the requests that reach either role, copies counted, in percent; its weight without any."""
        return 100 * (self.on_route + self.mirrored) / (100 + self.mirrored)

    @property
    def in_force(self) -> bool:
        """Whether the route says what is wanted."""
        route = self.facts.route
        return same_weight(route.canary_weight, self.status.weight.desired) and same_weight(route.mirror, self.mirror)

    def raises(self, canary: float, mirror: float) -> bool:
        """Whether canary gets more of the requests by this than by the route; with less weight copies are no more."""
        route = self.facts.route
        if canary >= WEIGHT_STEP and (route.canary_weight is None or canary >= route.canary_weight + WEIGHT_STEP):
            return True
        less = route.canary_weight is not None and canary <= route.canary_weight - WEIGHT_STEP
        return not less and mirror >= WEIGHT_STEP and (route.mirror is None or mirror >= route.mirror + WEIGHT_STEP)

    # ------------------------------------------------------------ writing

    def put(self, **changes: object) -> None:
        """Replaces fields of the status: in one copy a round, however many changes there are."""
        have = self.status.__dict__
        if all(have[name] is value for name, value in changes.items()):
            return
        if self._own is None:
            self.status = self._own = self.status.model_copy(update=changes)
        else:
            have.update(changes)
            self.status.model_fields_set.update(changes)

    def put_run(self, **changes: object) -> None:
        """Replaces fields of the run."""
        if self.status.run is not None:
            self.put(run=self.status.run.model_copy(update=changes))

    def entry(self, kind: Reason, message: str, data: Mapping[str, object] | None = None) -> None:
        """Adds an evidence entry."""
        self.entries.append(EntryDraft(kind, message, data or {}))

    def event(self, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Adds an Event."""
        self.events.append(EventDraft(reason, message, Severity.WARNING if warning else Severity.NORMAL))

    def hold(self, reason: Reason, message: str) -> None:
        """Says why nothing is raised this round."""
        self.holds.append(Problem(reason, message))

    def aim(
        self,
        canary: float,
        *,
        mirror: float = 0.0,
        rollback: str = "",
        reassert: bool = False,
        planned: bool = False,
    ) -> None:
        """Wants this canary weight and mirror, and plans the write when the route does not say so with the run's mark.

        Lowering and re-asserting are urgent: nothing is waited for, unless the lowering is `planned`, a step down
        that is recorded like a step up.
        """
        weight = self.status.weight
        if not (same_weight(weight.desired, canary) and same_weight(self.mirror, mirror)):
            weight = weight.model_copy(
                update={
                    "desired": canary,
                    "mirror": mirror or None,
                    "verified": False,
                    "changed_at": self.now,
                    "measured_share": None,
                    "measured_at": None,
                    "mismatches": 0,
                    "reason": "",
                }
            )
            self.put(weight=weight)
        run = self.status.run
        if run is None or run.dry:
            return
        mark = RouteMark(run=run.id, epoch=self.facts.epoch, weight=canary, rollback=rollback, mirror=mirror)
        route = self.facts.route
        marked = route.mark is not None and replace(route.mark, epoch=mark.epoch, asked=0) == mark
        if same_weight(route.canary_weight, canary) and same_weight(route.mirror, mirror) and marked:
            return
        action = SetWeight(canary, mark, mirror)
        if self.route == action and not reassert:
            return
        self.route = action
        self.urgent = self.urgent or not (self.raises(canary, mirror) or planned) or reassert

    def condition(self, kind: ConditionType, status: Status, reason: Reason, message: str = "") -> None:
        """Says a condition."""
        self._put_conditions(
            set_condition(
                self.status.conditions,
                kind,
                status,
                reason,
                message,
                generation=self.facts.generation,
                now=self.now,
            )
        )

    def renew(self, *kinds: ConditionType) -> None:
        """Says again, under this generation, what is said of these already."""
        for kind in kinds:
            self._put_conditions(renew_condition(self.status.conditions, kind, generation=self.facts.generation))

    def no_condition(self, *kinds: ConditionType) -> None:
        """Takes conditions back."""
        said = {condition.type for condition in self.status.conditions}
        for kind in kinds:
            if kind in said:
                self._put_conditions(clear_condition(self.status.conditions, kind))

    def _put_conditions(self, conditions: tuple[Condition, ...]) -> None:
        if conditions is not self.status.conditions:
            self.put(conditions=conditions)

    def stand(
        self,
        phase: Phase,
        ready: Status,
        reason: Reason,
        message: str,
        *,
        reconciling: bool = False,
        stalled: bool = False,
    ) -> None:
        """Says where the release stands: the phase and the three conditions every tool reads."""
        self.put(phase=phase)
        self.condition(ConditionType.READY, ready, reason, message)
        self.condition(ConditionType.RECONCILING, "True" if reconciling else "False", reason, message)
        self.condition(ConditionType.STALLED, "True" if stalled else "False", reason, message)

    def plan(self) -> Plan:
        """The finished plan."""
        return Plan(
            status=self.status,
            urgent=self.urgent,
            route=self.route,
            change=self.change,
            workload=self.workload,
            entries=tuple(self.entries),
            events=tuple(self.events),
            finalizer=self.finalizer,
            wants=self.wants,
            wake_at=self.wake_at,
            active=self.active,
        )
