"""Stories of canaries that one Prometheus scrapes, told window by window; and what a release is told of them.

In each window all that happens, happens in its first third; the rest is quiet, so that a scrape sees it in time. What
happened is written down by the story itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from cluster.metrics.backend import Backend
from cluster.metrics.conftest import config, release
from cluster.metrics.pods import Pod, Target
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing, Window
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.windows import floor
from sparkrelease.engine.measure import Measurements
from sparkrelease.ports.cluster import ObjectKey

LENGTH = timedelta(seconds=4)
NAMESPACE = "ledger"


@dataclass
class Story:
    """What happens to one canary. `steps` has for a window, counted from 0, what happens in it beside the usual."""

    metrics: ClassVar[list[dict[str, object]]] = []
    """What is counted of it."""

    name: str
    pods: list[Any]
    steps: dict[int, Callable[[Any], Awaitable[None]]]
    exact: Sequence[int]
    """Windows that must be counted."""
    void: Sequence[int] = ()
    """Windows that must be void."""
    usual: bool = True
    backend: Backend | None = None
    newcomer: Any = None

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(NAMESPACE, self.name)

    async def step(self, number: int, end: datetime) -> None:
        """All that happens in a window."""
        self.begin()
        if self.usual:
            self.usually(number)
        if number in self.steps:
            await self.steps[number](self)
        self.write_down(end)

    def begin(self) -> None:
        """A window begins."""
        raise NotImplementedError

    def usually(self, number: int) -> None:
        """What happens in every window."""
        raise NotImplementedError

    def write_down(self, end: datetime) -> None:
        """Keeps what truly happened in the window."""
        raise NotImplementedError

    def fault(self, metric: str, window: Window, number: int) -> str | None:
        """What is wrong with the counts of a window that is not void."""
        raise NotImplementedError


def moment(seconds: float) -> Awaitable[None]:
    """Time for a scrape or two; nothing is waited for that could be seen."""
    return asyncio.sleep(seconds)


async def remove(story: Story) -> None:
    """One of the pods is gone."""
    await moment(1.1)
    assert story.backend is not None
    story.backend.remove(story.pods.pop())


async def blinks(story: Story) -> None:
    """A scrape or two fail."""
    story.pods[0].down = True
    await moment(1.1)
    story.pods[0].down = False


class Ledger:
    """Runs all stories at once, window by window, and collects what a release is told."""

    def __init__(self, backend: Backend, told: Sequence[Story], stable: Target | None = None) -> None:
        self.backend = backend
        self.stories = told
        declared = config(backend.url, lag="500ms")
        self.source = PrometheusSource(declared.servers)
        self.measuring = Measurements(self.source, declared)
        self.found: dict[str, dict[str, list[Window]]] = {
            story.name: {str(metric["name"]): [] for metric in story.metrics} for story in told
        }
        self.ends: list[datetime] = []
        self.since = datetime.now(UTC)
        backend.add(stable or Pod(NAMESPACE, "shop-stable", "shop-stable", good=500, bad=1))
        for story in told:
            story.backend = backend
            for one in story.pods:
                backend.add(one)
            self.measuring.follow(story.key, self._release(story))

    def _release(self, story: Story) -> ResolvedSpec:
        traffic = {
            "stable": {"service": "shop-stable", "port": 8080},
            "canary": {"service": f"{story.name}-canary", "port": 8080},
            "gatewayAPI": {"route": {"name": story.name}},
        }
        comparison = {"alpha": 0.01, "tests": [{"metric": metric["name"]} for metric in story.metrics]}
        return release(traffic=traffic, metrics=story.metrics, comparison=comparison, thresholds=[], triggers=[])

    async def settle(self) -> None:
        """Until all pods have been scraped for longer than new ones are doubted."""
        for story in self.stories:
            for one in story.pods:
                await asyncio.to_thread(self.backend.until_scraped, one)
        now = datetime.now(UTC)
        self.since = floor(now, LENGTH) + 5 * LENGTH
        await self._until(self.since)

    async def window(self, number: int, besides: Callable[[], Awaitable[None]] | None = None) -> None:
        """One window: everything happens, and all is looked at meanwhile."""
        end = self.since + LENGTH * (len(self.ends) + 1)
        self.ends.append(end)
        await self._until(end - LENGTH + timedelta(milliseconds=50))
        await asyncio.gather(*(story.step(number, end) for story in self.stories))
        if besides is not None:
            await besides()
        await self._until(end)

    async def rest(self) -> None:
        """Until the last window could be asked for."""
        await self._until(self.ends[-1] + timedelta(seconds=2))

    async def _until(self, end: datetime) -> None:
        while (left := (end - datetime.now(UTC)).total_seconds()) > 0:
            await self.look()
            await asyncio.sleep(min(0.2, left))

    async def look(self) -> None:
        """A tick; windows that are told are counted, so that none may come again."""
        await self.measuring.tick(datetime.now(UTC))
        for story in self.stories:
            for metric, found in self.found[story.name].items():
                since = found[-1].end if found else self.since
                told = self.measuring.windows(story.key, {metric: since}).get(metric, ())
                # These pods are scraped one after the other: the last window counted comes along, and nothing older.
                assert [one.end for one in told if one.end <= since] in ([], [since])
                found.extend(one for one in told if one.end > since)

    def faults(self) -> list[str]:
        """What is wrong with the windows of any story."""
        return [f"{story.name}: {fault}" for story in self.stories for fault in self.check(story)]

    def check(self, story: Story) -> Iterator[str]:
        """What is wrong with the windows of a story."""
        for metric, windows in self.found[story.name].items():
            if [window.end for window in windows] != self.ends:
                yield f"{metric}: windows end at {[f'{window.end:%X}' for window in windows]}, not as they should"
            for window in windows:
                number = self.ends.index(window.end)
                if isinstance(window.canary, Missing):
                    assert window.canary.reason is Reason.WINDOW_VOID
                    if number in story.exact:
                        yield f"{metric}: window {number} is void: {window.canary.message}"
                elif (fault := story.fault(metric, window, number)) is not None:
                    yield f"{metric}: window {number}: {fault}"
                elif number in story.void:
                    yield f"{metric}: window {number} must be void"
