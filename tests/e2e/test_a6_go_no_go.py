"""Row A6: three people say GO before the first weight, one says NO-GO, one is waited for at a stage, one too long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from testbed.cluster import User
from testbed.evidence import stored
from testbed.shop import API_VERSION
from testbed.waiting import wait_for

if TYPE_CHECKING:
    import subprocess

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

pytestmark = pytest.mark.crowded

DEVOPS = User("lena@example.org", ("devops", "approvers"))
CTO = User("mira@example.org", ("cto", "approvers"))
OWNER = User("joão@example.org", ("product", "approvers"))
TEAM = [User(f"{name}@example.org", ("devops", "approvers")) for name in ("ole", "ida")]

CHECKLIST: list[dict[str, Any]] = [
    *({"name": name} for name in ("backups", "monitoring", "rollback-drill", "runbook", "on-call")),
    {"name": "capacity", "groups": ["devops"]},
    {"name": "migrations", "groups": ["devops"]},
    {"name": "budget", "groups": ["cto", "product"]},
    {"name": "two-of-us", "required": 2, "title": "Two people looked at the dashboards"},
    {"name": "all-of-us", "required": 3, "groups": ["devops", "cto", "product"]},
]
STAGES = [
    {"name": "five", "weight": 5, "duration": "3s"},
    {"name": "half", "weight": 50, "duration": "3s", "approval": {"groups": ["cto"]}},
    {"name": "full", "weight": 100, "duration": "3s"},
]
EXPIRES = 20
"""Seconds: longer than two people take, one after the other, on a busy machine."""

Say = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def say(operator: Operator, cluster: Cluster, shop: Shop) -> Say:
    """Runs the program as one of the three, who may approve by the role that is shipped."""
    group = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "approvers"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "sparkrelease-approve"}
    cluster.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "approvers", "namespace": shop.namespace},
            "roleRef": role,
            "subjects": [group],
        }
    )

    def run(who: User, *args: str) -> subprocess.CompletedProcess[str]:
        return cluster.kubectl("sparkrelease", *args, "-n", shop.namespace, identity=who)

    return run


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What was printed, in one line however it was folded."""
    return " ".join(done.stdout.split())


def shipped(shop: Shop, **spec: object) -> Shop:
    """A run that waits for people."""
    shop.open()
    shop.start_load(duration=300)
    shop.ship("v2", **spec)
    shop.until_phase("AwaitingApproval")
    return shop


def approvals_in_evidence(shop: Shop) -> list[Mapping[str, Any]]:
    """The entries that tell of signatures, in order."""
    return [entry for entry in stored(shop).entries if entry["kind"] in {"Approved", "NoGo"}]


@pytest.mark.timeout(240)
def test_ten_items_and_three_people_bring_a_release_to_its_end(shop: Shop, say: Say) -> None:
    shipped(shop, checklist=CHECKLIST)
    since = shop.cluster.audit_cursor()
    assert shop.status["gateText"] == "0/10"
    table = shop.cluster.kubectl("get", "sparkrelease", shop.name, "-n", shop.namespace).stdout
    assert "AwaitingApproval" in table and "0/10" in table

    first = say(DEVOPS, "approve", shop.name, "--comment", "drill went well")
    assert first.returncode == 0, first.stderr
    missing = "missing budget (of cto or product), two-of-us (1 more)"
    assert f"7 of 10 signed; {missing}, all-of-us (2 more, one each of cto and product)" in told(first)
    shop.until("seven", lambda s: s.get("gateText") == "7/10")

    again = say(DEVOPS, "approve", shop.name, "--item", "two-of-us")
    assert again.returncode == 1
    assert "has signed this already" in again.stderr
    foreign = say(DEVOPS, "approve", shop.name, "--item", "budget")
    assert foreign.returncode == 1
    assert "budget is signed by cto or product" in foreign.stderr
    assert say(DEVOPS, "approve", shop.name, "--item", "luck").returncode == 2

    second = say(CTO, "approve", shop.name)
    assert "9 of 10 signed; missing all-of-us (1 more of product)" in told(second)
    for colleague in TEAM:
        assert "9 of 10 signed; missing all-of-us (1 more of product)" in told(
            say(colleague, "approve", shop.name, "--item", "all-of-us")
        ), "three people of one team are not three roles"
    screen = told(say(CTO, "status", shop.name))
    assert "AwaitingApproval" in screen and "missing all-of-us (1 more of product)" in screen
    assert shop.canary_weight() == 0
    assert list(shop.weights_written(since)) == []

    last = say(OWNER, "approve", shop.name, "--item", "all-of-us")
    assert "10 of 10 signed" in told(last)
    shop.until_written(5, since)
    shop.until_condition("Promoted")
    shop.until_phase("Succeeded")

    (entry,) = approvals_in_evidence(shop)
    signed = {(one["by"], tuple(one["items"])) for one in entry["data"]["approvals"]}
    colleagues = {(colleague.name, ("all-of-us",)) for colleague in TEAM}
    assert signed == {(DEVOPS.name, ()), (CTO.name, ()), (OWNER.name, ("all-of-us",))} | colleagues
    roles = entry["data"]["items"]["all-of-us"]["roles"]
    assert roles == {"devops": DEVOPS.name, "cto": CTO.name, "product": OWNER.name}
    assert all(one["at"] for one in entry["data"]["approvals"])


