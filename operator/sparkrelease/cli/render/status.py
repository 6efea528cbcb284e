"""The one screen that says how a release goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkrelease.api.conditions import ConditionType, find, is_true
from sparkrelease.api.status import (
    CommandStatus,
    Condition,
    EvidenceStatus,
    Phase,
    Rollback,
    RuleVerdict,
    SparkReleaseStatus,
    Verdict,
    WeightStatus,
)
from sparkrelease.cli.health import silence_of
from sparkrelease.cli.look import ReleaseView
from sparkrelease.cli.render.attention import attention
from sparkrelease.cli.render.ladder import render_ladder, rungs
from sparkrelease.cli.render.words import (
    PHASES,
    VERDICTS,
    Tone,
    ago,
    clean,
    clock,
    count,
    given,
    percent,
    say,
    short_digest,
    span,
)
from sparkrelease.decide.mitigation import DONE, Recorded, records_of
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.rules import WORST_FIRST

FEW_RULES = 8
"""Up to this many rules each has its line; of more, those that pass share one."""


def render_status(view: ReleaseView, now: datetime) -> RenderableType:
    """The screen. `now` is what ages are measured from."""
    status = view.release.status
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style=Tone.QUIET.value)
    table.add_column(overflow="fold")
    for title, content in _sections(view, status, now):
        table.add_row("")
        table.add_row(title, content)
    table.add_row("")
    for title, text in _facts(status, now):
        table.add_row(title, text)
    return Group(*_header(view, status, now), table)


# ---------------------------------------------------------------- header


def _header(view: ReleaseView, status: SparkReleaseStatus, now: datetime) -> Iterator[RenderableType]:
    run = status.run
    first = Text.assemble(say(view.title, Tone.STRONG), "  ", _versions(view, status))
    if run is not None:
        dry = ", dry run" if run.dry else ""
        age = ago(run.started_at, now) if run.end is None else f"{run.end.value}"
        first.append_text(say(f"  run {run.id}{dry}, {age}", Tone.QUIET))
    yield first
    ready = find(status.conditions, ConditionType.READY)
    tone = Tone.BAD if is_true(status.conditions, ConditionType.STALLED) else PHASES[status.phase]
    second = Text.assemble(say("● ", tone), say(status.phase.value, tone))
    if view.release.deleting_since is not None:
        second.append_text(say(f"  being deleted since {span(now - view.release.deleting_since)}", Tone.CAUTION))
    if ready is None:
        second.append_text(say("  the operator has not looked at this release yet", Tone.CAUTION))
    elif ready.message:
        second.append_text(say(f"  {ready.message}"))
    yield second
    if status.observed_generation < view.release.generation:
        yield say("the operator has not seen the last edit of this object yet", Tone.CAUTION)
    if view.release.status_problem is not None:
        yield say(view.release.status_problem.message, Tone.CAUTION)


def _versions(view: ReleaseView, status: SparkReleaseStatus) -> Text:
    """`v1.3.9 → v1.4.0`: what stable serves, and what is on trial or waits."""
    spec = view.release.spec
    run = status.run
    settled = status.settled.version if status.settled else ""
    trial = run.version if run is not None and run.end is None else getattr(spec, "version", "")
    text = say(f"{settled} → {trial}" if settled and settled != trial else trial, Tone.STRONG)
    wanted = getattr(spec, "version", "")
    if wanted and wanted != trial:
        text.append_text(say(f" ({wanted} waits)", Tone.CAUTION))
    return text


# ---------------------------------------------------------------- sections


def _sections(view: ReleaseView, status: SparkReleaseStatus, now: datetime) -> Iterator[tuple[str, RenderableType]]:
    note = [say(view.note, Tone.CAUTION)] if view.note else []
    if view.spec is not None:
        yield "Stages", Group(render_ladder(rungs(view.spec, status, now)), *note)
    elif note:
        yield "Stages", Group(*note)
    yield "Traffic", _mirrored(status.weight) if status.weight.mirror else _traffic(status.weight)
    if status.verdicts:
        under_way = status.run is not None and status.run.end is None
        yield "Rules", _rules(status.verdicts, view.spec if under_way else None, now)
    silent = silence_of(status, now)
    noted = [_silent(silent)] if silent is not None else []
    noted += [
        Text.assemble(say(c.type, tone), say(f"{_why(c)}, {ago(c.last_transition_time, now)}: {c.message}"))
        for c, tone in attention(status)
    ]
    if noted:
        yield "Attention", Group(*noted)


def _silent(silent: timedelta) -> Text:
    text = f"the operator has not said anything for {span(silent)}: what is here is its last word"
    return say(text, Tone.BAD)


def _why(condition: Condition) -> str:
    """Its reason, unless that is the condition's own name once more."""
    return "" if condition.reason == condition.type else f" {condition.reason}"


