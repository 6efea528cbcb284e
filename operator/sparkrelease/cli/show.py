"""Commands that look: status, list, evidence."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Group
from rich.live import Live

from sparkrelease.api.base import format_duration
from sparkrelease.api.conditions import ConditionType, is_true
from sparkrelease.api.objects import API_VERSION, RELEASE_KIND, ParsedRelease, read_release
from sparkrelease.api.status import Phase, SparkReleaseStatus
from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.evidence import (
    Checked,
    StoredEvidence,
    check,
    evidence_of_run,
    known_of_run,
    pruned,
    runs_with_evidence,
)
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.health import silence_of
from sparkrelease.cli.look import ReleaseView, find_release, look_at
from sparkrelease.cli.options import Format, TableFormat
from sparkrelease.cli.render.evidence import render_checked, render_entries, render_no_evidence
from sparkrelease.cli.render.releases import render_releases
from sparkrelease.cli.render.status import render_status
from sparkrelease.cli.render.words import Tone, count, say
from sparkrelease.cli.screen import WIDE, console, print_data, print_text
from sparkrelease.decide.evidence import parse_entry
from sparkrelease.decide.stages import mirror_data

LOOK_EVERY = 1.0
"""Seconds between two looks in --watch."""

SETTLES_WITHIN = 5.0
"""Seconds in which a status has to name the entries that were stored just before it is written."""


def show_status(cluster: ClusterDoor, name: str, form: Format) -> ExitCode:
    """Prints the screen once; the code says whether the release goes well (for --exit-code)."""
    release = find_release(cluster, name)
    view = look_at(cluster, release)
    now = datetime.now(UTC)
    if form is Format.TEXT:
        print_text(render_status(view, now))
    else:
        print_data(describe(replace(view, release=release)), form)
    return verdict_code(view.release.status, now)


def verdict_code(status: SparkReleaseStatus, now: datetime) -> ExitCode:
    """BAD for a release that was rolled back, goes back, or will not go on without a person.

    UNKNOWN when the operator has fallen silent: what the status says is of a time that is over.
    """
    gone_back = status.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.BLOCKED}
    if gone_back or is_true(status.conditions, ConditionType.STALLED):
        return ExitCode.BAD
    return ExitCode.UNKNOWN if silence_of(status, now) is not None else ExitCode.FINE


def describe(view: ReleaseView) -> dict[str, object]:
    """What a program reads: the status as it is stored, beside the stages the run really follows."""
    release = view.release
    stages = view.spec.stages if view.spec else ()
    return {
        "apiVersion": API_VERSION,
        "kind": RELEASE_KIND,
        "metadata": {"namespace": release.namespace, "name": release.name, "generation": release.generation},
        "stages": [
            {
                "name": stage.name,
                "weight": stage.weight,
                **mirror_data(stage.mirror or 0.0),
                "duration": format_duration(stage.duration),
            }
            for stage in stages
        ],
        "note": view.note,
        "status": release.status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def watch_status(cluster: ClusterDoor, name: str) -> None:
    """Draws the screen again every second until interrupted; in a pipe, prints it at each change."""
    if not sys.stdout.isatty():
        _follow(cluster, name)
        return
    view = look_at(cluster, find_release(cluster, name))
    seen = datetime.now(UTC)
    with Live(console=console(), auto_refresh=False, screen=False, vertical_overflow="visible") as live:
        while True:
            trouble = ""
            try:
                view = look_at(cluster, find_release(cluster, name), view)
                seen = datetime.now(UTC)
            except CliError as error:
                if error.code is not ExitCode.UNREACHABLE:
                    raise
                trouble = f"seen last at {seen:%H:%M:%S} UTC: {error}"
            screen = render_status(view, datetime.now(UTC))
            live.update(Group(screen, say(trouble, Tone.BAD)) if trouble else screen, refresh=True)
            time.sleep(LOOK_EVERY)


def _follow(cluster: ClusterDoor, name: str) -> None:
    view: ReleaseView | None = None
    shown = ""
    while True:
        view = look_at(cluster, find_release(cluster, name), view)
        if view.release.resource_version != shown:
            shown = view.release.resource_version
            print_text(render_status(view, datetime.now(UTC)))
            print_text("")
            sys.stdout.flush()
        time.sleep(LOOK_EVERY)


def show_list(cluster: ClusterDoor, form: Format, *, everywhere: bool) -> None:
    """Prints the releases of the namespace, or of all namespaces."""
    bodies = cluster.releases(everywhere=everywhere)
    releases = [read_release(body) for body in bodies]
    if form is not Format.TEXT:
        print_data([describe(ReleaseView(release)) for release in releases], form)
    elif releases:
        print_text(render_releases(releases, datetime.now(UTC), everywhere=everywhere), piped_width=WIDE)
    else:
        where = "the cluster" if everywhere else f"namespace {cluster.namespace}"
        console(stderr=True).print(say(f"there are no SparkReleases in {where}"))


# ---------------------------------------------------------------- evidence


def verify_evidence(cluster: ClusterDoor, name: str, run: str | None) -> ExitCode:
    """Checks the chain and its head and prints the answer; BAD when anything is wrong."""
    return show_checked(checked_evidence(cluster, name, run))


def show_checked(checked: Checked) -> ExitCode:
    """Prints what came of checking a chain; BAD when anything is wrong."""
    release = checked.release
    nothing = checked.intact and not checked.stored.lines
    print_text(render_no_evidence(checked.stored, release) if nothing else render_checked(checked, release))
    return ExitCode.FINE if checked.intact else ExitCode.BAD


def checked_evidence(cluster: ClusterDoor, name: str, run: str | None) -> Checked:
    """The run's evidence with what came of checking it.

    Looks again for a while: entries are stored before the status that names them, so one look may fall between.
    """
    deadline = time.monotonic() + SETTLES_WITHIN
    while True:
        release, stored = _stored(cluster, name, run)
        known = known_of_run(release.status, stored.run) if release is not None else None
        checked = check(stored, known, f"{cluster.namespace}/{name}")
        growing = release is not None and _still_grows(release.status, stored.run)
        if checked.intact or not growing or time.monotonic() >= deadline:
            return checked
        time.sleep(LOOK_EVERY)


def _still_grows(status: SparkReleaseStatus, run: str) -> bool:
    """Whether entries of the run may be on their way."""
    present, back = status.run, status.rollback
    if present is None or present.id != run:
        return False
    unmeasured = back is not None and back.run == run and back.measured_at is None  # it has an entry after its end
    return bool(status.pending_evidence) or present.end is None or unmeasured


def show_evidence(cluster: ClusterDoor, name: str, run: str | None, form: TableFormat) -> None:
    """Prints the entries of a run. Nothing is checked; a line that is no entry is told, or, in JSON, a string."""
    _, stored = _stored(cluster, name, run)
    if form is TableFormat.JSON:
        print_data([json.loads(line) if parse_entry(line) else line for line in stored.lines], Format.JSON)
        return
    print_text(render_entries(stored.entries), piped_width=WIDE)
    unreadable = len(stored.lines) - len(stored.entries)
    if unreadable:
        text = f"{count(unreadable, 'line is', 'lines are')} no entry: see `evidence verify`"
        console(stderr=True).print(say(text, Tone.CAUTION))


def _stored(cluster: ClusterDoor, name: str, run: str | None) -> tuple[ParsedRelease | None, StoredEvidence]:
    """The release, if it is still there, and the evidence of the run asked for, else of its present or last one."""
    body = cluster.release(name)
    release = read_release(body) if body is not None else None
    if run is None and release is not None and release.status.run is not None:
        run = release.status.run.id
    if run is not None:
        stored = evidence_of_run(cluster.evidence(name, run), run)
        why = pruned(release, run) if release is not None and not stored.config_maps else ""
        if why:
            text = f"the evidence of run {run} of {cluster.namespace}/{name} was pruned: {why}"
            raise CliError(ExitCode.PRUNED, text)
        if stored.lines or (release is not None and known_of_run(release.status, run) is not None):
            return release, stored
    runs = runs_with_evidence(config_maps := cluster.evidence(name))
    if run is None and len(runs) == 1:
        return release, evidence_of_run(config_maps, runs[0])
    raise _no_such_run(f"{cluster.namespace}/{name}", run, runs, gone=release is None)


def _no_such_run(release: str, run: str | None, runs: Sequence[str], *, gone: bool) -> CliError:
    """Says which runs there are to name."""
    there = f"there is evidence of {', '.join(runs)}" if runs else "there is no evidence of any"
    if run is not None:
        return CliError(ExitCode.NOT_FOUND, f"there is no evidence of run {run} of {release}; {there}")
    text = f"{release}{' is gone' if gone else ' has no run'}; {there}"
    return CliError(ExitCode.USAGE, f"{text}: name one with --run") if runs else CliError(ExitCode.NOT_FOUND, text)
