"""Files in a registry: by plain GETs from a host that is allowed, bound by digests from the item to the blob."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from sparkrelease.adapters.preflight.artifacts import Artifacts
from sparkrelease.api.config import PreflightConfig
from sparkrelease.api.preflight import FileRef, PreflightItem, RegistryRef
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Check
from sparkrelease.decide.preflight.answers import Unanswered
from sparkrelease.decide.preflight.judge import judge
from testbed.pki import Pki
from unit.preflight.api import SUBJECT, FakeApi, item
from unit.preflight.test_files import cyclonedx, envelope, pem, statement

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Registry:
    """The part of the distribution API that pulls, on the loopback interface, over TLS."""

    ca: Path
    port: int = 0
    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    instead: dict[str, web.Response] = field(default_factory=dict)
    """Answers by path, whatever is stored."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Path and Accept header of each request."""

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, request.headers["Accept"]))
        kind, digest = request.path.split("/")[-2:]
        if kind in self.instead:
            return self.instead[kind]
        assert "/".join(request.path.split("/")[2:-2]) == "team/app"
        found = {"manifests": self.manifests, "blobs": self.blobs}[kind].get(digest)
        return web.Response(body=found, content_type=MANIFEST) if found is not None else web.Response(status=404)

    def push(self, content: bytes, **manifest: object) -> str:
        """Stores a file as an artifact of one layer; the reference to it."""
        self.blobs[digest_of(content)] = content
        layer = {"mediaType": "application/json", "digest": digest_of(content), "size": len(content)}
        return self.put({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer], **manifest})

    def put(self, manifest: object) -> str:
        body = json.dumps(manifest).encode()
        self.manifests[digest_of(body)] = body
        return f"oci://127.0.0.1:{self.port}/team/app@{digest_of(body)}"


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    pki = Pki(tmp_path / "pki")
    pki.create()
    made = Registry(pki.ca)
    app = web.Application()
    app.router.add_get("/v2/{tail:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(pki.certificate("apiserver"), pki.key("apiserver"))
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    assert site._server is not None
    made.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a started server has sockets
    yield made
    await runner.cleanup()


async def check(registry: Registry, asked: PreflightItem, **config: object) -> Check:
    known = {"hosts": [f"127.0.0.1:{registry.port}"], "caFile": str(registry.ca), **config}
    return judge(asked, await Artifacts(FakeApi(), PreflightConfig.model_validate(known)).read(SUBJECT, asked))


async def test_a_file_is_found_by_the_digest_of_its_manifest(registry: Registry) -> None:
    reference = registry.push(b"half to even: proved\n")
    told = await check(registry, item(artifact=reference))
    assert (told.verdict, told.message) == (Verdict.PASS, "21 bytes")
    assert told.details["sha256"] == hashlib.sha256(b"half to even: proved\n").hexdigest()
    assert told.details["file"].startswith(f"oci://127.0.0.1:{registry.port}/team/app@sha256:")
    (manifest, accept), (blob, _) = registry.seen
    assert manifest.startswith("/v2/team/app/manifests/sha256:") and accept.startswith(MANIFEST)
    assert blob.startswith("/v2/team/app/blobs/sha256:")


async def test_it_is_read_as_what_it_is(registry: Registry) -> None:
    bill = json.dumps(cyclonedx([{"license": {"id": "MIT"}}])).encode()
    fine = item(artifact=registry.push(bill), kind="sbom", expect=["licenses in MIT"])
    assert (await check(registry, fine)).verdict is Verdict.PASS
    strict = item(artifact=registry.push(bill), kind="sbom", expect=["licenses in Apache-2.0"])
    assert (await check(registry, strict)).verdict is Verdict.FAIL


async def test_an_envelope_in_a_registry_must_be_signed_by_the_signer(registry: Registry, tmp_path: Path) -> None:
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ci.pub").write_text(pem(key))
    signers = {"ci": str(tmp_path / "ci.pub")}
    for signer, verdict in ((key, Verdict.PASS), (other, Verdict.FAIL)):
        reference = registry.push(envelope(signer, statement({})))
        told = await check(registry, item(artifact=reference, signer="ci"), signers=signers)
        assert told.verdict is verdict, told.message


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
async def test_anything_else_than_what_the_digest_stands_for_is_refused(registry: Registry, kind: str) -> None:
    reference = registry.push(b"proved")
    stored = registry.manifests if kind == "manifests" else registry.blobs
    for digest in stored:
        stored[digest] += b" "
    told = await check(registry, item(artifact=reference))
    assert told.verdict is Verdict.ERROR and "answers something else than sha256:" in told.message


@pytest.mark.parametrize(
    "manifest",
    [
        {"manifests": [{"digest": "sha256:" + "a" * 64}]},
        {"layers": []},
        {"layers": [{"digest": "sha256:" + "a" * 64}] * 2},
        {"layers": [{"digest": "md5:abc"}]},
        {"layers": [{"digest": "sha256:../../../etc"}]},
        ["layers"],
    ],
)
async def test_a_manifest_of_other_than_one_file_is_refused(registry: Registry, manifest: object) -> None:
    told = await check(registry, item(artifact=registry.put(manifest)))
    assert told.verdict is Verdict.ERROR and "is no manifest of one file" in told.message
    assert len(registry.seen) == 1


@pytest.mark.parametrize(
    ("status", "says"),
    [(401, "asks for credentials"), (403, "asks for credentials"), (307, "redirects are not followed"), (404, "404")],
)
@pytest.mark.parametrize("kind", ["manifests", "blobs"])
async def test_what_a_registry_refuses_or_sends_elsewhere_is_said_and_not_followed(
    registry: Registry, kind: str, status: int, says: str
) -> None:
    reference = registry.push(b"proved")
    elsewhere = {"Location": f"https://127.0.0.1:{registry.port}/v2/team/app/blobs/{digest_of(b'proved')}"}
    registry.instead[kind] = web.Response(status=status, headers=elsewhere)
    told = await check(registry, item(artifact=reference))
    assert told.verdict is Verdict.ERROR and says in told.message
    assert len(registry.seen) == 1 + (kind == "blobs")


async def test_a_file_over_the_limit_is_no_answer(registry: Registry) -> None:
    told = await check(registry, item(artifact=registry.push(b"x" * 5000)), maxBytes=4096)
    assert told.verdict is Verdict.ERROR and "more than 4096 bytes" in told.message


@pytest.mark.parametrize("hosts", [[], ["registry.example.com"], ["127.0.0.1"]])
async def test_a_registry_that_is_not_allowed_is_never_asked(registry: Registry, hosts: list[str]) -> None:
    told = await check(registry, item(artifact=registry.push(b"proved")), hosts=hosts)
    assert told.verdict is Verdict.ERROR and "nor allowed by the administrator" in told.message
    assert registry.seen == []


async def test_a_bare_name_is_no_registry_even_where_it_is_allowed(registry: Registry) -> None:
    asked = item(artifact=f"oci://registry/team/app@sha256:{'a' * 64}")
    told = await check(registry, asked, hosts=["registry"])
    assert told.verdict is Verdict.ERROR and "name it in full" in told.message


async def test_a_certificate_of_somebody_else_is_no_answer(registry: Registry) -> None:
    asked = item(artifact=registry.push(b"proved"))
    config = PreflightConfig.model_validate({"hosts": [f"127.0.0.1:{registry.port}"]})
    answer = await Artifacts(FakeApi(), config).read(SUBJECT, asked)
    assert isinstance(answer, Unanswered) and answer.verdict is Verdict.NO_DATA
    assert registry.seen == []


def test_references_are_told_apart() -> None:
    digest = "b" * 64
    assert item(artifact=f"files/sbom.json@sha256:{digest}").file == FileRef("files", "sbom.json", digest)
    reference = item(artifact=f"oci://r.example.com:5000/team/app/files@sha256:{digest}").file
    assert reference == RegistryRef("r.example.com:5000", "team/app/files", digest)
