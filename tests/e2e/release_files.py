"""The files that `spark-standard` wants of a build: made and signed as a pipeline does, kept in one ConfigMap."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from testbed.cluster import Cluster
    from testbed.shop import Shop

NAME = "release-files"
IN_TOTO = "application/vnd.in-toto+json"
DECIMALS = "half to even: 10000 prices, 0 differ\nticks: 10000 prices, 0 off\n"
SBOM: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "components": [
        {"type": "library", "name": "aiohttp", "version": "3", "licenses": [{"license": {"id": "Apache-2.0"}}]},
        {"type": "library", "name": "attrs", "version": "25", "licenses": [{"license": {"id": "MIT"}}]},
    ],
}


class Signer:
    """The key of a pipeline."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def public(self) -> str:
        """What an administrator declares: PEM."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, data: bytes) -> str:
        """As `cosign sign-blob` writes it."""
        return base64.b64encode(self._key.sign(data, ec.ECDSA(SHA256()))).decode()

    def envelope(self, statement: object) -> str:
        """A statement in DSSE, as `cosign attest` makes one."""
        payload = json.dumps(statement).encode()
        signed = b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)
        body = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": IN_TOTO,
            "signatures": [{"keyid": "", "sig": self.sign(signed)}],
        }
        return json.dumps(body)


def declared(cluster: Cluster, signer: Signer) -> dict[str, Any]:
    """What an operator is started with that knows the key as `ci`: its file, and where preflight finds it."""
    key = f"{cluster.operator_files}/ci.pub"
    return {"files": {"ci.pub": signer.public}, "preflight": {"signers": {"ci": key}}}


def provenance(shop: Shop) -> dict[str, Any]:
    """A statement about the images that run behind canary."""
    pods = shop.cluster.list("v1", "Pod", shop.namespace, labels=f"app={shop.name}-canary")
    ids = [one["imageID"] for pod in pods for one in pod["status"]["containerStatuses"]]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app", "digest": {"sha256": one.rpartition("sha256:")[2]}} for one in ids],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"runDetails": {"builder": {"id": "https://ci.example.com"}}},
    }


def publish(shop: Shop, signer: Signer) -> None:
    """Puts the files of what runs behind canary into the shop's namespace."""
    texts = {"decimals.txt": DECIMALS, "sbom.json": json.dumps(SBOM)}
    signatures = {f"{key}.sig": signer.sign(text.encode()) for key, text in texts.items()}
    data = texts | signatures | {"provenance.json": signer.envelope(provenance(shop))}
    metadata = {"name": NAME, "namespace": shop.namespace}
    shop.cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
