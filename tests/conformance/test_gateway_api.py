"""The Gateway API provider before a real API server and a real gateway."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.accounts import reader_of
from conformance.gateway_routes import CANARY, STABLE, GatewayRoutes
from conformance.mirrors import MirrorConformance
from conformance.suite import ProviderConformance
from sparkrelease.adapters.kubernetes.client import ApiClients, Identity, open_clients
from sparkrelease.api.config import OperatorConfig

if TYPE_CHECKING:
    from testbed.cluster import Cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def backends(cluster: Cluster) -> Iterator[str]:
    """A namespace with both sides, for all tests of this module: each test makes a route of its own."""
    namespace = cluster.namespace("conformance")
    cluster.deploy_app(namespace, STABLE, "v1", wait=False)
    cluster.deploy_app(namespace, CANARY, "v2")
    cluster.wait_rolled_out(namespace, STABLE)
    yield namespace
    cluster.delete("v1", "Namespace", namespace)


@pytest.fixture(scope="module")
def reader(cluster: Cluster, backends: str) -> Path:
    """Kubeconfig of an account that may read everything and write nothing."""
    return reader_of(cluster, backends)


class GatewayAPIConformance(ProviderConformance, MirrorConformance):
    kind = "HTTPRoute"
    owned = False

    @pytest.fixture
    async def clients(self, cluster: Cluster) -> AsyncIterator[ApiClients]:
        opened = await open_clients(OperatorConfig(), Identity(kubeconfig=cluster.kubeconfig()))
        yield opened
        await opened.close()

    @pytest.fixture
    async def strange_clients(self, reader: Path) -> AsyncIterator[ApiClients]:
        opened = await open_clients(OperatorConfig(), Identity(kubeconfig=reader))
        yield opened
        await opened.close()

    @pytest.fixture
    def harness(
        self, cluster: Cluster, backends: str, clients: ApiClients, strange_clients: ApiClients
    ) -> Iterator[GatewayRoutes]:
        made = GatewayRoutes(
            cluster,
            backends,
            f"shop-{next(_numbers)}",
            self.kind,
            self.owned,
            clients.normal,
            strange_clients.normal,
        )
        yield made
        made.close()


class TestReferencedHTTPRoute(GatewayAPIConformance):
    pass


class TestOwnedHTTPRoute(GatewayAPIConformance):
    owned = True


class TestReferencedGRPCRoute(GatewayAPIConformance):
    kind = "GRPCRoute"


class TestOwnedGRPCRoute(GatewayAPIConformance):
    kind = "GRPCRoute"
    owned = True
