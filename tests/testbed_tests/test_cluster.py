"""A lane keeps its promises: what an end-to-end test builds on, shown on a running cluster."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
import urllib3
from websockets.sync.client import connect

from testbed import prometheus
from testbed.cluster import ServiceAccount, User
from testbed.kubeapi import ApiError
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.app import App
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject


def route(cluster: Cluster, ns: str, stable: App, canary: App, weight: int) -> KubeObject:
    backends = [
        {"name": stable.name, "port": 8080, "weight": 100 - weight},
        {"name": canary.name, "port": 8080, "weight": weight},
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": ns},
        "spec": {
            "parentRefs": [cluster.gateway_parent_ref],
            "hostnames": [host(ns)],
            "rules": [{"name": "main", "backendRefs": backends}],
        },
    }


def host(ns: str) -> str:
    return f"shop.{ns}.example"


def both_serve(cluster: Cluster, ns: str) -> bool:
    """Whether the gateway has endpoints of both sides: each has answered, and in between every answer was good."""
    seen = cluster.start_load(host(ns), rps=100, n=20).wait()
    return set(seen.by) == {"v1/200", "v2/200"}


@pytest.fixture
def shop(cluster: Cluster, ns: str) -> tuple[App, App]:
    stable = cluster.deploy_app(ns, "shop-stable", "v1", replicas=2)
    canary = cluster.deploy_app(ns, "shop-canary", "v2")
    cluster.apply(route(cluster, ns, stable, canary, weight=50))
    wait_for("both versions serve", lambda: both_serve(cluster, ns))
    return stable, canary


def test_traffic_is_split_as_the_route_says_and_both_counters_agree(
    cluster: Cluster, ns: str, shop: tuple[App, App]
) -> None:
    seen = cluster.start_load(host(ns), rps=200, n=400).wait()
    assert seen.failed == 0
    assert 0.35 < seen.share("v2") < 0.65
    for counter in ("http_requests_total", "envoy_cluster_upstream_rq_total"):
        for app, version in zip(shop, ("v1", "v2"), strict=True):
            query = f'sum({counter}{{namespace="{ns}",service="{app.name}"}})'
            wait_for(
                f"{query} to reach {seen.versions[version]}",
                lambda q=query, v=version: value(cluster, q) >= seen.versions[v],  # type: ignore[misc] # bound now
                timeout=10,
            )


def value(cluster: Cluster, query: str) -> float:
    series = prometheus.query(cluster.prometheus_local_url, query)
    return float(series[0]["value"][1]) if series else 0.0


def test_latency_of_the_gateway_is_counted_up_to_200_milliseconds(
    cluster: Cluster, ns: str, shop: tuple[App, App]
) -> None:
    cluster.start_load(host(ns), n=20).wait()
    query = f'sum(envoy_cluster_upstream_rq_time_bucket{{namespace="{ns}",le=~"200|200.0"}})'
    wait_for("bucket", lambda: value(cluster, query) >= 20, timeout=10)


def test_a_switch_turns_running_pods_bad_at_once(cluster: Cluster, ns: str, shop: tuple[App, App]) -> None:
    assert cluster.set_app(ns, shop[1].selector, error=1.0) == 1
    seen = cluster.start_load(host(ns), rps=200, n=100).wait()
    assert seen.failed == seen.versions["v2"] == seen.by["v2/500"]


def test_another_image_is_another_image_id_and_a_rollout_loses_no_request(
    cluster: Cluster, ns: str, shop: tuple[App, App]
) -> None:
    before = image_ids(cluster, ns, shop[1])
    load = cluster.start_load(host(ns), rps=100, duration=200)
    cluster.deploy_app(ns, "shop-canary", "v3")
    wait_for("v3 answers", lambda: any(answer.version == "v3" for answer in load.answers()))
    assert load.stop().failed == 0
    assert image_ids(cluster, ns, shop[1]).isdisjoint(before)


def image_ids(cluster: Cluster, ns: str, app: App) -> set[str]:
    pods = cluster.list("v1", "Pod", ns, labels=app.selector)
    running = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return {container["imageID"] for pod in running for container in pod["status"]["containerStatuses"]}


def test_an_unknown_image_never_becomes_ready(cluster: Cluster, ns: str) -> None:
    cluster.deploy_app(ns, "broken", "missing", wait=False)

    def reason() -> str:
        pods = cluster.list("v1", "Pod", ns)
        states = [c["state"] for pod in pods for c in pod["status"].get("containerStatuses", [])]
        return states[0].get("waiting", {}).get("reason", "") if states else ""

    assert wait_for("reason", reason) == "ImagePullBackOff"


def test_a_crashing_pod_is_restarted_and_says_so(cluster: Cluster, ns: str) -> None:
    cluster.deploy_app(ns, "shaky", "v1", env={"CRASH_AFTER": "300ms"}, wait=False)

    def restarts() -> int:
        pods = cluster.list("v1", "Pod", ns)
        return max((c["restartCount"] for p in pods for c in p["status"].get("containerStatuses", [])), default=0)

    wait_for("two restarts", lambda: restarts() >= 2, timeout=15)


def test_what_is_not_ready_gets_no_traffic(cluster: Cluster, ns: str, shop: tuple[App, App]) -> None:
    cluster.set_app(ns, shop[1].selector, ready=False)

    def endpoints() -> list[bool]:
        slices = cluster.list("discovery.k8s.io/v1", "EndpointSlice", ns)
        mine = [s for s in slices if s["metadata"]["labels"]["kubernetes.io/service-name"] == "shop-canary"]
        return [e["conditions"]["ready"] for s in mine for e in s["endpoints"] or []]

    wait_for("endpoint out", lambda: endpoints() == [False], timeout=10)


def test_a_service_account_may_do_what_its_role_says_and_nothing_else(cluster: Cluster, ns: str) -> None:
    account = ServiceAccount(ns, "default")
    with pytest.raises(ApiError) as refused:
        cluster.client(account).list("v1", "ConfigMap", ns)
    assert refused.value.code == 403
    cluster.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "reads", "namespace": ns},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": ns}],
        }
    )
    names = wait_for("right", lambda: cluster.client(account).list("v1", "ConfigMap", ns), expected=(ApiError,))
    assert [obj["metadata"]["name"] for obj in names] == ["kube-root-ca.crt"]


def test_kubectl_is_the_clusters_own_version_and_knows_who_asks(cluster: Cluster, ns: str) -> None:
    assert "Client Version: v1.36." in cluster.kubectl("version", "--client").stdout
    asked = cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", identity=User("jane"))
    assert asked.stdout == "jane"


def test_the_audit_log_holds_every_write_with_its_author_and_what_was_written(cluster: Cluster, ns: str) -> None:
    since = cluster.audit_cursor()
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "note", "namespace": ns},
        "data": {"a": "b"},
    }
    cluster.create(config)
    (written,) = (e for e in cluster.audit_events(since) if e.writes and (e.namespace, e.name) == (ns, "note"))
    assert (written.verb, written.resource, written.code) == ("create", "configmaps", 201)
    assert written.request["data"] == {"a": "b"}
    assert written.user


def test_an_admission_policy_decides_by_who_asks(cluster: Cluster, ns: str) -> None:
    about = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": ns},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ns}},
                "resourceRules": [about],
            },
            "validations": [{"expression": "object.data.by == request.userInfo.username"}],
        },
    }
    cluster.create(policy)
    binding = {"policyName": ns, "validationActions": ["Deny"]}
    cluster.create({**policy, "kind": "ValidatingAdmissionPolicyBinding", "spec": binding})
    jane = cluster.client(User("jane", groups=("system:masters",)))

    def signed(name: str) -> KubeObject:
        meta = {"name": name, "namespace": ns}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"by": "jane"}}

    def refused() -> bool:  # a policy acts some hundred milliseconds after it was made
        try:
            cluster.create({**signed("x"), "metadata": {"generateName": "x-", "namespace": ns, "name": ""}})
        except ApiError as error:
            return error.code == 422
        return False

    wait_for("refusal of a forged name", refused)
    assert jane.create(signed("honest"))["data"] == {"by": "jane"}


def test_a_websocket_stays_open_when_the_weights_turn_away_from_its_backend(
    cluster: Cluster, ns: str, shop: tuple[App, App]
) -> None:
    stable, canary = shop
    cluster.apply(route(cluster, ns, stable, canary, weight=100))
    wait_for("canary alone", lambda: cluster.start_load(host(ns), n=20).wait().share("v2") == 1)
    gateway = urllib3.util.parse_url(cluster.gateway_url)
    to_gateway = socket.create_connection((gateway.host, gateway.port), timeout=5)
    with connect(f"ws://{host(ns)}/ws", sock=to_gateway) as stream:
        assert stream.response
        assert stream.response.headers["X-Version"] == "v2"
        open_streams = f'sum(http_open_streams{{namespace="{ns}",service="{canary.name}"}})'
        wait_for("open stream", lambda: value(cluster, open_streams) == 1, timeout=10)
        cluster.apply(route(cluster, ns, stable, canary, weight=0))
        wait_for("stable alone", lambda: cluster.start_load(host(ns), n=20).wait().share("v1") == 1)
        stream.send("still there")
        assert stream.recv(timeout=5) == "still there"
    wait_for("closed stream", lambda: value(cluster, open_streams) == 0, timeout=10)


def test_a_stopped_prometheus_refuses_a_frozen_one_is_silent_and_both_come_back_with_their_data(
    cluster: Cluster,
) -> None:
    url = f"{cluster.prometheus_local_url}/-/ready"
    wait_for("a sample", lambda: value(cluster, 'up{job="gateway"}') == 1)
    before = time.time()
    cluster.prometheus.stop()
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.request("GET", url, retries=False, timeout=5)
    cluster.prometheus.start()
    assert value(cluster, f'up{{job="gateway"}} @ {before}') == 1
    cluster.prometheus.pause()
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        urllib3.request("GET", url, retries=False, timeout=0.5)
    cluster.prometheus.resume()
    assert urllib3.request("GET", url, timeout=5).status == 200


def test_traffic_flows_and_pods_live_on_while_the_api_server_is_away(
    cluster: Cluster, ns: str, shop: tuple[App, App]
) -> None:
    load = cluster.start_load(host(ns), rps=50, duration=200)
    load.wait_answered(10)
    cluster.apiserver.restart()
    cluster.deploy_app(ns, "later", "v1")
    assert load.stop().failed == 0


def test_one_exporter_speaks_for_many_releases_and_turns_one_bad(cluster: Cluster) -> None:
    exporter = cluster.start_exporter(releases=2, rps=50)
    good = 'http_requests_total{namespace="bench-0",code="200"}'
    wait_for("four Services", lambda: value(cluster, f"count({good})") == 4, timeout=10)
    exporter.set("bench-0", "rel-0001-canary", error=1.0)
    bad = 'http_requests_total{namespace="bench-0",service="rel-0001-canary",code="500"}'
    wait_for("errors", lambda: value(cluster, bad) > 0, timeout=10)
    assert value(cluster, 'count(http_requests_total{namespace="bench-0",code="500"})') == 1
    exporter.stop()


def test_a_prometheus_can_be_made_to_answer_badly_for_some_queries(cluster: Cluster) -> None:
    proxy = cluster.start_prometheus_proxy()
    local = proxy.url  # in a lane where the test is elsewhere, only the operator sees the proxy
    assert prometheus.query(local, "vector(1)")[0]["value"][1] == "1"
    proxy.fail("nan", match="vector(2)")
    assert prometheus.query(local, "vector(1)")[0]["value"][1] == "1"
    assert prometheus.query(local, "vector(2)")[0]["value"][1] == "NaN"
    proxy.fail("empty")
    assert prometheus.query(local, "vector(1)") == []
    proxy.fail("error")
    with pytest.raises(ValueError, match="made to fail"):
        prometheus.query(local, "vector(1)")
    proxy.fail("html")
    assert urllib3.request("GET", f"{local}/api/v1/query?query=1").headers["Content-Type"] == "text/html"
    proxy.fail("reset")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        urllib3.request("GET", f"{local}/api/v1/query?query=1", retries=False)
    proxy.fail("slow", delay="200ms")
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        urllib3.request("GET", f"{local}/api/v1/query?query=1", retries=False, timeout=0.1)
    proxy.fail("warning")
    assert urllib3.request("GET", f"{local}/api/v1/query?query=1").json()["warnings"]
    proxy.heal()
    before = proxy.queries()
    assert prometheus.query(local, "vector(1)")[0]["value"][1] == "1"
    assert proxy.queries() == before + 1
    proxy.stop()
