"""Row B2: pass, fail or warning for every check, and an exit code, before the release exists; nothing is made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from testbed.cluster import ADMIN

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

UP = {"name": "targets", "promql": "min by ($by) (up{$sel})", "expect": ["value == 1"]}
BUSY = {"name": "busy", "promql": "sum(rate(http_requests_total{$sel}[10s]))", "expect": ["value > 100000"]}


def test_every_check_passes_warns_or_fails_and_the_exit_code_says_so(
    operator: Operator, cluster: Cluster, shop: Shop, tmp_path: Path
) -> None:
    shop.open(canary="v2")
    load = shop.start_load(rps=50)
    load.wait_answered(100)
    since = cluster.audit_cursor()

    def tried(*items: dict[str, Any]) -> tuple[int, dict[str, str]]:
        """Exit code, and by name what became of each."""
        file = tmp_path / "release.yaml"
        file.write_text(yaml.safe_dump(shop.manifest("v2", preflight=list(items))))
        where = ("-f", str(file), "--prometheus", cluster.prometheus_local_url, "-o", "json")
        done = cluster.kubectl("sparkrelease", "preflight", *where, identity=ADMIN)
        lines = json.loads(done.stdout)
        return done.returncode, {one["name"]: one["result"] for one in lines["checks"]}

    code, lines = tried(UP)
    assert (code, lines["targets"]) == (0, "pass")
    code, lines = tried(UP, BUSY | {"optional": True})
    assert (code, lines["targets"], lines["busy"]) == (0, "pass", "warn")
    code, lines = tried(UP, BUSY)
    assert (code, lines["targets"], lines["busy"]) == (1, "pass", "fail")

    assert shop.cluster.list("sparkrelease.dev/v1alpha1", "SparkRelease", shop.namespace) == []
    mine = [event for event in cluster.audit_events(since) if event.writes and event.namespace == shop.namespace]
    assert [event for event in mine if event.resource in {"jobs", "sparkreleases", "httproutes", "configmaps"}] == []
