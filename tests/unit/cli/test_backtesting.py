"""`backtest`: the release's rules on a past that is known to the second."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from fakes.past import Burst, PastServer
from sparkrelease.cli.app import app
from sparkrelease.cli.backtesting import read_incidents, read_span, read_time, roles_of
from sparkrelease.cli.exits import CliError, ExitCode
from unit.cli.terminal import on_a_terminal

T0 = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
BEGIN = T0.timestamp()
HOUR = timedelta(hours=1)
BURST = Burst(BEGIN + 3600, BEGIN + 4200, 0.2)
"""A fifth of the requests fails from 13:00 to 13:10."""

INCIDENT = "2026-01-05T13:00:00Z/2026-01-05T13:10:00Z"


def manifest(**spec: object) -> dict[str, Any]:
    release = yaml.safe_load((Path(__file__).resolve().parents[3] / "examples" / "first-release.yaml").read_text())
    release["spec"] |= spec
    found: dict[str, Any] = release
    return found


@pytest.fixture
def backtest(tmp_path: Path) -> Callable[..., Result]:
    """Runs the command on two hours of a server's past."""

    def run(server: PastServer, *args: str, hours: float = 2, **spec: object) -> Result:
        file = tmp_path / "release.yaml"
        file.write_text(yaml.safe_dump(manifest(**spec)))
        end = T0 + hours * HOUR
        when = ["--prometheus", server.url, "--from", T0.isoformat(), "--to", end.isoformat()]
        return CliRunner(env={"COLUMNS": None}).invoke(app, ["backtest", "-f", str(file), *when, *args])

    return run


def test_exactly_the_burst_is_found_and_nothing_else(backtest: Callable[..., Result]) -> None:
    with PastServer({"shop-stable": [BURST]}).serving() as server:
        done = backtest(server, "-o", "json", "--incident", INCIDENT, "--exit-code")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    (stretch,) = next(rule for rule in found["rules"] if rule["rule"] == "burst")["stretches"]
    # Over a window of a minute 20 % are above 5 % from the second look on, and act 30 s later.
    assert stretch["from"] == "2026-01-05T13:00:30Z"
    assert stretch["actedAt"] == "2026-01-05T13:01:00Z"
    assert stretch["to"] == "2026-01-05T13:10:30Z"
    assert found["incidents"][0]["caught"]["to"] == "2026-01-05T13:01:00Z"
    assert found["incidents"][0]["caught"]["rule"] == "burst"
    assert found["falseRollbacks"] == 0
    assert found["endings"]["promoted"] == 2


@pytest.mark.slow
def test_two_hours_without_trouble_see_no_rollback_and_an_incident_nobody_sees_is_missed(
    backtest: Callable[..., Result],
) -> None:
    with PastServer({"shop-stable": []}).serving() as server:
        calm = backtest(server, "--exit-code")
        missed = backtest(server, "--exit-code", "--incident", INCIDENT)
    assert calm.exit_code == 0
    assert "0 would have been rolled back" in calm.output
    assert (missed.exit_code, "missed" in missed.output) == (ExitCode.BAD, True)


