"""Whether the data can be trusted this round. Missing data is never bad data, and never good data."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparkrelease.api.conditions import ConditionType, find
from sparkrelease.api.metrics import JudgedAt
from sparkrelease.api.reasons import Reason
from sparkrelease.api.triggers import LegKind
from sparkrelease.decide.answers import (
    HISTORY_LATE,
    LATE_GRACE,
    NO_HISTORY,
    NOT_ASKED,
    asked_of,
    expects_requests,
    history_of,
    reading_of,
    silent,
)
from sparkrelease.decide.asks import asks_of, histories_of
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Ask, Facts, Missing, Problem, Reading, Role, Track
from sparkrelease.decide.resolve import ResolvedSpec, per_spec

_PACE = 0.2
"""When a whole server is blind, rollbacks of its releases spread over this part of the limit."""


@dataclass(frozen=True, slots=True)
class Health:
    """What is wrong with one role's data: not asked yet, `blind` with its reason, or too little traffic to speak of."""

    fresh: bool
    waiting: bool = False
    blind: Missing | None = None
    quiet: Missing | None = None


_FRESH = Health(fresh=True)


@per_spec
def rule_metrics(spec: ResolvedSpec) -> tuple[str, ...]:
    """Names of the metrics that some rule reads, each once, in order."""
    names = [t.metric for t in spec.thresholds] + [leg.metric for t in spec.triggers for leg in t.all]
    names += [test.metric for test in spec.comparison.tests] if spec.comparison else []
    names += [spec.burn_metric] if spec.burn_metric is not None else []
    names += [spec.error_budget.metric] if spec.error_budget is not None else []
    return tuple(dict.fromkeys(names))


@per_spec
def watched_metrics(spec: ResolvedSpec) -> tuple[str, ...]:
    """Those whose reading over their own window must be there.

    A trend reads series of its own instead; what only the watch or the error budget reads is asked for by them.
    """
    legs = [leg for trigger in spec.triggers for leg in trigger.all]
    watched = {leg.metric for leg in legs if leg.kind is not LegKind.TREND}
    watched |= {t.metric for t in spec.gate_thresholds}
    watched |= {test.metric for test in spec.comparison.tests} if spec.comparison else set()
    return tuple(name for name in rule_metrics(spec) if name in watched)


@per_spec
def mirror_metrics(spec: ResolvedSpec) -> tuple[str, ...]:
    """Those that are watched while a stage mirrors, and in no other."""
    read = {t.metric for t in spec.thresholds if t.at is JudgedAt.MIRROR}
    return tuple(sorted(read - set(watched_metrics(spec))))


def assess(
    spec: ResolvedSpec, facts: Facts, role: Role, weight: float, now: datetime, *, mirrors: bool = False
) -> Health:
    """Looks at every metric a rule reads: fresh only when each of them has a usable reading for the role.

    `weight` is canary's part of the requests in percent, and `mirrors` whether they are copies of users' requests.
    Other windows, the past and histories count as far as they cannot be asked: too little of them is no blindness.
    """
    if not mirrors and _all_at_hand(spec, facts, role, now):
        blind = _unscraped(facts, role)
        return _FRESH if blind is None else Health(fresh=False, blind=blind)
    quiet: Missing | None = None
    waiting = False
    for name in (*watched_metrics(spec), *(mirror_metrics(spec) if mirrors else ())):
        reading = reading_of(facts, name, role, now)
        if reading is None:
            waiting = True
        elif isinstance(reading, Missing):
            if not silent(reading) or expects_requests(facts.metrics[name], role, weight):
                return Health(fresh=False, blind=reading)
            quiet = quiet or Missing(Reason.INSUFFICIENT_TRAFFIC, f"{name}: no request has reached {role} yet")
    answers: list[Reading | tuple[Track, ...]] = [asked_of(spec, facts, ask, role, now) for ask in _in_order(spec)]
    answers += [history_of(spec, facts, metric, role, now) for metric in histories_of(spec)]
    missing = [seen for seen in answers if isinstance(seen, Missing)]
    beyond = (seen for seen in missing if seen.reason is not Reason.TOO_FEW_POINTS)
    blind = next(beyond, None) or _unscraped(facts, role)
    if blind is not None:
        return Health(fresh=False, blind=blind)
    waiting = waiting or any(seen is NOT_ASKED or seen is NO_HISTORY for seen in missing)
    return Health(fresh=not waiting and quiet is None, waiting=waiting, quiet=quiet)


