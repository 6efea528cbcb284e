"""`preflight`: what keeps a run from starting, tried from here; nothing is created, and what is left out is said."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import yaml
from typer.testing import CliRunner

from fakes.prometheus_server import MisbehavingServer, vector
from sparkrelease.api.config import OperatorConfig
from sparkrelease.api.reasons import Reason
from sparkrelease.cli.app import app
from sparkrelease.cli.byhand import From, place_host
from sparkrelease.cli.cluster import Cluster
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.manifests import read_manifest
from sparkrelease.cli.preflight import code_of, try_preflight
from sparkrelease.cli.proxied import Fetched
from sparkrelease.cli.tried import Result, Tried
from sparkrelease.decide.facts import Problem
from sparkrelease.ports.api_server import Reply
from unit.cli.test_planning import manifest

FILE = "text"
DIGEST = hashlib.sha256(FILE.encode()).hexdigest()
ITEMS = [
    {"name": "query", "promql": "sum(up)", "expect": ["value == 1"]},
    {"name": "inside", "http": "http://$canary/"},
    {"name": "job", "job": "check"},
    {"name": "file", "artifact": f"files/key@sha256:{DIGEST}"},
]


class Door:
    """A cluster that has one ConfigMap and one of the two Services; anything but a read would be an error."""

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        if path.endswith("/configmaps/files"):
            return Reply(200, {"data": {"key": FILE}})
        if path.endswith("/services/shop-stable"):
            return Reply(200, {"kind": "Service"})
        return Reply(404, {}, Problem(Reason.OBJECT_NOT_FOUND, "not found"))

    def fetch(self, path: str, *, most: int, within: float) -> Fetched:
        raise CliError(ExitCode.UNREACHABLE, "nobody is behind a proxy here")


def written(tmp_path: Path, items: list[dict[str, object]]) -> Path:
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest(preflight=items)))
    return file


def run(tmp_path: Path, *args: str, items: list[dict[str, object]] = ITEMS) -> tuple[int, str]:
    command = ["preflight", "-f", str(written(tmp_path, items)), "--offline", *args]
    done = CliRunner(env={"COLUMNS": None}).invoke(app, command)
    return done.exit_code, done.output


def test_without_a_cluster_and_a_server_everything_is_skipped_with_its_reason(tmp_path: Path) -> None:
    code, output = run(tmp_path)
    assert code == ExitCode.UNTRIED == 9, output
    for words in (
        "- skip  query",
        "--prometheus URL",
        "answers inside the cluster",
        "a Job would be created",
        "- skip  alerts",
        "8 skip; not everything that is required could be looked at",
    ):
        assert words in output


def test_what_is_optional_may_be_skipped_and_what_failed_counts_for_more_than_what_was_skipped(tmp_path: Path) -> None:
    job: dict[str, object] = {"name": "job", "job": "check"}
    lines = [Tried("a", "built in", Result.PASS, ""), Tried("b", "job", Result.SKIP, "", required=False)]
    assert code_of(lines) is ExitCode.FINE
    assert code_of([*lines, Tried("c", "job", Result.SKIP, "")]) is ExitCode.UNTRIED
    failed = Tried("d", "http", Result.FAIL, "")
    assert code_of([*lines, Tried("c", "job", Result.SKIP, ""), failed]) is ExitCode.BAD
    for optional in (False, True):
        _, output = run(tmp_path, "-o", "json", items=[job | {"optional": optional}])
        assert json.loads(output)["checks"][-1]["required"] is not optional


def test_a_query_that_is_not_as_expected_fails_with_1_and_an_optional_one_only_warns(tmp_path: Path) -> None:
    item: dict[str, object] = {"name": "query", "promql": "sum(up)", "expect": ["value == 1"]}
    with MisbehavingServer(vector(({}, "0"))).serving() as server:
        code, output = run(tmp_path, "--prometheus", server.url, items=[item])
        assert (code, "✖ fail  query" in output) == (1, True), output
        _, output = run(tmp_path, "--prometheus", server.url, items=[item | {"optional": True}])
        assert "! warn  query" in output


RULES = {"groups": [{"rules": [{"name": "Burn1h", "health": "ok"}]}]}
LOADED = json.dumps({"status": "success", "data": RULES}).encode()
SILENCE = {"id": "s1", "status": {"state": "active"}, "comment": "deploy"}
SILENCED = json.dumps([SILENCE | {"matchers": [{"name": "alertname", "value": "Burn1h"}]}]).encode()
NO_ITEM: list[dict[str, object]] = []


def configured(tmp_path: Path, loaded: str, **server: object) -> tuple[int, str]:
    """What preflight says by a configuration whose server asks for alerts."""
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"servers": {"default": {"url": loaded, **server}}}))
    return run(tmp_path, "--config", str(file), items=NO_ITEM)


def test_alerts_the_administrator_asks_for_are_looked_for_as_the_operator_does(tmp_path: Path) -> None:
    with MisbehavingServer(LOADED).serving() as loaded, MisbehavingServer(b"[]").serving() as quiet:
        _, fine = configured(tmp_path, loaded.url, alerts=["Burn1h"], alertmanager=quiet.url)
        assert "✔ pass  alerts" in fine and "loaded and not silenced: Burn1h" in fine, fine
        code, missing = configured(tmp_path, loaded.url, alerts=["Burn1h", "Burn6h"], alertmanager=quiet.url)
        assert (code, "✖ fail  alerts/Burn6h" in missing) == (1, True), missing
    with MisbehavingServer(LOADED).serving() as loaded, MisbehavingServer(SILENCED).serving() as silencing:
        code, silenced = configured(tmp_path, loaded.url, alerts=["Burn1h"], alertmanager=silencing.url)
        assert (code, "silence s1 holds it back: deploy" in silenced) == (1, True), silenced


def test_alerts_nobody_declared_are_said_not_to_have_been_looked_for(tmp_path: Path) -> None:
    with MisbehavingServer(LOADED).serving() as loaded:
        _, untold = configured(tmp_path, loaded.url)
        assert "! warn  alerts" in untold and "nobody looked for one" in untold, untold
        _, unheard = configured(tmp_path, loaded.url, alerts=["Burn1h"])
        assert "! warn  alerts" in unheard and "nobody looked for silences" in unheard, unheard
        _, none = configured(tmp_path, loaded.url, alerts=[])
        assert "✔ pass  alerts" in none and "none is asked for" in none, none


def test_programs_get_the_same(tmp_path: Path) -> None:
    code, output = run(tmp_path, "-o", "json")
    told = json.loads(output)
    assert code == ExitCode.UNTRIED
    assert {one["name"]: one["result"] for one in told["checks"]}["job"] == "skip"


def test_a_policy_of_another_file_is_merged_in(tmp_path: Path) -> None:
    release = manifest()
    release["spec"]["policyRef"] = {"name": "standard"}
    policy = {"kind": "ReleasePolicy", "metadata": {"name": "standard"}, "spec": {"preflight": ITEMS[2:3]}}
    files = [tmp_path / "release.yaml", tmp_path / "policy.yaml"]
    for file, body in zip(files, (release, policy), strict=True):
        file.write_text(yaml.safe_dump(body))
    command = ["preflight", "-f", str(files[0]), "--policy-file", str(files[1]), "--offline"]
    done = CliRunner(env={"COLUMNS": None}).invoke(app, command)
    assert "- skip  job" in done.output


def test_with_a_cluster_files_are_read_and_services_looked_for(tmp_path: Path) -> None:
    target = read_manifest([written(tmp_path, ITEMS)], []).placed("shop")
    here = From(cast("Cluster", Door()), OperatorConfig(), ask=False, configured=False)
    lines = {line.name: line.result for line in try_preflight(target, here)}
    assert lines["file"] is Result.PASS
    assert (lines["service shop-stable"], lines["service shop-canary"]) == (Result.PASS, Result.FAIL)


class Pods(Door):
    """A cluster whose stable Service has two pods, of which only one is a target of the metrics server."""

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        if path.endswith("/endpointslices"):
            label = str((query or {})["labelSelector"])
            targets = [{"addresses": [name], "targetRef": {"kind": "Pod", "name": name, "uid": name}} for name in "ab"]
            labels = {"kubernetes.io/service-name": "shop-stable"}
            slices = [{"metadata": {"name": "s", "namespace": "shop", "labels": labels}, "endpoints": targets}]
            return Reply(200, {"items": slices if label.endswith("shop-stable") else []})
        return Door.get(self, path, query)


def test_every_pod_must_be_a_target_as_the_operator_wants_it(tmp_path: Path) -> None:
    target = read_manifest([written(tmp_path, NO_ITEM)], []).placed("shop")
    up = {"__name__": "up", "namespace": "shop", "service": "shop-stable", "pod": "a"}
    with MisbehavingServer(vector((up, "1"))).serving() as server:
        config = OperatorConfig.model_validate({"servers": {"default": {"url": server.url}}})
        here = From(cast("Cluster", Pods()), config, ask=True, configured=True)
        told = [line for line in try_preflight(target, here) if line.name == "targets/shop-stable"]
        assert [(line.result, "b" in line.message) for line in told] == [(Result.FAIL, True)]
        away = From("no cluster", config, ask=True, configured=True)
        (line,) = [line for line in try_preflight(target, away) if line.name.startswith("targets")]
        assert (line.result, "needs the cluster" in line.message) == (Result.SKIP, True)


def test_a_baseline_that_a_rule_compares_with_must_be_there(tmp_path: Path) -> None:
    limit = {"name": "errors", "metric": "http", "maxVsBaseline": 1.1}
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest(preflight=[], thresholds=[limit])))
    with MisbehavingServer(vector()).serving() as server:
        config = OperatorConfig.model_validate({"servers": {"default": {"url": server.url}}})
        here = From("no cluster", config, ask=True, configured=True)
        lines = try_preflight(read_manifest([file], []).placed("shop"), here)
    assert [line.result for line in lines if line.name == "baselines/http"] == [Result.FAIL]


class Workloads:
    """A cluster with one Deployment, and perhaps something that scales its copy."""

    def __init__(self, strategy: str, scaled: str) -> None:
        self._deployment = {
            "metadata": {"name": "web"},
            "spec": {"strategy": {"type": strategy}, "selector": {"matchLabels": {"app": "web"}}, "replicas": 1},
        }
        target = {"kind": "Deployment", "name": scaled}
        self._scaler = {"metadata": {"name": "more"}, "spec": {"scaleTargetRef": target}}

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
        del query
        if path.endswith("/deployments/web"):
            return Reply(200, self._deployment)
        if path.endswith("/horizontalpodautoscalers"):
            return Reply(200, {"items": [self._scaler]})
        return Reply(404, {}, Problem(Reason.OBJECT_NOT_FOUND, "not found"))


@pytest.mark.parametrize(
    ("deployment", "strategy", "scaled", "result", "words"),
    [
        ("web", "RollingUpdate", "other", Result.PASS, "its copy web-stable will be made"),
        ("web", "Recreate", "other", Result.FAIL, "spec.strategy.type is Recreate"),
        ("none", "RollingUpdate", "other", Result.FAIL, "Deployment none does not exist"),
        ("web", "RollingUpdate", "web-stable", Result.WARN, "HorizontalPodAutoscaler more scales web-stable"),
    ],
)
def test_a_workload_is_tried_before_there_is_a_release(
    tmp_path: Path, *, deployment: str, strategy: str, scaled: str, result: Result, words: str
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest(preflight=[], workload={"deployment": deployment})))
    here = From(cast("Cluster", Workloads(strategy, scaled)), OperatorConfig(), ask=False, configured=False)
    lines = [line for line in try_preflight(read_manifest([file], []).placed("shop"), here) if line.name == "workload"]
    assert lines[-1].result is result
    assert words in lines[-1].message


FLAG = {"configMap": "flags", "key": "FEATURE", "metric": "feature_flag_value"}


@pytest.mark.parametrize(
    ("stored", "result", "says"),
    [
        ({"FEATURE": "0"}, Result.PASS, "holds 0"),
        ({"FEATURE": "0.5"}, Result.FAIL, "holds '0.5'; a run begins with it off: set it to 0"),
        ({"OTHER": "0"}, Result.FAIL, "key FEATURE is not there (keys: OTHER); add it with the value 0"),
        (None, Result.FAIL, "ConfigMap shop/flags does not exist"),
    ],
)
def test_a_flag_is_looked_at_with_a_persons_own_rights(
    tmp_path: Path, stored: Mapping[str, str] | None, result: Result, says: str
) -> None:
    class Flags(Door):
        def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Reply:
            if stored is not None and path.endswith("/namespaces/shop/configmaps/flags"):
                meta = {"name": "flags", "namespace": "shop", "uid": "1", "resourceVersion": "1"}
                return Reply(200, {"metadata": meta, "data": dict(stored)})
            return Door.get(self, path, query)

    body = manifest()
    del body["spec"]["traffic"]["gatewayAPI"]
    body["spec"]["traffic"]["featureFlag"] = FLAG
    body["spec"]["stages"] = [{"name": "full", "weight": 100, "duration": "5m"}]
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(body))
    target = read_manifest([file], []).placed("shop")
    here = From(cast("Cluster", Flags()), OperatorConfig(), ask=False, configured=False)
    (line,) = [line for line in try_preflight(target, here) if line.name == "flag flags/FEATURE"]
    assert line.result is result
    assert says in line.message


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://a.example/x", "a.example"), ("http://A:8080?x", "a:8080"), ("http://u:p@a/", "a"), ("x", "")],
)
def test_the_host_of_a_url(url: str, host: str) -> None:
    assert place_host(url) == host
