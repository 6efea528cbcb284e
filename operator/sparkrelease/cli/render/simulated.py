"""What simulated runs look like: a table, the sentences of the rules that decided, and a chart of one run each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table

from sparkrelease.cli.render import svg
from sparkrelease.cli.render.words import Tone, count, say, span
from sparkrelease.documents.drawing import Axis
from sparkrelease.simulate.outcome import Ending, Result, Story, Summary
from sparkrelease.simulate.scenario import Expect

WIDTH, EACH = 960, 330
"""Pixels of a chart's width, and of each run's height."""

_LEFT, _RIGHT = 64, 944
_MINUTE = 60.0
_HEADS = ("scenario", "rolled back", "promoted", "held", "after", "p95", "failed", "p95", "rule")
_RULES_SHOWN = 2


# ---------------------------------------------------------------- the table


def render_summaries(title: str, summaries: Sequence[Summary], skipped: Sequence[tuple[str, str]]) -> RenderableType:
    """The table of scenarios, then what rules said, then what could not be tried."""
    table = Table(title=say(title, Tone.STRONG), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for head in _HEADS:
        left = head in {"scenario", "rule"}
        table.add_column(head, justify="left" if left else "right", no_wrap=not left, header_style=Tone.QUIET.value)
    for summary in summaries:
        tone = Tone.BAD if summary.disappoints else Tone.PLAIN
        table.add_row(*(say(cell, tone if place == 1 else Tone.PLAIN) for place, cell in enumerate(_row(summary))))
    said = [line for summary in summaries for line in _sentence(summary)]
    missing = [say(f"{name}: not tried, {why}", Tone.QUIET) for name, why in skipped]
    notes = [say(_NOTES, Tone.QUIET), *(say(f"! {_fault(one)}", Tone.BAD) for one in summaries if one.disappoints)]
    return Group(table, say(""), *said, *missing, *notes)


_NOTES = (
    "after: from when canary turned bad to the decision, median of all runs and 95th percentile; failed: requests "
    "that canary failed in that time"
)


def _row(summary: Summary) -> tuple[str, ...]:
    runs = len(summary.results)
    rules = [f"{rule} {times}" for rule, times in summary.rules.most_common(_RULES_SHOWN)]
    more = len(summary.rules) - _RULES_SHOWN
    return (
        summary.scenario.title,
        f"{summary.rolled_back}/{runs}",
        str(summary.count(Ending.PROMOTED)),
        str(summary.count(Ending.HELD)),
        _after(summary.after(0.5)),
        _after(summary.after(0.95)),
        str(summary.failed(0.5)),
        str(summary.failed(0.95)),
        ", ".join(rules) + (f" and {count(more, 'other')}" if more > 0 else ""),
    )


def _after(time: timedelta | None) -> str:
    return "never" if time is None else span(time)


def _sentence(summary: Summary) -> Iterator[RenderableType]:
    if summary.sentence:
        yield say(f"{summary.scenario.title}: {summary.sentence}")
    refused = next((one for one in summary.results if one.ending is Ending.REFUSED), None)
    if refused is not None:
        yield say(f"{summary.scenario.title}: it did not start: {refused.sentence}", Tone.BAD)


def _fault(summary: Summary) -> str:
    title, runs = summary.scenario.title, len(summary.results)
    if summary.scenario.expect is Expect.PROMOTE:
        return f"{title}: {summary.rolled_back} of {runs} runs were rolled back for nothing the release did"
    return f"{title}: {runs - summary.rolled_back} of {runs} runs of a bad version were not rolled back"


# ---------------------------------------------------------------- for programs


def describe_summary(summary: Summary) -> dict[str, object]:
    """One scenario for a program; times in seconds, None for never."""
    return {
        "scenario": summary.scenario.name,
        "title": summary.scenario.title,
        "expect": summary.scenario.expect.value,
        "runs": len(summary.results),
        "endings": {ending.value: summary.count(ending) for ending in Ending},
        "rollbackAfter": {"median": _seconds(summary.after(0.5)), "p95": _seconds(summary.after(0.95))},
        "failedRequests": {"median": summary.failed(0.5), "p95": summary.failed(0.95)},
        "rules": dict(sorted(summary.rules.items())),
        "sentence": summary.sentence,
        "disappoints": summary.disappoints,
        "results": [_describe(result) for result in summary.results],
    }


def _describe(result: Result) -> dict[str, object]:
    return {
        "seed": result.seed,
        "ending": result.ending.value,
        "lasted": result.lasted.total_seconds(),
        "rollbackAfter": _seconds(result.after),
        "rule": result.rule,
        "stage": result.stage,
        "sentence": result.sentence,
        "canaryRequests": result.requests,
        "failedRequests": result.failed,
        "held": result.held.total_seconds(),
    }


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()


# ---------------------------------------------------------------- the chart


def draw_runs(title: str, summaries: Sequence[Summary]) -> str:
    """One chart for the first run of each scenario: weight and stages above, both roles' errors below."""
    shown = [(summary, run, run.story) for summary in summaries for run in summary.results[:1] if run.story is not None]
    drawing = svg.Drawing(WIDTH, 34 + EACH * len(shown), title)
    drawing.write(_LEFT, 22, title, font_size=15, font_weight="bold")
    for place, (summary, run, story) in enumerate(shown):
        _draw_run(drawing, 34 + EACH * place, summary, run, story)
    return drawing.text()


