"""Every line that a ready-made policy expects before any traffic can fail, and fails alone.

Each right answer is that of the example application and of its build; a wrong one differs from it in one thing.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from e2e.release_files import DECIMALS, SBOM, Signer
from sparkrelease.adapters.preflight.reader import examine
from sparkrelease.api.expectations import Op
from sparkrelease.api.preflight import PreflightItem
from sparkrelease.api.status import Verdict
from sparkrelease.decide.checks import say_failures
from sparkrelease.decide.facts import Check
from sparkrelease.decide.preflight.answers import FileAnswer, HttpAnswer, PreflightAnswer, SeriesAnswer
from sparkrelease.decide.preflight.judge import judge
from sparkrelease.decide.series import Row
from trading.faults import Faults
from trading.pace import Pace
from trading.web import Site
from unit.manifests.test_policies import FLAG, STANDARD

ITEMS = {item.name: item for item in (*STANDARD.preflight, *FLAG.preflight)}
ALWAYS = ""
"""In place of a line: what the kind of the item asks without one."""

CI, STRANGER = Signer(), Signer()
RUNS, ANOTHER = "a" * 64, "b" * 64
"""Digests of images; canary runs the first."""

Spoil = Callable[[PreflightAnswer], PreflightAnswer]
"""Makes a wrong answer of the right one."""


# ---------------------------------------------------------------- series

PARTS = ("clocks of nodes", "clock of the database", "gaps in sequences")
"""What the series of `time` are of, each as a share of what is borne."""


def series(item: PreflightItem) -> SeriesAnswer:
    """Clocks that agree and numbers without gaps; both Services whole."""
    told = [Row({"of": part}, 0.0) for part in PARTS] if item.name == "time" else [Row({}, 2.0)]
    return SeriesAnswer(item.promql or "", tuple(told))


def valued(value: float, of: str | None = None) -> Spoil:
    """One series has another value."""

    def spoil(answer: PreflightAnswer) -> PreflightAnswer:
        assert isinstance(answer, SeriesAnswer)
        rows = tuple(replace(row, value=value) if row.labels.get("of") == of else row for row in answer.rows)
        assert rows != answer.rows
        return replace(answer, rows=rows)

    return spoil


def silent(answer: PreflightAnswer) -> PreflightAnswer:
    """The query answers no series."""
    assert isinstance(answer, SeriesAnswer)
    return replace(answer, rows=())


# ---------------------------------------------------------------- HTTP


async def http(item: PreflightItem) -> HttpAnswer:
    """What a process of the example application answers."""
    site = Site("v2", "pod", Faults(), Pace(60))
    async with TestClient(TestServer(site.application())) as client:
        url = (item.http or "").removeprefix("http://$canary")
        answer = await client.get(url)
        return HttpAnswer(url, answer.status, tuple(answer.headers.items()), await answer.read(), 0.1)


def status(code: int) -> Spoil:
    """The answer has another status."""

    def spoil(answer: PreflightAnswer) -> PreflightAnswer:
        assert isinstance(answer, HttpAnswer)
        return replace(answer, status=code)

    return spoil


def header(name: str, value: str | None) -> Spoil:
    """A header has another value, or is not there."""

    def spoil(answer: PreflightAnswer) -> PreflightAnswer:
        assert isinstance(answer, HttpAnswer)
        others = tuple(one for one in answer.headers if one[0] != name)
        assert len(others) < len(answer.headers)
        return replace(answer, headers=others if value is None else (*others, (name, value)))

    return spoil


def csp(value: str) -> Spoil:
    """The browser's policy is another one."""
    return header("Content-Security-Policy", value)


def field(path: str, *values: object) -> dict[str, Spoil]:
    """A field of the document has another value, each of these in turn, or is not there."""
    *way, last = path.split(".")[1:]

    def changed(change: Callable[[dict[str, Any]], object]) -> Spoil:
        def spoil(answer: PreflightAnswer) -> PreflightAnswer:
            assert isinstance(answer, HttpAnswer)
            document = place = json.loads(answer.body)
            for step in way:
                place = place[step]
            assert last in place
            change(place)
            return replace(answer, body=json.dumps(document).encode())

        return spoil

    gone = {"is not there": changed(lambda place: place.pop(last))}
    return gone | {f"is {value}": changed(partial(setting, last, value)) for value in values}


