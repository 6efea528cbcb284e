"""Wrong items of preflight: those the API server refuses, and those whose form alone is right."""

from __future__ import annotations

from typing import Any

from unit.api.wrong import Wrong

DIGEST = "a" * 64
GOOD_ITEM: dict[str, Any] = {"name": "api", "http": "http://shop-canary:8080/", "expect": ["status == 200"]}
QUERY: dict[str, Any] = {"name": "q", "promql": "up", "expect": ["value == 1"]}
FILE: dict[str, Any] = {"name": "f", "artifact": f"files/sbom.json@sha256:{DIGEST}", "kind": "sbom"}


def _row(what: str, wrong: dict[str, Any], good: dict[str, Any], at: str, says: str = "") -> Wrong:
    return Wrong(what, "preflight", [wrong], [good], f"spec.preflight[0]{at}", says)


# fmt: off - a table is read by its rows
PREFLIGHT = [
    _row("item without a kind", {"name": "x"}, GOOD_ITEM, "", "give one of promql, http, job, artifact"),
    _row("item of two kinds", GOOD_ITEM | {"job": "x"}, GOOD_ITEM, "", "give one of promql, http, job, artifact"),
    _row("check without a name", {"http": "http://a/"}, GOOD_ITEM, ".name", "equired"),
    _row("item with a field of another product", GOOD_ITEM | {"tcp": "a:1"}, GOOD_ITEM, ".tcp"),
    _row("URL of another scheme", GOOD_ITEM | {"http": "ftp://a/"}, GOOD_ITEM, ".http", "match"),
    _row("URL with a blank", GOOD_ITEM | {"http": "http://a/ b"}, GOOD_ITEM, ".http", "match"),
    _row("timeout as words", GOOD_ITEM | {"timeout": "soon"}, GOOD_ITEM | {"timeout": "9s"}, ".timeout"),
    _row("file without a key", FILE | {"artifact": "files"}, FILE, ".artifact", "match"),
    _row("digest too short", FILE | {"artifact": "files/a@sha256:abc"}, FILE, ".artifact", "match"),
    _row(
        "registry without a repository", FILE | {"artifact": f"oci://r.io@sha256:{DIGEST}"}, FILE, ".artifact", "match"
    ),
    _row("unknown kind of file", FILE | {"kind": "zip"}, FILE, ".kind"),
    _row("CronJob in capitals", {"name": "j", "job": "Check"}, {"name": "j", "job": "check"}, ".job", "match"),
    _row("expectation of half a comparison", GOOD_ITEM | {"expect": ["status =="]}, GOOD_ITEM, ".expect[0]", "match"),
    _row("query of nothing", QUERY | {"promql": ""}, QUERY, ".promql", "at least 1 char"),
    _row("query of preflight too long", QUERY | {"promql": "u" * 2049}, QUERY | {"promql": "u" * 2048}, ".promql"),
    _row("sometimes optional", GOOD_ITEM | {"optional": "often"}, GOOD_ITEM | {"optional": True}, ".optional"),
    _row("signer in capitals", FILE | {"signer": "CI"}, FILE | {"signer": "ci"}, ".signer", "match"),
    _row("two signers", FILE | {"signer": "ci,cd"}, FILE | {"signer": "ci.cd"}, ".signer", "match"),
    Wrong("two checks of one name", "preflight", [GOOD_ITEM, GOOD_ITEM], [GOOD_ITEM, QUERY], "spec.preflight"),
    Wrong(
        "65 checks",
        "preflight",
        [GOOD_ITEM | {"name": f"i{n}"} for n in range(65)],
        [GOOD_ITEM | {"name": f"i{n}"} for n in range(64)],
        "spec.preflight",
        "at most 64 items",
    ),
    _row("33 expectations", GOOD_ITEM | {"expect": ["status == 200"] * 33}, GOOD_ITEM, ".expect", "at most 32 items"),
]

FORM_ALONE_RIGHT = [
    (QUERY | {"expect": []}, ".expect", "a query needs a limit"),
    (QUERY | {"expect": ["value < much"]}, ".expect[0]", "'much' is not a number"),
    (QUERY | {"expect": ["value == 1", "status == 200"]}, ".expect[1]", "nothing that promql knows"),
    (GOOD_ITEM | {"expect": ["status ~ 200"]}, ".expect[0]", "is not a subject with a comparison"),
    (GOOD_ITEM | {"expect": [".a[x] == 1"]}, ".expect[0]", "is not a path"),
    (GOOD_ITEM | {"expect": ["Server lacks ,"]}, ".expect[0]", "the list is empty"),
    (GOOD_ITEM | {"expect": ["status lacks 500"]}, ".expect[0]", "status needs one of"),
    (GOOD_ITEM | {"timeout": "0s"}, ".timeout", "longer than 0s"),
    (GOOD_ITEM | {"timeout": "25h"}, ".timeout", "at most 24h"),
    (GOOD_ITEM | {"kind": "sbom"}, ".kind", "belongs to an artifact"),
    (GOOD_ITEM | {"signer": "ci"}, ".signer", "belongs to an artifact"),
    (FILE | {"artifact": "files/sbom.json"}, ".artifact", "add @sha256:digest or a signer"),
    (FILE | {"artifact": "oci://r.example.com/app"}, ".artifact", "oci://host/repository@sha256:digest"),
    (FILE | {"artifact": f"oci://r.example.com/App@sha256:{DIGEST}"}, ".artifact", "write it as one of them"),
    (FILE | {"kind": "dashboard", "expect": ["panels >= 1"]}, ".expect[0]", "nothing that dashboard knows"),
    (FILE | {"kind": "dashboard", "expect": ["variables >= some"]}, ".expect[0]", "'some' is not a number"),
    (FILE | {"expect": ["critical == 0"]}, ".expect[0]", "nothing that sbom knows"),
]
"""Items the API server takes, the field at fault, and what the operator says of it."""
