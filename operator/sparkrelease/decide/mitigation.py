"""Carrying out what a trigger's mitigation says: decided once, written once, known to be done, undone after a rollback.

The status keeps each mitigation with the values from before it, so every step can be repeated after a crash: what the
ConfigMap says tells how far it got. Evidence has the old values before anything is changed, and says when it was. None
of it is ever waited for: a rollback comes first, and undoing begins when traffic is back on stable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sparkrelease.api.base import format_time
from sparkrelease.api.mitigation import Mitigation
from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Outcome, SparkReleaseStatus
from sparkrelease.api.triggers import TriggerAction
from sparkrelease.decide.checkpoints import basis
from sparkrelease.decide.draft import Draft
from sparkrelease.decide.facts import Settings, SettingsAsk
from sparkrelease.decide.plan import Change
from sparkrelease.decide.triggers import Fired
from sparkrelease.decide.verdicts import remember

PLANNED, DONE, UNDOING = "planned", "done", "undoing"

TRY_AGAIN = timedelta(seconds=15)
"""Pause after something could not be read or changed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the status keeps of one mitigation: all it takes to do and to undo it, whatever the spec says by then."""

    trigger: str
    at: datetime
    """When it was decided."""
    state: str
    config_map: str
    wanted: Mapping[str, str]
    before: Mapping[str, str | None]
    """None for a key that was not there."""
    restart: str
    undo: bool

    @property
    def ask(self) -> SettingsAsk:
        """What has to be read to see how far it got."""
        return SettingsAsk(self.config_map, tuple(sorted(self.wanted)), self.restart)

    def text(self) -> str:
        """As the status keeps it."""
        return json.dumps(self.told() | {"at": format_time(self.at), "state": self.state}, separators=(",", ":"))

    def told(self) -> dict[str, object]:
        """As evidence tells it."""
        return {
            "trigger": self.trigger,
            "configMap": self.config_map,
            "set": dict(sorted(self.wanted.items())),
            "before": dict(sorted(self.before.items())),
            "restart": self.restart,
            "undo": self.undo,
        }


def read_record(text: str) -> Recorded | None:
    """The inverse of `Recorded.text`; None for what it did not write."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    match found:
        case {
            "trigger": str(trigger),
            "at": str(at),
            "state": str(state),
            "configMap": str(name),
            "set": dict(wanted),
            "before": dict(before),
            "restart": str(restart),
        }:
            decided = datetime.fromisoformat(at)
            return Recorded(trigger, decided, state, name, wanted, before, restart, found.get("undo") is True)
        case _:
            return None


def records_of(status: SparkReleaseStatus) -> tuple[Recorded, ...]:
    """What triggers changed, the newest last."""
    return tuple(one for one in map(read_record, status.mitigations) if one is not None)


# ---------------------------------------------------------------- during a run


def mitigate(d: Draft, fired: Iterable[Fired]) -> None:
    """Goes on with what was decided, and decides on triggers that have come true.

    Holds for as long as they are, but for those that only notify.
    """
    busy = _go_on(d)
    for one in fired:
        mitigation = one.trigger.mitigation
        if mitigation is None:
            continue
        last, since = _known(d, one.trigger.name), one.verdict.since
        dry = d.run is not None and d.run.dry
        acted = (
            one.acted or one.cools_down(d.now, mitigation.cooldown)
            if dry
            else last is not None and (since is None or last.at >= since)
        )
        if one.trigger.action is not TriggerAction.NOTIFY:
            d.hold(Reason.TRIGGER_HOLDS, one.verdict.message)
        if not (busy or d.paused or acted) and _cooled_down(d, last, mitigation):
            busy = _begin(d, one, mitigation)


def _cooled_down(d: Draft, last: Recorded | None, mitigation: Mitigation) -> bool:
    # A stored time in the future means that the wall clock went back.
    return last is None or not timedelta(0) <= d.now - last.at < mitigation.cooldown


def _known(d: Draft, trigger: str) -> Recorded | None:
    return next((one for one in records_of(d.status) if one.trigger == trigger), None)


def _keep(d: Draft, changed: Recorded) -> None:
    """The newest one is the last, so that undoing can go back in that order."""
    _drop(d, changed)
    d.put(mitigations=(*d.status.mitigations, changed.text()))


def _drop(d: Draft, gone: Recorded) -> None:
    d.put(mitigations=tuple(one.text() for one in records_of(d.status) if one.trigger != gone.trigger))


def _begin(d: Draft, fired: Fired, mitigation: Mitigation) -> bool:
    """Decides on a mitigation once what is there is known; True while it is under way."""
    trigger, message = fired.trigger.name, fired.verdict.message
    ask = SettingsAsk(mitigation.config_map, tuple(sorted(mitigation.wanted)), mitigation.restart or "")
    if d.run is not None and d.run.dry:
        _acted(d, fired)
        d.entry(Reason.MITIGATING, f"{message}; would set {_pairs(mitigation.wanted)}", {"trigger": trigger})
        return False
    seen = _seen(d, ask)
    if seen is None:
        return True
    before: dict[str, str | None] = {key: seen.values.get(key) for key in ask.keys}
    kept = _known(d, trigger)
    if kept is not None and before == dict(mitigation.wanted):
        before = dict(kept.before)
    undo, deployment = mitigation.undo_on_rollback, ask.deployment
    one = Recorded(trigger, d.now, PLANNED, ask.config_map, mitigation.wanted, before, deployment, undo)
    _acted(d, fired)
    _keep(d, one)
    _tell_plan(d, one, message)
    d.change = _forward(one, seen)
    return True


