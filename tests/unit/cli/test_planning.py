"""`plan`: every query a release will cause, who reads it, how often, and what it answers now."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from fakes.prometheus_server import MisbehavingServer, vector
from sparkrelease.cli.app import app
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.manifests import release_of
from sparkrelease.cli.plan import plan_release
from sparkrelease.cli.sent import Purpose
from sparkrelease.cli.servers import config_of, read_config
from sparkrelease.ports.cluster import ObjectKey
from unit.cli.doors import FakeDoor
from unit.cli.samples import body
from unit.evidence.test_inputs import resolved

KEY = ObjectKey("shop", "shop")


def manifest(**spec: object) -> dict[str, Any]:
    release = yaml.safe_load((Path(__file__).resolve().parents[3] / "examples" / "first-release.yaml").read_text())
    release["spec"] |= spec
    found: dict[str, Any] = release
    return found


def run(tmp_path: Path, *args: str, **spec: object) -> Result:
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest(**spec)))
    return CliRunner(env={"COLUMNS": None}).invoke(app, ["plan", "-f", str(file), *args])


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    rows = []
    for service, bad in (("shop-stable", "2"), ("shop-canary", "30")):
        labels = {"namespace": "shop", "service": service}
        parts = {"bad": bad, "total": "1000", "newest": str(time.time()), "series": "3", "label": "3"}
        rows += [({**labels, "sr_part": part}, value) for part, value in parts.items()]
    with MisbehavingServer(vector(*rows)).serving() as serving:
        yield serving


def test_without_a_server_the_queries_are_printed_and_nobody_is_asked(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    for words in (
        "7 queries of server default",
        "reading burst",
        "every 7s500ms",
        "gate errors",
        "at the end of a stage of 10m",
        "at the end of a stage of 30m",
    ):
        assert words in done.output
    assert done.output.count('http_requests_total{code=~"5..",namespace="shop",service=~"shop-canary|shop-stable"}') > 3
    assert "STABLE" not in done.output


def test_a_reading_that_no_trigger_reads_names_whom_it_is_for(tmp_path: Path) -> None:
    metrics = [
        {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"},
        {"name": "memory", "value": "max by ($by) (memory_bytes{$sel})", "unit": "B"},
    ]
    changes = {"thresholds": [{"name": "heap", "metric": "memory", "max": 1e9}], "triggers": []}
    done = run(tmp_path, metrics=metrics, comparison={"tests": [{"metric": "http"}]}, **changes)
    assert "reading gate heap" in done.output and "reading test http" in done.output
    assert not any(line.rstrip().endswith("reading") for line in done.output.splitlines())


def test_one_blank_line_stands_between_the_table_and_the_queries(tmp_path: Path, server: MisbehavingServer) -> None:
    for args in ((), ("--prometheus", server.url)):
        lines = run(tmp_path, *args).output.splitlines()
        blanks = [number for number, line in enumerate(lines) if not line]
        assert blanks and all(lines[number - 1] and lines[number + 1] for number in blanks), args
        assert blanks[0] == 2 + 7, "behind the title, the heads, and a row a query"


def test_what_each_query_answers_now_is_shown_for_both_roles(tmp_path: Path, server: MisbehavingServer) -> None:
    done = run(tmp_path, "--prometheus", server.url)
    assert done.exit_code == 0, done.output
    reading = next(line for line in done.output.splitlines() if "reading burst" in line)
    assert "0.2% (2/1000)" in reading and "3% (30/1000)" in reading
    assert "every query that a rule reads is answered" in done.output


def test_every_query_sent_is_one_that_is_printed(tmp_path: Path, server: MisbehavingServer) -> None:
    comparison = {"tests": [{"metric": "http"}]}
    done = run(tmp_path, "--prometheus", server.url, "-o", "json", comparison=comparison)
    sent = {form["query"][0] for _, _, _, form in server.requests}
    printed = json.loads(done.output)["queries"]
    assert sent == {one["promql"] for one in printed}
    assert {one["purpose"] for one in printed} == {"reading", "window", "targets", "gate", "baseline", "preflight"}
    window = next(one for one in printed if one["purpose"] == "window")
    assert (window["metric"], window["rules"], window["everySeconds"]) == ("http", ["http"], 15.0)
    reading = next(one for one in printed if one["purpose"] == "reading")
    assert (reading["stable"]["bad"], reading["canary"]["bad"]) == (2.0, 30.0)


def test_the_gate_of_each_length_of_a_stage_is_planned_with_what_it_answers(
    tmp_path: Path, server: MisbehavingServer
) -> None:
    """A stage's length is the window of its gate: another length is another query."""
    lengths = {"one": "90s", "five": "10m", "half": "10m", "full": "90s"}
    stages = [{"name": name, "weight": 10 * at, "duration": lengths[name]} for at, name in enumerate(lengths, start=1)]
    metrics = [*manifest()["spec"]["metrics"], {"name": "lag", "value": "max by ($by) (lag_seconds{$sel})"}]
    limits = [*manifest()["spec"]["thresholds"], {"name": "lag", "metric": "lag", "maxVsBaseline": 2}]
    done = run(tmp_path, "--prometheus", server.url, "-o", "json", stages=stages, metrics=metrics, thresholds=limits)
    gates = [one for one in json.loads(done.output)["queries"] if one["purpose"] == "gate"]
    told = {(one["metric"], one["stageSeconds"]): one for one in gates}
    assert len(told) == len(gates)
    assert set(told) == {("http", 90.0), ("http", 600.0), ("lag", 90.0), ("lag", 600.0)}
    for (metric, length), one in told.items():
        assert (f" offset {length:g}s " if metric == "http" else f")[{length:g}s:") in one["promql"]
        assert one["canary"] is not None


