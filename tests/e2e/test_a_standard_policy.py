"""`spark-standard` as a whole: nine checks, ten items signed by three, five stages, watch, promotion and report.

Two releases of the example application say nothing but their version, their traffic and the policy. Both are checked
and signed; one is well, the other has a defect that shows at a quarter of the traffic.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from e2e.conftest import promises_broken
from e2e.exports import VALIDATION, at, decided, exported, left_by_triggers, written
from e2e.notes import check_metrics, check_risks, check_rollback, check_stages
from e2e.receivers import Posted, Receiver, receiving
from e2e.release_files import Signer, declared, publish
from e2e.trials import FACTORS, HISTORY, LOAD, Desk, patient
from e2e.trials import written as policy_written
from sparkrelease.api.spec import ReleasePolicySpec
from testbed.cluster import User
from testbed.evidence import RITUAL
from testbed.prometheus import BURN_ALERTS, query
from testbed.scaling import scaled
from testbed.shop import API_VERSION
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from sparkrelease.documents.record import Run
    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

pytestmark = [pytest.mark.timeout(600), pytest.mark.crowded]

POLICY = "spark-standard"
CHECKED = 150
"""Seconds for a wait with preflight in it: a Job that a busy machine starts too late is run again after 30."""

BOARD = (
    User("lena@example.org", ("devops-lead", "approvers")),
    User("mira@example.org", ("cto", "approvers")),
    User("joão@example.org", ("product-owner", "approvers")),
)
WATCH: dict[str, Any] = {"duration": "90s", "every": "3750ms", "burnRates": {"objective": 0.999}}
"""The day of the policy; two seconds are its hour."""

RULES = tuple(trigger["name"] for trigger in policy_written(POLICY)["triggers"])
"""All its triggers. Scaled, each has its whole past within the run: there is none that cannot pass."""

SIX = [threshold["name"] for threshold in policy_written(POLICY)["thresholds"]]
"""The metrics that every gate judges."""

LIMITS = {"http-5xx": "> 3%", "comparison/http": "worse than stable"}
"""What may take the broken release back, whichever sees it first: the trigger or the comparison."""

(CHAT,) = [one["target"] for one in policy_written(POLICY)["notifications"]]
"""Where the policy has its ends and rollbacks told."""

PASSES, BREACHED = ("Pass", "WithinLimit"), ("Fail", "OverLimit")
"""What a trigger says that was looked at and has all it takes to say."""

SETTLE: dict[str, Any] = {"settle": {"steps": [50, 0], "interval": "2s"}}


@dataclass
class Floor:
    """Two desks under the policy, from the same moment on."""

    cluster: Cluster
    signer: Signer
    chat: Receiver
    desks: dict[str, Desk] = field(default_factory=dict)
    since: int = 0

    def open(self) -> None:
        """Deploys both, and gives their stables the past that baselines are made of."""
        self.cluster.apply(policy())
        self.since = self.cluster.audit_cursor()
        for name in ("well", "broken"):
            desk = self.desks[name] = Desk(self.cluster, self.cluster.namespace(name), "desk")
            desk.pace = FACTORS[POLICY]
            desk.deploy("stable", "v1", wait=False)
            desk.deploy("canary", "v2", wait=False)
            desk.apply_route()
        for desk in self.desks.values():
            desk.wait_rolled_out("stable")
            desk.wait_rolled_out("canary")
            desk.wait_serving()
            desk.start_load(rps=100, duration=LOAD)
            publish(desk, self.signer)
            may_approve(desk)
        wait_for("a past for every baseline", self._have_past, timeout=90, every=1)

    def release(self) -> None:
        """Releases both; each makes its checks, and is signed by all three."""
        for desk in self.desks.values():
            desk.release_by(POLICY, SETTLE)
        for desk in self.desks.values():
            status = desk.until_phase("AwaitingApproval", timeout=CHECKED)
            assert status["preflight"]["progress"] == "9/9"
            assert (status["gateText"], desk.canary_weight()) == ("0/10", 0)
        for desk in self.desks.values():
            for who, signed in zip(BOARD, ("0 of 10", "0 of 10", "10 of 10"), strict=True):
                assert desk.canary_weight() == 0
                done = self.cluster.kubectl("sparkrelease", "approve", desk.name, "-n", desk.namespace, identity=who)
                assert (done.returncode, f"{signed} signed" in " ".join(done.stdout.split())) == (0, True), done

    def promises_broken(self) -> list[str]:
        events = list(self.cluster.audit_events(self.since))
        return [sentence for desk in self.desks.values() for sentence in promises_broken(desk, events)]

    def _have_past(self) -> bool:
        promql = f'count_over_time(idempotency_keys_active{{service="desk-stable"}}[5m]) >= {HISTORY}'
        seen = query(self.cluster.prometheus_local_url, promql)
        return {row["metric"]["namespace"] for row in seen} >= {desk.namespace for desk in self.desks.values()}


def policy() -> dict[str, Any]:
    """The policy, its stages and rules as much faster as the desks live, its checks and signatures as they are."""
    whole = policy_written(POLICY)
    around = {part: whole[part] for part in ("preflight", "checklist", "approvalExpires", "notifications")}
    spec = scaled(whole, FACTORS[POLICY]) | around | {"watch": WATCH}
    return {"apiVersion": API_VERSION, "kind": "ReleasePolicy", "metadata": {"name": POLICY}, "spec": spec}


def may_approve(desk: Desk) -> None:
    """The three may sign here, and read the policy that has the checklist, by the roles that are shipped."""
    group = "rbac.authorization.k8s.io"
    subjects = [{"apiGroup": group, "kind": "Group", "name": "approvers"}]
    for kind, place, role in (
        ("RoleBinding", {"namespace": desk.namespace}, "sparkrelease-approve"),
        ("ClusterRoleBinding", {}, "sparkrelease-policies"),
    ):
        desk.cluster.apply(
            {
                "apiVersion": f"{group}/v1",
                "kind": kind,
                "metadata": {"name": "approvers", **place},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
                "subjects": subjects,
            }
        )


@pytest.fixture(scope="module")
def chat(cluster: Cluster) -> Iterator[Receiver]:
    """The channel that the administrator declares by the name that the policy has."""
    with receiving(cluster.host_address) as one:
        yield one


@pytest.fixture(scope="module")
def floor(cluster: Cluster, operators: SoleOperator, chat: Receiver) -> Iterator[Floor]:
    """Both releases, signed. In the end every write to them must have kept the promises."""
    signer = Signer()
    servers = {name: server | {"alerts": list(BURN_ALERTS)} for name, server in patient(cluster).items()}
    known = declared(cluster, signer)
    known["files"]["slack-url"] = chat.url
    operators.run(
        **known,
        servers=servers,
        notifications={CHAT: {"kind": "slack", "urlFile": f"{cluster.operator_files}/slack-url"}},
    )
    begun = Floor(cluster, signer, chat)
    try:
        begun.open()
        begun.release()
        yield begun
        assert begun.promises_broken() == []
    finally:
        for desk in begun.desks.values():
            desk.close()


def seconds_of_checks(desk: Desk, folder: Path) -> float:
    """From the moment the release was applied to the answer of its last check; nothing of it is any faster here.

    When it was applied is told in whole seconds, so it may be a second less.
    """
    entries = map(json.loads, (folder / "evidence.jsonl").read_text().splitlines())
    passed = next(entry for entry in entries if entry["kind"] == "PreflightPassed")
    return at(passed["at"]) - at(desk.get()["metadata"]["creationTimestamp"])


def check_what_came_before(desk: Desk, body: dict[str, Any], folder: Path) -> None:
    """The same for both: nine checks of nine and in time, three signatures on all ten items, the seven files."""
    assert {one["name"]: one["verdict"] for one in body["checks"]} == {
        item["name"]: "Pass" for item in policy_written(POLICY)["preflight"]
    }
    assert 0 <= seconds_of_checks(desk, folder) <= VALIDATION
    assert {(one["by"], one["decision"]) for one in body["signatures"]} == {(who.name, "GO") for who in BOARD}
    texts = {name: (folder / name).read_text() for name in RITUAL}
    assert [name for name, text in texts.items() if "not part of this run" in text] == []
    assert [who.name for who in BOARD if who.name not in texts["go_nogo_signed.txt"]] == []
    assert [name for name in body["checks"] if name["name"] not in texts["blind_spots_scan.txt"]] == []


def longest_past() -> timedelta:
    """The longest time that a trigger looks back, with what it leaves out before."""
    spec = ReleasePolicySpec.model_validate(policy()["spec"])
    windows, none = {metric.name: metric.window for metric in spec.metrics}, timedelta(0)
    legs = [leg for trigger in spec.triggers for leg in trigger.all]
    return max(windows[leg.metric] + (leg.over or none) + (leg.warmup or none) for leg in legs)


def check_every_trigger_was_quiet(run: Run) -> None:
    """None acted; with its whole past there each can say at every gate and check, and each passes at the promotion.

    What is over its limit for less than its `for`, as latency on a busy machine, holds the run and is no act.
    """
    assert left_by_triggers(run) == []
    shifted = next(entry.at for entry in run.entries if entry.kind == "StageEntered")
    since = at(shifted) + longest_past().total_seconds()
    looks = [
        {one.rule: (one.verdict.value, one.reason) for one in look.inputs.after.verdicts if one.kind == "trigger"}
        for look in run.decisions
        if look.inputs is not None and look.inputs.after is not None and look.at.timestamp() >= since
        if {entry.kind for entry in look.entries} & {"GatePassed", "WatchChecked", "Promoted"}
    ]
    assert len(looks) > 24, "the checks of the watch, and the last gate before it"
    assert {tuple(look) for look in looks} == {RULES}
    assert {rule for look in looks for rule, said in look.items() if said not in {PASSES, BREACHED}} == set()
    assert looks[-1] == dict.fromkeys(RULES, PASSES)


def check_message(desk: Desk, posted: Posted, run: Run) -> None:
    """It came to the chat by the policy alone; it names evidence of the run, and what to type to look further."""
    assert posted.figure("Run") == run.id
    told = re.fullmatch(r"(sha256:\w{64}) \((\d+) entries\)", posted.figure("Evidence"))
    assert told is not None, posted
    assert (int(told[2]), told[1]) in [(entry.number, entry.digest) for entry in run.entries]
    assert posted.command == f"kubectl sparkrelease status {desk.name} -n {desk.namespace}"
    assert desk.told("NotificationTargetUnknown", "NotificationLost") == []


def check_told_of_rollback(posted: Posted, record: Mapping[str, Any]) -> None:
    """The message says which rule found what against which limit, from where traffic went back, and how soon."""
    rule = re.fullmatch(r"(\S+) Fail: (.+); limit (.+)", posted.figure("Rule"))
    assert rule is not None, posted
    assert (rule[1], rule[3]) == (record["trigger"], LIMITS[record["trigger"]])
    assert rule[2] in record["message"] and record["message"] in posted.sentence
    assert posted.figure("Canary weight") == "25 % → 0 %"
    assert posted.figure("Back on stable after") == f"{record['seconds']:g} s"
    assert (posted.figure("Stage"), posted.figure("Reason")) == ("quarter", "RolledBack")


def test_a_defect_at_a_quarter_of_the_traffic_goes_back_and_tells_why(floor: Floor, tmp_path: Path) -> None:
    desk = floor.desks["broken"]
    desk.until_weight(25, timeout=CHECKED)
    desk.break_canary("server-errors")
    desk.until_phase("RolledBack", timeout=30)
    status = desk.until("stored", lambda s: not s.get("pendingEvidence") and "trafficAt" in s.get("rollback", {}))
    assert desk.canary_weight() == 0
    record = status["rollback"]
    assert (record["stage"], record["fromWeight"]) == ("quarter", 25)
    assert record["trigger"] in LIMITS

    body = exported(floor.cluster, desk, tmp_path)
    check_what_came_before(desk, body, tmp_path)
    assert (body["outcome"], body["rollback"]["rule"]) == ("RolledBack", record["trigger"])
    assert [weight for _, weight in written(desk, floor.since)] == [0, 1, 5, 25, 0]
    assert [(one["name"], one["passing"]) for one in body["stages"] if one["status"] == "Passed"] == [
        ("one-percent", 6),
        ("five-percent", 6),
    ]
    kinds = ("rollback_", "metrics_before_rollback_", "metrics_after_rollback_", "incident_")
    names = [path.name for path in tmp_path.iterdir()]
    assert [kind for kind in kinds if not any(name.startswith(kind) for name in names)] == []
    run = decided(tmp_path)
    assert (record["reason"], record["trigger"]) in left_by_triggers(run)
    posted = floor.chat.until_posted(desk, " v2 rolled back")
    check_told_of_rollback(posted, record)
    check_message(desk, posted, run)
    assert [one for one in floor.chat.posted(desk) if "rolling back" in one.title] == [], "told once, with its end"
    note = (tmp_path / "release-notes.md").read_text()
    check_stages(note, body)
    check_metrics(note, body, SIX)
    check_rollback(note, run, record)
    risks = check_risks(note, body)
    assert "v2 was rolled back" in risks[0]
    assert not any("nobody signed" in risk or "was looked at" in risk for risk in risks)
    incident = next(path for path in tmp_path.iterdir() if path.name.startswith("incident_")).read_text()
    assert record["trigger"] in incident and "quarter" in incident
    with (tmp_path / "data" / "observations.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "http" and row["role"] == "canary"]
    assert any(float(row["bad"] or 0) > 0 for row in rows)


def test_a_healthy_release_passes_six_of_six_at_five_stages_is_watched_promoted_and_settled(
    floor: Floor, tmp_path: Path
) -> None:
    desk = floor.desks["well"]
    desk.until_phase("Watching", timeout=CHECKED + 60)
    assert len(RULES) == 14
    passing = dict.fromkeys(RULES, "Pass")
    wait_for(
        "all pass", lambda: {rule: said["verdict"] for rule, said in desk.verdicts().items()} == passing, timeout=30
    )
    desk.until_condition("Promoted", timeout=180)
    assert desk.status["phase"] == "Succeeded"
    assert desk.told("SteppedBack", "RolledBack") == []
    desk.deploy("stable", "v2", wait=False)
    desk.until_settled("v2", timeout=90)
    desk.until("stored", lambda s: not s.get("pendingEvidence"))

    body = exported(floor.cluster, desk, tmp_path)
    check_what_came_before(desk, body, tmp_path)
    assert (body["outcome"], body["stagesPassed"], body["rollback"]) == ("Settled", 5, None)
    *stages, watch = [one for one in body["stages"] if not one["walkBack"]]
    assert (watch["name"], watch["weight"]) == ("watch", 100)
    assert at(watch["leftAt"]) - at(watch["enteredAt"]) >= 48
    declared = policy()["spec"]["stages"]
    assert [(one["name"], one["weight"]) for one in stages] == [(one["name"], one["weight"]) for one in declared]
    for one in stages:
        assert (one["status"], one["passing"], one["objectives"], one["judgedOverStage"]) == ("Passed", 6, 6, True)
        least = 20 if one["name"] == "full" else 10
        assert least <= one["observedSeconds"] <= at(one["leftAt"]) - at(one["enteredAt"]) + 1
    assert [weight for _, weight in written(desk, floor.since)] == [0, 1, 5, 25, 50, 100, 50, 0]
    run = decided(tmp_path)
    check_every_trigger_was_quiet(run)
    posted = floor.chat.until_posted(desk, " v2 promoted")
    assert (posted.figure("Canary weight"), posted.figure("Reason")) == ("100 %", "Promoted")
    check_message(desk, posted, run)
    assert [one for one in floor.chat.posted(desk) if one.title.endswith("back")] == []
    note = (tmp_path / "release-notes.md").read_text()
    check_stages(note, body)
    check_metrics(note, body, SIX)
    assert "\n## Rollback events\n\nNone.\n" in note
    checks = [line for line in (tmp_path / "evidence.jsonl").read_text().splitlines() if '"WatchChecked"' in line]
    assert len(checks) == 24
    rows = [line for line in note.splitlines() if "| passed | 6/6 |" in line]
    assert [row.split("|")[1].strip() for row in rows][:5] == [one["name"] for one in declared]