def _traffic(weight: WeightStatus) -> RenderableType:
    """Desired, observed and measured weight of both sides, side by side."""
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_column()
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("", *(say(word, Tone.QUIET) for word in ("desired", "observed", "measured")), "")
    differs = weight.observed is not None and weight.observed != weight.desired
    seen = Tone.CAUTION if differs else Tone.PLAIN
    share = Tone.BAD if weight.mismatches else Tone.PLAIN
    for side, said in (("canary", _verified(weight)), ("stable", Text())):
        canary = side == "canary"
        table.add_row(
            side,
            say(percent(_of_side(weight.desired, canary=canary)), Tone.STRONG),
            say(percent(_of_side(weight.observed, canary=canary)), seen),
            say(percent(_of_side(_rounded(weight.measured_share), canary=canary)), share),
            said,
        )
    return table


def _mirrored(weight: WeightStatus) -> RenderableType:
    """A mirror, wanted and measured: users get stable's answers, and canary copies."""
    text = say(f"mirrored to canary: {percent(weight.mirror)} of the requests, which stable answers", Tone.STRONG)
    if weight.measured_share is not None:
        text.append_text(say(f"  measured {percent(_rounded(weight.measured_share))}", Tone.PLAIN))
    return Group(text, _verified(weight)) if not weight.verified else Text.assemble(text, "  ", _verified(weight))


def _of_side(canary_share: float | None, *, canary: bool) -> float | None:
    if canary_share is None:
        return None
    return canary_share if canary else round(100 - canary_share, 3)


def _rounded(share: float | None) -> float | None:
    """A measured share to hundredths: more digits would claim more than was counted."""
    return None if share is None else round(share, 2)


def _verified(weight: WeightStatus) -> Text:
    if weight.verified:
        return say("✔ verified", Tone.GOOD)
    return say(f"not verified: {weight.reason}" if weight.reason else "", Tone.CAUTION)


def _rules(verdicts: Sequence[RuleVerdict], follows: ResolvedSpec | None, now: datetime) -> RenderableType:
    """Each rule with its sentence, the worst first; `follows` is None when no run is under way."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=24)
    table.add_column(overflow="fold")
    shown = sorted(verdicts, key=lambda v: WORST_FIRST.index(v.verdict))
    if len(shown) > FEW_RULES:
        shown = [v for v in shown if v.verdict is not Verdict.PASS]
    for verdict in shown:
        mark, tone = VERDICTS[verdict.verdict]
        name = say(verdict.rule, tone if verdict.verdict is not Verdict.PASS else Tone.PLAIN)
        sentence = say(_sentence(verdict)).append_text(_acts_when(verdict, follows, now))
        table.add_row(say(f"{mark} {verdict.verdict.value}", tone), name, sentence)
    passing = [clean(v.rule) for v in verdicts if v not in shown]
    if passing:
        mark, tone = VERDICTS[Verdict.PASS]
        table.add_row(say(f"{mark} {Verdict.PASS.value}", tone), f"{len(passing)} rules", ", ".join(passing))
    return table


def _sentence(verdict: RuleVerdict) -> str:
    """The rule's sentence without its own name in front, which has a column."""
    return (verdict.message or verdict.value or verdict.reason).removeprefix(f"{verdict.rule}: ")