def test_other_windows_the_past_and_histories_are_planned_with_their_pauses(tmp_path: Path) -> None:
    metrics = [
        {"name": "http", "bad": 'http_requests_total{code=~"5.."}', "total": "http_requests_total"},
        {"name": "memory", "value": "max by ($by) (memory_bytes{$sel})", "unit": "B"},
    ]
    budget = {"metric": "http", "kind": "burnRate", "objective": 0.999}
    leak = {"metric": "memory", "kind": "trend", "over": "30m", "slopePerMinute": 1}
    jump = {"metric": "memory", "kind": "growth", "over": "10m", "factor": 2}
    triggers = [{"name": name, "all": [leg]} for name, leg in (("budget", budget), ("leak", leak), ("jump", jump))]
    done = run(tmp_path, "-o", "json", metrics=metrics, triggers=triggers)
    queries = json.loads(done.output)["queries"]
    told = [(one["purpose"], one["metric"], one["everySeconds"]) for one in queries if one["everySeconds"]]
    assert told.count(("reading", "http", 15.0)) == 4, "four windows of two pairs"
    assert told.count(("reading", "http", 5.0)) == told.count(("reading", "memory", 5.0)) == 1
    assert ("reading", "memory", 15.0) in told, "memory ten minutes ago"
    assert ("history", "memory", 120.0) in told


def test_a_query_that_matches_nothing_is_a_finding_and_ends_with_1(tmp_path: Path) -> None:
    with MisbehavingServer().serving() as empty:
        done = run(tmp_path, "--prometheus", empty.url)
    assert done.exit_code == ExitCode.BAD
    assert "no series of Service shop-stable or shop-canary" in done.output
    assert "no series" in next(line for line in done.output.splitlines() if "reading burst" in line)


def test_a_query_that_cannot_be_written_is_a_finding_without_any_server(tmp_path: Path) -> None:
    metrics = [{"name": "http", "bad": "rate(x[5m])", "total": "x"}]
    done = run(tmp_path, metrics=metrics)
    assert (done.exit_code, "a plain selector" in done.output) == (ExitCode.BAD, True)


def test_a_server_that_is_away_ends_with_5(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = run(tmp_path, "--prometheus", f"http://127.0.0.1:{port}")
    assert (done.exit_code, done.output.count("refuses connections")) == (ExitCode.UNREACHABLE, 1)
    assert "STABLE" not in done.output and "7 queries" in done.output, "what would be asked is told all the same"


def test_a_release_needs_a_name_or_a_file() -> None:
    done = CliRunner().invoke(app, ["plan"])
    assert isinstance(done.exception, CliError) and done.exception.code is ExitCode.USAGE
    both = CliRunner().invoke(app, ["plan", "web", "-f", "web.yaml"])
    assert isinstance(both.exception, CliError) and both.exception.code is ExitCode.USAGE


def test_a_release_of_the_cluster_is_planned_by_the_spec_its_run_follows() -> None:
    found = release_of(FakeDoor(body(run=None)), "trading-api")
    assert (found.name, found.namespace) == ("trading-api", "trading")
    with pytest.raises(CliError):
        release_of(FakeDoor(None), "trading-api")


# ---------------------------------------------------------------- servers


def test_labels_and_pauses_are_those_the_administrator_declared(tmp_path: Path) -> None:
    labels = {"namespace": "destination_service_namespace", "service": "destination_service_name"}
    share = {"counter": "envoy_requests_total", "labels": {"service": "envoy_cluster"}}
    server = {"url": "http://prom:9090", "labels": labels, "share": share, "connections": {"gauge": "envoy_active"}}
    declared = {"tick": "10s", "servers": {"default": server}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"kind": "ConfigMap", "data": {"config.yaml": yaml.safe_dump(declared)}}))
    assert read_config(file).tick == timedelta(seconds=10)
    config = config_of("default", config=file, url=None, namespace_label=None, service_label="svc")
    planned = plan_release(KEY, resolved(), config, ask=False)
    reading = next(one for one in planned.queries if one.purpose is Purpose.READING)
    assert 'destination_service_namespace="shop",svc=~"shop-canary|shop-stable"' in reading.promql
    assert reading.every == timedelta(seconds=10)
    told = next(one for one in planned.queries if one.purpose is Purpose.SHARE)
    assert 'envoy_cluster=~"shop-canary|shop-stable"' in told.promql
    after = next(one for one in planned.queries if one.purpose is Purpose.DRAINING)
    assert 'envoy_active{namespace="shop",service="shop-canary"}' in after.promql


