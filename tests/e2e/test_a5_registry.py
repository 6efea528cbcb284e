"""Row A5: a release's files may lie in a registry, beside the image: what is judged there is what was named."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from e2e.release_files import SBOM, provenance
from testbed.evidence import checked

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.registry import Registry
    from testbed.shop import Shop
    from testbed.sole_operator import SoleOperator

REPOSITORY = "team/shop"


def item(name: str, reference: str, *expect: str) -> dict[str, Any]:
    """An item that reads a file of the registry; each has a process of its own, and the machine may be busy."""
    return {"name": name, "artifact": reference, "kind": name, "timeout": "60s", "expect": list(expect)}


@pytest.fixture
def reading(operators: SoleOperator, cluster: Cluster, registry: Registry) -> None:
    """An operator whose administrator lets it read this registry."""
    allowed = {"hosts": [registry.host], "caFile": f"{cluster.operator_files}/registry.crt"}
    operators.run(files={"registry.crt": registry.authority}, preflight=allowed)


def says(shop: Shop, text: str) -> None:
    """Waits until the run is kept from beginning, for that reason."""

    def said(status: dict[str, Any]) -> bool:
        ready = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
        return ready.get("reason") == "PreflightFailed" and text in ready["message"]

    shop.until(f"kept back: {text}", said, timeout=60)
    assert (shop.status["phase"], shop.canary_weight()) == ("Blocked", 0)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("reading")
def test_bill_and_provenance_in_a_registry_let_a_run_begin_and_what_was_changed_there_does_not(
    shop: Shop, cluster: Cluster, registry: Registry
) -> None:
    shop.open(canary="v2")
    shop.start_load(rps=50)
    bill = json.dumps(SBOM).encode()
    kept = registry.push(REPOSITORY, bill)
    other = registry.push(REPOSITORY, json.dumps(SBOM | {"version": 2}).encode())
    stated = json.dumps(provenance(shop)).encode()
    statement = registry.push(REPOSITORY, stated)
    since = cluster.audit_cursor()

    shop.release("v2", preflight=[item("sbom", kept, "licenses in none-of-them")])
    says(shop, "sbom: 2 packages under other licences")
    registry.corrupt(json.dumps(SBOM | {"version": 2}).encode())
    shop.release("v2", preflight=[item("sbom", other)])
    says(shop, f"registry {registry.host} answers something else than sha256:")
    absent = f"oci://{registry.host}/{REPOSITORY}@sha256:{'0' * 64}"
    shop.release("v2", preflight=[item("sbom", absent)])
    says(shop, f"registry {registry.host} answers 404 for manifests/")
    shop.release("v2", preflight=[item("sbom", kept.replace(registry.host, "elsewhere.example:443"))])
    says(shop, "elsewhere.example")
    assert not [weight for _, weight in shop.weights_written(since) if weight > 0]

    shop.release("v2", preflight=[item("sbom", kept), item("provenance", statement)])
    shop.until_written(5, since)
    assert shop.status["preflight"]["progress"] == "2/2"
    shop.until("stored", lambda s: not s.get("pendingEvidence"))
    (passed,) = [entry for entry in checked(shop).entries if entry["kind"] == "PreflightPassed"]
    told = {one["name"]: one for one in passed["data"]["items"]}
    for name, reference, content in (("sbom", kept, bill), ("provenance", statement, stated)):
        details = told[name]["details"]
        assert details["sha256"] == hashlib.sha256(content).hexdigest()
        assert details["file"].endswith("..."), details
        assert reference.startswith(f"oci://{registry.host}/{REPOSITORY}@sha256:") and reference.startswith(
            details["file"].removesuffix("...")
        )
