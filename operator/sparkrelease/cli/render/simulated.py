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
from sparkrelease.simulate.scenario import KINDS, PANEL, Expect

WIDTH, EACH = 960, 330
"""Pixels of a chart's width, and of each run's height."""

_LEFT, _RIGHT = 64, 944
_MINUTE = 60.0
_HEADS = ("scenario", "rolled back", "promoted", "held", "after", "95 % by", "harmed", "95 % up to", "rule")
_RULES_SHOWN = 2


# ---------------------------------------------------------------- the scenarios


def render_kinds() -> RenderableType:
    """Every kind of scenario in a line: how it is written, what happens, and what a good set of rules does."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("scenario", "what happens", "should be"):
        table.add_column(head, no_wrap=head != "what happens", header_style=Tone.QUIET.value)
    for kind in KINDS.values():
        written = f"{kind.name}={kind.value}" if kind.value else kind.name
        expect = kind.make(kind.value).expect
        table.add_row(say(written, Tone.STRONG), say(kind.help), say(_SHOULD[expect]))
    return Group(table, say(""), say(_WRITTEN, Tone.QUIET))


_SHOULD = {Expect.PROMOTE: "promoted", Expect.ROLL_BACK: "rolled back", Expect.EITHER: "either"}
_WRITTEN = (
    "A value may be another one, and @WHEN behind it says when it begins: errors=0.5%, late=2%@35m. Without --scenario "
    f"these are tried: {', '.join(PANEL)}."
)


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
    "after: from when canary turned bad to the decision, median of all runs; harmed: requests that canary failed in "
    "that time, or for a latency those it answered slower than the rules' lowest limit"
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
        *(_harmed(summary, quantile) for quantile in (0.5, 0.95)),
        ", ".join(rules) + (f" and {count(more, 'other')}" if more > 0 else ""),
    )


def _harmed(summary: Summary, quantile: float) -> str:
    """`3 failed`, `41 slow`; nobody is harmed by a leak that is seen in time."""
    if summary.scenario.leak > 0:
        return "-"
    return f"{summary.lost(quantile):,} {'slow' if summary.scenario.delays else 'failed'}"


def _after(time: timedelta | None) -> str:
    return "never" if time is None else span(time)


def _sentence(summary: Summary) -> Iterator[RenderableType]:
    if summary.sentence:
        yield say(f"{summary.scenario.title}: {summary.sentence}")
    refused = next((one for one in summary.results if one.ending is Ending.REFUSED), None)
    if refused is not None:
        yield say(f"{summary.scenario.title}: it did not start: {refused.sentence}", Tone.BAD)


_KEPT_BACK = {
    Ending.ROLLED_BACK: "were rolled back for nothing the release did",
    Ending.HELD: "were neither promoted nor rolled back",
    Ending.REFUSED: "did not start",
}
"""What happened to a good version that was not promoted."""


def _fault(summary: Summary) -> str:
    title, runs = summary.scenario.title, len(summary.results)
    if summary.scenario.expect is Expect.PROMOTE:
        faults = ((summary.count(ending), said) for ending, said in _KEPT_BACK.items())
        return f"{title}: {', '.join(f'{times} of {runs} runs {said}' for times, said in faults if times)}"
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
        **(
            {"slowRequests": {"median": summary.lost(0.5), "p95": summary.lost(0.95)}}
            if summary.scenario.delays
            else {}
        ),
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
        "slowRequests": result.slow,
        "held": result.held.total_seconds(),
    }


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()


# ---------------------------------------------------------------- the chart


def draw_runs(title: str, summaries: Sequence[Summary]) -> str:
    """One chart for the first run of each scenario: weight and stages above, below the metric that it moves."""
    shown = [(summary, run, run.story) for summary in summaries for run in summary.results[:1] if run.story is not None]
    drawing = svg.Drawing(WIDTH, 34 + EACH * len(shown), title)
    drawing.write(_LEFT, 22, title, font_size=15, font_weight="bold")
    for place, (summary, run, story) in enumerate(shown):
        _draw_run(drawing, 34 + EACH * place, summary, run, story)
    return drawing.text()


def _draw_run(drawing: svg.Drawing, top: float, summary: Summary, run: Result, story: Story) -> None:
    last = max([point.at for point in story.points], default=_MINUTE) / _MINUTE
    time = Axis(0, last, _LEFT, _RIGHT)
    heading = f"{summary.scenario.title}, seed {run.seed}: {_ending(summary, run)}"
    drawing.write(_LEFT, top + 18, heading, font_size=13, font_weight="bold")
    highest = max([point.weight for point in story.points], default=0.0)
    weight = svg.Panel(drawing, time, Axis(0, max(highest, 1.0) * 1.25, top + 160, top + 44))
    course = svg.Panel(drawing, time, Axis(*_range(story), top + 300, top + 190))
    for panel, labels in ((weight, True), (course, False)):
        for number, stage in enumerate(story.stages):
            label = f"{stage.name} {stage.weight:g} %" if labels else ""
            panel.band(stage.entered / _MINUTE, stage.left / _MINUTE, svg.BANDS[number % 2], label)
        for hold in story.holds:
            panel.band(hold.begin / _MINUTE, hold.end / _MINUTE, svg.AMBER, opacity=0.18)
    weight.frame(y_unit=" %", x_ticks=())
    weight.line(((point.at / _MINUTE, point.weight) for point in story.points), svg.BLUE, stairs=True)
    _draw_course(course, story, run)
    if summary.scenario.harmful and run.harm_from > 0 and run.harm_from / _MINUTE < last:
        course.mark(run.harm_from / _MINUTE, svg.VIOLET)
    if run.after is not None:
        moment = run.lasted.total_seconds() / _MINUTE
        weight.mark(moment, svg.RED, f"{run.rule} at {span(run.lasted)}")
        course.mark(moment, svg.RED)
    title = story.moved.title if story.moved is not None else "nothing"
    entries = [("canary weight", svg.BLUE), (f"{title}, canary", svg.RED), ("stable", svg.GREEN)]
    limits = [("limit", svg.INK)] if story.moved is not None and (story.moved.limits or story.moved.rise) else []
    holds = [("held", svg.AMBER)] if story.holds else []
    svg.legend(drawing, _LEFT, top + 36, [*entries, *limits, *holds])


def _range(story: Story) -> tuple[float, float]:
    """From nothing, or for a value that rises from below what was seen, to above all of it and the lowest limit."""
    moved = story.moved
    seen = [value for point in story.points for value in (point.canary, point.stable) if value is not None]
    lowest = moved.limits[:1] if moved is not None else ()
    highest = max([0.1, *seen, *lowest])
    if moved is None or moved.rise is None or not seen:
        return 0.0, highest * 1.15
    room = max(highest - min(seen), moved.rise[1]) / 5
    return min(seen) - room, highest + room


def _draw_course(panel: svg.Panel, story: Story, run: Result) -> None:
    """The metric of both roles, gaps where nothing could be read, and the limits that rules set it."""
    moved = story.moved
    panel.frame(x_unit=" min", y_unit=f" {moved.unit}" if moved is not None and moved.unit else "")
    if moved is None:
        return
    for limit in moved.limits:
        if limit < panel.y.high:
            panel.line([(panel.x.low, limit), (panel.x.high, limit)], svg.INK, dash="6 4")
    if moved.rise is not None:
        (level, step), begin = moved.rise, min(run.harm_from / _MINUTE, panel.x.high)
        end = min(panel.x.high, begin + max(panel.y.high - level, 0.0) / step)
        panel.line([(begin, level), (end, level + step * (end - begin))], svg.INK, dash="6 4")
    for role, colour in ((1, svg.GREEN), (0, svg.RED)):
        for piece in _pieces([(p.at / _MINUTE, (p.canary, p.stable)[role]) for p in story.points]):
            panel.line(piece, colour)


def _pieces(points: Sequence[tuple[float, float | None]]) -> Iterator[list[tuple[float, float]]]:
    """Points that follow each other without one that is not known."""
    piece: list[tuple[float, float]] = []
    for at, value in points:
        if value is not None:
            piece.append((at, value))
        elif piece:
            yield piece
            piece = []
    if piece:
        yield piece


def _ending(summary: Summary, run: Result) -> str:
    if run.ending is not Ending.ROLLED_BACK:
        return f"{run.ending.value} after {span(run.lasted)}"
    harm = f"{run.slow:,} slow of " if summary.scenario.delays else f"{run.failed:,} failed of "
    return f"rolled back after {'' if summary.scenario.leak > 0 else harm}{run.requests:,} requests"
