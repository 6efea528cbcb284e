"""A team's namespace on the real API server, with one of its developers, and the operator's two accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from testbed.cluster import User
from testbed.product import OPERATOR, PRUNER

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeApi, KubeObject

JANE = User("jane@example.org", ("developers",))


@pytest.fixture
def jane(cluster: Cluster, ns: str) -> KubeApi:
    """A developer: may edit in this namespace, by the cluster's own `edit` role."""
    cluster.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "developers", "namespace": ns},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "developers"}],
        }
    )
    return cluster.client(JANE)


@pytest.fixture
def operator_api(cluster: Cluster) -> KubeApi:
    return cluster.client(OPERATOR)


@pytest.fixture
def pruner_api(cluster: Cluster) -> KubeApi:
    return cluster.client(PRUNER)


@pytest.fixture
def release(ns: str) -> KubeObject:
    """The smallest release, not created yet."""
    return {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "SparkRelease",
        "metadata": {"name": "shop", "namespace": ns},
        "spec": {
            "version": "v1",
            "traffic": {
                "stable": {"service": "shop-stable", "port": 8080},
                "canary": {"service": "shop-canary", "port": 8080},
                "gatewayAPI": {"route": {"kind": "HTTPRoute", "name": "shop"}},
            },
            "stages": [{"name": "full", "weight": 100, "duration": "1m"}],
            "metrics": [{"name": "up", "value": "up"}],
            "thresholds": [{"name": "up", "metric": "up", "min": 1}],
        },
    }
