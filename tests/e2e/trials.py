"""A trading desk under release for each rule of a ready-made policy: all at once, each with the fault of its rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import yaml

from e2e.conftest import promises_broken
from e2e.release_files import Signer, declared, publish
from testbed import app
from testbed.app import App
from testbed.cluster import Cluster
from testbed.evidence import whole
from testbed.kubeapi import KubeObject
from testbed.paths import PROJECT
from testbed.prometheus import query
from testbed.scaling import scaled
from testbed.shop import API_VERSION, GIT, Shop, operator_config
from testbed.sole_operator import SoleOperator
from testbed.waiting import wait_for

FACTORS = {"spark-standard": 60.0, "spark-feature-flag": 600.0}
"""How many times faster the policies are: a stage of a quarter of an hour takes 15 seconds, one of four hours 24."""

HISTORY = 35
"""Scrapes of stable before the releases begin: a baseline is made of at least five windows."""

LONG = "20m"
LOAD = 800.0
"""Seconds of traffic: longer than everything here takes, on whichever lane."""

ON_THEIR_WAY = {
    "api-p95": "on a busy machine: the p95 of the fifteen answers that some windows have is the slowest one",
    "non-improving-latency": "the same; and the answers of the fault slow-answers wait without CPU, as this rule says",
}
"""Rules that may be over their limits when another one rolls back, each with the reason; for less than their `for`."""


@dataclass(frozen=True)
class Case:
    """One rule, the fault it is there for, and the traffic it takes to be seen. Without a fault it is a healthy run.

    `before` is the fault that stable has until canary gets its own; `says` what the release says beside all others.
    """

    rule: str
    fault: str = ""
    policy: str = "spark-standard"
    weight: float = 50
    rps: float = 6
    before: str = ""
    says: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        return f"{self.policy.removeprefix('spark-')}-{self.rule}"


class Desk(Shop):
    """A shop whose sides are the example application, one pod each, that lives as much faster as its policy."""

    pace: float = 1.0

    def deploy(
        self, side: str, version: str, *, replicas: int = 1, wait: bool = True, error: float = 0.0, latency: str = "0s"
    ) -> App:
        deployed = App(self.namespace, f"{self.name}-{side}", self.cluster.app_image(version, "trading"), 1)
        self.cluster.apply(app.deployment(deployed, env={"PACE": f"{self.pace:g}"}))
        self.cluster.apply(app.service(deployed))
        if wait:
            self.wait_rolled_out(side)
        return deployed

    def break_canary(self, fault: str) -> None:
        """Switches the fault on in the canary's pod, over HTTP."""
        self.switch("canary", fault)

    def switch(self, side: str, fault: str) -> None:
        """Switches the fault on, and any other one off, in a side's pod; none heals."""
        pods = self.cluster.list("v1", "Pod", self.namespace, labels=f"app={self.name}-{side}")
        for pod in pods:
            app.switch(self.cluster.pod_url(pod), faults=fault)

    def release_by(self, policy: str, spec: Mapping[str, Any]) -> None:
        """Applies a release that takes its rules from the policy alone."""
        body = self.manifest("v2", policyRef={"name": policy})
        for part in ("stages", "metrics", "thresholds", "triggers", "settle"):
            del body["spec"][part]
        body["spec"] |= spec
        self.cluster.apply(body, manager=GIT)

    def told(self, *reasons: str) -> list[str]:
        """Messages of its Events with one of these reasons."""
        events = self.cluster.list("v1", "Event", self.namespace)
        return [event["message"] for event in events if event["reason"] in reasons]

    def verdicts(self) -> Mapping[str, Mapping[str, Any]]:
        """What each trigger says now."""
        return {v["rule"]: v for v in self.status.get("verdicts", []) if v["kind"] == "trigger"}


