"""What only the operator can know to be wrong: Stalled with its reason within a round, healed by the next good edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from testbed.alertmanager import Alertmanager
from testbed.kubeapi import ApiError
from testbed.shop import API_VERSION, ERRORS, KIND, Shop, operator_config
from testbed.waiting import wait_for
from unit.api.wrong import GOOD

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator

BURN_RATE = "ErrorBudgetBurn1h"
"""An alert that the cluster's Prometheus has loaded."""

SOON = 10.0
"""Seconds within which the status must tell: a few ticks of a second on a busy machine."""

TRIGGER = {"name": "burst", "all": [{"metric": "http", "op": ">", "value": 0.5}]}
LATENCY = {"name": "latency", "buckets": "http_request_duration_seconds_bucket", "quantile": 0.95, "unit": "s"}

Node = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A release that the API server takes and the operator cannot follow."""

    what: str
    reason: str
    says: str
    wrong: Node
    good: Node = field(default_factory=dict)


def route(name: str, **more: object) -> Node:
    return {"route": {"name": name, **more}}


def traffic(stable: str = "shop-stable", canary: str = "shop-canary", **gateway: object) -> Node:
    return {
        "stable": {"service": stable, "port": 8080},
        "canary": {"service": canary, "port": 8080},
        "gatewayAPI": gateway or route("shop"),
    }


def value(query: str) -> Node:
    """A spec whose only metric is this query."""
    trigger = {"name": "t", "all": [{"metric": "m", "op": ">", "value": 1e9}]}
    return {"metrics": [{"name": "m", "value": query}], "thresholds": [], "triggers": [trigger]}


def never_judged(at: str) -> Node:
    """A limit that counts in a place the release does not have."""
    return {"thresholds": [{"name": "late", "metric": "http", "max": 0.01, "at": at}]}


def acting(**fields: object) -> Node:
    """A release whose one trigger does something."""
    return {"triggers": [TRIGGER | fields]}


def checked(**item: object) -> Node:
    """A release with one item of preflight."""
    return {"preflight": [{"name": "check", **item}]}


SETTINGS = {"configMap": "settings", "set": {"FLOOR": "0.65"}}
SCHEMA = "/spec/versions/0/schema/openAPIV3Schema"
RULES = f"{SCHEMA}/properties/spec/properties/settle/properties/steps/x-kubernetes-validations"
"""Where the rule on the steps of a settling is in the definition."""

WITHIN_POLICY = {"metrics": [], "thresholds": [], "triggers": [], "stages": []}

CASES = [
    Case("a policy that does not exist", "PolicyNotFound", "spec.policyRef.name", {"policyRef": {"name": "absent"}}),
    Case(
        "a policy without stages", "InvalidSpec", "spec.stages", WITHIN_POLICY | {"policyRef": {"name": "empty-policy"}}
    ),
    Case(
        "a threshold on a metric neither release nor policy has",
        "InvalidSpec",
        "spec.thresholds[errors].metric",
        {"metrics": [], "triggers": [], "policyRef": {"name": "empty-policy"}},
    ),
    Case(
        "a trigger on a metric neither release nor policy has",
        "InvalidSpec",
        "spec.triggers[burst].all[0].metric",
        {"metrics": [], "thresholds": [], "policyRef": {"name": "empty-policy"}},
    ),
    Case(
        "a lower limit on a quantile of the policy",
        "InvalidSpec",
        "spec.thresholds[low].min",
        {"thresholds": [{"name": "low", "metric": "slow", "min": 0.1}], "policyRef": {"name": "quantile-policy"}},
    ),
    Case("a threshold of a watch that is not", "InvalidSpec", "spec.thresholds[late].at: watch", never_judged("watch")),
    Case("a threshold of no mirror", "InvalidSpec", "spec.thresholds[late].at: mirror", never_judged("mirror")),
    Case(
        "a watch that looks at every moment",
        "InvalidSpec",
        "spec.watch.every: must be longer than 0s",
        {"watch": {"duration": "1h", "every": "0s"}},
        {"watch": {"duration": "1h", "every": "1m"}},
    ),
    Case(
        "an error budget of a quantile",
        "InvalidSpec",
        "spec.errorBudget.metric",
        {"metrics": [ERRORS, LATENCY], "errorBudget": {"metric": "latency", "objective": 0.9}},
    ),
    Case(
        "a step back to no stage",
        "InvalidSpec",
        "spec.triggers[burst].stage: no stage is called first",
        acting(action="stepBack", stage="first"),
        acting(action="stepBack", stage="full"),
    ),
    Case(
        "a stage for a trigger that goes to none",
        "InvalidSpec",
        "stage belongs to the action stepBack",
        acting(action="hold", stage="full"),
        acting(action="hold"),
    ),
    Case(
        "a counter-move that moves nothing",
        "InvalidSpec",
        "mitigation.set",
        acting(action="mitigate", mitigation=SETTINGS | {"set": {}}),
    ),
    Case(
        "a counter-move beside a rollback",
        "InvalidSpec",
        "mitigation belongs to the actions mitigate, stepBack and notify",
        acting(action="rollback", mitigation=SETTINGS),
        acting(action="rollback"),
    ),
    Case(
        "a query of preflight without a limit",
        "InvalidSpec",
        "spec.preflight[0].expect: a query needs a limit",
        checked(promql="sum(up)"),
        checked(promql="sum(up)", expect=["value >= 1"]),
    ),
    Case(
        "words that no header is to have, and none named",
        "InvalidSpec",
        "spec.preflight[0].expect[0]: the list is empty",
        checked(http="http://$canary/", expect=["X-Version lacks ,"]),
        checked(http="http://$canary/", expect=["X-Version lacks v9"]),
    ),
    Case(
        "a file that nothing binds",
        "InvalidSpec",
        "spec.preflight[0].artifact: a file is bound by its digest or a signature",
        checked(artifact="release-files/sbom.json", kind="sbom"),
    ),
    Case("a server nobody declared", "PrometheusUnknown", "elsewhere", {"prometheus": "elsewhere"}),
    Case("an alert that no server has loaded", "AlertMissing", "NoSuchBurnRate1h", {"prometheus": "watched"}),
    Case("a route that does not exist", "RouteNotFound", "absent", {"traffic": traffic(**route("absent"))}),
    Case("a rule the route does not have", "RouteInvalid", "nope", {"traffic": traffic(**route("shop", rule="nope"))}),
    Case("a Service that does not exist", "ServiceNotFound", "absent", {"traffic": traffic(canary="absent")}),
    Case("a query that is not PromQL", "InvalidQuery", "m", value("sum by ($by) (")),
    Case("a query that breaks out of its selector", "InvalidQuery", "m", value('up{$sel"} or vector(0)')),
    Case("a metric nobody exports", "NoSeries", "m", value("no_such_metric_at_all{$sel}")),
    Case(
        "a limit between two edges of the histogram",
        "BucketEdge",
        "0.2",
        {"metrics": [LATENCY], "thresholds": [{"name": "p95", "metric": "latency", "max": 0.19}], "triggers": []},
    ),
]


@pytest.fixture(scope="module")
def operator(cluster: Cluster) -> Iterator[Operator]:
    """An operator with a tick of a second; other servers ask for an alert that is nowhere, or not to be silenced."""
    config = operator_config(cluster)
    server, manager = config["servers"]["default"], Alertmanager.url
    config["servers"]["watched"] = server | {"alerts": ["NoSuchBurnRate1h"]}
    config["servers"]["heard"] = server | {"alerts": [BURN_RATE], "alertmanager": manager}
    running = cluster.start_operator(config)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def policies(cluster: Cluster) -> Iterator[None]:
    """Policies that lack something."""
    slow = {"name": "slow", "buckets": "slow_bucket", "quantile": 0.5}
    specs: dict[str, Node] = {"empty-policy": {}, "quantile-policy": {"metrics": [slow]}}
    for name, spec in specs.items():
        cluster.apply({"apiVersion": API_VERSION, "kind": "ReleasePolicy", "metadata": {"name": name}, "spec": spec})
    yield
    for name in specs:
        cluster.delete(API_VERSION, "ReleasePolicy", name)


@pytest.fixture(scope="module")
def shop(cluster: Cluster, operator: Operator, policies: None) -> Iterator[Shop]:
    """A live service with a new version behind canary, and clients, so that its metrics exist."""
    made = Shop(cluster, cluster.namespace("stalled")).open("v1", "v2", replicas=1)
    made.start_load(rps=20, duration=600)
    yield made
    made.close()


@pytest.fixture
def apply(shop: Shop, request: pytest.FixtureRequest) -> Iterator[Callable[[Node], Node]]:
    """Applies the one release of the shop: what the case says over a good one with long stages. Removed afterwards."""

    def write(changes: Node) -> Node:
        spec = {
            "triggers": [TRIGGER],
            "metrics": [ERRORS],
            "stages": [{"name": "full", "weight": 100, "duration": "1h"}],
        }
        return shop.release("v2", **(spec | changes))

    yield write
    shop.cluster.delete(API_VERSION, KIND, shop.name, shop.namespace)
    wait_for("the release is gone", lambda: stalled(shop) is None and not exists(shop), timeout=20)
    shop.apply_route()


def exists(shop: Shop) -> bool:
    try:
        shop.cluster.get(API_VERSION, KIND, shop.name, shop.namespace)
    except ApiError as error:
        return error.code != 404
    return True


def status(shop: Shop) -> Node:
    body = shop.cluster.get(API_VERSION, KIND, shop.name, shop.namespace)
    found: Node = body.get("status", {})
    return found if found.get("observedGeneration") == body["metadata"]["generation"] else {}


def condition(shop: Shop, kind: str) -> Node | None:
    return next((c for c in status(shop).get("conditions", []) if c["type"] == kind), None)


def stalled(shop: Shop) -> Node | None:
    try:
        return condition(shop, "Stalled")
    except ApiError:
        return None


def canary_weight(shop: Shop) -> int:
    body = shop.cluster.get("gateway.networking.k8s.io/v1", "HTTPRoute", shop.name, shop.namespace)
    (backend,) = [b for b in body["spec"]["rules"][0]["backendRefs"] if b["name"].endswith("-canary")]
    return int(backend["weight"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_it_becomes_stalled_with_its_reason_and_heals_with_the_next_good_edit(
    shop: Shop, apply: Callable[[Node], Node], case: Case
) -> None:
    apply(case.wrong)
    said = wait_for(f"Stalled: {case.what}", lambda: condition(shop, "Stalled"), timeout=SOON)
    ready = condition(shop, "Ready")
    assert (said["status"], said["reason"]) == ("True", case.reason), said
    assert case.says in said["message"]
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", case.reason)
    assert canary_weight(shop) == 0

    apply(case.good)
    wait_for(
        "no longer Stalled, a run is under way",
        lambda: condition(shop, "Stalled") is None and status(shop).get("phase") == "Progressing",
        timeout=60,  # a preflight that came before the first scrape of these pods is tried again after half a minute
    )


@pytest.mark.timeout(240)
def test_a_silence_keeps_a_run_from_starting_until_it_runs_out(
    shop: Shop, apply: Callable[[Node], Node], alertmanager: Alertmanager
) -> None:
    silence = alertmanager.silence(BURN_RATE, timedelta(hours=1))
    apply({"prometheus": "heard"})
    said = wait_for("Stalled", lambda: condition(shop, "Stalled"), timeout=SOON)
    assert (said["reason"], said["message"]) == (
        "AlertSilenced",
        f"alerts/{BURN_RATE}: silence {silence} holds it back: a deployment",
    )
    assert canary_weight(shop) == 0

    alertmanager.shorten(silence, timedelta(seconds=1))
    wait_for("a run is under way", lambda: status(shop).get("phase") == "Progressing", timeout=60)


def test_a_policy_that_appears_later_heals_the_releases_that_name_it(
    cluster: Cluster, shop: Shop, apply: Callable[[Node], Node]
) -> None:
    apply({"policyRef": {"name": "late-policy"}})
    wait_for("Stalled", lambda: condition(shop, "Stalled"), timeout=SOON)
    cluster.apply({"apiVersion": API_VERSION, "kind": "ReleasePolicy", "metadata": {"name": "late-policy"}, "spec": {}})
    try:
        wait_for("healed", lambda: status(shop) and condition(shop, "Stalled") is None, timeout=30)
    finally:
        cluster.delete(API_VERSION, "ReleasePolicy", "late-policy")


def test_a_stalled_release_is_left_alone_until_somebody_edits_it(
    cluster: Cluster, shop: Shop, apply: Callable[[Node], Node]
) -> None:
    apply({"policyRef": {"name": "absent"}})
    wait_for("Stalled", lambda: condition(shop, "Stalled"), timeout=SOON)
    before = cluster.get(API_VERSION, KIND, shop.name, shop.namespace)["metadata"]["resourceVersion"]
    since = cluster.audit_cursor()
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tick", "namespace": shop.namespace}})
    wait_for("three ticks have passed", _ticks(3), timeout=20, every=1.0)
    mine = [e for e in cluster.audit_events(since) if e.namespace == shop.namespace]
    writes = [e for e in mine if e.writes and e.resource == "sparkreleases"]
    assert writes == []
    assert cluster.get(API_VERSION, KIND, shop.name, shop.namespace)["metadata"]["resourceVersion"] == before


def test_a_release_older_than_a_rule_is_told_so_and_heals(
    cluster: Cluster, shop: Shop, apply: Callable[[Node], Node]
) -> None:
    older = {"settle": {"steps": [10, 50, 0], "interval": "2s"}}
    with without_rule_on_steps(cluster, lambda: apply(older)):
        pass
    with pytest.raises(ApiError, match="weights fall from step to step"):
        apply(older | {"settle": {"steps": [20, 50, 0]}})
    edited = cluster.patch(API_VERSION, KIND, shop.name, shop.namespace, {"spec": {"paused": True}})
    said = wait_for("the edit is answered", lambda: condition(shop, "Stalled"), timeout=SOON)
    assert said["observedGeneration"] == edited["metadata"]["generation"]
    assert (said["reason"], "spec.settle.steps" in said["message"]) == ("InvalidSpec", True)

    apply({})
    wait_for("healed", lambda: status(shop) and condition(shop, "Stalled") is None, timeout=30)


@contextmanager
def without_rule_on_steps(cluster: Cluster, create: Callable[[], Node]) -> Iterator[Node]:
    """What `create` makes while the definition does not have the rule yet; the rule is back, and in force, after it."""
    kind = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "sparkreleases.sparkrelease.dev")
    rules: Any = cluster.get(*kind)
    for step in RULES.split("/")[1:]:
        rules = rules[int(step) if step.isdigit() else step]
    cluster.patch(*kind, None, [{"op": "remove", "path": RULES}])
    try:
        yield wait_for("the rule is gone", create, timeout=20, every=0.2, expected=(ApiError,))
    finally:
        cluster.patch(*kind, None, [{"op": "add", "path": RULES, "value": rules}])
        wait_for("the rule is back", lambda: refuses_rising_steps(cluster), timeout=20, every=0.2)


def refuses_rising_steps(cluster: Cluster) -> bool:
    spec = GOOD | {"settle": {"steps": [10, 50, 0]}}
    body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "another"}, "spec": spec}
    path = f"/apis/{API_VERSION}/namespaces/default/sparkreleases"
    try:
        cluster.api.request("POST", path, body, query={"dryRun": "All"})
    except ApiError as error:
        return error.code == 422
    return False


def _ticks(number: int) -> Callable[[], bool]:
    """A condition that is asked once per tick and true after so many of them."""
    asked = iter(range(number + 1))
    return lambda: next(asked, number) >= number