def test_a_no_go_ends_the_run_as_blocked_and_no_request_reached_canary(shop: Shop, say: Say) -> None:
    shipped(shop, checklist=CHECKLIST)
    since = shop.cluster.audit_cursor()
    say(DEVOPS, "approve", shop.name)
    done = say(CTO, "reject", shop.name, "--reason", "orders are lost")
    assert done.returncode == 0, done.stderr
    shop.until_phase("Blocked")
    assert shop.reason() == "NoGo"
    assert "NO-GO by mira@example.org: orders are lost" in shop.condition("Ready")["message"]
    assert say(OWNER, "approve", shop.name).returncode == 1
    assert list(shop.weights_written(since)) == []
    (entry,) = approvals_in_evidence(shop)
    assert (entry["kind"], entry["data"]["noGo"]["by"]) == ("NoGo", CTO.name)

    first = shop.status["run"]["id"]
    retried = shop.cluster.kubectl("sparkrelease", "retry", shop.name, "-n", shop.namespace)
    assert retried.returncode == 0, retried.stderr
    shop.until_phase("AwaitingApproval")
    assert shop.status["run"]["id"] != first
    assert shop.status["gateText"] == "0/10", "what was signed before is for the run before"


@pytest.mark.timeout(240)
def test_a_signature_that_ran_out_counts_no_more_before_the_begin_or_at_a_stage_and_is_given_anew(
    shop: Shop, say: Say
) -> None:
    wanted = [{"name": "backups", "groups": ["devops"]}, {"name": "budget", "groups": ["cto"]}]
    shipped(shop, checklist=wanted, stages=STAGES, approvalExpires=f"{EXPIRES}s")
    since = shop.cluster.audit_cursor()
    assert "1 of 1 signed" in told(say(CTO, "approve", shop.name, "--stage", "half")), "in advance"
    assert "1 of 2 signed; missing budget (of cto)" in told(say(DEVOPS, "approve", shop.name))
    shop.until("one of two", lambda s: s.get("gateText") == "1/2")
    early = [one["metadata"]["name"] for one in shop.cluster.list(API_VERSION, "ReleaseApproval", shop.namespace)]
    assert len(early) == 2
    shop.until("none of two", lambda s: s.get("gateText") == "0/2", timeout=2 * EXPIRES)
    for late in (CTO, DEVOPS):
        assert f"{late.name}: it is older than {EXPIRES} s" in shop.condition("AwaitingApproval")["message"]

    missing = "1 of 2 signed; missing backups (of devops)"
    assert missing in told(say(CTO, "approve", shop.name)), "the one that ran out is not in the way of another"
    shop.until("one of two again", lambda s: s.get("gateText") == "1/2")
    assert list(shop.weights_written(since)) == []
    assert "2 of 2 signed" in told(say(DEVOPS, "approve", shop.name))

    shop.until_weight(5)
    shop.until_phase("AwaitingApproval")
    assert (shop.status["gateText"], shop.canary_weight()) == ("0/1", 5)
    message = shop.condition("AwaitingApproval")["message"]
    assert message.startswith("stage half: 0 of 1 signed; missing stage half (of cto); not counted: ")
    assert f"{CTO.name}: it is older than {EXPIRES} s" in message
    assert "1 of 1 signed" in told(say(CTO, "approve", shop.name))
    shop.until_written(50, since)
    begun, half = approvals_in_evidence(shop)
    counted = [{(one["by"], one["name"] in early) for one in entry["data"]["approvals"]} for entry in (begun, half)]
    assert counted == [{(CTO.name, False), (DEVOPS.name, False)}, {(CTO.name, False)}]


def test_a_stage_waits_at_the_weight_before_it_and_a_breach_meanwhile_goes_back(shop: Shop, say: Say) -> None:
    shipped(shop, stages=STAGES)
    assert shop.canary_weight() == 5
    assert shop.status["gateText"] == "0/1"
    outsider = say(OWNER, "approve", shop.name)
    assert outsider.returncode == 1
    assert "stage half is signed by cto" in outsider.stderr

    shop.cluster.set_app(shop.namespace, f"app={shop.name}-canary", error=0.5)
    shop.until_phase("RolledBack")
    assert shop.canary_weight() == 0
    assert shop.status["rollback"]["trigger"] == "burst"
    assert shop.condition("AwaitingApproval") == {}


def test_a_signed_stage_goes_on_and_a_no_go_at_the_next_one_rolls_back(shop: Shop, say: Say) -> None:
    gated = [*STAGES[:2], {**STAGES[2], "approval": {"required": 2}}]
    shipped(shop, stages=gated)
    done = say(CTO, "approve", shop.name)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 signed" in told(done)
    shop.until_weight(50)
    shop.until("two are wanted", lambda s: s.get("gateText") == "0/2")
    assert "1 of 2 signed" in told(say(DEVOPS, "approve", shop.name))
    shop.until("one has signed", lambda s: s.get("gateText") == "1/2")
    assert say(OWNER, "reject", shop.name, "--reason", "not on a Friday").returncode == 0
    shop.until_phase("RolledBack")
    assert shop.status["rollback"]["reason"] == "NoGo"
    wait_for("all traffic on stable", lambda: shop.canary_weight() == 0)
    wait_for(
        "both are in the evidence",  # a rollback does not wait for its own
        lambda: [entry["kind"] for entry in approvals_in_evidence(shop)] == ["Approved", "NoGo"],
    )