class Trials:
    """Every case with its desk, begun together.

    `spec` is what each release says beside its policy, where it is not one long stage; `past` so many scrapes of stable
    are waited for; `factors` how many times faster than written each policy is. With a `signer`, whom the operator
    knows, each desk has the files of its build.
    """

    def __init__(
        self,
        cluster: Cluster,
        cases: Sequence[Case],
        spec: Mapping[str, Any] | None = None,
        *,
        past: int = HISTORY,
        factors: Mapping[str, float] = FACTORS,
        signer: Signer | None = None,
    ) -> None:
        self.cluster = cluster
        self.factors = factors
        self.signer = signer
        self.spec = spec
        self.past = past
        self.cases = {case.name: case for case in cases}
        self.desks: dict[str, Desk] = {}
        self.since = cluster.audit_cursor()

    def begin(self) -> None:
        """Deploys all, gives their stables a past, releases, and breaks each canary once it has its traffic."""
        for name, factor in self.factors.items():
            self.cluster.apply(policy(name, factor))
        with ThreadPoolExecutor(max_workers=8) as workers:
            for _ in workers.map(self._open, self.cases.values()):
                pass
            wait_for("a past for every baseline", self._have_past, timeout=90, every=1)
            for _ in workers.map(self._release, self.cases.values()):
                pass
        with ThreadPoolExecutor(max_workers=len(self.cases)) as workers:
            for _ in workers.map(self._break, self.cases.values()):
                pass

    def end(self) -> None:
        """Ends the clients and asks for the namespaces to go."""
        for desk in self.desks.values():
            desk.close()

    def promises_broken(self) -> list[str]:
        """What was written to the desks against the operator's promises."""
        events = list(self.cluster.audit_events(self.since))
        return [sentence for desk in self.desks.values() for sentence in promises_broken(desk, events)]

    def _open(self, case: Case) -> None:
        """Each worker waits for its own pods: forty that start at once would all be late."""
        desk = self.desks[case.name] = Desk(self.cluster, self.cluster.namespace("trial"), "desk")
        desk.pace = self.factors[case.policy]
        desk.deploy("stable", "v1", wait=False)
        desk.deploy("canary", "v2", wait=False)
        desk.apply_route()
        desk.wait_rolled_out("stable")
        desk.wait_rolled_out("canary")
        desk.wait_serving()
        if self.signer is not None:
            publish(desk, self.signer)
        desk.start_load(rps=case.rps, duration=LOAD)
        if case.before:
            desk.switch("stable", case.before)

    def _have_past(self) -> bool:
        seen = query(
            self.cluster.prometheus_local_url,
            f'count_over_time(idempotency_keys_active{{service="desk-stable"}}[5m]) >= {self.past}',
        )
        return {row["metric"]["namespace"] for row in seen} >= {desk.namespace for desk in self.desks.values()}

    def _release(self, case: Case) -> None:
        desk = self.desks[case.name]
        spec = one_stage(case.weight) if self.spec is None else self.spec
        desk.release_by(case.policy, {**spec, **case.says})

    def _break(self, case: Case) -> None:
        if not case.fault:
            return
        desk = self.desks[case.name]
        try:  # a preflight that a busy machine fails is tried again every half a minute
            desk.until_weight(case.weight, timeout=90)
        except TimeoutError as late:
            raise AssertionError(f"{case.name}: {late}; {desk.condition('Ready').get('message')}") from late
        desk.break_canary(case.fault)
        if case.before:
            desk.switch("stable", "")


def on_trial(
    cluster: Cluster,
    operators: SoleOperator,
    cases: Sequence[Case],
    spec: Mapping[str, Any] | None = None,
    *,
    past: int = HISTORY,
    factors: Mapping[str, float] = FACTORS,
    signer: Signer | None = None,
) -> Iterator[Trials]:
    """All cases, begun, for a fixture. In the end every write to them must have kept the promises."""
    operators.run(servers=patient(cluster), **(declared(cluster, signer) if signer is not None else {}))
    begun = Trials(cluster, cases, spec, past=past, factors=factors, signer=signer)
    try:
        begun.begin()
        yield begun
        assert begun.promises_broken() == []
    finally:
        begun.end()


def rolls_back_for_its_fault_alone(trials: Trials, case: Case) -> None:
    """The rule's own trigger ends the run. Its evidence has what each of all said then: no other one was true.

    The two about slow answers may have been over their limits for less than their time.
    """
    desk = trials.desks[case.name]
    status = desk.until_phase("RolledBack", timeout=90)
    assert status["rollback"]["trigger"] == case.rule, status["rollback"]
    told = whole(desk).last("TriggerFired")["data"]
    assert set(told["legs"]) == {trigger["name"] for trigger in written(case.policy)["triggers"]}
    others = dict(told["triggers"])
    assert others.pop(case.rule)["action"] == "rollback"
    true = {
        rule: (said, told["legs"][rule])
        for rule, said in others.items()
        if rule not in ON_THEIR_WAY or said["heldForSeconds"] >= said["forSeconds"]
    }
    assert true == {}


def patient(cluster: Cluster) -> dict[str, Any]:
    """The operator's servers, each with more time to answer: twenty releases begin at once, and machines differ."""
    servers: dict[str, Any] = operator_config(cluster)["servers"]
    return {name: server | {"timeout": "10s"} for name, server in servers.items()}


def one_stage(weight: float) -> dict[str, Any]:
    """One long stage, and no comparison: it sees slow and failing canaries sooner than the triggers on trial do."""
    return {"stages": [{"name": "on-trial", "weight": weight, "duration": LONG}], "comparison": {"tests": []}}


def written(name: str) -> dict[str, Any]:
    """A ready-made policy's spec."""
    spec: dict[str, Any] = yaml.safe_load((PROJECT / "manifests" / "policies" / f"{name}.yaml").read_text())["spec"]
    return spec


def policy(name: str, factor: float) -> KubeObject:
    """A ready-made policy, that many times faster."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ReleasePolicy",
        "metadata": {"name": name},
        "spec": scaled(written(name), factor),
    }
