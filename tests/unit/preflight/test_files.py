"""Files: fetched from ConfigMaps, read as what they are, and bound by digest or signature."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkrelease.adapters.preflight.artifacts import Artifacts
from sparkrelease.adapters.preflight.reader import examine
from sparkrelease.adapters.preflight.sboms import is_allowed
from sparkrelease.api.config import PreflightConfig
from sparkrelease.api.status import Verdict
from sparkrelease.decide.preflight.answers import FileAnswer, Unanswered
from unit.preflight.api import SUBJECT, FakeApi, item

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
DIGEST = "d" * 64


def pem(key: Key) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign(key: Key, data: bytes) -> str:
    match key:
        case ec.EllipticCurvePrivateKey():
            raw = key.sign(data, ec.ECDSA(SHA256()))
        case ed25519.Ed25519PrivateKey():
            raw = key.sign(data)
        case rsa.RSAPrivateKey():
            raw = key.sign(data, padding.PKCS1v15(), SHA256())
    return base64.b64encode(raw).decode()


def envelope(key: Key, body: object, kind: str = "application/vnd.in-toto+json") -> bytes:
    payload = json.dumps(body).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    signatures = [{"keyid": "", "sig": sign(key, signed)}]
    told = {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": signatures}
    return json.dumps(told).encode()


def statement(predicate: object, kind: str = "https://slsa.dev/provenance/v1") -> dict[str, object]:
    subject = [{"name": "shop", "digest": {"sha256": DIGEST}}]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": kind,
        "predicate": predicate,
    }


def cyclonedx(*licenses: object) -> dict[str, Any]:
    components = [
        {"type": "library", "name": f"lib{place}", "version": "1", "licenses": held}
        for place, held in enumerate(licenses)
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}


def spdx(*licenses: str) -> dict[str, Any]:
    packages = [
        {
            "SPDXID": f"SPDXRef-{place}",
            "name": f"lib{place}",
            "downloadLocation": "NOASSERTION",
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": held,
        }
        for place, held in enumerate(licenses)
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "shop",
        "documentNamespace": "https://example.com/shop",
        "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: test"]},
        "packages": packages,
    }


def read(kind: str, body: object, *, key: str = "", signature: str = "", licenses: tuple[str, ...] = ()) -> FileAnswer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = {"file": "cm/key", "kind": kind, "key": key, "signature": signature, "licenses": list(licenses)}
    return examine(request | {"content": base64.b64encode(content).decode()})


# ---------------------------------------------------------------- SBOMs

MIT, GPL = [{"license": {"id": "MIT"}}], [{"license": {"id": "GPL-3.0-only"}}]


def test_cyclonedx_is_read_with_every_licence_of_every_package() -> None:
    found = read("sbom", cyclonedx(MIT, GPL, [*MIT, *GPL], [{"expression": "MIT OR GPL-3.0-only"}]), licenses=("MIT",))
    assert (found.fault, found.form, found.packages, found.refused_count) == ("", "CycloneDX 1.5", 4, 2)
    assert any("lib1 1 (GPL-3.0-only)" in one for one in found.refused)


def test_packages_within_packages_count_too() -> None:
    body = cyclonedx(MIT)
    body["components"][0]["components"] = [{"type": "library", "name": "inner", "version": "2", "licenses": GPL}]
    found = read("sbom", body, licenses=("MIT",))
    assert (found.packages, found.refused) == (2, ("inner 2 (GPL-3.0-only)",))


def test_spdx_is_read_by_what_was_concluded_else_declared() -> None:
    found = read("sbom", spdx("MIT", "GPL-3.0-only", "NOASSERTION"), licenses=("mit",))
    assert (found.fault, found.form, found.packages, found.refused_count) == ("", "SPDX-2.3", 3, 2)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        {"bomFormat": "CycloneDX", "components": 3},
        {"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"type": "no such type", "name": "x"}]},
        {"spdxVersion": "SPDX-2.3"},
        {"spdxVersion": "SPDX-2.3", "packages": [{"name": 1}]},
        {"neither": True},
    ],
)
def test_what_is_no_sbom_is_said_to_be_none(body: object) -> None:
    assert read("sbom", body).fault


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("mit", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-3.0-only) AND Apache-2.0", True),
        ("GPL-3.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", False),
        ("Apache License, Version 2.0", False),
        ("AND", False),
        ("", False),
    ],
)
def test_a_licence_expression_is_met_by_allowed_licences_alone(expression: str, allowed: bool) -> None:
    assert is_allowed(expression, frozenset({"mit", "apache-2.0"})) is allowed


@given(st.text(max_size=30))
def test_no_text_makes_reading_a_licence_fail(text: str) -> None:
    assert is_allowed(text, frozenset({"mit"})) in {True, False}


# ---------------------------------------------------------------- vulnerabilities


def test_grype_trivy_and_sarif_are_counted_by_severity() -> None:
    grype = {"matches": [{"vulnerability": {"severity": word}} for word in ("Critical", "High", "Negligible", "Odd")]}
    assert read("vulnerabilities", grype).counts == {"critical": 1, "high": 1, "medium": 0, "low": 0, "unknown": 1}
    trivy = {
        "SchemaVersion": 2,
        "ArtifactName": "x",
        "Results": [{"Vulnerabilities": [{"Severity": "LOW"}]}, {"Vulnerabilities": None}],
    }
    assert read("vulnerabilities", trivy).counts["low"] == 1
    rules = [{"id": "a", "properties": {"security-severity": "9.8"}}, {"id": "b"}]
    results = [{"ruleId": "a"}, {"ruleIndex": 0}, {"ruleId": "b", "level": "error"}, {"ruleId": "c"}, {"level": "none"}]
    sarif = {"runs": [{"tool": {"driver": {"rules": rules}}, "results": results}]}
    assert read("vulnerabilities", sarif).counts == {"critical": 2, "high": 1, "medium": 1, "low": 0, "unknown": 1}


@pytest.mark.parametrize("body", [{}, {"matches": 3}, {"SchemaVersion": 2}, b"x", {"runs": {}}])
def test_what_is_no_report_is_said_to_be_none(body: object) -> None:
    assert read("vulnerabilities", body).fault


# ---------------------------------------------------------------- provenance


def test_provenance_is_read_in_both_forms_of_slsa() -> None:
    new = read("provenance", statement({"runDetails": {"builder": {"id": "https://ci"}}}))
    old = read("provenance", statement({"builder": {"id": "https://old"}}, "https://slsa.dev/provenance/v0.2"))
    assert (new.subjects, new.builder, new.predicate) == ((DIGEST,), "https://ci", "https://slsa.dev/provenance/v1")
    assert old.builder == "https://old"


@pytest.mark.parametrize("body", [{}, {"subject": []}, {**statement({}), "subject": [{"digest": {"md5": "x"}}]}])
def test_what_names_no_image_is_no_provenance(body: object) -> None:
    assert read("provenance", body).fault


# ---------------------------------------------------------------- signatures

KEYS: list[Key] = [
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
    rsa.generate_private_key(public_exponent=65537, key_size=2048),
]
STRANGER = ec.generate_private_key(ec.SECP256R1())


@pytest.mark.parametrize("key", KEYS, ids=["ecdsa", "ed25519", "rsa"])
def test_a_good_signature_in_either_form_is_good(key: Key) -> None:
    plain = json.dumps(cyclonedx(MIT)).encode()
    assert read("sbom", plain, key=pem(key), signature=sign(key, plain)).signature == ""
    attested = read("sbom", envelope(key, statement(cyclonedx(MIT), "https://cyclonedx.org/bom")), key=pem(key))
    assert (attested.signature, attested.fault, attested.packages) == ("", "", 1)
    bundle = json.dumps({"dsseEnvelope": json.loads(envelope(key, statement({})))}).encode()
    assert read("provenance", bundle, key=pem(key)).signature == ""


def test_every_other_signature_is_bad() -> None:
    key, plain = KEYS[0], json.dumps(cyclonedx(MIT)).encode()
    changed = json.loads(envelope(key, statement({})))
    changed["payload"] = base64.b64encode(json.dumps(statement({"builder": {"id": "evil"}})).encode()).decode()
    bad = {
        "none": read("sbom", plain, key=pem(key)),
        "stranger's": read("sbom", plain, key=pem(key), signature=sign(STRANGER, plain)),
        "of another file": read("sbom", plain + b" ", key=pem(key), signature=sign(key, plain)),
        "not base64": read("sbom", plain, key=pem(key), signature="?"),
        "stranger's envelope": read("provenance", envelope(STRANGER, statement({})), key=pem(key)),
        "changed payload": read("provenance", json.dumps(changed).encode(), key=pem(key)),
        "beside an envelope": read("provenance", envelope(STRANGER, {}), key=pem(key), signature=sign(key, b"x")),
        "no key": read("sbom", plain, key="no pem", signature=sign(key, plain)),
    }
    assert [name for name, found in bad.items() if not found.signature] == []


WORDS = ["payload", "payloadType", "signatures", "_type", "matches", "runs", "bomFormat", "subject"]
DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(WORDS), inner),
)
CONTENTS = st.binary(max_size=60) | DOCUMENTS.map(lambda one: json.dumps(one).encode())


@settings(max_examples=50)
@given(CONTENTS, st.sampled_from(["file", "vulnerabilities", "provenance", "dashboard"]))
def test_no_content_makes_the_reader_fail_or_passes_without_its_signature(content: bytes, kind: str) -> None:
    read(kind, content)
    assert read(kind, content, key=pem(KEYS[0])).signature or read(kind, content).fault


# ---------------------------------------------------------------- dashboards


def variable(kind: str, current: object = None, **more: object) -> dict[str, object]:
    """One variable as Grafana exports it."""
    return {"name": kind, "type": kind, **({} if current is None else {"current": {"value": current}}), **more}


def dashboard(*variables: object) -> dict[str, object]:
    return {"title": "Shop", "panels": [], "schemaVersion": 39, "templating": {"list": list(variables)}}


def test_each_variable_of_a_dashboard_has_a_default_or_is_named() -> None:
    fine = [
        variable("query", "shop"),
        variable("custom", ["$__all"]),
        variable("datasource", "default"),
        variable("interval", "1m"),
        variable("switch", False),
        variable("constant", query="eu"),
        variable("textbox", query="x"),
        variable("adhoc", filters=[]),
    ]
    told = read("dashboard", dashboard(*fine))
    assert (told.fault, told.variables, told.without_default) == ("", 8, ())
    for empty in ("", [], [""], None, {}):
        told = read("dashboard", dashboard(*fine, {"name": "pod", "type": "query", "current": {"value": empty}}))
        assert told.without_default == ("pod",)
    assert read("dashboard", dashboard({"name": "pod", "type": "query", "current": {}})).without_default == ("pod",)
    assert read("dashboard", dashboard(variable("constant", query=""))).without_default == ("constant",)


def test_a_dashboard_is_read_as_it_is_exported_answered_and_stored() -> None:
    plain = dashboard(variable("query"))
    second = {
        "elements": {},
        "variables": [
            {"kind": "QueryVariable", "spec": {"name": "query", "current": {"text": "", "value": ""}}},
            {"kind": "AdhocVariable", "spec": {"name": "filters"}},
        ],
    }
    for body in (plain, {"dashboard": plain, "meta": {}}, {"kind": "Dashboard", "spec": plain}, {"spec": second}):
        assert read("dashboard", body).without_default == ("query",)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"title": "no panels"},
        {"panels": [], "templating": {"list": {"name": "x"}}},
        {"panels": [], "templating": {"list": ["x"]}},
        {"panels": [], "variables": "x"},
    ],
)
def test_what_is_no_dashboard_or_hides_its_variables_is_said_to_be_none(body: object) -> None:
    assert read("dashboard", body).fault


# ---------------------------------------------------------------- the whole way


async def test_a_file_is_read_by_a_process_of_its_own(tmp_path: Path) -> None:
    key, api = KEYS[0], FakeApi()
    (tmp_path / "ci.pub").write_text(pem(key))
    body = json.dumps(cyclonedx(MIT, GPL))
    api.config_map("files", **{"sbom.json": body, "sbom.json.sig": sign(key, body.encode())})
    digest = hashlib.sha256(body.encode()).hexdigest()
    artifacts = Artifacts(api, PreflightConfig(signers={"ci": str(tmp_path / "ci.pub")}))
    expect = ["licenses in MIT"]
    wanted = item(artifact=f"files/sbom.json@sha256:{digest}", kind="sbom", signer="ci", expect=expect)
    found = await artifacts.read(SUBJECT, wanted)
    assert isinstance(found, FileAnswer)
    assert (found.sha256, found.signature, found.fault) == (digest, "", "")
    assert (found.packages, found.refused) == (2, ("lib1 1 (GPL-3.0-only)",))


async def test_provenance_is_compared_with_the_pods_of_canary() -> None:
    api = FakeApi()
    body = json.dumps(statement({}))
    api.config_map("files", **{"p.json": body})
    api.service("web-canary", ("", 80))
    running = {
        "phase": "Running",
        "containerStatuses": [{"imageID": f"r.example/app@sha256:{DIGEST}"}, {"imageID": ""}],
    }
    api.pod("pod-1", **running)
    api.pod("gone", phase="Succeeded")
    digest = hashlib.sha256(body.encode()).hexdigest()
    found = await Artifacts(api, PreflightConfig()).read(
        SUBJECT, item(artifact=f"files/p.json@sha256:{digest}", kind="provenance")
    )
    assert isinstance(found, FileAnswer)
    assert found.images == (("pod-1", (DIGEST,)),)


async def test_what_is_not_there_or_not_declared_needs_an_edit(tmp_path: Path) -> None:
    api = FakeApi()
    api.config_map("files", key="x")
    artifacts = Artifacts(api, PreflightConfig(signers={"lost": str(tmp_path / "none")}))
    asked = [("other/key", "ci"), ("files/other", "ci"), ("files/key", "ci"), ("files/key", "lost")]
    told = [await artifacts.read(SUBJECT, item(artifact=at, signer=signer)) for at, signer in asked]
    assert all(isinstance(one, Unanswered) and one.verdict is Verdict.ERROR for one in told)
    says = ["ConfigMap other does not exist", "has no key other", "signer ci is not declared", "cannot be read"]
    assert [text in one.message for text, one in zip(says, told, strict=True) if isinstance(one, Unanswered)] == [
        True
    ] * 4


async def test_a_file_that_is_another_one_is_not_read_at_all() -> None:
    api = FakeApi()
    api.config_map("files", key="x")
    found = await Artifacts(api, PreflightConfig()).read(
        SUBJECT, item(artifact=f"files/key@sha256:{DIGEST}", kind="sbom")
    )
    assert isinstance(found, FileAnswer)
    assert (found.sha256 == DIGEST, found.fault) == (False, "")