def _tell_plan(d: Draft, one: Recorded, message: str) -> None:
    text = f"{message}; ConfigMap {one.config_map}: {_moves(one.before, one.wanted)}"
    d.entry(Reason.MITIGATING, text, {**one.told(), **basis(d)})
    d.event(Reason.MITIGATING, text, warning=True)


def _acted(d: Draft, fired: Fired) -> None:
    """Notes it with the verdict; whether a step back has been taken is for that to say."""
    if fired.trigger.action is TriggerAction.MITIGATE:
        remember(d, [fired.verdict.model_copy(update={"acted_at": d.now})])


def _go_on(d: Draft) -> bool:
    """Brings a mitigation that was decided to its end; True while one is not done."""
    one = next((one for one in records_of(d.status) if one.state == PLANNED), None)
    if one is None:
        return False
    seen = _seen(d, one.ask)
    if seen is None:
        return True
    now = {key: seen.values.get(key) for key in one.wanted}
    if now == dict(one.wanted) and (not one.restart or seen.token == _token(one)):
        _keep(d, replace(one, state=DONE))
        text = f"{one.trigger}: ConfigMap {one.config_map} has {_pairs(one.wanted)}"
        d.entry(Reason.MITIGATED, text, {"trigger": one.trigger, "values": now, "restarted": one.restart})
        d.event(Reason.MITIGATED, text)
        return False
    if now not in (dict(one.wanted), dict(one.before)):
        one = replace(one, before=now)
        _keep(d, one)
        _tell_plan(d, one, f"{one.trigger}: somebody changed it in between")
    d.change = _forward(one, seen)
    return True


def _forward(one: Recorded, seen: Settings) -> Change:
    return Change(one.config_map, seen.resource_version, dict(one.wanted), one.restart, _token(one))


def _seen(d: Draft, ask: SettingsAsk) -> Settings | None:
    """What is there; None when it is not known yet (then it is asked for), or cannot be."""
    seen = d.facts.settings
    if seen is None or seen.config_map != ask.config_map:
        d.wants = replace(d.wants, settings=ask)
        return None
    if seen.problem is None:
        return seen
    text = f"ConfigMap {ask.config_map}: {seen.problem.message}"
    d.hold(Reason.MITIGATION_FAILED, text)
    d.event(Reason.MITIGATION_FAILED, text, warning=True)
    return None


# ---------------------------------------------------------------- after a rollback


def undo_mitigations(d: Draft) -> bool:
    """Sets back what the run that was rolled back had changed, the last first; True while the round is for that alone.

    What somebody changed in between stays theirs. What cannot be undone now is tried again, and keeps nothing else up.
    """
    run = d.status.run
    if run is None or run.end is not Outcome.ROLLED_BACK:
        return False
    for one in reversed(records_of(d.status)):
        if not one.undo:
            _drop(d, one)
            continue
        return _undo(d, one)
    return False


def _undo(d: Draft, one: Recorded) -> bool:
    seen = d.facts.settings
    if seen is not None and seen.config_map == one.config_map and seen.problem is not None:
        text = f"{one.trigger}: ConfigMap {one.config_map} is not set back: {seen.problem.message}"
        d.event(Reason.MITIGATION_FAILED, text, warning=True)
        d.wake_at = d.now + TRY_AGAIN
        return False
    d.wake_at = d.now + d.facts.tick
    if seen is None or seen.config_map != one.config_map:
        d.wants = replace(d.wants, settings=one.ask)
        return True
    now = {key: seen.values.get(key) for key in one.wanted}
    token = f"{_token(one)}-undone"
    restarted = not one.restart or seen.token in {"", token} or one.state == PLANNED
    if now == dict(one.before) and restarted:
        _drop(d, one)
        if one.state == UNDOING:
            text = f"{one.trigger}: ConfigMap {one.config_map} is as it was: {_pairs(one.before)}"
            d.entry(Reason.MITIGATION_UNDONE, text, {"trigger": one.trigger, "values": now})
            d.event(Reason.MITIGATION_UNDONE, text)
        return True
    if now not in (dict(one.wanted), dict(one.before)):
        _drop(d, one)
        text = f"{one.trigger}: ConfigMap {one.config_map} has {_pairs(now)}, which somebody else set; it stays"
        d.entry(Reason.MITIGATION_KEPT, text, {"trigger": one.trigger, "values": now})
        d.event(Reason.MITIGATION_KEPT, text, warning=True)
        return True
    if one.state != UNDOING:
        _keep(d, replace(one, state=UNDOING))
        text = f"{one.trigger}: ConfigMap {one.config_map}: {_moves(now, one.before)}"
        d.entry(Reason.MITIGATION_UNDOING, text, one.told())
        d.event(Reason.MITIGATION_UNDOING, text)
    d.change = Change(one.config_map, seen.resource_version, dict(one.before), one.restart, token)
    return True


# ---------------------------------------------------------------- words


def _token(one: Recorded) -> str:
    """What a restart writes into the pods' template; the same one again starts nothing."""
    return format_time(one.at)


def _pairs(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{key}={'(absent)' if value is None else value}" for key, value in sorted(values.items()))


def _moves(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    moves = ((key, before.get(key), value) for key, value in sorted(after.items()))
    return ", ".join(f"{key} {'(absent)' if old is None else old} -> {new}" for key, old, new in moves)
