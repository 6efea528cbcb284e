"""Row B4: a breach has a counter-move, and only errors are a rollback; each rule is quiet on everything else.

Four features climb the ladder to half of the users under the whole policy, with its checks. Then three of them break,
each with the fault of its rule: the example application's own metrics, through a real Prometheus, make the operator
act, and the application goes by the settings that the operator changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from e2e.conftest import promises_broken
from e2e.ladder import PACE, POLICY, quick, release_by_policy
from e2e.trials import LONG, written
from testbed.evidence import checked
from testbed.flagdesk import FLAG, OWN_SETTINGS, FlagDesk, flag_config
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

pytestmark = pytest.mark.crowded

RPS = 10.0
FAULTS = {"slow": "very-slow-answers", "stale": "stream-silent", "unsure": "unsure-model"}
"""By rule that does not roll back, what it is there for. The fourth rule is tried where a stream was stale before."""

ACTED = ("SteppedBack", "Notified", "Mitigating", "RolledBack")
HEALTHY = "healthy"


def settings_of(rule: str) -> Mapping[str, str]:
    """What the policy says the counter-move sets."""
    (trigger,) = [one for one in written(POLICY)["triggers"] if one["name"] == rule]
    wanted: Mapping[str, str] = trigger["mitigation"]["set"]
    return wanted


@dataclass
class Triage:
    """Every feature by its rule, begun together."""

    cluster: Cluster
    desks: dict[str, FlagDesk] = field(default_factory=dict)
    broken_at: dict[str, int] = field(default_factory=dict)
    """By rule, the cursor of the audit log when its fault was switched on."""

    def begin(self) -> None:
        """Has all of them climb to half of the users, and breaks each but the healthy one."""
        self.cluster.apply(quick(half=LONG))
        with ThreadPoolExecutor(max_workers=len(FAULTS) + 1) as workers:
            for _ in workers.map(self._to_half, (*FAULTS, HEALTHY)):
                pass

    def _to_half(self, rule: str) -> None:
        namespace = self.cluster.namespace("triage")
        desk = self.desks[rule] = FlagDesk(self.cluster, namespace, "desk", pace=PACE, replicas=1)
        desk.begin()
        desk.start_load(rps=RPS, duration=300)
        release_by_policy(desk)
        desk.until("half is in force", lambda s: s["weight"]["desired"] == 50 and s["weight"]["verified"], timeout=150)
        self.broken_at[rule] = self.cluster.audit_cursor()
        if rule in FAULTS:
            desk.break_feature(FAULTS[rule])

    def end(self) -> None:
        """Ends the clients and asks for the namespaces to go."""
        for desk in self.desks.values():
            desk.close()

    def promises_broken(self, since: int) -> list[str]:
        """What was written to the desks against the operator's promises."""
        events = list(self.cluster.audit_events(since))
        return [sentence for desk in self.desks.values() for sentence in promises_broken(desk, events, flag=FLAG)]

    def acts(self, rule: str) -> FlagDesk:
        """Waits for the counter-move of a rule; what it set is in the ConfigMap, and no other rule did anything."""
        desk, moved = self.desks[rule], OWN_SETTINGS | settings_of(rule)
        wait_for(f"{rule} acts", lambda: desk.told("Mitigated") and desk.settings() == moved, timeout=120)
        assert [one["message"] for one in desk.told(*ACTED) if f"{rule}: " not in one["message"]] == []
        (told,) = desk.told("Mitigating")
        for key, value in settings_of(rule).items():
            assert f"{key} {OWN_SETTINGS.get(key, '(absent)')} -> {value}" in told["message"]
        return desk

    def values_after(self, rule: str) -> list[str]:
        """Values the flag was given since the fault, beginning with the one it had."""
        values = self.desks[rule].values_written(self.broken_at[rule])
        return values if values[:1] == ["0.5"] else ["0.5", *values]


@pytest.fixture(scope="module")
def triage(cluster: Cluster, operators: SoleOperator) -> Iterator[Triage]:
    operators.run(servers=flag_config(cluster)["servers"])
    begun, since = Triage(cluster), cluster.audit_cursor()
    try:
        begun.begin()
        yield begun
        assert begun.promises_broken(since) == []
    finally:
        begun.end()


def test_every_rule_of_the_triage_is_on_trial() -> None:
    assert {*FAULTS, "errors"} == {trigger["name"] for trigger in written(POLICY)["triggers"]}


@pytest.mark.parametrize("rule", ["slow", "unsure"])
def test_the_flag_goes_back_to_preview_at_once_with_the_settings_of_the_counter_move(triage: Triage, rule: str) -> None:
    desk = triage.acts(rule)
    assert triage.values_after(rule)[:2] == ["0.5", "preview"], "past a tenth, in one move"
    (told,) = desk.told("SteppedBack")
    assert told["message"].startswith(f"stepping back from 50 % to 1 %: {rule}: ")
    status: Mapping[str, Any] = desk.status
    assert (status["phase"], "rollback" in status) == ("Progressing", False)


def test_a_stale_stream_has_the_executor_probed_and_is_told_of_while_the_feature_goes_on(triage: Triage) -> None:
    desk = triage.acts("stale")
    assert len(desk.told("Notified")) == 1
    assert (desk.status["phase"], desk.value()) == ("Progressing", "0.5")
    wait_for("it is asked how it is", lambda: desk.counted('executor_probes_total{answer="silent"') >= 1, timeout=15)


def test_errors_turn_the_flag_off_at_once_the_evidence_says_why_and_the_settings_are_those_from_before(
    triage: Triage,
) -> None:
    desk = triage.acts("stale")
    desk.break_feature("server-errors")
    record = desk.until_phase("RolledBack", timeout=60)["rollback"]
    assert (record["trigger"], record["seconds"] < 5) == ("errors", True), record
    assert triage.values_after("stale") == ["0.5", "0"]
    desk.in_force("0")
    wait_for("settings are set back", lambda: desk.settings() == OWN_SETTINGS, timeout=30)
    desk.until("stored", lambda s: not s.get("mitigations") and not s.get("pendingEvidence"))
    stored = checked(desk)
    why = stored.kinds.index("TriggerFired")
    assert stored.kinds[why : why + 2] == ["TriggerFired", "RolledBack"]
    assert stored.entries[why]["data"]["trigger"] == "errors"


def test_a_counter_move_that_helps_lets_the_feature_climb_again_from_preview(triage: Triage) -> None:
    desk = triage.acts("slow")
    desk.until_written(10, triage.broken_at["slow"], timeout=120)
    assert triage.values_after("slow")[:3] == ["0.5", "preview", "0.1"]


def test_a_healthy_feature_is_quiet_under_all_four_rules_for_as_long_as_the_others_break(triage: Triage) -> None:
    for rule, broken in triage.desks.items():
        if rule != HEALTHY:
            wait_for(f"{rule} acts", lambda broken=broken: broken.told("Mitigated"), timeout=120)
    desk = triage.desks[HEALTHY]
    assert desk.told(*ACTED) == []
    verdicts = {one["rule"]: one["verdict"] for one in desk.status["verdicts"] if one["kind"] == "trigger"}
    assert verdicts == {trigger["name"]: "Pass" for trigger in written(POLICY)["triggers"]}
    assert (triage.values_after(HEALTHY), desk.settings()) == (["0.5"], OWN_SETTINGS)
