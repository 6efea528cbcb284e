"""Every window's counts are what the backend counted in it, or the window is void and says so.

One Prometheus scrapes pods whose counters the test sets. In each window all that happens, happens in its first third;
the rest is quiet, so that a scrape sees it in time. What happened is written down by the test itself.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from cluster.metrics.backend import Backend, Pod
from cluster.metrics.conftest import config, release
from fakes.escapes import ESCAPES
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.config import RoleLabels
from sparkrelease.api.metrics import Metric
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Buckets, Counts, Missing, Window
from sparkrelease.decide.promql import EVERYTHING, Template, template_of, window_query
from sparkrelease.decide.ranges import history_query
from sparkrelease.decide.series import Answer
from sparkrelease.decide.windows import floor
from sparkrelease.engine.measure import Measurements
from sparkrelease.ports.cluster import ObjectKey

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster

LENGTH = timedelta(seconds=4)
NAMESPACE = "ledger"
METRICS = [
    {"name": "http", "bad": 'requests_total{code="500"}', "total": "requests_total", "every": "4s"},
    {"name": "latency", "buckets": "duration_bucket", "quantile": 0.95, "every": "4s"},
]
COMPARISON = {"alpha": 0.01, "tests": [{"metric": "http"}, {"metric": "latency"}]}


@dataclass
class Story:
    """What happens to one canary. `steps` has for a window, counted from 0, what happens in it beside the usual."""

    name: str
    pods: list[Pod]
    steps: dict[int, Callable[[Story], Awaitable[None]]]
    exact: Sequence[int]
    """Windows that must be counted."""
    void: Sequence[int] = ()
    """Windows that must be void."""
    usual: bool = True
    truth: dict[datetime, tuple[int, int, int]] = field(default_factory=dict)
    """By end of window: bad requests, all, slow ones."""
    window: tuple[int, int, int] = (0, 0, 0)
    backend: Backend | None = None
    newcomer: Pod | None = None

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(NAMESPACE, self.name)

    def count(self, pod: Pod, good: int = 0, bad: int = 0, slow: int = 0) -> None:
        """Requests that the pod answers now."""
        if good:
            pod.good = (pod.good or 0) + good
        if bad:
            pod.bad = (pod.bad or 0) + bad
        pod.slow += slow
        before = self.window
        self.window = (before[0] + bad, before[1] + good + bad, before[2] + slow)

    async def step(self, number: int, end: datetime) -> None:
        """All that happens in a window."""
        self.window = (0, 0, 0)
        if self.usual:
            for place, pod in enumerate(self.pods):
                self.count(pod, good=3 + number + place, bad=number % 2 if pod.bad is not None else 0, slow=number % 3)
        if number in self.steps:
            await self.steps[number](self)
        self.truth[end] = self.window


def pod(story: str, name: str = "a", **fields: object) -> Pod:
    """A pod of a story's canary, which has served before."""
    return Pod(NAMESPACE, f"{story}-canary", f"{story}-{name}", **{"good": 1000, "bad": 50, **fields})  # type: ignore[arg-type]  # any of its fields


def moment(seconds: float) -> Awaitable[None]:
    """Time for a scrape or two; nothing is waited for that could be seen."""
    return asyncio.sleep(seconds)


async def restart(story: Story) -> None:
    await moment(1.1)
    story.pods[0].good, story.pods[0].bad, story.pods[0].slow = 0, None, 0
    story.count(story.pods[0], good=2)


async def quick_restart(story: Story) -> None:
    """No scrape falls between the last request before it and the first ones after it."""
    story.count(story.pods[0], good=4)
    story.pods[0].good, story.pods[0].bad, story.pods[0].slow = 0, 0, 0
    story.count(story.pods[0], good=1, bad=1)


async def remove(story: Story) -> None:
    await moment(1.1)
    assert story.backend is not None
    story.backend.remove(story.pods.pop())


async def add(story: Story) -> None:
    """A pod that is a target before it gets requests, as one that is not ready yet. Discovery takes seconds."""
    assert story.backend is not None
    story.newcomer = story.backend.add(pod(story.name, "new", good=None, bad=None))


async def newcomer_serves(story: Story) -> None:
    assert story.newcomer is not None
    story.count(story.newcomer, good=5, bad=2)


async def goes_down(story: Story) -> None:
    await moment(1.1)
    story.pods[0].down = True
    story.count(story.pods[0], good=7)


async def comes_back(story: Story) -> None:
    story.pods[0].down = False


async def blinks(story: Story) -> None:
    story.pods[0].down = True
    await moment(1.1)
    story.pods[0].down = False


async def first_requests(story: Story) -> None:
    story.count(story.pods[0], good=8, bad=1)
    story.usual = True


async def first_error(story: Story) -> None:
    story.count(story.pods[0], bad=4)


def stories() -> list[Story]:
    """Seven windows each; the numbers in `exact` and `void` are theirs."""
    everything = range(7)
    return [
        Story("steady", [pod("steady")], {}, everything),
        Story("several", [pod("several", name) for name in "abc"], {}, everything),
        Story("no-error-yet", [pod("no-error-yet", bad=None)], {3: first_error}, everything),
        Story("blink", [pod("blink")], {2: blinks}, everything),
        Story("restart", [pod("restart", name) for name in "ab"], {2: restart}, [0, 1, 3, 4, 5, 6], [2]),
        Story("quick", [pod("quick")], {2: quick_restart}, [0, 1, 3, 4, 5, 6], [2]),
        Story("removed", [pod("removed", name) for name in "ab"], {2: remove}, [0, 1, 4, 5, 6]),
        Story("added", [pod("added")], {1: add, 4: newcomer_serves, 6: newcomer_serves}, everything),
        Story(
            "gap",
            [pod("gap", name) for name in "ab"],
            {2: goes_down, 4: comes_back},
            [0, 1, 5, 6],
            [2, 3, 4],
        ),
        Story(
            "first-request",
            [pod("first-request", good=None, bad=None)],
            {3: first_requests},
            [4, 5, 6],
            [0, 1, 2, 3],
            usual=False,
        ),
    ]


