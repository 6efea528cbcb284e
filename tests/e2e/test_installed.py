"""The product as a user installs it: `kubectl apply -k`, and two replicas that are ready, one of which leads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import yaml

from testbed.kubeapi import ApiError
from testbed.paths import PROJECT
from testbed.product import OPERATOR
from testbed.shop import operator_config
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from e2e.conftest import MakeShop
    from testbed.cluster import Cluster
    from testbed.sole_operator import SoleOperator

NAME = "sparkrelease-operator"
SYSTEM = OPERATOR.namespace


@pytest.fixture
def installed(cluster: Cluster, operators: SoleOperator) -> Iterator[Cluster]:
    """The operator of the manifests, with this lane's image and Prometheus."""
    image = getattr(cluster, "operator_image", None)
    if image is None:
        pytest.skip("the local lane runs the operator as a process: `make e2e-kind` installs it in pods")
    operators.stop()
    done = cluster.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(PROJECT / "manifests/install"))
    assert done.returncode == 0, done.stderr
    config = {"config.yaml": yaml.safe_dump(operator_config(cluster))}
    cluster.patch("v1", "ConfigMap", NAME, SYSTEM, {"data": config})
    patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]
    cluster.patch("apps/v1", "Deployment", NAME, SYSTEM, patch)
    yield cluster
    cluster.delete("apps/v1", "Deployment", NAME, SYSTEM)
    wait_for(
        "end of the operator",
        lambda: not cluster.list("v1", "Pod", SYSTEM, labels=f"app.kubernetes.io/name={NAME}"),
        every=0.5,
    )


@pytest.mark.timeout(300)
def test_two_replicas_become_ready_one_leads_and_a_release_is_brought_through(
    installed: Cluster, shops: MakeShop
) -> None:
    rolled_out = installed.kubectl(
        "-n", SYSTEM, "rollout", "status", f"deployment/{NAME}", "--timeout=120s", timeout=130
    )
    assert rolled_out.returncode == 0, rolled_out.stdout + rolled_out.stderr
    pods = installed.list("v1", "Pod", SYSTEM, labels=f"app.kubernetes.io/name={NAME}")

    def leader() -> str:
        lease = installed.get("coordination.k8s.io/v1", "Lease", NAME, SYSTEM)
        return str(lease["spec"].get("holderIdentity") or "")

    holder = wait_for("a leader", leader, expected=(ApiError,))
    assert any(holder.startswith(pod["metadata"]["name"]) for pod in pods)
    shop = shops().open()
    shop.start_load(duration=200)
    shop.ship("v2")
    shop.until_condition("Promoted", timeout=150)
