"""What was checked before people sign is checked again when the last one has: a proof that is gone by then counts."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.cluster import Cluster, Operator
    from testbed.shop import Shop

PROOF = "half to even: proved\n"


def put_proof(cluster: Cluster, shop: Shop, text: str) -> None:
    metadata = {"name": "release-files", "namespace": shop.namespace}
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"rounding.txt": text}})


def test_a_proof_that_changed_while_people_signed_keeps_the_first_weight_back(
    operator: Operator, cluster: Cluster, shop: Shop
) -> None:
    digest = hashlib.sha256(PROOF.encode()).hexdigest()
    put_proof(cluster, shop, PROOF)
    shop.open()
    shop.start_load(rps=50)
    since = cluster.audit_cursor()
    item = {"name": "rounding", "artifact": f"release-files/rounding.txt@sha256:{digest}"}
    shop.ship("v2", preflight=[item], checklist=[{"name": "backups"}])
    shop.until_phase("AwaitingApproval")

    put_proof(cluster, shop, "half up\n")
    done = cluster.kubectl("sparkrelease", "approve", shop.name, "-n", shop.namespace)
    assert done.returncode == 0, done.stdout + done.stderr
    shop.until_condition("Ready", "False", reason="PreflightFailed")
    assert (shop.status["phase"], shop.status["preflight"]["progress"]) == ("Blocked", "0/1")
    assert not [weight for _, weight in shop.weights_written(since) if weight > 0]

    put_proof(cluster, shop, PROOF)
    shop.until_written(5, since)
