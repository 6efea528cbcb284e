"""A release without a proxy: the application splits its users by a flag, and the flag climbs its ladder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.ladder import PACE, POLICY, RPS, quick, release_by_policy
from e2e.trials import written
from sparkrelease.api.flags import LADDER
from testbed.cluster import User
from testbed.evidence import checked
from testbed.flagdesk import FLAG, FlagDesk
from testbed.shop import ERRORS
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Operator

DAY = {"duration": "8s", "every": "2s"}
"""The day at full value; two seconds are six of its hours."""

STAGES = [{"name": f"on-{weight:g}", "weight": weight, "duration": "3s"} for weight in LADDER if weight]


def release(desk: FlagDesk, **spec: object) -> None:
    """A release of the feature, through four stages of three seconds."""
    desk.release("v2", **({"stages": STAGES, "metrics": [ERRORS]} | spec))


@pytest.mark.timeout(400)
def test_the_ready_made_policy_takes_a_feature_from_preview_to_everybody(
    flag_operator: Operator, desk: FlagDesk
) -> None:
    desk.pace = PACE
    desk.begin()
    load = desk.start_load(rps=RPS, duration=300)
    desk.cluster.apply(quick(DAY))
    since = desk.cluster.audit_cursor()
    release_by_policy(desk)

    status = desk.until_phase("Succeeded", timeout=240)
    assert status["preflight"]["progress"] == "5/5"
    assert desk.values_written(since) == ["preview", "0.1", "0.5", "1.0"]
    assert status["run"]["gatesPassed"] == len(written(POLICY)["stages"]) == 4
    assert "rollback" not in status
    assert desk.told("SteppedBack", "Notified", "Mitigating") == []
    desk.until("settled", lambda s: s["settled"]["version"] == "v2" and desk.reason("Settled") == "Settled")
    wait_for("the marks are off", lambda: "sparkrelease.dev/run" not in desk.marks())
    assert desk.value() == "1.0", "a feature that is settled stays on"
    assert load.stop().failed == 0
    stored = checked(desk)
    assert stored.kinds[-1] == "Settled"
    assert desk.values_written(since)[-1] == "1.0", "nothing was written to it on the way there"
    day = [entry["data"] for entry in stored.entries if entry["kind"] == "WatchChecked"]
    assert [(one["check"], one["of"]) for one in day] == [(number, 4) for number in (1, 2, 3, 4)]
    boxes = {threshold["name"]: "Pass" for threshold in written(POLICY)["thresholds"]}
    assert [one["verdicts"] for one in day] == [boxes] * 4
    assert day[-1]["criteria"] == boxes


@pytest.mark.timeout(180)
def test_what_a_check_finds_while_everybody_has_the_feature_turns_it_off(
    flag_operator: Operator, desk: FlagDesk
) -> None:
    desk.begin()
    desk.start_load(rps=RPS)
    since = desk.cluster.audit_cursor()
    release(desk, stages=STAGES[-1:], triggers=[], watch={"duration": "5m", "every": "2s"})
    desk.until("two checks", lambda s: (s.get("watch") or {}).get("check", 0) >= 2, timeout=60)
    assert (desk.status["phase"], desk.values_written(since)) == ("Watching", ["1.0"])
    desk.break_feature("server-errors")
    record = desk.until_phase("RolledBack", timeout=30)["rollback"]
    assert (record["stage"], record["fromWeight"], record["reason"]) == ("watch", 100, "WatchFailed")
    assert record["message"].startswith("errors: ")
    assert record["seconds"] < 5
    assert desk.values_written(since) == ["1.0", "0"]
    desk.in_force("0")
    stored = checked(desk)
    last = stored.kinds.index("WatchFailed")
    assert stored.kinds[last - 1 : last + 2] == ["WatchChecked", "WatchFailed", "RolledBack"]
    assert stored.entries[last - 1]["data"]["verdicts"] == {"errors": "Fail"}


def test_a_stage_begins_only_when_every_pod_shows_the_value(flag_operator: Operator, desk: FlagDesk) -> None:
    desk.begin()
    desk.start_load(rps=RPS)
    silent = desk.manifest("v2", stages=[{"name": "half", "weight": 50, "duration": "3s"}])
    # A gauge that no step of this flag moves: it shows 0 for ever, as a pod does that reads its flags at its start.
    silent["spec"]["traffic"]["featureFlag"]["metric"] = 'decimal_precision_errors_total{side="desk-stable"}'
    desk.cluster.apply(silent)
    desk.until_condition("TrafficInSync", "False", "FlagPending")
    status = desk.until("said by name", lambda s: "0 of 2 ready pods show 0.5: desk-" in s["weight"]["reason"])
    assert "shows 0" in status["weight"]["reason"]
    assert not status["weight"]["verified"]
    assert status["stage"]["observed"] in {"0s", "0ms"}
    assert desk.value() == "0.5"


def test_a_person_who_edits_the_flag_is_noticed_named_and_in_the_end_decides(
    flag_operator: Operator, desk: FlagDesk
) -> None:
    desk.begin()
    desk.start_load(rps=RPS)
    contested = {"contested": {"rollbackAfter": "3s"}}
    body = desk.manifest("v2", stages=[{"name": "tenth", "weight": 10, "duration": "5m"}])
    body["spec"]["traffic"] |= contested
    desk.cluster.apply(body)
    desk.until("a tenth is in force", lambda s: s["weight"]["desired"] == 10 and s["weight"]["verified"])
    mira = User("mira@example.org", ("system:masters",))
    for edits in range(1, 4):
        edit = f'{{"data":{{"{FLAG}":"0.5"}}}}'
        done = desk.cluster.kubectl(
            "patch", "configmap", desk.flags, "-n", desk.namespace, "--type=merge", "-p", edit, identity=mira
        )
        assert done.returncode == 0, done.stderr
        desk.until(f"edit {edits} is counted", lambda s, n=edits: (s.get("contested") or {}).get("total", 0) >= n, 20)
        if edits < 3:
            desk.until_weight(10, timeout=20)
    desk.until_condition("TrafficContested", "True")
    assert any("kubectl-patch changed the canary weight to 50 %" in e["message"] for e in desk.told("TrafficReverted"))
    status = desk.until_phase("RolledBack", timeout=30)
    assert status["rollback"]["trigger"] == "route"
    assert desk.value() == "0"
    assert "RouteContested" in checked(desk).kinds


def test_a_release_that_is_deleted_in_mid_run_turns_its_feature_off(flag_operator: Operator, desk: FlagDesk) -> None:
    desk.begin()
    desk.start_load(rps=RPS)
    release(desk, stages=[{"name": "half", "weight": 50, "duration": "5m"}])
    desk.until("half is in force", lambda s: s["weight"]["desired"] == 50 and s["weight"]["verified"])
    desk.cluster.delete("sparkrelease.dev/v1alpha1", "SparkRelease", desk.name, desk.namespace)
    desk.until_weight(0, timeout=10)
    wait_for("the marks are off", lambda: "sparkrelease.dev/run" not in desk.marks())


def test_what_keeps_a_flag_from_being_moved_is_said_before_the_run(flag_operator: Operator, desk: FlagDesk) -> None:
    desk.begin(allowed=False)
    desk.start_load(rps=RPS)
    release(desk)
    desk.until_condition("Ready", "False", "RouteWriteFailed")
    assert "manifests/namespaced/feature-flag" in desk.condition("Ready")["message"]
    desk.let_it_patch()
    desk.until("a run begins", lambda s: s.get("run") is not None, timeout=60)
