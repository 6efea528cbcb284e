"""Row A5: files that say the wrong thing, or that somebody else signed, keep a run back until an edit mends it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from e2e.release_files import NAME, Signer, provenance

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.shop import Shop

RIGHT = {"provenance": "provenance.json", "attested": "provenance.json", "findings": "grype.json"}
"""By item, the key of the file that is as it should be."""

WRONG = {"provenance": "another-image.json", "attested": "strangers.json", "findings": "critical.json"}
KINDS = {"provenance": "provenance", "attested": "provenance", "findings": "vulnerabilities"}
SAYS = {
    "provenance": "it does not name what pod shop-canary-",
    "attested": "no signature of its envelope is the signer's",
    "findings": "1 findings that are critical or worse, expected critical == 0",
}


def publish(shop: Shop, signer: Signer) -> None:
    """Right files and wrong ones; all but the stranger's are signed by the pipeline's key."""
    stated = provenance(shop)
    another = stated | {"subject": [{"name": "app", "digest": {"sha256": "0" * 64}}]}
    high = {"vulnerability": {"severity": "High"}}
    reports = {
        "grype.json": json.dumps({"matches": [high]}),
        "critical.json": json.dumps({"matches": [high, {"vulnerability": {"severity": "Critical"}}]}),
    }
    data = reports | {f"{key}.sig": signer.sign(text.encode()) for key, text in reports.items()}
    data |= {
        "provenance.json": signer.envelope(stated),
        "another-image.json": signer.envelope(another),
        "strangers.json": Signer().envelope(stated),
    }
    metadata = {"name": NAME, "namespace": shop.namespace}
    shop.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def items(keys: Mapping[str, str]) -> list[dict[str, Any]]:
    """The items, each with its file; each has a process of its own, and the machine may be busy."""
    common = {"signer": "ci", "timeout": "60s"}
    expect = {"findings": ["critical == 0", "high <= 5"]}
    return [
        common | {"name": name, "artifact": f"{NAME}/{key}", "kind": KINDS[name], "expect": expect.get(name, [])}
        for name, key in keys.items()
    ]


def blocked_by(shop: Shop, names: set[str]) -> None:
    """Waits until the run is kept back for these items, each with its reason, and for no other."""

    def said(status: Mapping[str, Any]) -> bool:
        ready: Mapping[str, Any] = next((c for c in status.get("conditions", []) if c["type"] == "Ready"), {})
        told = {one["rule"]: one["verdict"] for one in status.get("verdicts", []) if one["kind"] == "preflight"}
        return (
            ready.get("reason") == "PreflightFailed"
            and all(f"{name}: {SAYS[name]}" in ready["message"] for name in names)
            and told == {name: "Fail" if name in names else "Pass" for name in KINDS}
        )

    shop.until(f"kept back by {', '.join(sorted(names))}", said)
    assert (shop.status["phase"], shop.canary_weight()) == ("Blocked", 0)


@pytest.mark.timeout(240)
def test_another_image_a_strangers_signature_and_a_critical_finding_are_each_refused_until_mended(
    signer: Signer, shop: Shop, cluster: Cluster
) -> None:
    shop.open(canary="v2")
    shop.start_load(rps=50)
    publish(shop, signer)
    since = cluster.audit_cursor()

    keys = dict(WRONG)
    shop.release("v2", preflight=items(keys))
    for name in WRONG:
        blocked_by(shop, {other for other in WRONG if keys[other] == WRONG[other]})
        assert not [weight for _, weight in shop.weights_written(since) if weight > 0]
        keys[name] = RIGHT[name]
        shop.release("v2", preflight=items(keys))

    shop.until_written(5, since)
    assert shop.status["preflight"]["progress"] == "3/3"
