"""What a backtest found: tables for people, JSON and CSV for programs, a chart."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table

from sparkrelease.api.status import Verdict
from sparkrelease.cli.backtest.outcome import MOST_STRETCHES, MOST_TRIALS, Ending, Outcome, RuleSeen, Trial
from sparkrelease.cli.render import svg
from sparkrelease.cli.render.words import Tone, count, say, span
from sparkrelease.documents.drawing import Axis

_HEADS = ("RULE", "KIND", "ACTION", "TRUE", "ACTED", "ROLLED BACK", "NO WORD", "LAST SENTENCE")
_UNKNOWN = (Verdict.INCONCLUSIVE, Verdict.NO_DATA, Verdict.ERROR)
_MOST_SHOWN = 20
_MOST_LINES = 6

WIDTH, LEFT, RIGHT = 960, 150, 944
_ROW, _LINE = 20, 130


def when(at: datetime) -> str:
    """`Tue 2026-11-24 10:03:15`, in UTC."""
    return f"{at.astimezone(UTC):%a %Y-%m-%d %H:%M:%S}"


# ---------------------------------------------------------------- tables


def render_outcome(outcome: Outcome) -> RenderableType:
    """When it would have gone back, what of the incidents, how many releases that is, the rules, what was left out."""
    title = f"{outcome.release}: {when(outcome.begin)} to {when(outcome.end)} UTC, a look every {span(outcome.step)}"
    return Group(
        say(title, Tone.STRONG),
        *_rollbacks(outcome),
        *_incidents(outcome),
        *_answer(outcome),
        say(""),
        _rules(outcome),
        say(""),
        *_not_kept(outcome),
        *(say(f"not judged: {name}: {why}", Tone.CAUTION) for name, why in sorted(outcome.left_out.items())),
        say(f"{count(outcome.queries, 'query', 'queries')} to the server", Tone.QUIET),
    )


def _answer(outcome: Outcome) -> Iterator[RenderableType]:
    ends = outcome.trials.endings
    back, held, promoted = (ends[one] for one in (Ending.ROLLED_BACK, Ending.HELD, Ending.PROMOTED))
    tone = Tone.GOOD if not back and not held else Tone.CAUTION
    text = f"of {count(back + held + promoted, 'release')} one after the other ({span(outcome.stages)} each) "
    yield say(f"{text}{back} would have been rolled back, {held} held, {promoted} promoted", tone)
    incidents = outcome.trials.incidents
    if incidents:
        caught = sum(one in outcome.trials.caught for one in incidents)
        text = f"{caught} of {count(len(incidents), 'incident')} caught; "
        text += f"{count(outcome.trials.false_rollbacks, 'rollback')} outside of them"
        yield say(text, Tone.BAD if outcome.disappoints else Tone.GOOD)


def _not_kept(outcome: Outcome) -> Iterator[RenderableType]:
    """What is in the numbers above, and neither in the lines nor the chart."""
    if outcome.trials.more:
        text = f"{count(outcome.trials.more, 'more release')} counted and not kept: the first {MOST_TRIALS:,} are"
        yield say(text, Tone.CAUTION)
    for rule in outcome.rules:
        if rule.more:
            text = f"{count(rule.more, 'more time')} counted and not kept: the first {MOST_STRETCHES:,} are"
            yield say(f"{rule.name}: {text}", Tone.CAUTION)


def _rules(outcome: Outcome) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=Tone.QUIET.value)
    for head in _HEADS:
        number = head in {"TRUE", "ACTED", "ROLLED BACK", "NO WORD"}
        table.add_column(head, justify="right" if number else "left", no_wrap=number)
    for rule in outcome.rules:
        tone = Tone.BAD if rule.rollbacks else Tone.PLAIN
        table.add_row(say(rule.name, tone), *(say(cell) for cell in _cells(rule)))
    return table


def _cells(rule: RuleSeen) -> tuple[str, ...]:
    looks = sum(rule.looks.values())
    unknown = sum(rule.looks[verdict] for verdict in _UNKNOWN)
    true = f"{rule.looks[Verdict.FAIL]} of {looks}" if rule.kind == "threshold" else span(rule.true_for)
    sentence = _without_name(rule.name, rule.last.sentence) if rule.last is not None else ""
    share = f"{100 * unknown / looks:.0f} %" if looks else "never asked"
    return rule.kind, rule.action, true, str(rule.acted), str(rule.rollbacks), share, sentence


def _by(trial: Trial) -> str:
    """The rule and its sentence, which often begins with the rule's name."""
    return f"{trial.rule}: {_without_name(trial.rule, trial.sentence)}"


