"""Gates of stages in which pods restart, go or come back, on a real Prometheus whose pods' true counts are known."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from cluster.metrics.backend import Backend
from cluster.metrics.conftest import config, release
from cluster.metrics.ledger import NAMESPACE
from cluster.metrics.pods import Pod, TimedPod
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.api.status import Verdict
from sparkrelease.decide.facts import Buckets, Counts, MetricFacts
from sparkrelease.decide.resolve import ResolvedSpec
from sparkrelease.decide.thresholds import judge_facts
from sparkrelease.engine.measure import Measurements
from sparkrelease.ports.cluster import ObjectKey
from testbed.prometheus import query
from testbed.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.cluster import Cluster

METRICS: list[dict[str, object]] = [
    {"name": "http", "bad": 'requests_total{code="500"}', "total": "requests_total", "window": "5s"},
    {"name": "latency", "buckets": "duration_bucket", "quantile": 0.95, "window": "5s"},
    {"name": "native", "buckets": "duration_seconds", "quantile": 0.95, "window": "5s"},
]
THRESHOLDS = [
    {"name": "errors", "metric": "http", "max": 0.01, "minRequests": 1},
    {"name": "p95", "metric": "latency", "max": 0.2, "minRequests": 1},
    {"name": "native", "metric": "native", "max": 0.25, "minRequests": 1},
]
EXTRAPOLATED = 1.5
"""By how much `increase` may exceed what was counted: it adds 1.1 scrapes at either end at most, to ten or more."""

SAMPLED = 10
"""Of so many answers the histogram has one: it is looked through at every scrape."""


async def backend_says(backend: Backend, promql: str) -> None:
    """Until the query has an answer."""
    await asyncio.to_thread(wait_for, promql, partial(query, backend.url, promql), timeout=60)


@dataclass
class Story:
    """One canary. What it truly answered in the stage is written down as it happens; a slow answer takes 0.3 s."""

    name: str
    backend: Backend
    pods: dict[str, tuple[Pod, TimedPod]] = field(default_factory=dict)
    good: int = 0
    bad: int = 0

    def add(self, name: str) -> None:
        """A pod that has answered nothing yet."""
        service = f"{self.name}-canary"
        pod = self.backend.add(Pod(NAMESPACE, service, f"{service}-{name}", good=0))
        timed = self.backend.add(TimedPod(NAMESPACE, service, f"{service}-{name}-timed", observed=[]))
        self.pods[name] = pod, timed

    def served_before(self, name: str) -> None:
        """What a pod answered before the stage."""
        pod, timed = self.pods[name]
        pod.good, pod.bad, timed.observed = 100_000, 0, [0.1] * 100

    def serve(self, name: str, good: int, bad: int = 0) -> None:
        """Answers of one pod in the stage; every bad one is slow, too."""
        pod, timed = self.pods[name]
        pod.good, pod.slow = (pod.good or 0) + good, pod.slow + bad
        pod.bad = (pod.bad or 0) + bad if bad or pod.bad is not None else None
        timed.observed = [*(timed.observed or []), *[0.1] * (good // SAMPLED), *[0.3] * (bad // SAMPLED)]
        self.good, self.bad = self.good + good, self.bad + bad

    def restart(self, name: str) -> None:
        """The container begins anew; like most it has no error series before its first error."""
        pod, timed = self.pods[name]
        pod.good, pod.bad, pod.slow, timed.observed = 0, None, 0, []

    def down(self, name: str, *, is_down: bool) -> None:
        """Its scrapes fail."""
        for one in self.pods[name]:
            one.down = is_down

    async def scraped(self, name: str, ago: str = "0s") -> None:
        """Until the server has seen, for so long, all that the pod counts now."""
        pod, timed = self.pods[name]
        wanted = {
            f'sum(requests_total{{pod="{pod.name}"}} offset {ago})': (pod.good or 0) + (pod.bad or 0),
            f'histogram_count(duration_seconds{{pod="{timed.name}"}} offset {ago})': len(timed.observed or []),
        }
        for promql, count in wanted.items():
            await backend_says(self.backend, f"{promql} == {count}")

    async def remove(self, name: str) -> None:
        """The pod is gone, once all of it was seen."""
        await self.scraped(name)
        for one in self.pods.pop(name):
            self.backend.remove(one)
            await backend_says(self.backend, f'absent(up{{pod="{one.name}"}})')


async def quiet(story: Story) -> None:
    story.serve("a", 400, 40)
    await story.scraped("a")
    story.add("c")
    await story.scraped("c")
    story.serve("b", 500)
    story.serve("c", 50, 10)


async def restarts(story: Story) -> None:
    """Both pods, one after the other, and then all is well."""
    for name in ("a", "b"):
        story.serve(name, 900, 100)
        await story.scraped(name)
        story.restart(name)
        await story.scraped(name)
        story.serve(name, 200)


async def restarts_and_goes_on(story: Story) -> None:
    """Afterwards it counts more than before."""
    story.serve("a", 300, 60)
    await story.scraped("a")
    story.restart("a")
    await story.scraped("a")
    story.serve("a", 2000, 10)


async def restarts_again_and_again(story: Story) -> None:
    for bad in (40, 30, 20):
        story.serve("a", 270, bad)
        await story.scraped("a")
        story.restart("a")
        await story.scraped("a")
    story.serve("a", 100)


async def vanishes(story: Story) -> None:
    """Scaled down."""
    story.serve("a", 900, 100)
    story.serve("b", 800)
    await story.remove("a")


async def are_replaced(story: Story) -> None:
    """As Deployments do it: each by a pod of another name."""
    for name, heir in (("a", "c"), ("b", "d")):
        story.serve(name, 450, 50)
        story.add(heir)
        await story.scraped(heir)
        await story.remove(name)
        story.serve(heir, 150)


async def comes_and_goes(story: Story) -> None:
    """A pod that is there at neither end, born with all of its errors."""
    story.serve("a", 1000)
    story.add("c")
    story.serve("c", 0, 90)
    await story.remove("c")


async def comes_back(story: Story) -> None:
    """Down when the stage began; it had answered 100,000 requests before."""
    story.down("a", is_down=False)
    await story.scraped("a")
    story.serve("a", 450, 50)
    story.serve("b", 100)


@dataclass(frozen=True)
class Expected:
    """What is to be seen of a story: why it was counted again (nothing: it was not), and whether exactly."""

    happens: Callable[[Story], Awaitable[None]]
    why: str = ""
    exact: bool = True
    exact_native: bool = True


STORIES = {
    "quiet": Expected(quiet),
    "restarts": Expected(restarts, "reset", exact_native=False),
    "more-after": Expected(restarts_and_goes_on, "reset", exact=False, exact_native=False),
    "crash-loop": Expected(restarts_again_and_again, "reset", exact=False, exact_native=False),
    "vanishes": Expected(vanishes, "vanished"),
    "replaced": Expected(are_replaced, "vanished"),
    "short-lived": Expected(comes_and_goes, "vanished"),
    "comes-back": Expected(comes_back, "came back"),
}


@pytest.fixture
def backend(cluster: Cluster, tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Backend]:
    """Pods and a Prometheus of this test's own."""
    if pytestconfig.option.lane != "local":
        pytest.skip("its Prometheus is a process of the local lane")
    with Backend(tmp_path, {"ledger": {"scrape_native_histograms": True}}).serving() as running:
        yield running