def setting(name: str, value: object, place: dict[str, Any]) -> None:
    """Gives a field that value."""
    place[name] = value


# ---------------------------------------------------------------- files


def statement(digest: str = RUNS, predicate: str = "https://slsa.dev/provenance/v1") -> dict[str, object]:
    """What a build says of the image it made."""
    subject = [{"name": "app", "digest": {"sha256": digest}}]
    kind = "https://in-toto.io/Statement/v1"
    return {"_type": kind, "subject": subject, "predicateType": predicate, "predicate": {}}


def read(name: str, text: str, signature: str = "", images: tuple[str, ...] = (RUNS,)) -> FileAnswer:
    """What the operator reads of a file, and the images of canary's pods."""
    item = ITEMS[name]
    found = examine(
        {
            "file": item.artifact,
            "content": base64.b64encode(text.encode()).decode(),
            "kind": item.asks,
            "key": CI.public,
            "signature": signature,
            "licenses": [word for line in item.expected if line.op is Op.IN for word in line.names],
        }
    )
    return replace(found, images=tuple((f"pod-{digest[:1]}", (digest,)) for digest in images))


def sbom(**changes: object) -> FileAnswer:
    """A list of packages, signed."""
    text = json.dumps(SBOM | changes)
    return read("sbom", text, CI.sign(text.encode()))


def under(licence: str) -> list[object]:
    """Packages, the last one under that licence."""
    more = {"type": "library", "name": "more", "version": "1", "licenses": [{"license": {"id": licence}}]}
    return [*SBOM["components"], more]


def licensed(licence: str) -> FileAnswer:
    """A bill whose last package is under that licence."""
    return sbom(components=under(licence))


def files() -> dict[str, FileAnswer]:
    """The files that a build publishes, by the items that read them."""
    return {
        "decimals": read("decimals", DECIMALS, CI.sign(DECIMALS.encode())),
        "sbom": sbom(),
        "provenance": read("provenance", CI.envelope(statement())),
    }


def instead(found: Callable[[], FileAnswer]) -> Spoil:
    """Another file lies there."""
    return lambda _: found()


# ---------------------------------------------------------------- the table

REPORTS = "; report-uri /csp-reports"
(ALLOW_LIST,) = (line for line in ITEMS["browser-policy"].expect if " lacks " in line)
OPEN = (
    "*", "*:*", "http:", "https:", "http://*", "https://*", "ws:", "wss:", "ws://*", "wss://*",
    "data:", "blob:", "'unsafe-inline'", "'unsafe-eval'", "'unsafe-hashes'",
)  # fmt: skip
"""What has no place in an allow-list."""

UNWELL = {"is not well": status(503), "is elsewhere": status(302)}