def _acts_when(verdict: RuleVerdict, follows: ResolvedSpec | None, now: datetime) -> Text:
    """How long a trigger has been true, and what it does when its time is over; nothing at rest."""
    if follows is None or verdict.kind != "trigger" or verdict.since is None:
        return Text()
    trigger = next((t for t in follows.triggers if t.name == verdict.rule), None)
    acts = f" of {span(trigger.for_)}, then {trigger.action.value}" if trigger and trigger.for_ else ""
    return say(f"; true for {span(now - verdict.since)}{acts}", Tone.CAUTION)


# ---------------------------------------------------------------- facts


def _facts(status: SparkReleaseStatus, now: datetime) -> Iterator[tuple[str, Text]]:
    if status.next is not None:
        yield "Next", _next(status, now)
    if status.watch is not None and status.watch.checked_at is not None:
        yield "Watch", say(f"{status.watch.message} ({ago(status.watch.checked_at, now)})")
    for one in records_of(status):
        yield "Mitigation", _mitigation(one, now)
    if status.rollback is not None:
        yield "Rollback", _rollback(status.rollback, now, gone_back=status.phase is not Phase.ROLLING_BACK)
    if status.command is not None:
        yield "Command", _command(status.command, now)
    yield "Evidence", _evidence(status.evidence, len(status.pending_evidence))


def _next(status: SparkReleaseStatus, now: datetime) -> Text:
    coming = status.next
    if coming is None:
        return Text()
    if coming.at is None:
        stopped = status.stage is not None and status.stage.stalled_since is not None
        return say(f"{coming.what}{', once the clock runs again' if stopped else ''}")
    if silence_of(status, now) is not None:
        return say(f"{coming.what}, once the operator is back", Tone.CAUTION)
    if coming.at <= now:
        return say(f"{coming.what}, now")
    return say(f"{coming.what} in {span(coming.at - now)} ({clock(coming.at)} UTC)")


def _mitigation(one: Recorded, now: datetime) -> Text:
    """What a trigger changed, and how far that is."""
    pairs = ", ".join(f"{key}={value}" for key, value in sorted(one.wanted.items()))
    text = say(f"ConfigMap {one.config_map}: {pairs}, {ago(one.at, now)}, by {one.trigger} ")
    return text.append_text(say(f"({one.state})", Tone.QUIET if one.state == DONE else Tone.CAUTION))


def _rollback(record: Rollback, now: datetime, *, gone_back: bool) -> Text:
    if record.seconds is not None:
        took = say(f"in {record.seconds:g} s", Tone.STRONG)
    else:
        took = say("" if gone_back else f"under way for {span(now - record.decided_at)}", Tone.BAD)
    where = f" at stage {record.stage}" if record.stage else ""
    return Text.assemble(
        say(f"{given(record.from_weight, record.from_mirror)} → 0 % "),
        took,
        say(f"{where}, {ago(record.decided_at, now)} ({record.run}), by {record.trigger}: "),
        say(record.message.removeprefix(f"{record.trigger}: ")),
        _still_open(record),
    )


def _still_open(record: Rollback) -> Text:
    """What canary still holds, where the gateway counts it."""
    if record.connections is None or record.connections_at is None:
        return Text()
    if record.connections == 0:
        return say("; canary is drained", Tone.GOOD)
    what = count(record.connections, "connection is", "connections are")
    return say(f"; {what} still open on canary, counted at {clock(record.connections_at)} UTC", Tone.CAUTION)


def _command(command: CommandStatus, now: datetime) -> Text:
    why = f": {command.reason}" if command.reason else ""
    taken = command.result == "taken"
    text = say(f"{command.verb or 'unreadable'} by {command.user or 'unknown'}, {ago(command.at, now)}{why} ")
    return text.append_text(say(f"({command.result})", Tone.QUIET if taken else Tone.BAD))


def _evidence(evidence: EvidenceStatus, pending: int) -> Text:
    if not evidence.entries and not pending:
        return say("none yet", Tone.QUIET)
    text = say(f"{count(evidence.entries, 'entry', 'entries')} in {count(len(evidence.config_maps), 'ConfigMap')}")
    if evidence.head:
        text.append_text(say(f", head {short_digest(evidence.head)}", Tone.QUIET))
    if pending:
        text.append_text(say(f", {pending} not stored yet", Tone.BAD))
    return text
