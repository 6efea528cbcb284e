"""Lanes to the real API server, and the objects the adapters' tests begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sparkrelease.adapters.kubernetes.client import ApiClients, Identity, open_clients
from sparkrelease.api.config import OperatorConfig

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.kubeapi import KubeObject


@pytest.fixture
async def clients(cluster: Cluster) -> AsyncIterator[ApiClients]:
    """The operator's lanes, with the administrator's rights and short limits."""
    config = OperatorConfig(api_timeout=timedelta(seconds=5), rollback_timeout=timedelta(seconds=2))
    opened = await open_clients(config, Identity(kubeconfig=cluster.kubeconfig()))
    yield opened
    await opened.close()


@pytest.fixture
def release(cluster: Cluster, ns: str) -> Callable[[str], KubeObject]:
    """Creates a SparkRelease of that name, with the smallest spec there is."""

    def create(name: str) -> KubeObject:
        return cluster.create(
            {
                "apiVersion": "sparkrelease.dev/v1alpha1",
                "kind": "SparkRelease",
                "metadata": {"name": name, "namespace": ns},
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
        )

    return create