def spec_of(name: str) -> ResolvedSpec:
    traffic = {
        "stable": {"service": "shop-stable", "port": 8080},
        "canary": {"service": f"{name}-canary", "port": 8080},
        "gatewayAPI": {"route": {"name": name}},
    }
    return release(traffic=traffic, metrics=METRICS, thresholds=THRESHOLDS, triggers=[])


async def all_scraped(stories: Iterable[Story], ago: str = "0s") -> None:
    """Until the server has seen, for so long, all that any pod counts."""
    await asyncio.gather(*(story.scraped(name, ago) for story in stories for name in story.pods))


async def told(backend: Backend) -> Mapping[str, tuple[Story, Mapping[str, MetricFacts]]]:
    """All stories at once, in one stage, and what its gate measured of each."""
    backend.add(Pod(NAMESPACE, "shop-stable", "shop-stable", good=1000))
    stories = [Story(name, backend) for name in STORIES]
    for story in stories:
        for name in ("a", "b"):
            story.add(name)
            story.served_before(name)
    await all_scraped(stories)
    stories[-1].down("a", is_down=True)
    await backend_says(backend, f'count(up{{pod=~"{stories[-1].name}-canary-a.*"}} offset 1s == 0) == 2')
    quiet_since = datetime.now(UTC)
    begin = quiet_since - timedelta(milliseconds=300)  # it is moved inwards to a tenth of a second
    await backend_says(backend, f"absent(timestamp(up) <= {quiet_since.timestamp():.3f})")
    await asyncio.gather(*(STORIES[story.name].happens(story) for story in stories))
    await all_scraped(stories, ago="1s")  # the end of what a gate asks of is moved inwards to a tenth of a second, too
    now = datetime.now(UTC)
    declared = config(backend.url, timeout="30s")
    source = PrometheusSource(declared.servers)
    measuring = Measurements(source, declared)
    gates = await asyncio.gather(
        *(measuring.gate(ObjectKey(NAMESPACE, one.name), spec_of(one.name), now - begin, now) for one in stories)
    )
    source.close()
    return {story.name: (story, gate) for story, gate in zip(stories, gates, strict=True)}


def faults(story: Story, gate: Mapping[str, MetricFacts]) -> Iterator[str]:
    """What is wrong with the counts of a story."""
    expected, spec = STORIES[story.name], spec_of(story.name)
    for threshold in spec.thresholds:
        part = SAMPLED if threshold.metric == "native" else 1
        total, slow = (story.good + story.bad) // part, story.bad // part
        facts, again = gate[threshold.name], gate[threshold.name].canary_again
        judged = judge_facts(threshold, spec.metric(threshold.metric), facts)
        if threshold.metric == "http" and judged.verdict is not Verdict.FAIL:
            yield f"must fail: {judged.message}"
        if (again is None) != (not expected.why) or (again is not None and expected.why not in again.why):
            yield f"{threshold.name}: counted again for {again and again.why!r}"
        reading = facts.canary if again is None else again.reading
        exact = expected.exact_native if threshold.metric == "native" else expected.exact
        most = 1.0 if exact else EXTRAPOLATED
        match reading:
            case Counts(seen_bad, seen) if slow <= seen_bad <= slow * most and total <= seen <= total * most:
                pass
            case Buckets(at_or_below, seen) if total <= seen <= total * most:
                over = seen - at_or_below[threshold.max or 0.0]
                if not slow - 1e-6 <= over <= slow * most + 1e-6:
                    yield f"{threshold.name}: {over:g} slow ones, not {slow}"
            case _:
                yield f"{threshold.name}: {reading}, not {slow} of {total}"


async def test_no_pod_s_errors_are_forgotten_by_a_gate_whatever_becomes_of_it(backend: Backend) -> None:
    found = await told(backend)
    wrong = [f"{name}: {fault}" for name, (story, gate) in found.items() for fault in faults(story, gate)]
    assert not wrong, "\n".join(wrong)
