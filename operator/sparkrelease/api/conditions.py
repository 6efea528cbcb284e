"""The only way to set a condition."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from sparkrelease.api.base import Documented
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Condition

Status = Literal["True", "False", "Unknown"]


class ConditionType(Documented):
    """Conditions of a release. Reconciling and Stalled are present only while true (kstatus)."""

    READY = (
        "Ready",
        "True at rest with nothing left to do; False while a run is under way, after a rollback, or stalled.",
    )
    RECONCILING = "Reconciling", "Work is under way; present only while true."
    STALLED = (
        "Stalled",
        "Nothing will go on without a person: an edit, a new version or a command. Present only while true.",
    )
    PROGRESSING = "Progressing", "A run goes on; False while it is paused or holds, and while there is none."
    AWAITING_APPROVAL = "AwaitingApproval", "People have yet to sign; the message says what is missing."
    PAUSED = "Paused", "Weights are frozen by spec.paused or by a pause command."
    METRICS_AVAILABLE = "MetricsAvailable", "Every metric that a rule reads has a fresh answer."
    TRAFFIC_IN_SYNC = "TrafficInSync", "The route says what is wanted, its gateway accepts it, and requests agree."
    TRAFFIC_CONTESTED = "TrafficContested", "Somebody else keeps changing the weights; the lower weight is held."
    EVIDENCE_COMPLETE = "EvidenceComplete", "Every decision so far is stored; while False nothing is raised."
    PROMOTED = "Promoted", "The last gate passed: canary serves what the last stage says, or stable took over since."
    SETTLED = "Settled", "Stable serves the promoted version and all traffic."
    ROLLED_BACK = "RolledBack", "The run was rolled back; all traffic is on stable."


ABNORMAL_TRUE = frozenset({ConditionType.RECONCILING, ConditionType.STALLED})
"""Present only while true, as kstatus reads them."""

_LONGEST_MESSAGE = 4096

_ORDER: dict[str, int] = {kind: place for place, kind in enumerate(ConditionType)}


def find(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """The condition of that type, or None."""
    for condition in conditions:
        if condition.type == kind:
            return condition
    return None


def is_true(conditions: Iterable[Condition], kind: ConditionType) -> bool:
    """Whether the condition is there and True."""
    found = find(conditions, kind)
    return found is not None and found.status == "True"


def set_condition(
    conditions: tuple[Condition, ...],
    kind: ConditionType,
    status: Status,
    reason: Reason,
    message: str,
    *,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Returns the conditions with this one said.

    lastTransitionTime moves only when status flips, or when it lies in the future after the wall clock went back: what
    is counted from it must not wait for that time to come again. Times are cut to seconds; an abnormal-true condition
    that is not True is removed; what is said already leaves the tuple as it is; the order is always that of
    ConditionType, unknown types last.
    """
    message = message[:_LONGEST_MESSAGE]
    if kind in ABNORMAL_TRUE and status != "True":
        return clear_condition(conditions, kind)
    before = find(conditions, kind)
    ahead = before is not None and before.last_transition_time > now
    if (
        before is not None
        and not ahead
        and (before.status, before.reason, before.message, before.observed_generation)
        == (
            status,
            reason.value,
            message,
            generation,
        )
    ):
        return conditions
    others = clear_condition(conditions, kind)
    kept = before is not None and before.status == status and not ahead
    since = before.last_transition_time if before is not None and kept else now.replace(microsecond=0)
    said = Condition(
        type=kind.value,
        status=status,
        observed_generation=generation,
        last_transition_time=since,
        reason=reason.value,
        message=message,
    )
    return tuple(sorted((*others, said), key=lambda c: _ORDER.get(c.type, len(_ORDER))))


def renew_condition(
    conditions: tuple[Condition, ...], kind: ConditionType, *, generation: int
) -> tuple[Condition, ...]:
    """Returns the conditions with what this one says said of another generation, too; nothing where it says nothing."""
    said = find(conditions, kind)
    if said is None or said.observed_generation == generation:
        return conditions
    renewed = said.model_copy(update={"observed_generation": generation})
    return tuple([renewed if condition is said else condition for condition in conditions])


def clear_condition(conditions: tuple[Condition, ...], kind: ConditionType) -> tuple[Condition, ...]:
    """Returns the conditions without this one."""
    return conditions if find(conditions, kind) is None else tuple([c for c in conditions if c.type != kind])