_AND_ITS_PEAK = """
import sys
from pathlib import Path
from sparkrelease.cli.app import app
app(sys.argv[1:], standalone_mode=False)
status = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""
"""The command line in a process of its own, which says in the end how much memory it had at most, in KiB."""


def looked_back(server: PastServer, file: Path, hours: float) -> tuple[dict[str, Any], int]:
    """What the command found in that many hours, and its peak memory in KiB."""
    when = ["--from", T0.isoformat(), "--to", (T0 + hours * HOUR).isoformat()]
    args = ["backtest", "-f", str(file), "--prometheus", server.url, *when, "-o", "json", "--exit-code"]
    done = subprocess.run([sys.executable, "-c", _AND_ITS_PEAK, *args], capture_output=True, text=True, check=True)
    return json.loads(done.stdout), int(done.stderr.split()[-1])


@pytest.mark.slow
@pytest.mark.timeout(600)  # ten seconds of computing, and the machine may be busy with other tests
def test_a_week_without_trouble_sees_no_rollback_and_costs_few_queries_and_no_more_memory_than_two_hours(
    tmp_path: Path,
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest()))
    with PastServer({"shop-stable": []}).serving() as server:
        _, short = looked_back(server, file, 2)
        server.paths.clear()
        found, peak = looked_back(server, file, 7 * 24)
    looks = 7 * 24 * 240
    assert found["endings"] == {"promoted": 250, "rolled back": 0, "held": 0, "cut off": 1}
    assert found["falseRollbacks"] == 0
    # Two queries at every look, 240 looks at a time; and those of the gates, and the first of each.
    assert found["queries"] == len(server.paths) <= 2 * looks / 240 + 8
    assert server.largest <= 240
    print(f"\npeak {short} KiB after two hours, {peak} KiB after a week, {len(server.paths)} queries")
    assert peak - short < 4 * 1024, "a hundred bytes kept of each look would be as much"


@pytest.mark.slow
def test_a_rollback_outside_the_incidents_is_a_false_one(backtest: Callable[..., Result]) -> None:
    with PastServer({"shop-stable": [BURST]}).serving() as server:
        done = backtest(server, "--exit-code")
    assert done.exit_code == ExitCode.BAD
    assert "rolled back from Mon 2026-01-05 13:01:00" in done.output


@pytest.mark.slow
def test_an_incident_is_told_as_one_stretch_of_time_first_and_each_rule_by_its_name_once(
    backtest: Callable[..., Result],
) -> None:
    with PastServer({"shop-stable": [BURST]}).serving() as server:
        done = backtest(server, "--incident", INCIDENT)
    lines = done.output.splitlines()
    assert lines[1].startswith("rolled back from Mon 2026-01-05 13:01:00 to 13:"), lines[1]
    assert "releases one after the other: burst: http " in lines[1]
    assert "caught after 1m by burst: http " in lines[2]
    assert "would have been rolled back" in done.output.split("RULE")[0]
    assert "burst: burst" not in done.output


@pytest.mark.slow
def test_the_progress_is_shown_on_a_terminal(backtest: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(yaml.safe_dump(manifest()))
    with PastServer({"shop-stable": []}).serving() as server:
        when = ["--from", T0.isoformat(), "--to", (T0 + HOUR).isoformat()]
        text = on_a_terminal("backtest", "-f", str(file), "--prometheus", server.url, *when)
    assert "looking back" in text and "100%" in text
    assert "0 would have been rolled back" in text


@pytest.mark.slow
def test_the_load_on_the_server_is_bounded(backtest: Callable[..., Result]) -> None:
    with PastServer({"shop-stable": []}).serving() as server:
        backtest(server, hours=4)
    looks = 4 * 240
    assert server.largest <= 240
    assert len(server.paths) < looks / 20


@pytest.mark.slow
def test_a_gate_that_would_have_failed_is_counted(backtest: Callable[..., Result]) -> None:
    slow_burn = Burst(BEGIN, BEGIN + 7200, 0.02)
    with PastServer({"shop-stable": [slow_burn]}).serving() as server:
        done = backtest(server, "-o", "json")
    found = json.loads(done.output)
    errors = next(rule for rule in found["rules"] if rule["rule"] == "errors")
    assert errors["verdicts"]["Fail"] == errors["rollbacks"] > 3
    assert {one["rule"] for one in found["trials"] if one["ending"] == "rolled back"} == {"gate five"}


def test_a_past_without_data_is_not_a_good_one(backtest: Callable[..., Result]) -> None:
    """The server answers, and has no series of the Service from 13:00 on."""
    server = PastServer({"shop-stable": []})

    server.reply = lambda promql, at: server.served(promql, at) if at < BEGIN + 3600 else []
    with server.serving():
        done = backtest(server, "-o", "json")
    found = json.loads(done.output)
    back = [one for one in found["trials"] if one["ending"] == "rolled back"]
    assert back and {one["rule"] for one in back} == {"data"}
    assert back[0]["to"] == "2026-01-05T13:05:00Z"


# ---------------------------------------------------------------- roles

COMPARISON = {"tests": [{"metric": "http"}]}
VERSUS = [{"name": "worse", "all": [{"metric": "http", "kind": "vsStable", "factor": 2, "floor": 0.01}]}]


def test_rules_that_need_both_roles_are_named_where_there_is_one(backtest: Callable[..., Result]) -> None:
    with PastServer({"shop-stable": [BURST]}).serving() as server:
        loose = [{"name": "errors", "metric": "http", "max": 0.9}]
        done = backtest(server, comparison=COMPARISON, triggers=VERSUS, thresholds=loose)
    assert "not judged: worse: compares canary with stable" in done.output
    assert "not judged: comparison/http" in done.output
    assert "0 would have been rolled back" in done.output


@pytest.mark.slow
def test_a_past_canary_is_judged_against_its_stable(backtest: Callable[..., Result]) -> None:
    with PastServer({"old": [], "new": [BURST]}).serving() as server:
        found = backtest(server, "--stable", "old", "--canary", "new", comparison=COMPARISON, triggers=VERSUS)
    assert "not judged" not in found.output
    assert "caught" not in found.output
    back = next(line for line in found.output.splitlines() if line.startswith("rolled back"))
    assert "13:00:" in back, back


@pytest.mark.slow
def test_what_both_suffered_steps_back_instead_of_rolling_back(backtest: Callable[..., Result]) -> None:
    with PastServer({"old": [BURST], "new": [BURST]}).serving() as server:
        done = backtest(server, "--stable", "old", "--canary", "new", "-o", "json")
    found = json.loads(done.output)
    assert found["endings"]["rolled back"] == 0
    assert any(one["kind"] == "SharedIncident" for one in found["told"])


@pytest.mark.slow
def test_a_service_is_compared_with_itself_as_it_was(backtest: Callable[..., Result]) -> None:
    with PastServer({"shop-stable": [BURST]}).serving() as server:
        done = backtest(server, "--control", "1d", comparison=COMPARISON, triggers=VERSUS)
    assert "not judged" not in done.output
    assert any(line.startswith("rolled back") and "13:00:" in line for line in done.output.splitlines()), done.output


def test_the_service_as_it_was_is_no_stale_data_to_a_rule_that_reads_it_alone(backtest: Callable[..., Result]) -> None:
    """Its samples are as fresh as they were then; else nothing could be said of stable, and no breach be seen."""
    burst = Burst(BEGIN + 120, BEGIN + 900, 0.2)
    with PastServer({"shop-stable": [burst]}).serving() as server:
        done = backtest(server, "--control", "1d", "-o", "json", hours=0.1, triggers=VERSUS, thresholds=[])
    back = [one for one in json.loads(done.output)["trials"] if one["ending"] == "rolled back"]
    assert [one["rule"] for one in back[:1]] == ["worse"], done.output
    assert back[0]["to"] < "2026-01-05T12:03:00Z"


# ---------------------------------------------------------------- printing


@pytest.mark.slow
def test_csv_has_releases_rules_and_decisions(backtest: Callable[..., Result]) -> None:
    with PastServer({"shop-stable": [BURST]}).serving() as server:
        done = backtest(server, "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(done.output)))
    assert {row["what"] for row in rows} == {"release", "rule", "decision"}
    rule = next(row for row in rows if row["what"] == "rule")
    assert (rule["rule"], rule["seconds"], rule["outcome"]) == ("burst", "600", "rollback")


@pytest.mark.slow
def test_the_chart_is_a_picture_with_the_rule_and_the_metric(backtest: Callable[..., Result], tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    with PastServer({"shop-stable": [BURST]}).serving() as server:
        done = backtest(server, "--svg", str(chart), "--incident", INCIDENT)
    assert done.exit_code == 0
    texts = {element.text for element in ET.fromstring(chart.read_text()).iter() if element.text}
    assert {"releases", "burst", "http %", "limit"} <= texts
    root = ET.fromstring(chart.read_text())
    assert any(one.get("stroke-dasharray") == "6 4" for one in root.iter() if one.tag.endswith("path")), "the limit"
    times = [one for one in root.iter() if one.text in {"12:00:00", "14:00:00"}]
    assert [one.get("text-anchor") for one in times] == ["middle", "end"], "the last one is not cut"
    assert len(chart.read_bytes()) < 150_000


# ---------------------------------------------------------------- what cannot be done


def test_without_a_release_it_is_the_release_that_is_asked_for() -> None:
    done = CliRunner().invoke(app, ["backtest", "--from", "-1d"])
    assert isinstance(done.exception, CliError) and done.exception.code is ExitCode.USAGE
    assert "give the file of one with -f" in str(done.exception)


def test_a_server_that_is_away_ends_with_5(backtest: Callable[..., Result]) -> None:
    server = PastServer()
    with server.serving():
        pass
    done = backtest(server)
    assert isinstance(done.exception, CliError) and done.exception.code is ExitCode.UNREACHABLE


def test_a_release_without_a_rule_that_can_be_judged_is_a_usage_error(backtest: Callable[..., Result]) -> None:
    with PastServer({"shop-stable": []}).serving() as server:
        done = backtest(server, triggers=VERSUS, thresholds=[])
    assert isinstance(done.exception, CliError) and done.exception.code is ExitCode.USAGE


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-05T10:00:00Z", T0 - 2 * HOUR),
        ("2026-01-05T10:00:00", T0 - 2 * HOUR),
        ("now", T0),
        ("-90m", T0 - 1.5 * HOUR),
        ("-7d", T0 - timedelta(days=7)),
    ],
)
def test_times_are_instants_or_spans_before_now(text: str, at: datetime) -> None:
    assert read_time(text, T0, "--from") == at


def test_looks_fall_on_whole_steps() -> None:
    span = read_span("2026-01-05T10:00:07Z", "2026-01-05T10:59:59Z", "15s", T0)
    assert (span.begin, span.end) == (T0 - 2 * HOUR + timedelta(seconds=15), T0 - HOUR - timedelta(seconds=15))
    assert read_span("-1h", "2027-01-01T00:00:00Z", "15s", T0).end == T0, "the future has no past"


@pytest.mark.parametrize(
    ("begin", "end", "step"),
    [("soon", "now", "15s"), ("-1h", "-2h", "15s"), ("now", "now", "15s"), ("-1h", "now", "0s"), ("-60d", "now", "1s")],
)
def test_a_past_that_cannot_be_looked_at_is_a_usage_error(begin: str, end: str, step: str) -> None:
    with pytest.raises(CliError) as caught:
        read_span(begin, end, step, T0)
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("text", ["-1h", "-1h/-2h", "x/now"])
def test_an_incident_is_from_and_to(text: str) -> None:
    with pytest.raises(CliError):
        read_incidents([text], T0)


@pytest.mark.parametrize(("stable", "canary", "control"), [("a", None, None), (None, "b", None), (None, "b", "1d")])
def test_roles_come_in_pairs(stable: str | None, canary: str | None, control: str | None) -> None:
    with pytest.raises(CliError):
        roles_of(stable, canary, control)
