"""Looking at one release again and again, in a terminal or in a pipe, or once for a script."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.live import Live

from sparkrelease.cli.cluster import ClusterDoor
from sparkrelease.cli.exits import CliError, ExitCode
from sparkrelease.cli.health import Health, health_of
from sparkrelease.cli.look import ReleaseView, find_release, look_at
from sparkrelease.cli.render.watched import plain_event, plain_lines, render_watch
from sparkrelease.cli.samples import Happening, Samples, happenings
from sparkrelease.cli.screen import console

_NO_EVENTS = "Events may not be read by you: there is no log"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Watch:
    """One release as it is watched."""

    cluster: ClusterDoor
    name: str
    now: Callable[[], datetime] = _now
    samples: Samples = field(default_factory=Samples)
    view: ReleaseView | None = None
    log: Sequence[Happening] = ()
    note: str = ""
    _version: str = ""

    def look(self) -> tuple[ReleaseView, Health]:
        """Looks once. Raises CliError as the door does; an Event list that is refused is noted and gone without."""
        view = self.view = look_at(self.cluster, find_release(self.cluster, self.name), self.view)
        release = view.release
        if release.resource_version != self._version:
            # a sample is what the operator said, not how often it was read
            self._version = release.resource_version
            self.samples.add(release.status)
        run = release.status.run
        try:
            self.log = happenings(self.cluster.events(self.name), run.started_at if run is not None else None)
            self.note = ""
        except CliError as error:
            if error.code is not ExitCode.REFUSED:
                raise
            self.note = _NO_EVENTS
        return view, health_of(release, self.now())


def watch_once(cluster: ClusterDoor, name: str) -> ExitCode:
    """Prints one look; the code says healthy, breached or unknown."""
    watch = Watch(cluster, name)
    view, health = watch.look()
    for one in watch.log:
        print(plain_event(view, one))
    for line in plain_lines(view, health, watch.now()):
        print(line)
    return health.code


def watch_release(cluster: ClusterDoor, name: str, every: float) -> None:
    """Looks until interrupted: a live screen in a terminal, lines in a pipe."""
    watch = Watch(cluster, name)
    if sys.stdout.isatty():
        _live(watch, every)
    else:
        _piped(watch, every)


def _live(watch: Watch, every: float) -> None:
    view, health = watch.look()
    seen = watch.now()
    with Live(console=console(), auto_refresh=False, screen=False, vertical_overflow="visible") as live:
        while True:
            live.update(_screen(watch, view, health), refresh=True)
            time.sleep(every)
            try:
                view, health = watch.look()
                seen = watch.now()
            except CliError as error:
                if error.code is not ExitCode.UNREACHABLE:
                    raise
                health = Health("unknown", f"seen last at {seen:%H:%M:%S} UTC: {error}", ExitCode.UNKNOWN)


def _screen(watch: Watch, view: ReleaseView, health: Health) -> RenderableType:
    return render_watch(view, watch.samples, watch.log, health, now=watch.now(), note=watch.note)


def _piped(watch: Watch, every: float) -> None:
    """Lines at each look; an Event once. When the API server goes away, one line says so and the next look is tried."""
    shown: set[tuple[datetime, str, str]] = set()
    view, health = watch.look()
    while True:
        for one in watch.log:
            if (one.at, one.reason, one.message) not in shown:
                shown.add((one.at, one.reason, one.message))
                print(plain_event(view, one))
        for line in plain_lines(view, health, watch.now()):
            print(line)
        sys.stdout.flush()
        time.sleep(every)
        try:
            view, health = watch.look()
        except CliError as error:
            if error.code is not ExitCode.UNREACHABLE:
                raise
            health = Health("unknown", str(error), ExitCode.UNKNOWN)
