"""What an answer means for an item."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkrelease.api.status import RuleVerdict, Verdict
from sparkrelease.decide.facts import Check
from sparkrelease.decide.native import Bucket, histogram_of
from sparkrelease.decide.preflight.answers import FileAnswer, HttpAnswer, JobAnswer, SeriesAnswer, Unanswered
from sparkrelease.decide.preflight.judge import judge
from sparkrelease.decide.series import Row, row_of
from unit.preflight.api import item

DIGEST, OTHER = "a" * 64, "b" * 64


def series(expect: str, *values: float) -> Check:
    rows = tuple(Row({"pod": f"p{place}"}, value) for place, value in enumerate(values))
    return judge(item(promql="up", expect=[expect]), SeriesAnswer("up", rows))


def answered(expect: list[str], *, status: int = 200, body: object = None, **headers: str) -> Check:
    told = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge(item(http="http://web/", expect=expect), HttpAnswer("http://web/", status, told, raw, 0.02))


def file(kind: str, expect: list[str] | None = None, *, at: str = f"cm/key@sha256:{DIGEST}", **found: Any) -> Check:  # noqa: ANN401 - fields of FileAnswer
    one = item(artifact=at, kind=kind, expect=expect or [])
    return judge(one, FileAnswer("cm/key", found.pop("sha256", DIGEST), 10, **found))


# ---------------------------------------------------------------- series


def test_every_series_must_fit() -> None:
    assert series("value == 1", 1, 1).verdict is Verdict.PASS
    failed = series("value == 1", 1, 0)
    assert failed.verdict is Verdict.FAIL
    assert "pod=p1" in failed.message


def test_no_series_is_no_pass() -> None:
    assert series("value < 1").verdict is Verdict.NO_DATA


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("expect", ["value == 1", "value < 1"])
def test_what_is_no_number_meets_nothing_it_should_not(value: float, expect: str) -> None:
    fits = value == -math.inf and "<" in expect
    assert (series(expect, value).verdict is Verdict.PASS) is fits


@pytest.mark.parametrize("expect", ["value == 5", "value < 9", "value > 1", "value != 1"])
def test_a_native_histogram_is_no_number(expect: str) -> None:
    row = row_of({"pod": "p1"}, histogram_of(5, [Bucket(0, 0.25, 0.5, 5)]))
    found = judge(item(promql="up", expect=[expect]), SeriesAnswer("up", (row,)))
    assert found.verdict is Verdict.FAIL
    assert "a native histogram, a number is wanted" in found.message


@given(st.lists(st.floats(), min_size=1, max_size=5))
def test_a_query_passes_only_when_all_its_values_are_below(values: list[float]) -> None:
    assert (series("value < 3", *values).verdict is Verdict.PASS) is all(value < 3 for value in values)


# ---------------------------------------------------------------- HTTP


def test_an_answer_that_is_as_expected_passes() -> None:
    expect = ["status == 200", "X-Build-SHA == abc", "x-frame-options", ".checks[1].state == ok", ".score >= 0.8"]
    body = {"checks": [{}, {"state": "ok"}], "score": 0.9}
    assert answered(expect, body=body, X_Build_SHA="abc", X_Frame_Options="DENY").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("expect", "status", "says"),
    [
        ([], 500, "status 500, expected 200"),
        ([], 301, "redirects are not followed"),
        (["status == 204"], 200, "status 200, expected status == 204"),
        (["X-Build-SHA"], 200, "no header X-Build-SHA"),
        (["Server == y"], 200, "Server: x, expected"),
        ([".missing"], 200, "no field .missing"),
        ([".list[3]"], 200, "no field .list[3]"),
        ([".score >= 0.8"], 200, ".score is 0.5, expected"),
        ([".score.deep"], 200, "no field"),
        ([".flag == false"], 200, ".flag is true"),
    ],
)
def test_an_answer_that_is_not_fails_with_what_was_found(expect: list[str], status: int, says: str) -> None:
    failed = answered(expect, status=status, body={"list": [], "score": 0.5, "flag": True}, Server="x")
    assert failed.verdict is Verdict.FAIL
    assert says in failed.message


@pytest.mark.parametrize("line", ["X-Build-SHA", "X-Build-SHA != v9", "X-Build-SHA lacks v9"])
@pytest.mark.parametrize("value", ["", " "])
def test_a_header_without_a_value_is_none(line: str, value: str) -> None:
    assert answered([line], X_Build_SHA=value).message == "no header X-Build-SHA"


@pytest.mark.parametrize(
    ("line", "passes"),
    [("Via == a", True), ("Via has b", True), ("Via == c", False), ("Via != a", False), ("Via lacks c, b", False)],
)
def test_of_a_header_that_comes_twice_one_says_what_is_wanted_and_none_what_is_not(line: str, *, passes: bool) -> None:
    told = (("Via", "a"), ("via", "b"))
    check = judge(item(http="http://web/", expect=[line]), HttpAnswer("http://web/", 200, told, b"", 0.02))
    assert check.verdict is (Verdict.PASS if passes else Verdict.FAIL)


def test_words_that_should_not_be_there_are_named_in_header_and_body_alike() -> None:
    lines = ["Policy lacks *, https:", ".roles lacks admin, root"]
    failed = answered(lines, body={"roles": "root, ops"}, Policy="a *; b https: *")
    assert failed.message == "Policy has *, https:, expected none of that; .roles has root, expected none of that"


def test_a_body_that_is_not_json_has_no_fields() -> None:
    assert "not JSON" in answered([".a"], body=b"<html>").message
    assert "not JSON" in answered([".a"], body=b"[" * 100_000).message


@pytest.mark.parametrize(
    "check",
    [
        answered([".status == ok"], body=b'{"status": "\\ud800"}'),
        answered([".parts == ok"], body=b'{"parts": ["\\ud800"]}'),
        answered(["x-by has ok"], x_by="caf\udce9"),
    ],
)
def test_what_is_no_character_is_told_in_words_that_a_status_can_hold(check: Check) -> None:
    assert check.verdict is Verdict.FAIL
    told = RuleVerdict(rule="web", kind="preflight", verdict=Verdict.FAIL, message=check.message)
    assert "expected" in told.model_dump_json()


def test_a_redirect_can_be_what_is_expected() -> None:
    assert answered(["status == 301", "Location == /new"], status=301, Location="/new").verdict is Verdict.PASS


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(DOCUMENTS)
def test_any_document_is_judged(body: object) -> None:
    assert answered([".a[0].b == 1"], body=body).verdict in {Verdict.PASS, Verdict.FAIL}


# ---------------------------------------------------------------- jobs, and what did not answer


def test_a_job_passes_by_its_success_and_fails_with_exit_code_and_last_words() -> None:
    one = item(job="check", expect=["log has 0 pending"])
    assert judge(one, JobAnswer("j", True, 0, "ok\n0 pending\n")).verdict is Verdict.PASS
    assert judge(one, JobAnswer("j", True, 0, "2 pending")).verdict is Verdict.FAIL
    failed = judge(one, JobAnswer("j", False, 3, "0 pending\ntable missing\n", "BackoffLimitExceeded"))
    assert failed.verdict is Verdict.FAIL
    assert "exit code 3, BackoffLimitExceeded, its log ends: table missing" in failed.message
    assert failed.details["log"].endswith("table missing\n")


def test_what_did_not_answer_is_no_pass_and_keeps_its_reason() -> None:
    check = judge(item(job="check", optional=True), Unanswered(Verdict.NO_DATA, "not done within 5m"))
    assert (check.verdict, check.message, check.optional) == (Verdict.NO_DATA, "not done within 5m", True)


# ---------------------------------------------------------------- files


def test_another_file_than_the_one_named_is_not_even_read() -> None:
    failed = file("sbom", sha256=OTHER, packages=5)
    assert failed.verdict is Verdict.FAIL
    assert "the digest is sha256:bbbb" in failed.message


def test_a_signature_that_is_not_good_outweighs_everything_in_the_file() -> None:
    failed = file("sbom", at="cm/key@sha256:" + DIGEST, signature="not the signer's", packages=3)
    assert failed.message == "not the signer's"


def test_an_sbom_lists_packages_under_allowed_licences() -> None:
    lines = ["licenses in MIT", "packages >= 2"]
    assert file("sbom", lines, packages=2).verdict is Verdict.PASS
    assert file("sbom", packages=0).verdict is Verdict.FAIL
    assert "1 packages, expected packages >= 2" in file("sbom", lines, packages=1).message
    refused = file("sbom", lines, packages=2, refused=("x 1 (GPL-3.0-only)",), refused_count=1)
    assert "x 1 (GPL-3.0-only)" in refused.message


def test_findings_of_a_severity_count_every_worse_one() -> None:
    counts = {"critical": 1, "high": 2, "medium": 0, "low": 9, "unknown": 4}
    assert file("vulnerabilities", ["high <= 3"], counts=counts).verdict is Verdict.PASS
    assert "3 findings that are high or worse" in file("vulnerabilities", ["high <= 2"], counts=counts).message
    assert file("vulnerabilities", ["unknown <= 3"], counts=counts).verdict is Verdict.FAIL


def test_without_a_line_no_critical_finding_is_borne() -> None:
    assert file("vulnerabilities", counts={"critical": 1}).verdict is Verdict.FAIL
    assert file("vulnerabilities", counts={"critical": 0, "high": 7}).verdict is Verdict.PASS


def test_a_dashboard_has_a_default_for_each_of_its_variables() -> None:
    fine = file("dashboard", variables=2, form="Grafana dashboard")
    assert (fine.verdict, fine.message) == (Verdict.PASS, "Grafana dashboard, 2 variables with defaults")
    assert file("dashboard").verdict is Verdict.PASS, "a dashboard needs no variables"
    failed = file("dashboard", variables=5, without_default=("a", "b", "c", "d"))
    assert failed.verdict is Verdict.FAIL
    assert failed.message == "variables without a default: a, b, c and 1 more"
    assert "0 variables, expected variables >= 1" in file("dashboard", ["variables >= 1"]).message


def test_provenance_names_what_every_pod_runs() -> None:
    slsa = "https://slsa.dev/provenance/v1"
    said = {"subjects": (DIGEST,), "predicate": slsa, "builder": "https://ci"}
    assert file("provenance", images=(("p1", (OTHER, DIGEST)),), **said).verdict is Verdict.PASS
    assert "pod p2 runs" in file("provenance", images=(("p1", (DIGEST,)), ("p2", (OTHER,))), **said).message
    assert "no pod" in file("provenance", images=(), **said).message
    assert "an image without digest" in file("provenance", images=(("p1", ()),), **said).message
    other = file("provenance", ["builder == https://x"], images=(("p1", (DIGEST,)),), **said)
    assert "the builder is https://ci" in other.message
    vouched = {**said, "predicate": "https://example.com/vsa"}
    assert "the predicate is" in file("provenance", images=(("p1", (DIGEST,)),), **vouched).message