def _draw_run(drawing: svg.Drawing, top: float, summary: Summary, run: Result, story: Story) -> None:
    last = max([point.at for point in story.points], default=_MINUTE) / _MINUTE
    time = Axis(0, last, _LEFT, _RIGHT)
    heading = f"{summary.scenario.title}, seed {run.seed}: {_ending(run)}"
    drawing.write(_LEFT, top + 18, heading, font_size=13, font_weight="bold")
    highest = max([point.weight for point in story.points], default=0.0)
    weight = svg.Panel(drawing, time, Axis(0, max(highest, 1.0) * 1.25, top + 160, top + 44))
    ratios = _ratios(story)
    worst = max([max(canary, stable) for _, canary, stable in ratios], default=0.0)
    errors = svg.Panel(drawing, time, Axis(0, max(worst, 0.1) * 1.15, top + 300, top + 190))
    for panel, labels in ((weight, True), (errors, False)):
        for number, stage in enumerate(story.stages):
            label = f"{stage.name} {stage.weight:g} %" if labels else ""
            panel.band(stage.entered / _MINUTE, stage.left / _MINUTE, svg.BANDS[number % 2], label)
        for hold in story.holds:
            panel.band(hold.begin / _MINUTE, hold.end / _MINUTE, svg.AMBER, opacity=0.18)
    weight.frame(y_unit=" %", x_ticks=())
    errors.frame(x_unit=" min", y_unit=" %")
    weight.line(((point.at / _MINUTE, point.weight) for point in story.points), svg.BLUE, stairs=True)
    errors.line(((at, stable) for at, _, stable in ratios), svg.GREEN)
    errors.line(((at, canary) for at, canary, _ in ratios), svg.RED)
    if summary.scenario.harmful and run.harm_from > 0 and run.harm_from / _MINUTE < last:
        errors.mark(run.harm_from / _MINUTE, svg.VIOLET)
    if run.after is not None:
        moment = run.lasted.total_seconds() / _MINUTE
        weight.mark(moment, svg.RED, f"{run.rule} at {span(run.lasted)}")
        errors.mark(moment, svg.RED)
    entries = [("canary weight", svg.BLUE), ("errors of canary", svg.RED), ("of stable", svg.GREEN)]
    holds = [("held", svg.AMBER)] if story.holds else []
    svg.legend(drawing, _LEFT, top + 36, [*entries, *holds])


def _ending(run: Result) -> str:
    if run.ending is Ending.ROLLED_BACK:
        return f"rolled back after {run.failed} failed of {run.requests} requests"
    return f"{run.ending.value} after {span(run.lasted)}"


def _ratios(story: Story) -> list[tuple[float, float, float]]:
    """Percent of each role's requests that failed, minute by minute; 0 where there were none."""
    minutes: dict[int, list[int]] = {}
    for point in story.points:
        sums = minutes.setdefault(int((point.at - 1e-6) // _MINUTE), [0, 0, 0, 0])
        for place, value in enumerate((point.canary_bad, point.canary_total, point.stable_bad, point.stable_total)):
            sums[place] += value
    return [(minute + 0.5, _percent(bad, n), _percent(other, m)) for minute, (bad, n, other, m) in minutes.items()]


def _percent(bad: int, total: int) -> float:
    return 100 * bad / total if total else 0.0
