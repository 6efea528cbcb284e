"""A watch says in one word how a release is, shows how its values went, and counts nothing as well that nobody saw."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from sparkrelease.api.objects import read_release
from sparkrelease.api.status import Verdict
from sparkrelease.cli import app
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.health import SILENCE, Health, health_of
from sparkrelease.cli.render.watched import level_of, plain_event, plain_lines, render_watch, sparkline
from sparkrelease.cli.samples import MOST_SAMPLES, Sample, Samples, happenings, number_in
from sparkrelease.cli.watch import Watch, watch_once
from unit.cli.doors import FORBIDDEN, FakeDoor
from unit.cli.samples import NOW, body, condition, part, view

METRICS = condition("MetricsAvailable", "True")
READY = condition("Ready", "False", "v1.4.0: stage quarter (3/5), canary weight 25")
PASSING = [
    {"rule": "http-5xx", "kind": "trigger", "verdict": "Pass", "value": "0.09% (13/14420)", "message": "fine"},
    {"rule": "errors", "kind": "threshold", "verdict": "Pass", "value": "0.11% (24/21560)", "message": "fine"},
]


def said(**status: Any) -> Health:  # noqa: ANN401 - any part of a status
    return health_of(read_release(body(**{"conditions": [READY, METRICS], "verdicts": PASSING, **status})), NOW)


def with_verdict(**changes: str) -> list[dict[str, Any]]:
    return [PASSING[0], PASSING[1] | changes]


def running(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a stage
    return {k: v for k, v in part("stage", **changes).items() if v is not None}


@pytest.mark.parametrize(
    ("status", "word", "why"),
    [
        ({}, "healthy", "2 rules pass"),
        ({"verdicts": with_verdict(verdict="Fail", message="errors: too many")}, "breached", "errors: too many"),
        ({"phase": "RolledBack"}, "breached", "v1.4.0: stage quarter"),
        ({"phase": "Blocked"}, "breached", "v1.4.0: stage quarter"),
        ({"conditions": [READY, METRICS, condition("Stalled", "True")]}, "breached", "v1.4.0: stage quarter"),
        ({"verdicts": with_verdict(verdict="NoData", message="errors: none")}, "unknown", "errors: none"),
        ({"verdicts": with_verdict(verdict="Error", message="errors: several")}, "unknown", "errors: several"),
        ({"verdicts": with_verdict(verdict="Inconclusive", message="errors: few")}, "unknown", "errors: few"),
        ({"verdicts": []}, "unknown", "no rule has spoken yet"),
        ({"conditions": [METRICS]}, "unknown", "the operator has not looked"),
        ({"conditions": [READY]}, "unknown", "nothing was measured yet"),
        ({"conditions": [READY, condition("MetricsAvailable", "False", "gone")]}, "unknown", "gone"),
        ({"observedGeneration": 6}, "unknown", "the operator has not looked"),
        ({"run": part("run", end="Settled"), "phase": "Succeeded"}, "healthy", "Nothing is left to do"),
        ({"run": part("run", end="Cancelled"), "phase": "Pending"}, "unknown", "Waiting"),
    ],
)
def test_one_word_says_how_it_is(status: dict[str, Any], word: str, why: str) -> None:
    health = said(**status)
    assert (health.word, health.code) == (
        word,
        {"healthy": ExitCode.FINE, "breached": ExitCode.BAD, "unknown": ExitCode.UNKNOWN}[word],
    )
    assert health.why.startswith(why)


def test_an_operator_that_fell_silent_is_unknown_not_healthy() -> None:
    def since(age: timedelta) -> str:
        at = (NOW - age).isoformat()
        return said(stage=running(countedUntil=at, stalledSince=None)).word

    assert since(SILENCE) == "healthy"
    assert since(SILENCE + timedelta(seconds=1)) == "unknown"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2.61% (19/728)", 2.61),
        ("0.182s", 0.182),
        ("> 3%", 3.0),
        ("at most 0.2s", 0.2),
        ("-1.5", -1.5),
        ("1e+06B", 1e6),
        ("0/0", 0.0),
        ("NoData", None),
        ("0 events", None),
        ("", None),
    ],
)
def test_numbers_are_read_from_what_rules_say(text: str, number: float | None) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("limit", "value", "level"),
    [
        ("> 3%", "2.61% (19/728)", 3.0),
        ("> 2x stable", "2.61%", None),
        ("> 0.5s", "99.4% <= 0.5s", None),
        ("", "1", None),
    ],
)
def test_a_limit_is_a_line_only_where_it_is_a_level_of_the_value(limit: str, value: str, level: float | None) -> None:
    assert level_of(limit, value) == level


def bars(*values: float | None, limit: float | None = None) -> str:
    return sparkline([Sample(value, Verdict.PASS) for value in values], limit).plain


def test_bars_stand_between_nothing_and_the_limit() -> None:
    assert bars(0, 1, 2, 4) == "▁▃▅█"
    assert bars(1, 1, limit=8.0) == "▂▂", "far below the limit is low"
    assert bars(0, 0) == "▁▁"
    assert bars(None, 1.0) == "·█", "nothing measured is not nothing"
    assert bars(-1, 0, 1) == "▁▅█"


def test_a_failing_look_has_another_colour_than_a_passing_one() -> None:
    drawn = sparkline([Sample(1.0, Verdict.PASS), Sample(1.0, Verdict.FAIL)], None)
    assert [str(span.style) for span in drawn.spans] == ["green", "bold red"]


@example([1.7976931348623157e308, -1e300], None)
@example([1.7976931348623157e308, -1.7976931348623157e308, 5e-324], None)
@example([5e-324], None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=80), st.none() | st.floats(0, 1e9)
)
def test_every_look_is_one_column(values: list[float | None], limit: float | None) -> None:
    assert cell_len(bars(*values, limit=limit)) == len(values)


def test_samples_are_those_of_one_run_and_bounded() -> None:
    samples = Samples()
    for _ in range(MOST_SAMPLES + 5):
        samples.add(view().release.status)
    assert {len(line) for line in samples.by_rule.values()} == {MOST_SAMPLES}
    assert samples.by_rule["trigger", "orders-rejected"][-1] == Sample(2.61, Verdict.FAIL)
    samples.add(view(run=part("run", id="v1.4.1-aaaaaa")).release.status)
    assert {len(line) for line in samples.by_rule.values()} == {1}


def event(at: str, reason: str = "StageEntered", kind: str = "Normal", message: str = "stage") -> dict[str, Any]:
    return {"lastTimestamp": at, "reason": reason, "message": message, "type": kind}


def test_the_log_has_the_events_of_the_run_in_order() -> None:
    events = [
        event("2026-11-21T14:00:00Z", "GatePassed"),
        event("2026-11-21T13:30:00Z"),
        event("2026-11-20T13:30:00Z", "RolledBack"),
        {"reason": "no time"},
    ]
    run = view().release.status.run
    assert run is not None
    assert [one.reason for one in happenings(events, run.started_at)] == ["StageEntered", "GatePassed"]


def drawn(door: FakeDoor, width: int) -> str:
    watch = Watch(door, "trading-api", now=lambda: NOW)
    seen, health = watch.look()
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(render_watch(seen, watch.samples, watch.log, health, now=NOW, note=watch.note))
    return captured.get()


def test_the_screen_has_word_values_limits_and_log() -> None:
    door = FakeDoor(body())
    door.happened = [event("2026-11-21T14:03:06Z", "NoData", "Warning", "holding: \x1b[31mred")]
    text = drawn(door, 100)
    assert "✖ breached  orders-rejected: orders 2.61% (19/728) > 0.02" in text
    (line,) = [line for line in text.splitlines() if "orders-rejected" in line and "█" in line]
    assert line.split() == ["✖", "orders-rejected", "█", "2.61%", "(19/728)", ">", "2%"]
    assert "14:03:06 ! NoData  holding:  [31mred" in text, "nothing from the cluster colours the terminal"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_screen_fits(width: int) -> None:
    assert all(cell_len(line) <= width for line in drawn(FakeDoor(body()), width).splitlines())


def test_events_that_may_not_be_read_are_gone_without() -> None:
    door = FakeDoor(body())
    door.happened = FORBIDDEN
    assert "Events may not be read by you" in drawn(door, 100)
    door.happened = CliError(ExitCode.UNREACHABLE, "away")
    with pytest.raises(CliError, match="away"):
        drawn(door, 100)


def test_a_sample_is_what_the_operator_said_not_how_often_it_was_read() -> None:
    door = FakeDoor(body())
    watch = Watch(door, "trading-api", now=lambda: NOW)
    watch.look()
    watch.look()
    assert {len(line) for line in watch.samples.by_rule.values()} == {1}
    assert door.body is not None
    door.body["metadata"]["resourceVersion"] = "48212"
    watch.look()
    assert {len(line) for line in watch.samples.by_rule.values()} == {2}


BREACH = "orders-rejected: orders 2.61% (19/728) > 0.02"


def test_a_pipe_gets_lines_that_grep_finds() -> None:
    seen = view()
    health = health_of(seen.release, NOW)
    assert list(plain_lines(seen, health, NOW))[:2] == [
        f"14:03:50 trading/trading-api v1.4.0 Progressing stage quarter (3/5) canary 25 % breached: {BREACH}",
        "14:03:50 trading/trading-api rule http-5xx Pass 0.09% (13/14420) limit > 3%",
    ]
    (one,) = happenings([event("2026-11-21T14:00:00Z", "NoData", "Warning", "two\nlines")], None)
    assert plain_event(seen, one) == "14:00:00 trading/trading-api event Warning NoData: two lines"


def test_one_look_leaves_with_what_it_saw(capsys: pytest.CaptureFixture[str]) -> None:
    assert watch_once(FakeDoor(body()), "trading-api") is ExitCode.BAD
    assert "breached" in capsys.readouterr().out


@pytest.mark.parametrize("every", ["500ms", "0", "soon"])
def test_a_pause_that_is_none_is_refused(every: str) -> None:
    with pytest.raises((CliError, SystemExit)) as refused:
        app.app(["watch", "trading-api", "--every", every, "--kubeconfig", "none"])
    code = refused.value.code
    assert code == ExitCode.USAGE
