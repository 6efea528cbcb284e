"""Row A5: nothing moves before every item of preflight has passed; one that fails is named, and an edit heals it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from e2e.release_files import provenance
from e2e.trials import written
from testbed.objects import load_objects
from testbed.paths import PROJECT
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

QUERIES = [
    {"name": "targets", "promql": "sum(up)", "expect": ["value >= 1"]},
    {"name": "traffic", "promql": "count(http_requests_total)", "expect": ["value > 0"]},
]
REQUESTS = [
    {"name": "version", "http": "http://$canary/", "expect": ["status == 200", "X-Version == $version"]},
    {"name": "readiness", "http": "http://$canary/readyz", "timeout": "5s"},
]
JOB = {"name": "migrations", "job": "check", "timeout": "30s"}
SBOM = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "components": [{"type": "library", "name": "a", "version": "1", "licenses": [{"license": {"id": "MIT"}}]}],
}
REPORT = {"matches": [{"vulnerability": {"severity": "High"}}]}


def allow_jobs(cluster: Cluster) -> None:
    """What the administrator adds to the installation for items of kind job."""
    for obj in load_objects(PROJECT / "manifests" / "components" / "preflight-jobs" / "rbac.yaml"):
        cluster.apply(obj)


def cron_job(shop: Shop, name: str, *args: str) -> None:
    """A suspended CronJob with the image of the shop's own pods."""
    running = shop.cluster.get("apps/v1", "Deployment", f"{shop.name}-stable", shop.namespace)
    image = running["spec"]["template"]["spec"]["containers"][0]["image"]
    pod = {"restartPolicy": "Never", "containers": [{"name": "check", "image": image, "args": list(args)}]}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    body = {"schedule": "0 0 1 1 *", "suspend": True, "jobTemplate": {"spec": spec}}
    metadata = {"name": name, "namespace": shop.namespace}
    shop.cluster.apply({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": body})


def files(shop: Shop) -> list[dict[str, Any]]:
    """Four files in a ConfigMap, and the items that read them."""
    texts = {
        "rounding.txt": "half to even: proved\n",
        "sbom.json": json.dumps(SBOM),
        "grype.json": json.dumps(REPORT),
        "provenance.json": json.dumps(provenance(shop)),
    }
    metadata = {"name": "release-files", "namespace": shop.namespace}
    shop.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts})
    expect = {"sbom.json": ["licenses in MIT"], "grype.json": ["critical == 0", "high <= 1"]}
    kinds = {
        "rounding.txt": "file",
        "sbom.json": "sbom",
        "grype.json": "vulnerabilities",
        "provenance.json": "provenance",
    }
    return [
        {
            "name": key.partition(".")[0],
            "artifact": f"release-files/{key}@sha256:{hashlib.sha256(text.encode()).hexdigest()}",
            "timeout": "60s",  # each file has a process of its own, and the machine may be busy
            "kind": kinds[key],
            "expect": expect.get(key, []),
        }
        for key, text in texts.items()
    ]


def dashboard(shop: Shop) -> dict[str, Any]:
    """A dashboard one of whose variables has no default, and the item that reads it."""
    variables = [
        {"name": "service", "type": "query", "current": {"text": "All", "value": "$__all"}},
        {"name": "namespace", "type": "query", "current": {}},
    ]
    text = json.dumps({"title": "Shop", "panels": [], "schemaVersion": 39, "templating": {"list": variables}})
    metadata = {"name": "dashboards", "namespace": shop.namespace}
    shop.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"shop.json": text}})
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"name": "dashboard", "artifact": f"dashboards/shop.json@sha256:{digest}", "kind": "dashboard"}


def open_with_canary(shop: Shop) -> None:
    """A shop with requests, and v2 rolled out behind canary that nobody has released yet."""
    shop.open(canary="v2")
    shop.start_load(rps=50)


@pytest.mark.timeout(240)
def test_nine_items_of_all_kinds_pass_and_then_traffic_moves(operator: Operator, shop: Shop, cluster: Cluster) -> None:
    allow_jobs(cluster)
    open_with_canary(shop)
    cron_job(shop, "check", "load", "-url", "http://127.0.0.1:1/", "-n", "1", "-timeout", "1s")
    items = [*QUERIES, *REQUESTS, JOB, *files(shop)]
    assert len(items) == 9
    since = cluster.audit_cursor()
    shop.release("v2", preflight=items)
    shop.until_written(5, since)
    assert shop.status["preflight"]["progress"] == "9/9"
    told = [
        json.loads(line)
        for name in shop.until("evidence", lambda s: bool(s.get("evidence", {}).get("configMaps")))["evidence"][
            "configMaps"
        ]
        for line in cluster.get("v1", "ConfigMap", name, shop.namespace)["data"].popitem()[1].splitlines()
    ]
    entry = next(one for one in told if one["kind"] == "PreflightPassed")
    said = {one["name"]: one for one in entry["data"]["items"]}
    assert {one["verdict"] for one in said.values()} == {"Pass"}
    assert said["migrations"]["details"]["exitCode"] == "0"
    assert said["migrations"]["details"]["log"].strip()
    wait_for("the Job is removed", lambda: not cluster.list("batch/v1", "Job", shop.namespace))
    pods = {"labels": "batch.kubernetes.io/job-name"}
    wait_for("its pod too", lambda: not cluster.list("v1", "Pod", shop.namespace, **pods), timeout=60)


def test_an_item_of_each_kind_blocks_is_healed_by_an_edit_and_only_warns_when_optional(
    operator: Operator, shop: Shop, cluster: Cluster
) -> None:
    allow_jobs(cluster)
    open_with_canary(shop)
    cron_job(shop, "check", "load")
    digest = "0" * 64
    since = cluster.audit_cursor()
    (time,) = [item for item in written("spark-standard")["preflight"] if item["name"] == "time"]
    failing: list[tuple[dict[str, Any], str]] = [
        ({"name": "clock", "promql": "sum(up)", "expect": ["value < 0"]}, "clock: "),
        (time, "inf of {of=clock of the database}, expected value < 1"),
        ({"name": "build", "http": "http://$canary/", "expect": ["X-Version == v9"]}, "build: X-Version: v2"),
        (JOB, "migrations: the Job failed: exit code 1"),
        (dashboard(shop), "dashboard: variables without a default: namespace"),
        ({"name": "sbom", "artifact": f"none/sbom.json@sha256:{digest}", "kind": "sbom"}, "sbom: ConfigMap none"),
    ]
    for item, says in failing:
        shop.release("v2", preflight=[item])
        shop.until(
            f"blocked by {item['name']}",
            lambda s, says=says: any(  # type: ignore[misc]  # bound now, not when it is called
                c["type"] == "Ready" and c["reason"] == "PreflightFailed" and says in c["message"]
                for c in s.get("conditions", [])
            ),
        )
        assert shop.status["phase"] == "Blocked"
        assert shop.canary_weight() == 0
    assert not [weight for _, weight in shop.weights_written(since) if weight > 0]

    shop.release("v2", preflight=[*REQUESTS, failing[0][0] | {"optional": True}])
    shop.until_written(5, since)
    assert shop.status["preflight"]["progress"] == "2/3"
