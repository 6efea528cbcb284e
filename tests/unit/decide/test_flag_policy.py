"""`spark-feature-flag` with its own figures, on a clock turned by hand: its ladder, its triage, and one day at 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparkrelease.api.reasons import Reason
from sparkrelease.api.status import Phase, Verdict
from sparkrelease.decide.facts import Buckets, Counts, Reading, Value
from unit.decide.world import World, spec

FILE = Path(__file__).resolve().parents[3] / "manifests" / "policies" / "spark-feature-flag.yaml"
POLICY: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["spec"]
TICK = timedelta(minutes=3)
HOUR = timedelta(hours=1)
SETTINGS = "release-settings"
OWN = {"CONFIDENCE_FLOOR": "0.5", "POLL_SECONDS": "30", "SIGNAL_WEIGHTS": "learned"}
"""What the team has in the ConfigMap."""


def latency(soon: float, late: float) -> Buckets:
    """Of a thousand answers, so many within 1 s and within 1.5 s."""
    return Buckets({1.0: soon, 1.5: late}, 1000)


HEALTHY: Mapping[str, Reading] = {
    "http": Counts(1, 1000),
    "latency": latency(990, 999),
    "stream-age": Value(1),
    "scores": Value(40),
    "confidence": Value(0.7),
    "balance": Value(0.6),
    "breaches": Value(1),
    "dead-letters": Value(0),
}


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def desk() -> World:
    """A world under the policy but for its checks, healthy, with the settings that the team has."""
    world = World(spec=spec(**{part: POLICY[part] for part in POLICY if part != "preflight"}), tick=TICK)
    world.readings = {name: (reading, reading) for name, reading in HEALTHY.items()}
    world.settings[SETTINGS] = dict(OWN)
    return world


def at_half() -> World:
    """A world in which half of the users have the feature."""
    world = desk()
    world.reach(50)
    return world


@pytest.mark.slow
def test_a_healthy_feature_is_at_full_value_for_one_day_and_quiet_on_all_of_the_way() -> None:
    world = desk()
    entered: list[tuple[float, datetime]] = []
    seen: set[str] = set()
    began = world.now
    watched: datetime | None = None
    while world.status.phase is not Phase.SUCCEEDED and world.now < began + 60 * HOUR:
        known = len(world.weights)
        world.run_for(TICK.total_seconds(), until=Phase.SUCCEEDED)
        if world.weights[known:]:
            assert world.route.written_at is not None
            entered.append((world.weights[-1], world.route.written_at))
        if world.status.phase is Phase.WATCHING:
            watched = watched or world.now
        seen |= {v.verdict.value for v in world.status.verdicts if v.kind == "trigger"}
    assert world.status.phase is Phase.SUCCEEDED, world.why()
    assert [weight for weight, _ in entered] == [1, 10, 50, 100]
    times = [time for _, time in entered]
    assert watched is not None
    spent = [after - before for before, after in zip(times, [*times[1:], watched], strict=True)]
    for took, declared in zip(spent, (minutes(240), minutes(60), minutes(120), minutes(15)), strict=True):
        assert timedelta(0) <= took - declared <= 2 * TICK
    assert timedelta(0) <= world.now - watched - 24 * HOUR <= 2 * TICK
    assert timedelta(0) <= world.now - times[-1] - 24 * HOUR <= HOUR, "one day at full value, not two"
    checks = [entry for entry in world.entries if entry.kind is Reason.WATCH_CHECKED]
    assert len(checks) == 24
    assert checks[-1].message == "check 24 of 24: 8 of 8 within their limits, 8 of 8 criteria"
    assert seen == {Verdict.PASS.value}
    assert {Reason.NOTIFIED, Reason.STEPPED_BACK, Reason.MITIGATING} & set(world.kinds()) == set()
    assert world.settings[SETTINGS] == OWN


@dataclass(frozen=True)
class Breach:
    """What makes one rule of the triage true, what is just within its limit, and how long it has to be true."""

    trigger: str
    over: Mapping[str, Reading]
    within: Mapping[str, Reading]
    lasts: timedelta


SLOW = Breach("slow", {"latency": latency(100, 949)}, {"latency": latency(951, 951)}, minutes(15))
STALE = Breach("stale", {"stream-age": Value(61)}, {"stream-age": Value(60)}, minutes(30))
ERRORS = Breach("errors", {"http": Counts(21, 1000)}, {"http": Counts(20, 1000)}, minutes(30))
UNSURE = Breach("unsure", {"confidence": Value(0.44)}, {"confidence": Value(0.45)}, minutes(180))
BREACHES = (SLOW, STALE, ERRORS, UNSURE)


def begin(readings: Mapping[str, Reading]) -> World:
    """A world in which half of the users have the feature, and from now on these are its readings."""
    world = at_half()
    for name, reading in readings.items():
        world.readings[name] = (reading, HEALTHY[name])
    return world


def act(breach: Breach) -> World:
    """A world in which the rule has just acted, once it had been true for its time and no sooner."""
    world = begin(breach.over)
    world.now += TICK
    world.settle_rounds()
    world.run_for((breach.lasts - TICK).total_seconds())
    assert (world.status.phase, world.route.canary_weight) == (Phase.PROGRESSING, 50), world.why()
    assert (world.settings[SETTINGS], acts(world)) == (OWN, set())
    world.run_for(2 * TICK.total_seconds())
    return world


def acts(world: World) -> set[Reason]:
    """What rules did."""
    return set(world.kinds()) & {Reason.STEPPED_BACK, Reason.NOTIFIED, Reason.MITIGATED, Reason.ROLLED_BACK}


def test_every_rule_of_the_triage_is_tried() -> None:
    assert [breach.trigger for breach in BREACHES] == [one["name"] for one in POLICY["triggers"]]


@pytest.mark.parametrize(
    ("breach", "changed"),
    [(SLOW, {"CONFIDENCE_FLOOR": "0.65", "POLL_SECONDS": "90"}), (UNSURE, {"SIGNAL_WEIGHTS": "equal"})],
    ids=lambda one: one.trigger if isinstance(one, Breach) else "",
)
def test_the_flag_goes_back_to_preview_with_other_settings_and_climbs_again_when_they_help(
    breach: Breach, changed: Mapping[str, str]
) -> None:
    world = act(breach)
    assert acts(world) == {Reason.STEPPED_BACK, Reason.MITIGATED}
    assert world.weights == [1, 10, 50, 1]
    assert world.status.stage is not None and world.status.stage.name == "preview"
    assert world.settings[SETTINGS] == OWN | changed
    told = [event.message for event in world.events if event.reason is Reason.STEPPED_BACK]
    assert len(told) == 1 and told[0].startswith(f"stepping back from 50 % to 1 %: {breach.trigger}: ")

    world.run_for(HOUR.total_seconds())
    assert world.weights == [1, 10, 50, 1], "held there for as long as it is true"
    world.readings |= {name: (HEALTHY[name], HEALTHY[name]) for name in breach.over}
    healed = world.now
    world.reach(50)
    assert timedelta(0) <= world.now - healed - 5 * HOUR <= 4 * TICK, "preview has its four hours anew, a tenth its own"
    assert world.settings[SETTINGS] == OWN | changed, "what helped stays"


def test_a_stale_stream_has_the_executor_probed_and_is_told_of_while_the_feature_goes_on() -> None:
    world = act(STALE)
    assert acts(world) == {Reason.NOTIFIED, Reason.MITIGATED}
    assert world.settings[SETTINGS] == OWN | {"PROBE_EXECUTOR": "true"}
    assert world.route.canary_weight == 50


def test_errors_turn_the_flag_off_at_once_and_set_back_what_the_triage_had_set() -> None:
    world = act(STALE)
    world.readings["http"] = (Counts(21, 1000), HEALTHY["http"])
    world.run_for((ERRORS.lasts + 3 * TICK).total_seconds())
    rollback = world.status.rollback
    assert rollback is not None and (rollback.trigger, rollback.stage) == ("errors", "half")
    assert world.route.canary_weight == 0
    world.run_for(2 * TICK.total_seconds())
    assert world.settings[SETTINGS] == OWN


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.trigger)
def test_a_rule_is_quiet_at_its_limit(breach: Breach) -> None:
    world = begin(breach.within)
    world.run_for(min(breach.lasts + 4 * TICK, minutes(110)).total_seconds())
    verdict = next(v for v in world.status.verdicts if v.kind == "trigger" and v.rule == breach.trigger)
    assert verdict.verdict is Verdict.PASS, verdict
    assert acts(world) == set()