WRONG: Mapping[tuple[str, str], Mapping[str, Spoil]] = {
    ("time", ALWAYS): {"nobody exports it": silent, "is no number": valued(math.nan, PARTS[0])},
    ("time", "value < 1"): {
        f"{what} {of}": valued(value, of)
        for of in PARTS
        for what, value in {"off by what is not borne:": 1.0, "without": math.inf}.items()
    },
    ("migrations", ALWAYS): UNWELL,
    ("migrations", ".migrations.pending == 0"): field(".migrations.pending", 1, "none", None),
    ("migrations", ".migrations.failed == 0"): field(".migrations.failed", 1, [0]),
    ("migrations", ".migrations.shadowDatabase == false"): field(".migrations.shadowDatabase", True, 0, None),
    ("pooler", ALWAYS): UNWELL,
    ("pooler", ".pooler.mode == transaction"): field(".pooler.mode", "session", "statement", None),
    ("pooler", ".pooler.longQueries == 0"): field(".pooler.longQueries", 1, -1),
    ("pooler", ".pooler.listenHasOwnPool == true"): field(".pooler.listenHasOwnPool", False, 1),
    ("decimals", ALWAYS): {
        "unsigned": instead(lambda: read("decimals", DECIMALS)),
        "a stranger's": instead(lambda: read("decimals", DECIMALS, STRANGER.sign(DECIMALS.encode()))),
        "changed": instead(lambda: read("decimals", DECIMALS + " ", CI.sign(DECIMALS.encode()))),
    },
    ("browser-policy", "status == 204"): {"a page": status(200)},
    ("browser-policy", "Content-Security-Policy has default-src 'self'"): {
        "of somebody else": csp(f"default-src https://cdn.example.com{REPORTS}"),
        "for some things": csp(f"script-src 'self'{REPORTS}"),
        "nobody": csp(f"default-src 'none'{REPORTS}"),
    },
    ("browser-policy", ALLOW_LIST): {
        f"as a default {word}": csp(f"default-src 'self' {word}{REPORTS}") for word in OPEN
    }
    | {f"for scripts {word}": csp(f"default-src 'self';script-src {word.upper()}{REPORTS}") for word in OPEN},
    ("browser-policy", "Content-Security-Policy has report-uri /csp-reports"): {
        "nowhere": csp("default-src 'self'"),
        "a keyword alone": csp("default-src 'self'; script-src 'report-sample'"),
        "elsewhere": csp("default-src 'self'; report-uri /elsewhere"),
    },
    ("browser-policy", "Cross-Origin-Opener-Policy == same-origin"): {
        str(value): header("Cross-Origin-Opener-Policy", value)
        for value in (None, "", "unsafe-none", "same-origin-allow-popups")
    },
    ("browser-policy", "Cross-Origin-Embedder-Policy == require-corp"): {
        str(value): header("Cross-Origin-Embedder-Policy", value) for value in (None, "", "unsafe-none")
    },
    ("monitoring", ALWAYS): {"nobody scrapes": silent},
    ("monitoring", "value == 2"): {f"{value:g} whole": valued(value) for value in (0.0, 1.0, 3.0)},
    ("flags", ALWAYS): UNWELL,
    ("flags", ".flags.implicit == 0"): field(".flags.implicit", 1),
    ("flags", ".flags.unsafe == 0"): field(".flags.unsafe", 1),
    ("flags", ".flags.service == ok"): field(".flags.service", "down", None),
    ("sbom", ALWAYS): {
        "empty": instead(lambda: sbom(components=[])),
        "unsigned": instead(lambda: read("sbom", json.dumps(SBOM))),
        "no list": instead(lambda: read("sbom", DECIMALS, CI.sign(DECIMALS.encode()))),
    },
    ("sbom", ITEMS["sbom"].expect[0]): {
        name: instead(partial(licensed, name)) for name in ("GPL-3.0-only", "AGPL-3.0-or-later", "LicenseRef-own")
    },
    ("provenance", ALWAYS): {
        "of another image": instead(lambda: read("provenance", CI.envelope(statement(ANOTHER)))),
        "of some pods": instead(lambda: read("provenance", CI.envelope(statement()), images=(RUNS, ANOTHER))),
        "of no pod": instead(lambda: read("provenance", CI.envelope(statement()), images=())),
        "of another sort": instead(lambda: read("provenance", CI.envelope(statement(predicate="https://spdx.dev/")))),
        "a stranger's": instead(lambda: read("provenance", STRANGER.envelope(statement()))),
        "unsigned": instead(lambda: read("provenance", json.dumps(statement()))),
    },
    ("api-health", ALWAYS): UNWELL,
    ("api-health", ".status == ok"): field(".status", "failing", None),
    ("build", ALWAYS): UNWELL,
    ("build", "X-Build-SHA"): {str(value): header("X-Build-SHA", value) for value in (None, "")},
    ("ml-score", ALWAYS): UNWELL,
    ("ml-score", ".score >= 0"): {"is -0.1": field(".score", -0.1)["is -0.1"]},
    ("ml-score", ".score <= 1"): {"is 1.1": field(".score", 1.1)["is 1.1"]},
    ("public-endpoints", ALWAYS): UNWELL,
    ("public-endpoints", ".publicEndpoints == ok"): field(".publicEndpoints", "degraded"),
    ("executor", ALWAYS): UNWELL,
    ("executor", ".executor == ok"): field(".executor", "silent"),
}
"""By item and line, the answers that are wrong for this line and no other one."""

