"""`simulate`: no cluster, a table and a chart, exit codes a pipeline can act on."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from sparkrelease.cli import simulate as simulating
from sparkrelease.cli.app import app
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.render import svg
from sparkrelease.cli.render.simulated import render_summaries
from sparkrelease.simulate.outcome import Ending, Result, Summary
from sparkrelease.simulate.scenario import KINDS, parse

STAGES = [{"name": "ten", "weight": 10, "duration": "5m"}, {"name": "full", "weight": 100, "duration": "5m"}]
METRICS = [{"name": "http", "bad": "bad_total", "total": "all_total"}]
TRIGGERS = [{"name": "burst", "all": [{"metric": "http", "value": 0.05}], "for": "30s"}]


def release(**spec: object) -> dict[str, object]:
    traffic = {
        "stable": {"service": "shop-stable", "port": 80},
        "canary": {"service": "shop-canary", "port": 80},
        "gatewayAPI": {"route": {"name": "shop"}},
    }
    body: dict[str, object] = {"version": "v2", "traffic": traffic, "stages": STAGES, "metrics": METRICS}
    return {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "SparkRelease",
        "metadata": {"name": "shop", "namespace": "shop"},
        "spec": {**body, "triggers": TRIGGERS, **spec},
    }


def policy(name: str = "gentle") -> dict[str, object]:
    spec = {"stages": STAGES, "metrics": METRICS, "triggers": TRIGGERS}
    return {
        "apiVersion": "sparkrelease.dev/v1alpha1",
        "kind": "ReleasePolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "release.yaml").write_text(yaml.safe_dump(release()))
    return tmp_path


def run(*args: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["simulate", *map(str, args)], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def refused(*args: str | Path) -> str:
    done = CliRunner().invoke(app, ["simulate", *map(str, args)])
    assert isinstance(done.exception, CliError), done.output
    assert done.exception.code is ExitCode.USAGE
    return str(done.exception)


def on_paper(shown: RenderableType) -> str:
    """As it is printed where a line is never too long."""
    paper = io.StringIO()
    Console(file=paper, width=500).print(shown)
    return paper.getvalue()


# ---------------------------------------------------------------- what it shows


def test_the_table_says_how_long_how_many_and_which_rule(folder: Path) -> None:
    text = run("-f", folder / "release.yaml", "--scenario", "healthy", "--scenario", "errors=30%", "--runs", "4")
    lines = text.splitlines()
    assert "50 requests/s, scraped every 15s, seeds 1 to 4" in lines[0]
    healthy = next(line for line in lines if line.startswith("healthy"))
    bad = next(line for line in lines if line.startswith("errors 30 %"))
    assert "0/4" in healthy and "never" in healthy
    heads = lines[1].split("  ")
    assert len({head.strip() for head in heads if head.strip()}) == len([head for head in heads if head.strip()])
    assert " failed" in bad
    assert "4/4" in bad and "burst 4" in bad
    assert any(line.startswith("errors 30 %: burst: http ") for line in lines)


LATENCY = {"name": "latency", "buckets": "seconds_bucket", "quantile": 0.95, "unit": "s"}
SLOW = {"name": "slow", "all": [{"metric": "latency", "value": 0.2}], "for": "30s"}


def test_what_a_latency_does_to_users_is_slow_requests(folder: Path) -> None:
    (folder / "slow.yaml").write_text(yaml.safe_dump(release(metrics=[*METRICS, LATENCY], triggers=[*TRIGGERS, SLOW])))
    args = ("-f", folder / "slow.yaml", "--scenario", "latency=+200%", "--runs", "2")
    row = next(line for line in run(*args).splitlines() if line.startswith("latency +200 %"))
    assert " slow " in row and " failed" not in row
    (scenario,) = json.loads(run(*args, "-o", "json"))["scenarios"]
    assert scenario["slowRequests"]["median"] > 100 > scenario["failedRequests"]["median"]


def test_one_request_a_second_is_one_request(folder: Path) -> None:
    text = run("-f", folder / "release.yaml", "--scenario", "quiet", "--runs", "1", "--rps", "1")
    assert text.count("1 request/s") == 2 and "1 requests" not in text


def test_every_scenario_is_explained_in_a_line_of_its_own_without_a_file() -> None:
    lines = run("--list").splitlines()
    for kind in KINDS.values():
        line = next(line for line in lines if line.split()[:1] == [f"{kind.name}={kind.value}".rstrip("=")])
        assert kind.help in line and ("promoted" in line or "rolled back" in line)


@pytest.mark.slow
def test_other_processes_make_the_runs_that_this_one_would(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args = ("-f", folder / "release.yaml", "--scenario", "errors=30%", "--runs", "9", "-o", "json")
    monkeypatch.setattr(simulating, "_cores", lambda: 2)
    alone = run(*args)
    monkeypatch.setattr(simulating, "_ALONE", 0)
    assert run(*args) == alone


def test_the_same_command_prints_the_same(folder: Path) -> None:
    args = ("-f", folder / "release.yaml", "--scenario", "noisy", "--scenario", "late", "--runs", "2", "-o", "json")
    assert run(*args) == run(*args)


def test_json_has_every_run(folder: Path) -> None:
    args = ("-f", folder / "release.yaml", "--scenario", "errors=30%", "--runs", "3", "--seed", "7", "-o", "json")
    said = json.loads(run(*args))
    scenario = said["scenarios"][0]
    assert [one["seed"] for one in scenario["results"]] == [7, 8, 9]
    assert scenario["endings"]["rolledBack"] == 3
    assert scenario["rollbackAfter"]["median"] > 0
    assert scenario["rules"] == {"burst": 3}


def test_without_a_scenario_all_are_tried_and_what_cannot_show_is_said(folder: Path) -> None:
    said = json.loads(run("-f", folder / "release.yaml", "--runs", "1", "-o", "json"))
    assert {one["scenario"] for one in said["scenarios"]} >= {"healthy", "noisy", "errors", "late", "incident", "blind"}
    assert {one["scenario"] for one in said["notTried"]} == {"latency +25 %", "latency +100 %", "leak, 3x the limit"}


def test_the_chart_is_a_picture_of_the_first_run_of_each_scenario(folder: Path) -> None:
    chart = folder / "chart.svg"
    args = ("-f", folder / "release.yaml", "--scenario", "errors=30%", "--scenario", "blind=2m", "--runs", "2")
    run(*args, "--svg", chart)
    first = chart.read_bytes()
    text = "".join(ET.fromstring(first).itertext())
    told = ("http: bad events, canary", "limit", "burst at", "no metrics for 2m, seed 1: promoted", "ten 10 %")
    for said in ("errors 30 %, seed 1: rolled back", *told):
        assert said in text
    assert b"<script" not in first and first.count(b"://") <= 1
    run(*args, "--svg", chart)
    assert chart.read_bytes() == first


def test_the_chart_is_of_the_metric_that_a_scenario_moves_with_its_limit(folder: Path) -> None:
    chart, file = folder / "chart.svg", folder / "slow.yaml"
    file.write_text(yaml.safe_dump(release(metrics=[*METRICS, LATENCY], triggers=[*TRIGGERS, SLOW])))
    run("-f", file, "--scenario", "latency=+200%", "--runs", "1", "--svg", chart)
    root = ET.fromstring(chart.read_text())
    assert "latency: slower than 0.2s, canary" in {element.text for element in root.iter()}
    paths = [one for one in root.iter() if one.tag.endswith("path")]
    (limit,) = (heights(one) for one in paths if one.get("stroke-dasharray"))
    canary, stable = (
        next(heights(one) for one in paths if one.get("stroke") == colour) for colour in (svg.RED, svg.GREEN)
    )
    assert max(canary) < min(limit) <= max(limit) < min(stable), "from the top: canary, its limit, stable"


def heights(path: ET.Element) -> list[float]:
    """Pixels from the top."""
    return [float(place.split()[1]) for place in path.get("d", "").replace("M", "L").split("L") if place]


# ---------------------------------------------------------------- how it ends


@pytest.mark.parametrize(
    ("scenario", "code"),
    [("healthy", 0), ("errors=30%", 0), ("errors=1%", 1), ("incident=30%@2m", 0), ("incident=30%@6m", 1)],
)
def test_the_exit_code_says_whether_the_rules_do_what_they_should(folder: Path, scenario: str, code: int) -> None:
    args = ("-f", folder / "release.yaml", "--scenario", scenario, "--runs", "2")
    run(*args)
    run(*args, "--exit-code", code=code)


def test_a_good_version_that_is_never_promoted_disappoints_and_is_said_to_be_held(folder: Path) -> None:
    asking_too_much = [{"name": "rate", "metric": "http", "max": 0.5, "minRequests": 10**9}]
    (folder / "held.yaml").write_text(yaml.safe_dump(release(thresholds=asking_too_much)))
    args = ("-f", folder / "held.yaml", "--scenario", "healthy", "--runs", "2")
    assert json.loads(run(*args, "-o", "json"))["scenarios"][0]["endings"]["held"] == 2
    assert "! healthy: 2 of 2 runs were neither promoted nor rolled back" in run(*args, "--exit-code", code=1)


def ended(ending: Ending, times: int) -> list[Result]:
    zero = timedelta(0)
    return [Result(seed, ending, None, zero, None, "", "no baseline", "", 0, 0, zero, 0.0) for seed in range(times)]


@pytest.mark.parametrize("ending", [one for one in Ending if one is not Ending.PROMOTED])
def test_of_a_good_version_more_than_a_run_in_a_hundred_that_is_not_promoted_disappoints(ending: Ending) -> None:
    for others, disappoints in ((1, False), (2, True)):
        results = (*ended(ending, others), *ended(Ending.PROMOTED, 100 - others))
        assert Summary(parse("healthy"), results).disappoints is disappoints
        assert Summary(parse("errors=2%"), results).disappoints, "it let a bad version through"


def test_each_way_not_to_be_promoted_is_said_for_itself() -> None:
    results = (*ended(Ending.ROLLED_BACK, 1), *ended(Ending.HELD, 2), *ended(Ending.REFUSED, 3))
    summary = Summary(parse("healthy"), results)
    text = on_paper(render_summaries("title", [summary], []))
    (fault,) = (line for line in text.splitlines() if line.startswith("! "))
    assert fault == (
        "! healthy: 1 of 6 runs were rolled back for nothing the release did, 2 of 6 runs were neither promoted nor "
        "rolled back, 3 of 6 runs did not start"
    )


def test_a_policy_comes_from_a_file_of_its_own_or_from_the_same_one(tmp_path: Path) -> None:
    body = release(policyRef={"name": "gentle"}, stages=[], metrics=[], triggers=[])
    alone, both, other = (tmp_path / name for name in ("release.yaml", "both.yaml", "policy.yaml"))
    alone.write_text(yaml.safe_dump(body))
    other.write_text(yaml.safe_dump(policy()))
    both.write_text(yaml.safe_dump_all([policy(), body]))
    one = run("-f", alone, "--policy", other, "--scenario", "errors=30%", "--runs", "1")
    assert one == run("-f", both, "--scenario", "errors=30%", "--runs", "1")
    assert "give its file with --policy" in refused("-f", alone)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("kind: Deployment", "no SparkRelease"),
        ("{", "not YAML"),
        (yaml.safe_dump(release(stages=[])), "stages"),
        (yaml.safe_dump(release(version=7)), "spec.version"),
        (yaml.safe_dump_all([release(), release()]), "2 SparkReleases"),
    ],
)
def test_a_file_that_is_no_release_is_a_usage_error_that_says_why(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "x.yaml").write_text(content)
    assert told in refused("-f", tmp_path / "x.yaml")


def test_what_cannot_be_tried_is_a_usage_error(folder: Path) -> None:
    file = folder / "release.yaml"
    assert "there is no scenario" in refused("-f", file, "--scenario", "sunshine")
    assert "no metric has buckets" in refused("-f", file, "--scenario", "latency=+25%")
    assert "cannot be read" in refused("-f", folder / "none.yaml")
    assert "--scrape" in refused("-f", file, "--scrape", "10m")
    assert "cannot be written" in refused(
        "-f", file, "--scenario", "errors", "--runs", "1", "--svg", folder / "no" / "x"
    )