def _without_name(rule: str, sentence: str) -> str:
    """A comparison's sentence begins with the name of its metric alone."""
    return sentence.removeprefix(f"{rule}: ").removeprefix(f"{rule.rpartition('/')[2]}: ")


def _later(first: datetime, last: datetime) -> str:
    """The time alone where the day is the same."""
    same = first.astimezone(UTC).date() == last.astimezone(UTC).date()
    return f"{last.astimezone(UTC):%H:%M:%S}" if same else when(last)


def _rollbacks(outcome: Outcome) -> Iterator[RenderableType]:
    stretches = list(outcome.stretches())
    for stretch in stretches[:_MOST_SHOWN]:
        first, last = stretch[0], stretch[-1]
        begin, until = f"{when(first.end)}", ""
        if len(stretch) > 1:
            begin = f"from {begin}"
            until = f" to {_later(first.end, last.end)}, {count(len(stretch), 'release')} one after the other"
        yield say(f"rolled back {begin}{until}: {_by(first)}", Tone.BAD)
    if len(stretches) > _MOST_SHOWN:
        where = "-o csv has those that are kept" if outcome.trials.more else "-o csv has them all"
        yield say(f"and {len(stretches) - _MOST_SHOWN} more times: {where}", Tone.BAD)
    for trial in outcome.trials.kept:
        if trial.ending is Ending.HELD:
            yield say(f"held from {when(trial.begin)}: {trial.sentence}", Tone.CAUTION)


def _incidents(outcome: Outcome) -> Iterator[RenderableType]:
    for incident in outcome.trials.incidents:
        where = f"incident {when(incident.begin)} to {_later(incident.begin, incident.end)}"
        caught = outcome.trials.caught.get(incident)
        if caught is None:
            yield say(f"{where}: missed", Tone.BAD)
        else:
            text = f"{where}: caught after {span(caught.end - incident.begin)} by {_by(caught)}"
            yield say(text, Tone.GOOD)


# ---------------------------------------------------------------- for programs


def describe_outcome(outcome: Outcome) -> dict[str, object]:
    """Everything, for a program; times in RFC 3339, spans in seconds."""
    return {
        "release": outcome.release,
        "from": _time(outcome.begin),
        "to": _time(outcome.end),
        "stepSeconds": outcome.step.total_seconds(),
        "stagesSeconds": outcome.stages.total_seconds(),
        "queries": outcome.queries,
        "endings": {ending.value: outcome.trials.endings[ending] for ending in Ending},
        "trials": [_trial(one) for one in outcome.trials.kept],
        "moreTrials": outcome.trials.more,
        "rules": [_rule(rule) for rule in outcome.rules],
        "told": [{"at": _time(one.at), "kind": one.kind, "message": one.message} for one in outcome.told],
        "notTold": outcome.untold,
        "incidents": [
            {
                "from": _time(incident.begin),
                "to": _time(incident.end),
                "caught": _trial(caught) if (caught := outcome.trials.caught.get(incident)) is not None else None,
            }
            for incident in outcome.trials.incidents
        ],
        "falseRollbacks": outcome.trials.false_rollbacks,
        "notJudged": dict(outcome.left_out),
    }


def _trial(trial: Trial) -> dict[str, object]:
    return {
        "from": _time(trial.begin),
        "to": _time(trial.end),
        "ending": trial.ending.value,
        "rule": trial.rule,
        "stage": trial.stage,
        "sentence": trial.sentence,
    }


def _rule(rule: RuleSeen) -> dict[str, object]:
    return {
        "rule": rule.name,
        "kind": rule.kind,
        "action": rule.action,
        "verdicts": {verdict.value: rule.looks[verdict] for verdict in Verdict},
        "trueSeconds": rule.true_for.total_seconds(),
        "rollbacks": rule.rollbacks,
        "stretches": [
            {
                "from": _time(one.begin),
                "to": _time(one.end),
                "actedAt": _time(one.acted_at) if one.acted_at is not None else None,
                "sentence": one.sentence,
            }
            for one in rule.stretches
        ],
        "moreStretches": rule.more,
    }