@pytest.mark.parametrize("text", ["a: [", "tick: soon", "servers: {other: {url: 'http://x'}}"])
def test_a_configuration_that_does_not_declare_the_server_is_a_usage_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(CliError) as caught:
        config_of("default", config=file, url=None, namespace_label=None, service_label=None)
    assert caught.value.code is ExitCode.USAGE
    with pytest.raises(CliError, match="--prometheus"):
        config_of("default", config=None, url="ftp://x", namespace_label=None, service_label=None)


def flagged() -> dict[str, Any]:
    """A release by a feature flag."""
    traffic = {side: {"service": f"shop-{side}", "port": 8080} for side in ("stable", "canary")}
    flag = {"configMap": "flags", "key": "FEATURE", "metric": 'feature_flag_value{flag="FEATURE"}'}
    return {"traffic": {**traffic, "featureFlag": flag}, "stages": [{"name": "full", "weight": 100, "duration": "5m"}]}


def test_what_each_pod_shows_of_a_flag_is_asked_at_every_tick_and_shown(tmp_path: Path) -> None:
    rows = [
        ({"namespace": "shop", "pod": f"shop-{number}", "sr_part": part}, value)
        for number in (1, 2)
        for part, value in (("low", "0"), ("high", "0"), ("newest", str(time.time())))
    ]
    with MisbehavingServer(vector(*rows)).serving() as serving:
        done = run(tmp_path, "--prometheus", serving.url, **flagged())
    line = next(line for line in done.output.splitlines() if " flag " in line)
    assert "every 5s" in line
    assert "2 pods: 0" in line
    assert 'feature_flag_value{flag="FEATURE",namespace="shop",pod!=""}' in done.output


def test_a_flag_that_no_pod_shows_keeps_the_run_from_starting(tmp_path: Path, server: MisbehavingServer) -> None:
    done = run(tmp_path, "--prometheus", server.url, **flagged())
    assert done.exit_code == ExitCode.BAD
    assert "no pod of the namespace shows it" in done.output


@pytest.mark.slow
def test_native_histograms_are_shown_by_the_limits_of_rules(tmp_path: Path) -> None:
    """And refused by name where a limit lies inside one of their buckets."""
    metrics = [{"name": "latency", "buckets": "request_seconds", "quantile": 0.95, "unit": "s"}]
    result: list[dict[str, object]] = []
    for service in ("shop-stable", "shop-canary"):
        labels = {"namespace": "shop", "service": service}
        filled = [[0, "0.125", "0.25", "90"], [0, "0.5", "1", "10"]]
        whole = {"count": "100", "sum": "30", "buckets": filled}
        result.append({"metric": {**labels, "sr_part": "native"}, "histogram": [1, whole]})
        for part, value in {"total": "100", "newestnative": str(time.time())}.items():
            result.append({"metric": {**labels, "sr_part": part}, "value": [1, value]})
    body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
    with MisbehavingServer(body).serving() as serving:

        def planned(limit: float, *args: str) -> Result:
            rules = {"thresholds": [{"name": "p95", "metric": "latency", "max": limit}], "triggers": []}
            return run(tmp_path, "--prometheus", serving.url, *args, metrics=metrics, **rules)

        done = planned(0.25)
        assert done.exit_code == 0, done.output
        assert "4 bucket edges of a native histogram" in " ".join(done.output.split())
        assert "90% <= 0.25s, 100 events" in " ".join(done.output.split())
        inside = planned(0.2)
        assert inside.exit_code == ExitCode.BAD
        assert "0.125 and 0.25" in " ".join(inside.output.split())
        (presence, *_) = json.loads(planned(0.25, "-o", "json").output)["queries"]
        assert presence["canary"]["le"] == {"0.125": 0.0, "0.25": 90.0, "0.5": 90.0, "1.0": 100.0}
