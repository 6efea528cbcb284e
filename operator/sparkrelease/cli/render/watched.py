"""What a watch adds to the status screen: how each rule's value went, and the log of what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkrelease.api.status import RuleVerdict, Verdict
from sparkrelease.cli.health import Health
from sparkrelease.cli.look import ReleaseView
from sparkrelease.cli.render.status import render_status
from sparkrelease.cli.render.words import VERDICTS, Tone, clean, clock, given, say
from sparkrelease.cli.samples import Happening, Sample, Samples, number_in
from sparkrelease.decide.limitwords import limit_of

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
"""A look without a number: nothing was measured, which is not the same as nothing."""

LOG_LINES = 10
_FACTOR = "x "
_SHARE_BELOW = " <= "
_HEALTH = {"healthy": ("✔", Tone.GOOD), "breached": ("✖", Tone.BAD), "unknown": ("?", Tone.CAUTION)}


def render_watch(
    view: ReleaseView, samples: Samples, log: Sequence[Happening], health: Health, *, now: datetime, note: str = ""
) -> RenderableType:
    """The whole screen; `note` says what could not be looked at."""
    parts: list[RenderableType] = [render_status(view, now), Text(), _verdict(health), Text()]
    if view.release.status.verdicts:
        parts += [_trends(view, samples), Text()]
    parts += [_log_line(one) for one in log[-LOG_LINES:]]
    if note:
        parts.append(say(note, Tone.CAUTION))
    return Group(*parts)


def plain_lines(view: ReleaseView, health: Health, now: datetime) -> Iterator[str]:
    """One look for a pipe: a line for the release and one for each rule, in words that grep finds."""
    status, at = view.release.status, clock(now)
    stage = f" stage {status.stage.name} ({status.stage_text})" if status.stage is not None else ""
    version = f" {status.run.version}" if status.run is not None else ""
    seen = status.weight.observed if status.weight.observed is not None else status.weight.desired
    weight = given(seen, status.weight.mirror)
    yield clean(f"{at} {view.title}{version} {status.phase.value}{stage} canary {weight} {health.word}: {health.why}")
    for verdict in status.verdicts:
        limit = _limit(view, verdict)
        against = f" limit {limit}" if limit else ""
        yield clean(f"{at} {view.title} rule {verdict.rule} {verdict.verdict.value} {verdict.value or '-'}{against}")


def plain_event(view: ReleaseView, one: Happening) -> str:
    """One Event for a pipe."""
    kind = "Warning" if one.warning else "Normal"
    return clean(f"{clock(one.at)} {view.title} event {kind} {one.reason}: {one.message}")


def _verdict(health: Health) -> Text:
    mark, tone = _HEALTH[health.word]
    return Text.assemble(say(f"{mark} {health.word}", tone), say(f"  {health.why}"))


def _trends(view: ReleaseView, samples: Samples) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=24)
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold", style=Tone.QUIET.value)
    for verdict in view.release.status.verdicts:
        mark, tone = VERDICTS[verdict.verdict]
        limit = _limit(view, verdict)
        line = tuple(samples.by_rule.get((verdict.kind, verdict.rule), ()))
        drawn = sparkline(line, level_of(limit, verdict.value))
        table.add_row(say(mark, tone), say(verdict.rule), drawn, say(verdict.value or "-", tone), say(limit))
    return table


def _limit(view: ReleaseView, verdict: RuleVerdict) -> str:
    return limit_of(verdict.kind, verdict.rule, view.spec) if view.spec is not None else ""


def level_of(limit: str, value: str) -> float | None:
    """The limit as a level of the value itself.

    None for one that is so many times something else, and for a quantile, whose value is a share below its limit.
    """
    return None if _FACTOR in limit or _SHARE_BELOW in value else number_in(limit)


def sparkline(samples: Sequence[Sample], limit: float | None) -> Text:
    """A bar for each look, between nothing and the highest value or the limit; a failing look has the tone of one."""
    values = [sample.value for sample in samples if sample.value is not None]
    top = max([*values, limit or 0.0, 0.0])
    bottom = min([*values, 0.0])
    whole = top / 2 - bottom / 2  # halves: the difference of two numbers may be none that a float can hold
    text = Text()
    for sample in samples:
        _, tone = VERDICTS[sample.verdict]
        if sample.value is None:
            text.append_text(say(GAP, Tone.QUIET))
            continue
        height = (sample.value / 2 - bottom / 2) / whole if whole > 0 else 0.0
        bar = BARS[min(int(height * len(BARS)), len(BARS) - 1)]
        text.append_text(say(bar, tone if sample.verdict is not Verdict.PASS else Tone.GOOD))
    return text


def _log_line(one: Happening) -> Text:
    tone = Tone.CAUTION if one.warning else Tone.PLAIN
    mark = "!" if one.warning else " "
    return Text.assemble(say(f"{clock(one.at)} {mark} ", Tone.QUIET), say(one.reason, tone), say(f"  {one.message}"))