def table_of(outcome: Outcome) -> str:
    """CSV, one line each: releases that were tried, times in which a rule was true, and what was decided between."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["what", "from", "to", "seconds", "rule", "kind", "outcome", "sentence"])
    for trial in outcome.trials.kept:
        row = ["release", *_between(trial.begin, trial.end), trial.rule, trial.stage, trial.ending.value]
        rows.writerow([*row, trial.sentence])
    for rule in outcome.rules:
        for one in rule.stretches:
            acted = rule.action if one.acted_at is not None else ""
            rows.writerow(["rule", *_between(one.begin, one.end), rule.name, rule.kind, acted, one.sentence])
    for told in outcome.told:
        rows.writerow(["decision", *_between(told.at, told.at), "", told.kind, "", told.message])
    notes = [("release", "", outcome.trials.more), *(("rule", one.name, one.more) for one in outcome.rules)]
    for what, name, more in (*notes, ("decision", "", outcome.untold)):
        if more:
            rows.writerow(["not kept", "", "", "", name, what, more, f"{more} more were counted and are not kept"])
    return text.getvalue()


def _between(begin: datetime, end: datetime) -> tuple[str, str, str]:
    return _time(begin), _time(end), f"{(end - begin).total_seconds():g}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


# ---------------------------------------------------------------- the chart


def draw_outcome(outcome: Outcome) -> str:
    """Releases and rules as rows over time, then the metrics' values with the incidents marked."""
    rules = [rule for rule in outcome.rules if rule.stretches]
    lines = list(outcome.lines)[:_MOST_LINES]
    top = 70.0
    height = int(top + _ROW * (len(rules) + 1) + 50 + _LINE * len(lines))
    title = f"{outcome.release}, {when(outcome.begin)} to {when(outcome.end)} UTC"
    drawing = svg.Drawing(WIDTH, height, title)
    drawing.write(16, 24, title, font_size=15, font_weight="bold")
    entries = [("promoted", svg.GREEN), ("rolled back", svg.RED), ("held, or true", svg.AMBER), ("limit", svg.INK)]
    svg.legend(drawing, 16, 46, entries)
    time = Axis(outcome.begin.timestamp(), outcome.end.timestamp(), LEFT, RIGHT)
    _draw_trials(svg.Panel(drawing, time, Axis(0, 1, top + _ROW - 4, top)), outcome)
    for place, rule in enumerate(rules, start=1):
        y = top + _ROW * place
        _draw_rule(svg.Panel(drawing, time, Axis(0, 1, y + _ROW - 4, y)), rule, outcome.step)
    bottom = top + _ROW * (len(rules) + 1)
    for place, line in enumerate(lines):
        low = bottom + 30 + _LINE * place
        highest = max([value for _, value in line.points] + list(line.limits[:1]))
        panel = svg.Panel(drawing, time, Axis(0, max(highest * 1.1, 1e-9), low + _LINE - 40, low))
        for incident in outcome.trials.incidents:
            panel.band(incident.begin.timestamp(), incident.end.timestamp(), svg.VIOLET, opacity=0.12)
        panel.frame(x_ticks=())
        drawing.write(16, low + 12, f"{line.metric} {line.unit}".strip(), font_size=11)
        drawing.write(16, low + 26, line.what, font_size=10, fill=svg.FAINT)
        panel.line(line.points, svg.BLUE)
        for limit in line.limits:
            if limit < panel.y.high:
                panel.line([(panel.x.low, limit), (panel.x.high, limit)], svg.INK, dash="6 4")
    ticks = list(_ticks(outcome))
    for at in ticks:
        x = time.at(at.timestamp())
        label = f"{at:%m-%d %H:%M}" if outcome.end - outcome.begin > timedelta(hours=12) else f"{at:%H:%M:%S}"
        anchor = "end" if at is ticks[-1] else "middle"
        drawing.write(x, bottom + 14, label, text_anchor=anchor, fill=svg.FAINT, font_size=11)
    return drawing.text()


def _draw_trials(panel: svg.Panel, outcome: Outcome) -> None:
    panel.drawing.write(16, panel.y.begin - 3, "releases", font_size=11)
    colours = {
        Ending.PROMOTED: svg.GREEN,
        Ending.ROLLED_BACK: svg.RED,
        Ending.HELD: svg.AMBER,
        Ending.CUT_OFF: svg.GRID,
    }
    for trial in outcome.trials.kept:
        panel.band(trial.begin.timestamp(), trial.end.timestamp(), colours[trial.ending], opacity=0.45)
        if trial.ending is Ending.ROLLED_BACK:
            panel.mark(trial.end.timestamp(), svg.RED)


def _draw_rule(panel: svg.Panel, rule: RuleSeen, step: timedelta) -> None:
    panel.drawing.write(16, panel.y.begin - 3, rule.name[:20], font_size=11)
    for one in rule.stretches:
        end = (one.end + step).timestamp()
        panel.band(one.begin.timestamp(), end, svg.AMBER, opacity=0.6)
        if one.acted_at is not None:
            panel.band(one.acted_at.timestamp(), end, svg.RED)


def _ticks(outcome: Outcome) -> Iterator[datetime]:
    for place in range(7):
        yield (outcome.begin + (outcome.end - outcome.begin) * place / 6).astimezone(UTC)
