"""Wrong managed workloads, each with the field at fault and the smallest correction."""

from __future__ import annotations

from unit.api.wrong import Wrong

AT = "spec.workload.deployment"

WORKLOADS = [
    Wrong("workload without a Deployment", "workload", {}, {"deployment": "shop"}, AT, "equired"),
    Wrong(
        "Deployment without a name",
        "workload",
        {"deployment": ""},
        {"deployment": "shop"},
        AT,
        "at least 1 char",
    ),
    Wrong(
        "Deployment in capitals",
        "workload",
        {"deployment": "Shop"},
        {"deployment": "shop"},
        AT,
        "match",
    ),
    Wrong(
        "Deployment whose stable copy would have too long a name",
        "workload",
        {"deployment": "a" * 57},
        {"deployment": "a" * 56},
        AT,
        "56",
    ),
    Wrong(
        "workload of another kind",
        "workload",
        {"deployment": "shop", "kind": "StatefulSet"},
        {"deployment": "shop"},
        "spec.workload.kind",
    ),
]