ROWS = [
    pytest.param(name, line, spoil, id=f"{name}: {line[:60] or 'always'}: {what}")
    for (name, line), answers in WRONG.items()
    for what, spoil in answers.items()
]


async def right(item: PreflightItem) -> PreflightAnswer:
    """What the example application, its build and its metrics answer."""
    if item.promql is not None:
        return series(item)
    return await http(item) if item.http is not None else files()[item.name]


def without(item: PreflightItem, line: str) -> PreflightItem:
    """The item without one of its lines."""
    return item.model_copy(update={"expect": tuple(one for one in item.expect if one != line)})


def named(item: PreflightItem, check: Check) -> bool:
    """Whether the sentence for people begins with the item's name, and says more."""
    told = say_failures([check])
    return told.startswith(f"{item.name}: ") and len(told) > len(item.name) + 2


def test_every_line_of_both_policies_has_its_wrong_answers() -> None:
    lines = {(item.name, line) for item in ITEMS.values() for line in item.expect}
    asks_a_status = {item.name for item in ITEMS.values() if any(one.subject == "status" for one in item.expected)}
    assert set(WRONG) == lines | {(name, ALWAYS) for name in ITEMS if name not in asks_a_status}
    assert len(ITEMS) == len(STANDARD.preflight) + len(FLAG.preflight) == 9 + 5
    assert [key for key, answers in WRONG.items() if not answers] == []


@pytest.mark.parametrize("item", ITEMS.values(), ids=lambda item: item.name)
async def test_the_right_answer_passes(item: PreflightItem) -> None:
    check = judge(item, await right(item))
    assert (check.name, check.verdict) == (item.name, Verdict.PASS), check.message


@pytest.mark.parametrize(("name", "line", "spoil"), ROWS)
async def test_a_wrong_answer_is_no_pass_for_its_own_line_alone_and_the_item_is_named(
    name: str, line: str, spoil: Spoil
) -> None:
    item = ITEMS[name]
    answer = spoil(await right(item))
    check = judge(item, answer)
    assert check.verdict in {Verdict.FAIL, Verdict.NO_DATA}
    assert named(item, check)
    if line is not ALWAYS:
        assert judge(without(item, line), answer).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "value",
    [
        "default-src *; report-uri /x",
        "default-src * 'unsafe-inline'; script-src 'report-sample'",
        "default-src 'self' *; report-uri /csp-reports",
        "default-src 'self'; script-src * 'unsafe-inline'; report-uri /csp-reports",
    ],
)
async def test_a_policy_of_the_browser_that_lets_anybody_in_is_no_allow_list(value: str) -> None:
    item = ITEMS["browser-policy"]
    check = judge(item, csp(value)(await right(item)))
    assert check.verdict is Verdict.FAIL
    assert named(item, check)


@pytest.mark.parametrize(
    "value",
    [
        "default-src 'self' https://*.example.com; script-src 'nonce-4f'; report-uri /csp-reports; report-to csp",
        "default-src 'self'; connect-src wss://feed.example.com; report-uri /csp-reports",
    ],
)
async def test_a_list_of_one_s_own_places_is_one(value: str) -> None:
    item = ITEMS["browser-policy"]
    assert judge(item, csp(value)(await right(item))).verdict is Verdict.PASS


async def test_a_policy_that_only_reports_is_none() -> None:
    item = ITEMS["browser-policy"]
    found = await http(item)
    renamed = [(name.replace("Content-Security-Policy", "Content-Security-Policy-Report-Only"), value)
               for name, value in found.headers]  # fmt: skip
    check = judge(item, replace(found, headers=tuple(renamed)))
    assert (check.verdict, "no header Content-Security-Policy" in check.message) == (Verdict.FAIL, True)
