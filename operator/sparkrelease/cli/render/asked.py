"""What was asked of a release, and what came of it."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkrelease.api.command import Command
from sparkrelease.api.spec import Traffic
from sparkrelease.api.status import CommandStatus, Rollback, SparkReleaseStatus
from sparkrelease.cli.look import ReleaseView
from sparkrelease.cli.render.words import Tone, ago, given, percent, say


def render_sent(command: Command, release: str) -> RenderableType:
    """The command is at the API server."""
    run = f", run {command.run}" if command.run else ""
    return say(f"{command.verb.value} asked for {release}{run}, as {command.user}")


def render_taken(result: CommandStatus) -> RenderableType:
    """The operator took it, or refused."""
    if result.result == "taken":
        return say(f"✔ {result.verb} taken by the operator", Tone.GOOD)
    return say(f"✖ {result.verb} {result.result}", Tone.BAD)


def render_back(record: Rollback) -> RenderableType:
    """Traffic is back on stable."""
    took = f", {record.seconds:g} s after the decision" if record.seconds is not None else ""
    return say(
        f"✔ all traffic is back on stable{took} (canary had {given(record.from_weight, record.from_mirror)})", Tone.GOOD
    )


def route_of(traffic: Traffic, release: str) -> str:
    """Kind and name of the route, with its rule where one is named; of a flag its ConfigMap and key."""
    gateway, flag = traffic.gateway_api, traffic.feature_flag
    if flag is not None:
        return f"ConfigMap/{flag.config_map}, key {flag.key}"
    if gateway is not None and gateway.route is not None:
        rule = f", rule {gateway.route.rule}" if gateway.route.rule else ""
        return f"{gateway.route.kind}/{gateway.route.name}{rule}"
    if gateway is not None and gateway.owned is not None:
        return f"{gateway.owned.kind}/{gateway.owned.name or release} (owned)"
    return "no route"


def render_rollback_plan(view: ReleaseView, now: datetime, refusal: str | None) -> RenderableType:
    """What a rollback would do now, or why it would not be done."""
    status = view.release.status
    if refusal is not None:
        return say(f"✖ nothing would be rolled back: {refusal}", Tone.BAD)
    head = say(f"a rollback of {view.title} would do this; nothing was changed", Tone.STRONG)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style=Tone.QUIET.value)
    table.add_column(overflow="fold")
    for title, text in _steps(view, status, now):
        table.add_row(title, text)
    return Group(head, table)


def _steps(view: ReleaseView, status: SparkReleaseStatus, now: datetime) -> list[tuple[str, Text]]:
    run = status.run
    seen = status.weight.desired if status.weight.observed is None else status.weight.observed
    lines = [
        ("canary", say(f"{given(seen, status.weight.mirror)} → 0 %", Tone.STRONG)),
        ("stable", say(f"{percent(round(100 - seen, 3))} → 100 %")),
    ]
    if view.spec is not None:
        lines.append(("route", say(route_of(view.spec.traffic, view.release.name))))
    if run is not None:
        lines.append(("run", say(f"{run.id}, started {ago(run.started_at, now)}")))
        text = f"{run.version} is refused from then on, until a new version or a retry"
        lines.append(("after", say(text)))
    if status.weight.changed_at is not None:
        lines.append(("weight", say(f"last changed {ago(status.weight.changed_at, now)}")))
    return lines
