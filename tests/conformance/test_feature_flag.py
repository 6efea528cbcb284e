"""The feature flag provider before a real API server and an application that honours the flag."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.accounts import reader_of
from conformance.feature_flags import FeatureFlags
from conformance.suite import ProviderConformance
from sparkrelease.adapters.kubernetes.client import ApiClients, Identity, open_clients
from sparkrelease.api.config import OperatorConfig
from testbed.flagdesk import FlagDesk

if TYPE_CHECKING:
    from testbed.cluster import Cluster


@pytest.fixture(scope="module")
def desk(cluster: Cluster) -> Iterator[FlagDesk]:
    """An application in a namespace, for all tests of this module: each test makes the ConfigMap anew."""
    made = FlagDesk(cluster, cluster.namespace("conformance"), "desk").begin(allowed=False)
    made.cluster.delete("v1", "ConfigMap", made.flags, made.namespace)
    yield made
    made.close()


@pytest.fixture(scope="module")
def reader(cluster: Cluster, desk: FlagDesk) -> Path:
    """Kubeconfig of an account that may read everything and write nothing."""
    return reader_of(cluster, desk.namespace)


class TestFeatureFlag(ProviderConformance):
    some = 10.0

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
    def harness(self, desk: FlagDesk, clients: ApiClients, strange_clients: ApiClients) -> Iterator[FeatureFlags]:
        made = FeatureFlags(desk, clients.normal, strange_clients.normal)
        yield made
        made.close()
