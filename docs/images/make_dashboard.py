"""Draws dashboard-*.png: what `kubectl sparkrelease dashboard` shows of three releases under way.

What was measured is made up; rules, status, server and page are the real ones. Run it from the root with the project's
environment, where a Chromium is on PATH: `PYTHONPATH=tests:. .venv/bin/python docs/images/make_dashboard.py`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from sparkrelease.api.objects import API_VERSION, RELEASE_KIND
from sparkrelease.api.reasons import Reason
from sparkrelease.api.spec import SparkReleaseSpec
from sparkrelease.api.status import Phase
from sparkrelease.cli.dashboard.feed import Feed
from sparkrelease.cli.dashboard.server import DashboardServer
from sparkrelease.decide.facts import Buckets, Counts, Missing, Reading
from testbed.browser import browser, find_browser
from unit.cli.doors import FakeDoor
from unit.decide.world import World

HERE = Path(__file__).parent
TICK = timedelta(seconds=5)
LOOKS = 40
SIZES = {"": (1440, 600), "-phone": (360, 1300)}

SPEC: Mapping[str, Any] = yaml.safe_load((HERE / "release.yaml").read_text(encoding="utf-8"))["spec"]
"""Five stages, three metrics, three triggers, two thresholds."""

Measured = Callable[[int], dict[str, Reading]]
"""What canary shows at the n-th look."""


def quiet(look: int) -> dict[str, Reading]:
    """A canary as good as stable."""
    return {
        "http": Counts(_wave(70, 12, look / 3), 14_420),
        "latency": Buckets({0.2: _wave(13_950, 40, look / 4), 0.5: _wave(14_296, 20, look / 2)}, 14_420),
        "orders": Counts(_wave(5, 2, look / 2), 728),
    }


def rejecting(look: int) -> dict[str, Reading]:
    """Orders are rejected, ever more of them."""
    return quiet(look) | {"orders": Counts(_wave(5, 2, look / 2) + max(0, look - 20), 728)}


def _wave(level: float, height: float, at: float) -> int:
    return round(level + height * math.sin(at))


def silent(_: int) -> dict[str, Reading]:
    """Nobody scrapes it."""
    return dict.fromkeys(("http", "latency", "orders"), Missing(Reason.NO_DATA, "no series of Service quotes-canary"))


@dataclass
class Desk:
    """A release, its world, and what it will show."""

    name: str
    world: World
    measured: Measured

    def look(self, number: int) -> None:
        """Turns the clock by a tick."""
        self.world.readings = {name: (reading, quiet(0)[name]) for name, reading in self.measured(number).items()}
        self.world.run_for(TICK.total_seconds())

    @property
    def body(self) -> Mapping[str, object]:
        """The object as the API server would have it."""
        metadata = {"name": self.name, "namespace": "trading", "uid": self.name, "generation": self.world.generation}
        return {
            "apiVersion": API_VERSION,
            "kind": RELEASE_KIND,
            "metadata": metadata | {"resourceVersion": self.world.now.isoformat()},
            "spec": self.world.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
            "status": self.world.status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }


class Door(FakeDoor):
    """A cluster with several releases."""

    def __init__(self, desks: Sequence[Desk]) -> None:
        super().__init__(None)
        self._desks = desks

    def releases(self, *, everywhere: bool) -> Sequence[Mapping[str, object]]:  # noqa: ARG002 - a ClusterDoor's
        return [desk.body for desk in self._desks]


def desk(name: str, version: str, measured: Measured, until: Callable[[World], bool], **spec: object) -> Desk:
    """A release that is healthy until it is where the picture begins."""
    world = World(spec=SparkReleaseSpec.model_validate({**SPEC, "version": version, **spec}), tick=timedelta(minutes=1))
    made = Desk(name, world, measured)
    world.readings = {metric: (reading, reading) for metric, reading in quiet(0).items()}
    while not until(world):
        world.run_for(60)
        assert world.status.phase is not Phase.BLOCKED, world.why()
    world.tick = TICK
    return made


def feed() -> Feed:
    """Some looks at a release whose orders are rejected, at one nobody measures, and at one in its watch."""
    desks = [
        desk("trading-api", "v1.4.0", rejecting, lambda world: world.route.canary_weight == 25),
        desk("quotes", "v0.9.3", silent, lambda world: world.route.canary_weight == 1),
        desk(
            "ledger",
            "v2.8.1",
            quiet,
            lambda world: world.status.watch is not None and world.status.watch.check == 7,
            watch={"duration": "24h", "every": "1h", "burnRates": {"objective": 0.99}},
        ),
    ]
    seen = Feed(Door(desks), everywhere=False)
    for number in range(LOOKS):
        for one in desks:
            one.look(number)
        seen.look(desks[0].world.now)
    return seen


def draw() -> None:
    """One picture for each width and theme."""
    program = find_browser()
    if program is None:
        raise SystemExit("there is no Chromium on PATH")
    shown = feed()
    server = DashboardServer(lambda: shown.latest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with browser(program) as window:
            for size, (width, height) in SIZES.items():
                for theme in ("light", "dark"):
                    window.open(server.url, width=width, height=height, dark=theme == "dark")
                    window.until("document.querySelectorAll('article').length === 3")
                    window.picture(HERE / f"dashboard{size}-{theme}.png")
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    draw()