def _all_at_hand(spec: ResolvedSpec, facts: Facts, role: Role, now: datetime) -> bool:
    """Whether everything was answered lately enough for any limit: nearly always, so it is found out first."""
    since, canary = now - LATE_GRACE, role is Role.CANARY
    metrics, asked = facts.metrics, facts.asked
    for name in watched_metrics(spec):
        seen = metrics.get(name)
        if seen is None or seen.at < since or isinstance(seen.canary if canary else seen.stable, Missing):
            return False
    for ask in asks_of(spec):
        seen = asked.get(ask)
        if seen is None or seen.at < since or isinstance(seen.canary if canary else seen.stable, Missing):
            return False
    return all(_has_history(facts, name, now - HISTORY_LATE, canary=canary) for name in histories_of(spec))


def _has_history(facts: Facts, name: str, since: datetime, *, canary: bool) -> bool:
    seen = facts.history.get(name)
    return seen is not None and seen.at >= since and not isinstance(seen.canary if canary else seen.stable, Missing)


def _unscraped(facts: Facts, role: Role) -> Missing | None:
    """Readings of some of the pods are no readings of the role."""
    ready = facts.canary.ready if role is Role.CANARY else facts.stable.ready
    scraped = facts.scraped.get(role)
    if scraped is None or scraped >= ready:
        return None
    return Missing(Reason.TARGETS_MISSING, f"{scraped} of {ready} ready pods of {role} are scraped")


@per_spec
def _in_order(spec: ResolvedSpec) -> tuple[Ask, ...]:
    return tuple(sorted(asks_of(spec), key=_place))


def _place(ask: Ask) -> tuple[str, timedelta, timedelta]:
    """Asks in one order, so that the same facts blame the same one."""
    return ask.metric, ask.window, ask.back


def blind_limit(spec: ResolvedSpec, facts: Facts, blind: Missing, *, passed: bool) -> timedelta | None:
    """How long this blindness is borne while canary has weight; None when it never ends in a rollback.

    `passed` every gate: then a server that is blind as a whole, for the whole fleet, takes nothing back.
    """
    if not blind.server_wide:
        return spec.no_data.rollback_after
    if passed:
        return None
    limit = spec.no_data.server_rollback_after
    place = zlib.crc32(facts.uid.encode()) / 2**32
    return limit + limit * _PACE * place


def say_health(d: Draft, health: Health) -> Problem | None:
    """Says MetricsAvailable and holds while blind; answers the problem when the blindness has lasted too long."""
    if health.waiting and health.blind is None:
        d.hold(Reason.NO_DATA, "metrics have not been asked yet")
        return None
    if health.blind is None:
        reason = health.quiet.reason if health.quiet else Reason.METRICS_FRESH
        d.condition(ConditionType.METRICS_AVAILABLE, "True", reason, health.quiet.message if health.quiet else "")
        if health.quiet and not (d.run and d.run.dry):
            d.hold(health.quiet.reason, health.quiet.message)
        return None
    blind = health.blind
    d.condition(ConditionType.METRICS_AVAILABLE, "False", blind.reason, blind.message)
    d.hold(blind.reason, blind.message)
    said = find(d.status.conditions, ConditionType.METRICS_AVAILABLE)
    since = said.last_transition_time if said else d.now
    before = find(d.before.conditions, ConditionType.METRICS_AVAILABLE)
    if before is None or (before.status, before.reason) != ("False", blind.reason.value):
        d.event(blind.reason, f"holding: {blind.message}", warning=True)
    run = d.run
    passed = run is not None and (run.promoted_at is not None or d.status.watch is not None)
    limit = blind_limit(d.spec, d.facts, blind, passed=passed)
    if limit is None or d.on_route <= 0 or d.now - since < limit:
        return None
    lasted = (d.now - since).total_seconds()
    return Problem(Reason.DATA_MISSING_TOO_LONG, f"{blind.reason} for {lasted:.0f} s: {blind.message}")
