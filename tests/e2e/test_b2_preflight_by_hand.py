"""Row B2: pass, fail or warning for every check of `spark-feature-flag`, and an exit code, before the release exists.

The checks are those of the policy, word for word; the example application answers them, first as it should, then with a
fault. By hand canary's Service is asked through the API server; the operator asks it itself, which row B1 shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from e2e.trials import Desk, written
from testbed.cluster import ADMIN, User
from testbed.prometheus import query
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Identity

CHECKS: list[dict[str, Any]] = written("spark-feature-flag")["preflight"]
UP = {"name": "up", "promql": "min by ($by) (up{$sel})", "expect": ["value == 1"]}
NAMES = [*(item["name"] for item in CHECKS), UP["name"]]


@pytest.fixture
def desk(cluster: Cluster) -> Iterator[Desk]:
    """A desk that is scraped, with v2 behind canary that nobody has released yet."""
    made = Desk(cluster, cluster.namespace("by-hand"), "desk")
    made.deploy("stable", "v1", wait=False)
    made.deploy("canary", "v2", wait=False)
    made.wait_rolled_out("stable")
    made.wait_rolled_out("canary")
    made.apply_route()
    up = f'count(up{{namespace="{made.namespace}"}} == 1) == 2'
    wait_for("both are scraped", lambda: query(cluster.prometheus_local_url, up), timeout=30)
    yield made
    made.close()


def test_every_check_passes_warns_or_fails_and_the_exit_code_says_so(
    cluster: Cluster, desk: Desk, tmp_path: Path
) -> None:
    config = {"servers": {"default": {"url": cluster.prometheus_local_url, "timeout": "10s", "alerts": []}}}
    files = {"release": desk.manifest("v2", preflight=[*CHECKS, UP]), "config": config}
    for name, body in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(body))
    since = cluster.audit_cursor()

    def tried(faults: str = "", *more: str, identity: Identity = ADMIN) -> tuple[int, dict[str, list[str]], str]:
        """Exit code, the names of the items by what became of them with these faults on, and all that was said."""
        desk.break_canary(faults)
        where = ("-f", str(tmp_path / "release.yaml"), "--config", str(tmp_path / "config.yaml"), "-o", "json")
        done = cluster.kubectl("sparkrelease", "preflight", *where, *more, identity=identity)
        lines = {one["name"]: one["result"] for one in json.loads(done.stdout)["checks"] if one["name"] in NAMES}
        assert list(lines) == NAMES, done.stdout + done.stderr
        results: dict[str, list[str]] = {}
        for name, result in lines.items():
            results.setdefault(result, []).append(name)
        return done.returncode, results, done.stdout

    code, results, told = tried()
    assert (code, results) == (0, {"pass": NAMES}), told
    objects = [event.raw.get("objectRef", {}) for event in cluster.audit_events(since)]
    # By pods it is the test bed that reaches its applications, where they run in a cluster.
    proxied = [one for one in objects if (one.get("resource"), one.get("subresource")) == ("services", "proxy")]
    asked = {one["name"] for one in proxied if one["namespace"] == desk.namespace}
    assert len(asked) == 1
    assert asked.pop().startswith(f"http:{desk.name}-canary:"), "canary's Service itself"
    code, results, told = tried("very-slow-answers,stream-silent")
    assert (code, results["warn"]) == (0, ["public-endpoints", "executor"]), told
    code, results, told = tried("server-errors")
    as_due = (1, ["api-health", "build", "ml-score"], ["public-endpoints"])
    assert (code, results["fail"], results["warn"]) == as_due, told

    code, results, told = tried(identity=User("mira@example.org"))
    assert (code, results) == (9, {"skip": NAMES[:-1], "pass": NAMES[-1:]}), told
    assert told.count("the right to get services/proxy is missing") == len(CHECKS), told
    code, results, told = tried("", "--offline")
    assert (code, results) == (9, {"skip": NAMES[:-1], "pass": NAMES[-1:]}), told

    assert cluster.list("sparkrelease.dev/v1alpha1", "SparkRelease", desk.namespace) == []
    mine = [event for event in cluster.audit_events(since) if event.writes and event.namespace == desk.namespace]
    assert [event for event in mine if event.resource in {"jobs", "sparkreleases", "httproutes", "configmaps"}] == []

    cluster.delete("gateway.networking.k8s.io/v1", "HTTPRoute", desk.name, desk.namespace)
    code, results, told = tried()
    assert (code, results) == (1, {"pass": NAMES}), told
    assert f"HTTPRoute {desk.namespace}/{desk.name} does not exist" in told