class Ledger:
    """Runs all stories at once, window by window, and collects what a release is told."""

    def __init__(self, backend: Backend, told: list[Story]) -> None:
        self.backend = backend
        self.stories = told
        declared = config(backend.url, lag="500ms")
        self.source = PrometheusSource(declared.servers)
        self.measuring = Measurements(self.source, declared)
        self.found: dict[str, dict[str, list[Window]]] = {story.name: {"http": [], "latency": []} for story in told}
        self.ends: list[datetime] = []
        self.since = datetime.now(UTC)
        backend.add(Pod(NAMESPACE, "shop-stable", "shop-stable", good=500, bad=1))
        for story in told:
            story.backend = backend
            for one in story.pods:
                backend.add(one)
            traffic = {
                "stable": {"service": "shop-stable", "port": 8080},
                "canary": {"service": f"{story.name}-canary", "port": 8080},
                "gatewayAPI": {"route": {"name": story.name}},
            }
            spec = release(traffic=traffic, metrics=METRICS, comparison=COMPARISON, thresholds=[], triggers=[])
            self.measuring.follow(story.key, spec)

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
                new = self.measuring.windows(story.key, {metric: since}).get(metric, ())
                found.extend(new)

    def check(self, story: Story) -> Iterator[str]:
        """What is wrong with the windows of a story."""
        for metric, windows in self.found[story.name].items():
            if [window.end for window in windows] != self.ends:
                yield f"{metric}: windows {[str(window.end) for window in windows]}, wanted {self.ends}"
            for window in windows:
                side, (bad, total, slow) = window.canary, story.truth[window.end]
                number = self.ends.index(window.end)
                wanted: Counts | Buckets = Counts(bad, total)
                if metric == "latency":
                    wanted = Buckets({0.1: 0, 0.2: total - slow, 1.0: total}, total)
                if isinstance(side, Missing):
                    assert side.reason is Reason.WINDOW_VOID
                    if number in story.exact:
                        yield f"{metric}: window {number} is void: {side.message}"
                elif side != wanted:
                    yield f"{metric}: window {number}: {side}, truly {wanted}"
                elif number in story.void:
                    yield f"{metric}: window {number} must be void"


@pytest_asyncio.fixture
async def backend(cluster: Cluster, tmp_path: Path, pytestconfig: pytest.Config) -> AsyncIterator[Backend]:
    """Pods and a Prometheus of this test's own."""
    if pytestconfig.option.lane != "local":
        pytest.skip("its Prometheus is a process of the local lane")
    with Backend(tmp_path).serving() as running:
        yield running


async def test_every_window_has_the_true_counts_or_is_void(backend: Backend) -> None:
    ledger = Ledger(backend, stories())
    await ledger.settle()
    for number in range(7):
        await ledger.window(number)
    await ledger.rest()
    ledger.source.close()
    faults = [f"{story.name}: {fault}" for story in ledger.stories for fault in ledger.check(story)]
    assert not faults, "\n".join(faults)


async def test_no_event_is_counted_twice_or_too_early_after_an_outage_of_the_server(backend: Backend) -> None:
    """Prometheus is away for more than a window, comes back, and at last comes back having forgotten everything."""
    exact, void = (0, 1, 7, 13, 14), (3, 4, 9)
    told = [
        Story("steady", [pod("steady")], {}, exact, void),
        Story("pods", [pod("pods", name) for name in "abc"], {}, exact, void),
    ]
    ledger = Ledger(backend, told)
    await ledger.settle()

    async def stop() -> None:
        await asyncio.sleep(1.1)
        await asyncio.to_thread(backend.process.stop)

    async def start() -> None:
        await asyncio.to_thread(backend.start)

    async def forget() -> None:
        await stop()
        await asyncio.to_thread(shutil.rmtree, backend.folder / "tsdb")
        await start()

    happens = {2: stop, 4: start, 9: forget}
    for number in range(15):
        await ledger.window(number, happens.get(number))
    await ledger.rest()
    ledger.source.close()
    faults = [f"{story.name}: {fault}" for story in told for fault in ledger.check(story)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("own", [True, False])
async def test_a_release_s_own_expression_reads_no_series_of_another_namespace(backend: Backend, own: bool) -> None:
    """Only another namespace has series: whatever is answered about them would be read across the border."""
    secret = backend.add(Pod("hr", "pay", "secret", good=4242, bad=1))
    await asyncio.to_thread(backend.until_scraped, secret)
    source = PrometheusSource(config(backend.url).servers)
    read = []
    for text in ESCAPES:
        value = (
            text.replace("secret_total", "requests_total").replace("secret", "duration").replace("duration.*", "req.*")
        )
        made = template_of(
            Metric.model_validate({"name": "m", "value": value}), RoleLabels(), (), "mine" if own else None
        )
        assert isinstance(made, Template), text
        for query in (window_query(made, EVERYTHING), history_query(made, EVERYTHING)):
            answer = await source.query("default", query, datetime.now(UTC))
            assert isinstance(answer, Answer), f"{text}: {answer}"
            absent = [{"namespace": "mine"}, {"namespace": "mine", "sr_part": "value"}]
            read += [f"{text}: {row}" for row in answer.rows if row.labels not in absent]
    source.close()
    assert bool(read) is not own, read
